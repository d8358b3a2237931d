//! Runs the code blocks of documentation pages as they are:
//!
//! - A block of `sh` is run by bash, in the page's folder. A block that begins with
//!   `wireplug serve` or with `cargo run` starts a server, which continues to run until the next
//!   such block or the end of the page. Its ports are replaced by free ones, also in the blocks
//!   after it. `cargo run` runs the program that was built with the tests.
//! - A block of `text` after a block of `sh` must be part of the output of that block.
//! - A block whose first line has a language and a file name, such as `rust src/lib.rs`, is written
//!   to that file.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::running::Running;

/// How a block begins that starts a server.
const SERVERS: [&str; 2] = ["wireplug serve", "cargo run"];

/// What stands before a port in a command.
const BEFORE_PORTS: [&str; 5] = ["127.0.0.1 ", "127.0.0.1:", "localhost:", "-p ", "port="];

/// How long a server may take to compile its codec on a busy machine.
const COMPILING: Duration = Duration::from_secs(330);

/// Folders of the tests that run pages.
#[derive(Clone, Copy, Debug)]
pub struct Folders {
    /// The folder of `wireplug` and of the other programs that were built with the tests.
    pub programs: &'static str,
    /// The folder for files that make later runs of the tests faster.
    pub kept: &'static str,
}

impl Folders {
    /// Returns the target folder of cargo for codecs in Rust. It is not that of the tests, so that
    /// a build does not wait for them.
    pub fn cargo(self) -> PathBuf {
        Path::new(self.kept).join("cargo")
    }

    fn path(self) -> OsString {
        let others = env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(self.programs.into()).chain(env::split_paths(&others));
        env::join_paths(folders).expect("no folder has a colon")
    }
}

/// A page whose blocks are being run.
pub struct Guide {
    folders: Folders,
    folder: PathBuf,
    /// The running server, if there is one.
    server: Option<Running>,
    ports: BTreeMap<String, String>,
    /// The output of the last block.
    printed: String,
    /// The number of blocks that were run.
    pub blocks: usize,
}

impl Guide {
    /// Prepares to run pages in `folder`.
    pub fn new(folder: &Path, folders: Folders) -> Self {
        Self {
            folders,
            folder: folder.to_owned(),
            server: None,
            ports: BTreeMap::new(),
            printed: String::new(),
            blocks: 0,
        }
    }

    /// Runs the blocks of a page.
    pub fn follow(&mut self, page: &str) {
        let mut lines = page.lines();
        while let Some(line) = lines.next() {
            let Some(info) = line.strip_prefix("```") else { continue };
            let block: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
            self.block(info, &block.join("\n"));
        }
    }

    fn block(&mut self, info: &str, block: &str) {
        match info.split_once(' ') {
            Some((_, file)) => {
                let file = self.folder.join(file);
                fs::create_dir_all(file.parent().expect("a file lies in a folder")).expect("it can be made");
                fs::write(file, format!("{block}\n")).expect("a file can be written");
            }
            None if info == "sh" && SERVERS.iter().any(|server| block.starts_with(server)) => {
                self.serve(block);
            }
            None if info == "sh" => self.run(block),
            None if info == "text" => {
                for line in block.lines() {
                    assert!(
                        self.printed.contains(line),
                        "{line:?} was to be printed, but:\n{}",
                        self.printed
                    );
                }
            }
            None => return,
        }
        self.blocks += 1;
    }

    fn bash(&self, script: &str) -> Command {
        let mut bash = Command::new("bash");
        bash.args(["-euo", "pipefail", "-c", script]).current_dir(&self.folder).stdin(Stdio::null());
        // The files that cargo builds are kept for later runs, apart from those of the tests
        // themselves.
        bash.env("PATH", self.folders.path()).env("CARGO_TARGET_DIR", self.folders.cargo());
        bash
    }

