//! A NATS server that takes permissions away, and gives them back.

use serde_json::json;
use wireplug::config::{NatsConfig, ServerConfig, ServiceConfig};
use wireplug::{App, CodecSource, RunningServer, Server};
use wireplug_tests::folder::Folder;
use wireplug_tests::nats::NatsServer;
use wireplug_tests::running::Signal;
use wireplug_tests::until;

use super::{address, ask, client, echo_headers, heard, serve};

const ALL: [&str; 3] = ["_INBOX.>", "wireplug.clients.>", "wireplug.nodes.*"];

/// A NATS server that gives the user of the nodes limited permissions, and all permissions to other
/// users.
struct Strict {
    nats: NatsServer,
    folder: Folder,
}

impl Strict {
    fn start(name: &str) -> Self {
        let folder = Folder::new(name);
        folder.write("password", "secret");
        write(&folder, &["wireplug.>", "_INBOX.>"], &ALL);
        let nats = NatsServer::with(&["-c", &folder.text("nats.conf")]);
        Self { nats, folder }
    }

    /// Replaces the subjects that nodes may publish and subscribe to.
    fn allow(&self, publish: &[&str], subscribe: &[&str]) {
        write(&self.folder, publish, subscribe);
        self.nats.signal(Signal::HUP);
    }

    async fn node(&self) -> RunningServer {
        self.node_with("_INBOX").await
    }

    /// Starts a node that hears replies below this prefix.
    async fn node_with(&self, inbox_prefix: &str) -> RunningServer {
        wireplug_tests::log::init();
        let config = NatsConfig {
            inbox_prefix: inbox_prefix.to_owned(),
            user: Some("node".to_owned()),
            password_file: Some(self.folder.path("password")),
            node: Some("strict".to_owned()),
            ..NatsConfig::at(&self.nats.url())
        };
        Server::new(App::new())
            .config(ServerConfig { max_connections: 10, ..ServerConfig::default() })
            .nats(config)
            .services([("chat", ServiceConfig::default())])
            .listen("hybrid://127.0.0.1:0", CodecSource::pomelo(json!({})))
            .start()
            .await
            .expect("it starts")
    }
}

fn write(folder: &Folder, publish: &[&str], subscribe: &[&str]) {
    let (publish, subscribe) = (json!(publish), json!(subscribe));
    let config = format!(
        "authorization {{ users = [ {{ user: other, password: other }}, {{ user: node, password: secret, \
         permissions: {{ publish: {publish}, subscribe: {subscribe} }} }} ] }}\nno_auth_user: other\n"
    );
    folder.write("nats.conf", config);
}

async fn problem(node: &RunningServer) -> Option<String> {
    let nats = node.nodes().status().await.swap_remove(0).nats.expect("it has one");
    assert_eq!(nats.connected, nats.problem.is_none());
    nats.problem
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_that_was_taken_away_is_made_again() {
    let strict = Strict::start("strict-subscriptions");
    let service = strict.nats.client().await;
    serve(&service, "wireplug.requests.chat.>", echo_headers).await;
    let (node, other) = (strict.node().await, strict.node().await);
    let mut ann = client(&node).await;
    let session = address(&mut ann).await;
    for taken in ALL {
        let left: Vec<_> = ALL.into_iter().filter(|subject| *subject != taken).collect();
        strict.allow(&["wireplug.>", "_INBOX.>"], &left);
        let named = &taken[..taken.len() - 1];
        until("the node to say what it does not hear", || async {
            problem(&node).await.is_some_and(|problem| problem.contains(named))
        })
        .await;
        assert!(
            node.nodes().problem().is_some_and(|problem| problem.contains(named)),
            "readiness says the same"
        );
        if taken == "_INBOX.>" {
            assert_eq!(ann.call("chat.any.who", &json!({})).await, json!({ "code": 503 }), "at once, no 504");
        } else {
            assert_eq!(address(&mut ann).await, session, "it hears replies");
        }
        strict.allow(&["wireplug.>", "_INBOX.>"], &ALL);
        until("both nodes to hear all again", || async {
            problem(&node).await.is_none() && problem(&other).await.is_none()
        })
        .await;
        assert_eq!(address(&mut ann).await, session);
        assert_eq!(ask(&service, &format!("bind.session.{session}"), "ann").await, None);
        until("the nodes to hear each other", || async { node.nodes().status().await.len() == 2 }).await;
    }
    // A refusal that repeats is not logged each time.
    let lines = wireplug_tests::log::lines(&["NATS does not let this node hear", "_INBOX"]);
    assert!((1..=8).contains(&lines.len()), "{lines:?}");
}

/// Neither the replies of services nor those of other nodes need `_INBOX.>` then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replies_come_below_the_configured_prefix() {
    let strict = Strict::start("strict-inbox");
    let own = ["nodes.inbox.>", "wireplug.clients.>", "wireplug.nodes.*"];
    strict.allow(&["wireplug.>", "nodes.inbox.>"], &own);
    let service = strict.nats.client().await;
    serve(&service, "wireplug.requests.chat.>", echo_headers).await;
    let (node, _other) = (strict.node_with("nodes.inbox").await, strict.node_with("nodes.inbox").await);
    let mut ann = client(&node).await;
    address(&mut ann).await;
    until("the nodes to hear each other", || async { node.nodes().status().await.len() == 2 }).await;
    assert_eq!(problem(&node).await, None);
}

/// A node reports that it may not subscribe, and subscribes as soon as it may.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_that_was_never_allowed_is_reported() {
    let strict = Strict::start("strict-start");
    strict.allow(&["wireplug.>", "_INBOX.>"], &["_INBOX.>"]);
    let service = strict.nats.client().await;
    serve(&service, "wireplug.requests.chat.>", echo_headers).await;
    let node = strict.node().await;
    until("the node to say what it does not hear", || async {
        let problem = problem(&node).await.unwrap_or_default();
        problem.contains("wireplug.clients.>") && problem.contains("wireplug.nodes.*")
    })
    .await;
    strict.allow(&["wireplug.>", "_INBOX.>"], &ALL);
    until("the node to hear all", || async { problem(&node).await.is_none() }).await;
    let mut ann = client(&node).await;
    let session = address(&mut ann).await;
    assert_eq!(ask(&service, &format!("bind.session.{session}"), "ann").await, None);
    // The session must last until here.
    drop(ann);
}

/// Messages that NATS does not let a node publish are counted and have no other effect, even if the
/// client library drops some of the refusals.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_must_not_be_published_is_counted() {
    let strict = Strict::start("strict-publish");
    let service = strict.nats.client().await;
    serve(&service, "wireplug.requests.chat.>", echo_headers).await;
    let node = strict.node().await;
    let dropped = async || node.nodes().status().await.swap_remove(0).nats.expect("it has one").dropped;
    assert_eq!(dropped().await, 0);
    strict.allow(&["wireplug.requests.>"], &ALL);
    heard(&service).await;
    let mut ann = client(&node).await;
    address(&mut ann).await;
    // The opening of the session has been published, which this node may not do.
    until("a refusal to be counted", || async { dropped().await > 0 }).await;
    for n in 0..2000 {
        node.sessions().all().push("onChat", &n).expect("it is JSON");
    }
    until("many refusals to be counted", || async { dropped().await > 200 }).await;
    let lines = wireplug_tests::log::lines(&["NATS does not let this node say", "wireplug.clients.push.all"]);
    assert!((1..=8).contains(&lines.len()), "{lines:?}");
    assert_eq!(problem(&node).await, None);
    address(&mut ann).await;
}
