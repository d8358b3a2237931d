//! `wireplug serve` while it compiles: signals, its end, and that it leaves no process behind.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use wireplug_tests::hostile::heavy::slowed;
use wireplug_tests::versions;
use wireplug_tests::versions::POMELO;

use super::{SLOW, SOON, children};

/// The documented bound of an end, and what a busy machine adds.
const BOUND: Duration = Duration::from_secs(7 + 3);

/// `wireplug`, killed at the latest with the test.
struct Process(Child);

impl Process {
    fn start(arguments: &[&str], cache: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wireplug"));
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        command.env_remove("RUST_LOG").env("XDG_CACHE_HOME", cache);
        Self(command.spawn().expect("the binary is there"))
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    fn signal(&self, signal: &str) {
        let kill = format!("kill -{signal} {}", self.pid());
        assert!(Command::new("sh").args(["-c", &kill]).status().expect("there is a shell").success());
    }

    /// The exit code, of a process that ends in time.
    #[track_caller]
    fn code(&mut self, bound: Duration) -> Option<i32> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().expect("it is our child") {
                return status.code();
            }
            assert!(begun.elapsed() < bound, "it did not end within {bound:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until it listens.
    fn until_it_listens(&mut self) {
        let out = self.0.stdout.take().expect("it is piped");
        let mut lines = BufReader::new(out).lines().map_while(Result::ok);
        assert!(lines.any(|line| line.contains("SIGUSR1 prints the counts")), "it did not start");
        // What it says later is read by nobody and must find somebody who takes it.
        std::thread::spawn(move || lines.count());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A folder of the test's own, with a codec in it.
struct Folder(PathBuf);

impl Folder {
    fn with(name: &str, wasm: &[u8]) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("compile-{name}"));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).expect("it can be made");
        let folder = Self(folder);
        folder.put(wasm);
        folder
    }

    fn put(&self, wasm: &[u8]) {
        fs::write(self.0.join("next"), wasm).expect("it can be written");
        fs::rename(self.0.join("next"), self.codec()).expect("it can be renamed");
    }

    fn codec(&self) -> PathBuf {
        self.0.join("pomelo.wasm")
    }

    /// A server of this codec.
    fn serve(&self) -> Process {
        let codec = self.codec();
        let codec = codec.to_str().expect("a name that is text");
        Process::start(&["serve", "--listen", "tcp://127.0.0.1:0", "--codec", codec], &self.0)
    }
}

fn slow() -> Vec<u8> {
    slowed(POMELO, SLOW)
}

#[test]
fn a_start_that_compiles_ends_at_once() {
    for signal in ["TERM", "INT"] {
        let folder = Folder::with(&format!("start-{signal}"), &slow());
        let mut server = folder.serve();
        let worker = children::the_one_of(server.pid(), SOON);
        // None of these ends it, though it has not started yet.
        for signal in ["USR1", "HUP"] {
            server.signal(signal);
        }
        std::thread::sleep(Duration::from_millis(200));
        assert!(children::is_alive(server.pid()) && children::is_alive(worker));
        server.signal(signal);
        assert_eq!(server.code(BOUND), Some(0), "{signal}");
        children::until("its worker has ended", SOON, || !children::is_alive(worker));
    }
}

#[test]
fn a_start_that_waits_for_nats_ends_at_once() {
    let folder = Folder::with("nats", POMELO);
    let config = folder.0.join("w.toml");
    let text = "[nats]\nservers = [\"nats://127.0.0.1:1\"]\n[services.chat]\n[codecs.pomelo]\nbuiltin = \"pomelo\"\n\
                [[listeners]]\nurl = \"tcp://127.0.0.1:0\"\ncodec = \"pomelo\"\n";
    fs::write(&config, text).expect("it can be written");
    for signal in ["TERM", "INT"] {
        let mut server = Process::start(&["serve", config.to_str().expect("text")], &folder.0);
        std::thread::sleep(Duration::from_millis(600));
        server.signal("USR1");
        server.signal(signal);
        assert_eq!(server.code(BOUND), Some(0), "{signal}");
    }
}

#[test]
fn a_server_that_compiles_ends_in_time() {
    let folder = Folder::with("serving", &versions::pomelo(1));
    let mut server = folder.serve();
    server.until_it_listens();
    folder.put(&slow());
    let worker = children::the_one_of(server.pid(), SOON);
    server.signal("TERM");
    assert_eq!(server.code(BOUND), Some(0));
    children::until("its worker has ended", SOON, || !children::is_alive(worker));
}

#[test]
fn a_server_that_is_killed_takes_its_worker_with_it() {
    let folder = Folder::with("killed", &slow());
    let mut server = folder.serve();
    let worker = children::the_one_of(server.pid(), SOON);
    server.signal("KILL");
    assert_eq!(server.code(BOUND), None);
    children::until("its worker has ended", SOON, || !children::is_alive(worker));
}

/// A worker that is killed, as by a system that is out of memory, is an error of its load alone.
#[test]
fn a_worker_that_is_killed_is_reaped() {
    let folder = Folder::with("worker", &versions::pomelo(1));
    let mut server = folder.serve();
    server.until_it_listens();
    folder.put(&slow());
    let worker = children::the_one_of(server.pid(), SOON);
    let kill = format!("kill -KILL {worker}");
    assert!(Command::new("sh").args(["-c", &kill]).status().expect("there is a shell").success());
    children::until("it is reaped", SOON, || children::of(server.pid()).is_empty());
    server.signal("TERM");
    assert_eq!(server.code(BOUND), Some(0));
}

/// Commands for authors compile in the same way.
#[test]
fn inspect_says_which_bound_a_component_meets() {
    let folder = Folder::with("inspect", &wireplug_tests::hostile::heavy::nested(12_000));
    let codec = folder.codec();
    let output = Command::new(env!("CARGO_BIN_EXE_wireplug"))
        .args(["codec", "inspect", codec.to_str().expect("text")])
        .env("XDG_CACHE_HOME", &folder.0)
        .output()
        .expect("the binary is there");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success()
            && text.contains("refused      ")
            && text.contains("`nesting` under [compile.bounds]"),
        "{output:?}"
    );
}
