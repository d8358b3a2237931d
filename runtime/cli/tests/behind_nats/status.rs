//! `wireplug status`, of nodes that are processes of their own.

use std::fs;
use std::io::{BufRead as _, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;
use wireplug_tests::nats::NatsServer;

/// A process of `wireplug serve` with the service `chat`.
pub(super) struct Node {
    child: Child,
    _lines: Lines<BufReader<ChildStdout>>,
    /// `HOST:PORT` of its listener.
    pub(super) address: String,
    control: String,
}

impl Node {
    /// `name` is that of its configuration file too.
    pub(super) fn start(nats: &NatsServer, name: &str) -> Self {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.toml"));
        let config = format!(
            r#"
[server]
max-connections = 50
[control]
listen = "127.0.0.1:0"
[nats]
servers = ["{}"]
node = "{name}"
[services.chat]
timeout = "2s"
[codecs.pomelo]
builtin = "pomelo"
[[listeners]]
url = "tcp://127.0.0.1:0"
codec = "pomelo"
"#,
            nats.url()
        );
        fs::write(&file, config).expect("the directory of tests can be written");
        let mut child = Command::new(env!("CARGO_BIN_EXE_wireplug"))
            .arg("serve")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .env_remove("RUST_LOG")
            .env("XDG_RUNTIME_DIR", runtime_folder())
            .spawn()
            .expect("the binary is there");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let mut said = |start: &str| {
            let line = lines.by_ref().map_while(Result::ok).find(|line| line.trim().starts_with(start));
            line.expect("it says where it listens").trim().to_owned()
        };
        let address = said("tcp://").trim_start_matches("tcp://").to_owned();
        let control = said("http://").split(',').next().unwrap_or_default().to_owned();
        Self { child, _lines: lines, address, control }
    }

    fn status(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wireplug"));
        command.args(["status", "--control", &self.control]).args(arguments);
        let output = command.env("XDG_RUNTIME_DIR", runtime_folder()).output();
        let output = output.expect("the binary is there");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("what is said is text")
    }
}

/// Where a node generates its token, and `status` finds it.
fn runtime_folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("runtime-nodes");
    fs::create_dir_all(&folder).expect("the directory of tests can be written");
    folder
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_shows_all_nodes_with_sessions_and_generations() {
    let mut nats = NatsServer::start();
    let (one, other) = (Node::start(&nats, "status-one"), Node::start(&nats, "status-other"));
    let mut clients = Vec::new();
    for node in [&one, &other, &other] {
        clients.push(wireplug_tests::client::Client::connect(&format!("tcp://{}", node.address)).await);
        clients.last_mut().expect("one").request("chat.any.nobody", "{}").await;
    }
    let nodes: Vec<Value> = serde_json::from_str(&one.status(&["--json"])).expect("it is JSON");
    let seen: Vec<_> =
        nodes.iter().map(|node| (node["sessions"].as_u64(), node["nats"]["connected"].as_bool())).collect();
    assert_eq!(seen, [(Some(1), Some(true)), (Some(2), Some(true))]);
    assert!(nodes[0]["node"].as_str().is_some_and(|name| name.starts_with("status-one-")), "{nodes:?}");
    assert_eq!(nodes[1]["codecs"][0]["generations"][0]["sessions"], 2);

    let table = other.status(&[]);
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("NODE ") && lines.len() == 3, "{table}");
    assert!(lines[1].starts_with("status-other-") && lines[1].contains("pomelo#1"), "{table}");
    assert!(lines[2].starts_with("status-one-") && lines[2].contains("connected"), "{table}");
    nats.kill();
    super::until("it to be seen that NATS is gone", || async { one.status(&[]).contains("not ready") }).await;
    let table = one.status(&[]);
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 5, "the node, and what its problem is: {table}");
    assert!(lines[3].starts_with("NODE ") && lines[4].starts_with("status-one-"), "{table}");
    super::until("the reason to be known", || async { one.status(&[]).contains("Connection refused") }).await;
}