    fn run(&mut self, block: &str) {
        let script = self.with_ports(block);
        // The next block starts in the directory in which this block ends.
        let place = format!("place-{}-{:?}", std::process::id(), std::thread::current().id());
        let place = Path::new(self.folders.kept).join(place);
        let placed = format!("trap 'pwd > \"{}\"' EXIT\n{script}", place.display());
        let output = self.bash(&placed).output().expect("there is bash");
        self.folder = fs::read_to_string(&place).expect("bash has written it").trim_end().into();
        let _ = fs::remove_file(place);
        let printed = [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat();
        println!("$ {script}\n{printed}");
        assert!(output.status.success(), "{} of:\n{script}\n{printed}", output.status);
        self.printed = printed;
    }

    fn with_ports(&self, block: &str) -> String {
        let mut script = block.to_owned();
        for (on_page, actual) in &self.ports {
            for before in BEFORE_PORTS {
                script = script.replace(&format!("{before}{on_page}"), &format!("{before}{actual}"));
            }
        }
        script
    }

    fn serve(&mut self, block: &str) {
        self.server = None;
        let block = &self.with_built_program(block);
        let (mut script, mut on_page) = with_free_ports(block);
        // If the server has a configuration file, the ports are in that file. The copy must lie in
        // the same folder, because the file may name others.
        if let Some(file) = block.split_whitespace().find(|word| word.ends_with(".toml")) {
            let config = fs::read_to_string(self.folder.join(file)).expect("there is the file");
            let (config, ports) = with_free_ports(&config);
            let copy = ".free-ports.toml";
            fs::write(self.folder.join(copy), config).expect("a file can be written");
            script = block.replace(file, copy);
            on_page = ports;
        }
        let mut command = self.bash(&format!("exec {script}"));
        let server = Running::writing(&mut command, Stdio::piped(), Stdio::inherit());
        for port in on_page {
            let line = server.output.find_within(COMPILING, &["://127.0.0.1:"]);
            let (_, behind) = line.rsplit_once("127.0.0.1:").expect("it was found");
            let actual: String = behind.chars().take_while(char::is_ascii_digit).collect();
            self.ports.insert(port, actual);
        }
        self.server = Some(server);
    }

    /// Replaces `cargo run … --bin NAME --` by the program NAME that was built with the tests.
    fn with_built_program(&self, block: &str) -> String {
        let Some((cargo, arguments)) = block.split_once(" -- ").filter(|_| block.starts_with("cargo run"))
        else {
            return block.to_owned();
        };
        let (_, name) = cargo.rsplit_once("--bin ").expect("the block names the program");
        format!("{} {arguments}", Path::new(self.folders.programs).join(name).display())
    }

    /// Returns the server's port for a port on the page.
    pub fn port(&self, on_page: &str) -> &str {
        &self.ports[on_page]
    }
}

/// Replaces each port of this machine in a text by a free one. Returns the new text and the
/// replaced ports.
fn with_free_ports(text: &str) -> (String, Vec<String>) {
    let mut parts = text.split("127.0.0.1:");
    let mut freed = parts.next().unwrap_or_default().to_owned();
    let mut ports: Vec<String> = Vec::new();
    let mut shared = BTreeMap::new();
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        let (port, rest) = part.split_at(digits);
        // The system chooses, unless a listener over TCP and one over UDP must have the same port.
        let is_shared = text.matches(&format!("127.0.0.1:{port}\"")).count() > 1;
        let free = if is_shared { *shared.entry(port).or_insert_with(port_of_tcp_and_udp) } else { 0 };
        ports.push(port.to_owned());
        freed += &format!("127.0.0.1:{free}{rest}");
    }
    (freed, ports)
}

/// Returns a port that is free for TCP and for UDP.
fn port_of_tcp_and_udp() -> u16 {
    let any = (Ipv4Addr::LOCALHOST, 0);
    let mut ports = (0..100).filter_map(|_| {
        let tcp = TcpListener::bind(any).ok()?;
        let address = tcp.local_addr().ok()?;
        UdpSocket::bind(address).ok().map(|_| address.port())
    });
    ports.next().expect("a port is free for both")
}
