//! The push API of one node reaches the clients of all nodes.

use std::sync::Arc;

use serde_json::{Value, json};
use wireplug::admin::ControlApi;
use wireplug::config::{ControlAddress, ControlConfig, NatsConfig, ServerConfig};
use wireplug::{App, CodecSource, RunningServer, Server};
use wireplug_tests::client::Client;
use wireplug_tests::digits::{Digits, Form, frame};
use wireplug_tests::folder::Folder;
use wireplug_tests::nats::NatsServer;
use wireplug_tests::push_api::PushClient;
use wireplug_tests::{log, until, versions};

use super::ON_CHAT;

const TOKEN: &str = "push-push-push-push";

/// Two nodes, each with a client. A service reaches the push API of the first one.
struct Scene {
    nodes: [Arc<RunningServer>; 2],
    clients: [Client; 2],
    addresses: [String; 2],
    pusher: PushClient,
    _folder: Folder,
    nats: NatsServer,
}

impl Scene {
    async fn new(name: &str) -> Self {
        log::init();
        let nats = NatsServer::start();
        let nodes = [node(&nats).await, node(&nats).await];
        let mut clients =
            [Client::connect(&nodes[0].urls()[0]).await, Client::connect(&nodes[1].urls()[0]).await];
        // Each node has a session, and each of the two hears of the other one.
        for client in &mut clients {
            client.call("local.echo", &json!(1)).await;
        }
        let addresses = [latest(&nodes[0]), latest(&nodes[1])];
        let folder = Folder::new(name);
        let (pusher, served) = (push_api(&nodes[0], &folder).await, Arc::clone(&nodes[1]));
        until("the nodes to hear each other", || {
            let served = Arc::clone(&served);
            async move { served.nodes().status().await.len() == 2 }
        })
        .await;
        Self { nodes, clients, addresses, pusher, _folder: folder, nats }
    }

    /// Expects this body as the next push of each client.
    async fn both_get(&mut self, body: Value) {
        for client in &mut self.clients {
            assert_eq!(client.next_push().await, (ON_CHAT.to_owned(), body.clone()));
        }
    }
}

/// Starts a node. Clients of its second listener can be asked.
async fn node(nats: &NatsServer) -> Arc<RunningServer> {
    let server = Server::new(App::new().route("local.echo", |body: bytes::Bytes| async move { body }))
        .config(ServerConfig { max_connections: 50, ..ServerConfig::default() })
        .nats(NatsConfig { node: Some("test".to_owned()), ..NatsConfig::at(&nats.url()) })
        .listen("tcp://127.0.0.1:0", CodecSource::pomelo(json!({})))
        .listen("tcp://127.0.0.1:0", CodecSource::bytes("digits", versions::DIGITS, json!({})));
    Arc::new(server.start().await.expect("it starts"))
}

/// Serves the control API of a node, and connects a service to it.
async fn push_api(node: &Arc<RunningServer>, folder: &Folder) -> PushClient {
    let mut config = ControlConfig::at(ControlAddress::Http(([127, 0, 0, 1], 0).into()));
    config.token_file = Some(folder.write_secret("tokens", format!("chat push {TOKEN}\n")));
    let api = ControlApi::bind(&config, folder.root()).await.expect("it can be bound");
    let ControlAddress::Http(address) = api.address() else { panic!("it is bound over TCP") };
    let served = Arc::clone(node);
    tokio::spawn(async move { api.serve(&served).await });
    PushClient::connect(&address.to_string(), TOKEN).await
}

