//! A NATS server, and services behind it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long to wait for what must come. Generous: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// Folders of this process.
static FOLDERS: AtomicU32 = AtomicU32::new(0);

/// A NATS server on a free port of this machine, ended at the latest with the test.
pub struct NatsServer {
    process: Option<Process>,
    port: u16,
    folder: PathBuf,
    arguments: Vec<String>,
}

impl NatsServer {
    /// Starts one.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// Starts one with more arguments.
    pub fn with(arguments: &[&str]) -> Self {
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("wireplug-nats-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).expect("the directory for temporary files can be written");
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let mut server = Self { process: None, port: 0, folder, arguments };
        server.launch("-1");
        server
    }

    /// Starts it again, where it was.
    pub fn start_again(&mut self) {
        self.launch(&self.port.to_string());
    }

    fn launch(&mut self, port: &str) {
        let mut command = Command::new("nats-server");
        command.args(["-a", "127.0.0.1", "-p", port, "--ports_file_dir"]).arg(&self.folder);
        command.args(&self.arguments).stdout(Stdio::null()).stderr(Stdio::null());
        let process = Process(command.spawn().expect("nats-server is installed"));
        let file = self.folder.join(format!("nats-server_{}.ports", process.0.id()));
        let begun = Instant::now();
        let bound = loop {
            let ports = fs::read(&file).ok().and_then(|json| serde_json::from_slice::<Value>(&json).ok());
            let url = ports.and_then(|ports| ports["nats"][0].as_str().map(str::to_owned));
            if let Some(url) = url {
                break url;
            }
            assert!(begun.elapsed() < PATIENCE, "nats-server does not say where it is");
            std::thread::sleep(Duration::from_millis(10));
        };
        let port = bound.rsplit(':').next().and_then(|port| port.parse().ok());
        (self.process, self.port) = (Some(process), port.expect("a URL with a port"));
    }

    /// Where it is reached, also while it is not there.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Kills it: its clients see their connections reset.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Sends it a signal: HUP has it read its configuration again, STOP and CONT pause it and let it go on, USR2 has it
    /// close its connections one after the other and end.
    pub fn signal(&self, name: &str) {
        let process = self.process.as_ref().expect("it is there");
        let pid = process.0.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status().expect("there is a program kill");
        assert!(sent.success(), "{name} cannot be sent");
    }

    /// A client of its own.
    pub async fn client(&self) -> async_nats::Client {
        async_nats::connect(self.url()).await.expect("it is there")
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A process that is killed when it is dropped.
pub struct Process(Child);

impl Process {
    /// Starts a program, and waits for the line `ready`.
    pub fn ready(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the program is there");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        // A program that fails ends, and its output with it.
        assert!(lines.map_while(Result::ok).any(|line| line == "ready"), "{command:?} is not ready");
        Self(child)
    }

    /// Asks it to end, and says whether it ended well.
    pub fn terminate(mut self) -> bool {
        let pid = self.0.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().expect("there is a program kill");
        self.0.wait().expect("it is a child").success()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The chat services, by language.
pub const LANGUAGES: [&str; 3] = ["rust", "javascript", "python"];

/// Starts the chat service that is written in a language. `programs` is where cargo has put the examples.
pub fn chat_service(language: &str, nats: &NatsServer, programs: &Path) -> Process {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime/examples/services");
    let mut command = match language {
        "rust" => Command::new(programs.join("chat_service")),
        "javascript" => {
            let mut node = Command::new("node");
            node.arg(sources.join("chat.js"));
            node
        }
        "python" => {
            let mut python = python();
            python.arg(sources.join("chat.py"));
            python
        }
        other => panic!("there is no chat service in {other}"),
    };
    Process::ready(command.env("NATS_URL", nats.url()))
}

/// The Python with the modules that tests need.
pub fn python() -> Command {
    let folder =
        std::env::var_os("WIREPLUG_FOREIGN_DIR").map_or_else(|| "target/foreign".into(), PathBuf::from);
    Command::new(folder.join("venv/bin/python"))
}
