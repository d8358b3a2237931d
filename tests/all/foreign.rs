//! Pomelo clients that this project did not write: `tests/foreign/README.md` tells what they are and what
//! they do. Their scripts check each answer themselves; here it is seen that they did.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use wireplug::config::ClientLimits;
use wireplug::server::CodecSource;
use wireplug_tests::app;
use wireplug_tests::server::{self, Setup, setup};
use wireplug_tests::within;

const NODE: &str = "node";

/// The interpreter of the virtual environment, in the clients' folder.
const PYTHON: &str = "venv/bin/python";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn websocket() {
    plays(NODE, "websocket.js", "websocket").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jsclient() {
    plays(NODE, "jsclient.js", "jsclient").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tcp() {
    plays(NODE, "tcp.js", "tcp").await;
}

/// Nobody says goodbye over UDP.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn udp() {
    plays(NODE, "udp.js", "udp").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pypomelo() {
    plays(PYTHON, "tcp.py", "pypomelo").await;
}

/// Has the client play its scenario twice: with a dictionary, and with heartbeats.
async fn plays(interpreter: &'static str, script: &'static str, name: &str) {
    play(interpreter, script, name, json!({}), None).await;
    // A silent client would be given up before the scenario's 3.5 s are over.
    let options = json!({ "heartbeat": 1, "timeout": 3, "dictionary": false });
    play(interpreter, script, name, options, Some(1)).await;
}

async fn play(
    interpreter: &'static str,
    script: &'static str,
    name: &str,
    options: Value,
    heartbeat: Option<u64>,
) {
    // Who goes without a word is seen to be gone, by its heartbeats where there are some; nobody else is silent
    // for so long.
    let (url, idle_timeout, end) = match (name, heartbeat) {
        ("udp", None) => ("udp://127.0.0.1:0", Duration::from_secs(5), "idle-timeout"),
        ("udp", Some(_)) => ("udp://127.0.0.1:0", Duration::from_secs(300), "protocol"),
        _ => ("hybrid://127.0.0.1:0", Duration::from_secs(300), "client-closed"),
    };
    let setup = Setup { url, client: ClientLimits { idle_timeout, ..setup().client }, ..setup() };
    let server = server::serve(app::demo(), setup, [CodecSource::pomelo(options)]).await;
    let address = server.address(0).to_owned();
    let run = tokio::task::spawn_blocking(move || run(interpreter, script, &address, heartbeat.is_some()));
    let steps = within(script, run).await.expect("no panic");

    let names: Vec<_> = steps.iter().map(|step| step["step"].as_str().expect("a step has a name")).collect();
    let mut wanted = vec!["ready", "echo", "emoji", "time", "unknown", "join", "push"];
    wanted.extend(heartbeat.map(|_| "heartbeat"));
    wanted.push("done");
    assert_eq!(names, wanted);

    let ready =
        json!({ "step": "ready", "client": name, "dict": heartbeat.is_none(), "heartbeat": heartbeat });
    assert_eq!(steps[0], ready);
    assert_eq!(steps[1]["body"], json!({ "text": "hello", "n": 1 }));
    assert_eq!(steps[2], json!({ "step": "emoji", "body": { "text": "smile 😀 é 漢" }, "exact": true }));
    assert!(steps[3]["body"]["time"].is_u64(), "{}", steps[3]);
    assert_eq!(steps[4]["body"], json!({ "code": 404 }));
    let member = steps[5]["body"]["members"][0].as_str().expect("a member has a name");
    assert!(member.starts_with(name), "{member}");
    let push = json!({ "step": "push", "body": { "from": member, "text": "hi 😀" }, "exact": true });
    assert_eq!(steps[6], push);
    if heartbeat.is_some() {
        assert!(steps[7]["seen"].as_u64() >= Some(2), "{}", steps[7]);
    }

    let stats = server.until("the client gone", |stats| stats.connections_open == 0).await;
    assert_eq!((stats.closes, stats.drops), ([(end, 1)].into(), [].into()));
}

/// Runs a script against a server, and returns the steps that it prints.
fn run(interpreter: &str, script: &str, address: &str, heartbeat: bool) -> Vec<Value> {
    let folder = folder();
    let modules = folder.join("node_modules");
    let (program, installed) = match interpreter {
        NODE => (PathBuf::from(NODE), modules.is_dir()),
        inside => (folder.join(inside), folder.join(inside).exists()),
    };
    let how = format!(
        "`cargo xtask foreign` installs the foreign clients, and `cargo xtask test` says where they are; they were \
         looked for in {}",
        folder.display()
    );
    assert!(installed, "{script} has no client: {how}");

    let (host, port) = address.split_once(':').expect("HOST:PORT");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("foreign").join(script);
    let mut command = Command::new(program);
    command.arg(&script).args([host, port]).env("NODE_PATH", modules).stdin(Stdio::null());
    if heartbeat {
        command.env("FOREIGN_HEARTBEAT", "1");
    }
    let Output { status, stdout, stderr } =
        command.output().unwrap_or_else(|error| panic!("{interpreter}: {error}: {how}"));
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{}: {status}\n{stdout}{stderr}", script.display());
    stdout.lines().map(|line| serde_json::from_str(line).expect("a step is a line of JSON")).collect()
}

/// Where the clients are installed: as `xtask` says, or where it puts them by itself.
fn folder() -> PathBuf {
    match std::env::var_os("WIREPLUG_FOREIGN_DIR") {
        Some(folder) => folder.into(),
        None => Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("foreign"),
    }
}
