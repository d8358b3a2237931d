//! `wireplug status` with nodes in processes of their own.

use serde_json::Value;
use wireplug_tests::client::Client;
use wireplug_tests::folder::Folder;
use wireplug_tests::nats::NatsServer;
use wireplug_tests::running::finish;
use wireplug_tests::served::Served;
use wireplug_tests::until;

use crate::program::wireplug;

/// A process of `wireplug serve` with the service `chat`.
pub(super) struct Node {
    pub(super) server: Served,
    /// The folder in which the node generates its token, and in which `wireplug status` finds it.
    runtime: Folder,
}

impl Node {
    pub(super) fn start(nats: &NatsServer, name: &str) -> Self {
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
        let runtime = Folder::new(&format!("{name}-runtime"));
        let mut command = wireplug(["serve"]);
        let server = Served::configured(command.env("XDG_RUNTIME_DIR", runtime.root()), name, &config);
        Self { server, runtime }
    }

    fn status(&self, arguments: &[&str]) -> String {
        let control = self.server.control.as_ref().expect("it has a control API");
        let mut command = wireplug(["status", "--control", control]);
        finish(command.args(arguments).env("XDG_RUNTIME_DIR", self.runtime.root())).printed()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_shows_all_nodes_with_sessions_and_generations() {
    let mut nats = NatsServer::start();
    let (one, other) = (Node::start(&nats, "status-one"), Node::start(&nats, "status-other"));
    let mut clients = Vec::new();
    for node in [&one, &other, &other] {
        clients.push(Client::connect(&node.server.urls[0]).await);
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
    until("it to be seen that NATS is gone", || async { one.status(&[]).contains("not ready") }).await;
    let table = one.status(&[]);
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 5, "the node, and what its problem is: {table}");
    assert!(lines[3].starts_with("NODE ") && lines[4].starts_with("status-one-"), "{table}");
    until("the reason to be known", || async { one.status(&[]).contains("Connection refused") }).await;
}