/// Returns the address of the session that a node has opened last.
fn latest(node: &RunningServer) -> String {
    let sessions = node.sessions().all().sessions();
    let latest = sessions.iter().map(wireplug::Session::id).max().expect("a session");
    format!("{}.{latest}", node.nodes().own_name().expect("it has one"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_groups_and_all_are_those_of_all_nodes() {
    let mut scene = Scene::new("nats-push-all").await;
    let addresses = scene.addresses.clone();
    for address in &addresses {
        assert_eq!(scene.pusher.done(&format!("bind/session/{address}"), "tw ins").await, 1);
        assert_eq!(scene.pusher.done(&format!("join/session/{address}"), "room/1").await, 1);
    }
    // Only the sessions of this node are counted.
    for target in ["all", "user/tw%20ins", "group/room%2F1"] {
        assert_eq!(scene.pusher.done(&format!("push/{target}"), format!("\"{target}\"")).await, 1);
    }
    for target in ["all", "user/tw%20ins", "group/room%2F1"] {
        scene.both_get(json!(target)).await;
    }
    scene.pusher.done("kick/group/room%2F1", "closing time").await;
    for client in &mut scene.clients {
        client.kicked("closing time").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_of_another_node_gets_commands_there() {
    let mut scene = Scene::new("nats-push-session").await;
    let other = scene.addresses[1].clone();
    let of = |verb: &str| format!("{verb}/session/{other}");
    assert_eq!(scene.pusher.done(&of("bind"), "ann").await, 1);
    assert_eq!(scene.pusher.done(&of("set"), r#"{"room":"7"}"#).await, 1);
    let session = scene.nodes[1].sessions().user("ann").sessions().pop().expect("it is bound");
    assert_eq!(session.setting("room").as_deref(), Some("7"));
    assert_eq!(scene.pusher.done(&of("push"), "\"hi\"").await, 1);
    assert_eq!(scene.clients[1].next_push().await.1, json!("hi"));
    let why = scene.pusher.refused(&of("bind"), &[], "", 400).await;
    assert!(why.contains("1 to 200 bytes"), "{why}");
    assert_eq!(scene.pusher.done(&of("kick"), "be gone").await, 1);
    scene.clients[1].kicked("be gone").await;
    until("the session to be gone", || async { scene.nodes[1].sessions().is_empty() }).await;
    let why = scene.pusher.refused(&of("unbind"), &[], "", 404).await;
    assert_eq!(why, "the session has ended, or its outbox is full");
    // A node that does not exist sends no reply.
    let why = scene.pusher.refused("unbind/session/nobody-1.1", &[], "", 404).await;
    assert!(why.contains("the node nobody-1 does not reply"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_another_node_is_asked() {
    let mut scene = Scene::new("nats-push-request").await;
    let mut client = Digits::connect(&scene.nodes[1].urls()[1]).await;
    until("the session", || async { scene.nodes[1].sessions().len() == 2 }).await;
    let request = format!("request/session/{}", latest(&scene.nodes[1]));
    let route = ("wireplug-route", "firmware.update");
    scene.pusher.send("POST", &format!("/clients/{request}"), &[route], "2.1").await;
    assert_eq!(client.next().await, frame("REQ", 1, "firmware.update", "2.1"));
    client.send(Form::Text.write(&frame("RES", 1, "202", "later"))).await;
    let answer = scene.pusher.answer().await;
    assert_eq!((answer.status, answer.header("wireplug-status")), (200, Some("202")));
    assert_eq!(answer.body, b"later");
    let why = scene.pusher.refused(&request, &[route, ("wireplug-timeout", "200")], "", 504).await;
    assert_eq!(why, "the client did not answer in time");
    let pomelo = format!("request/session/{}", scene.addresses[1]);
    let why = scene.pusher.refused(&pomelo, &[route], "", 501).await;
    assert!(why.contains("has no requests to the client"), "{why}");
}

/// Each client gets the commands of a stream in their order, whatever targets they name, and on
/// whichever node it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_order_of_a_stream_holds_on_all_nodes() {
    let mut scene = Scene::new("nats-push-order").await;
    let [one, other] = scene.addresses.clone();
    let mut stream = scene.pusher.stream().await;
    for address in [&one, &other] {
        let target = format!("session.{address}");
        stream.send([&json!({ "verb": "join", "target": target, "text": "room 1" })]).await;
        assert_eq!(stream.answer().await, json!({ "sessions": 1 }));
    }
    let push = |n: u32, target: String| json!({ "id": n, "verb": "push", "target": target, "route": ON_CHAT, "body": n });
    let lines: Vec<_> = (0..600)
        .flat_map(|n| match n % 3 {
            0 => vec![push(n, "all".to_owned())],
            1 => vec![push(n, "group.room 1".to_owned())],
            _ => [&one, &other].map(|address| push(n, format!("session.{address}"))).to_vec(),
        })
        .collect();
    stream.send(&lines).await;
    stream.end().await;
    let mut answers = 0;
    while let Some(answer) = stream.next().await {
        assert_eq!(answer["sessions"], json!(1), "{answer}");
        answers += 1;
    }
    assert_eq!(answers, lines.len());
    for client in &mut scene.clients {
        for n in 0..600 {
            assert_eq!(client.next_push().await.1, json!(n));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_nats_only_the_own_sessions_are_reached() {
    let mut scene = Scene::new("nats-push-lost").await;
    scene.nats.kill();
    until("the node to notice", || async { scene.nodes[0].nodes().problem().is_some() }).await;
    assert_eq!(scene.pusher.done("push/all", "\"alone\"").await, 1);
    assert_eq!(scene.clients[0].next_push().await.1, json!("alone"));
    let other = format!("unbind/session/{}", scene.addresses[1]);
    let why = scene.pusher.refused(&other, &[], "", 503).await;
    assert!(why.contains("NATS is not reached"), "{why}");
}
