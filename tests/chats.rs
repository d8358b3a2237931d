//! The chat of the demo as a service, in three languages, over NATS and over HTTP. The programs are
//! the examples of the crate `wireplug`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::nats::NatsServer;
use crate::running::Running;

/// What the first line of a service over HTTP has before its URL.
const READY_AT: &str = "ready at ";

/// Starts the chat over NATS in a language. `programs` is the directory in which cargo puts the
/// examples.
pub fn over_nats(language: &str, nats: &NatsServer, programs: &Path) -> Running {
    ready(program("nats", language, programs).env("NATS_URL", nats.url())).0
}

/// Starts the chat over HTTP in a language, with the URL of a control API and a token for it.
/// Returns it with its own URL.
pub fn over_http(language: &str, control: &str, token: &str, programs: &Path) -> (Running, String) {
    let mut command = program("http", language, programs);
    let (service, line) =
        ready(command.env("PORT", "0").env("WIREPLUG_CONTROL", control).env("WIREPLUG_TOKEN", token));
    let url = line.strip_prefix(READY_AT).expect("it says where it is").to_owned();
    (service, url)
}

fn program(transport: &str, language: &str, programs: &Path) -> Command {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime/wireplug/examples/services");
    let source = |file| sources.join(transport).join(file);
    match language {
        "rust" => Command::new(programs.join(format!("chat_{transport}"))),
        "javascript" => {
            let mut node = Command::new("node");
            node.arg(source("chat.js"));
            node
        }
        "python" => {
            let mut python = python();
            python.arg(source("chat.py"));
            python
        }
        other => panic!("there is no chat in {other}"),
    }
}

/// Starts a service, and waits until it prints that it is ready. Returns it with this line.
pub fn ready(command: &mut Command) -> (Running, String) {
    let running = Running::writing(command, Stdio::piped(), Stdio::inherit());
    // If the program fails, its output ends, and `line` panics.
    loop {
        let line = running.line();
        if line.starts_with("ready") {
            return (running, line);
        }
    }
}

/// Returns the Python that has the modules that tests need.
pub fn python() -> Command {
    let folder = std::env::var_os("WIREPLUG_PEERS_DIR").map_or_else(|| "target/peers".into(), PathBuf::from);
    Command::new(folder.join("venv/bin/python"))
}
