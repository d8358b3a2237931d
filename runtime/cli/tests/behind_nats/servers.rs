//! Several NATS servers, including servers that end in unusual ways.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use wireplug::config::{NatsConfig, ServerConfig, ServiceConfig};
use wireplug::{App, CodecSource, RunningServer, Server};
use wireplug_tests::client::Client;
use wireplug_tests::folder::Folder;
use wireplug_tests::nats::NatsServer;
use wireplug_tests::running::Signal;
use wireplug_tests::until;

use super::{address, ask, client, echo_headers, serve};

/// Starts a node with these servers, in this order.
async fn node_of(servers: Vec<String>) -> RunningServer {
    wireplug_tests::log::init();
    let config = NatsConfig { servers, node: Some("of-many".to_owned()), ..NatsConfig::at("") };
    Server::new(App::new())
        .config(ServerConfig { max_connections: 10, ..ServerConfig::default() })
        .nats(config)
        .services([("chat", ServiceConfig::default())])
        .listen("hybrid://127.0.0.1:0", CodecSource::pomelo(json!({})))
        .start()
        .await
        .expect("it starts")
}

/// Starts a server, and behind it a service that answers with a name.
async fn named(name: &'static str, arguments: &[&str]) -> (NatsServer, async_nats::Client) {
    let nats = NatsServer::with(arguments);
    let service = nats.client().await;
    serve(&service, "wireplug.requests.chat.>", move |_| (200, json!(name).to_string())).await;
    (nats, service)
}

async fn asked(client: &mut Client) -> Value {
    client.call("chat.any.name", &json!({})).await
}

async fn answers(client: &mut Client, name: &str) {
    let answered = async {
        while asked(client).await != json!(name) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    wireplug_tests::within(&format!("{name} to answer"), answered).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_are_tried_in_the_order_of_the_configuration() {
    let (first, _service) = named("first", &[]).await;
    let (second, _service) = named("second", &[]).await;
    for _ in 0..6 {
        let node = node_of(vec![first.url(), second.url()]).await;
        assert_eq!(asked(&mut client(&node).await).await, json!("first"));
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_gone_or_refuses_the_node_is_passed_over() {
    let (mut first, _service) = named("first", &[]).await;
    let (second, _service) = named("second", &[]).await;
    let strange = NatsServer::with(&["--auth", "a-token-that-the-node-lacks"]);
    let node = node_of(vec![strange.url(), first.url(), second.url()]).await;
    let mut ann = client(&node).await;
    answers(&mut ann, "first").await;
    first.kill();
    answers(&mut ann, "second").await;
    // The node stays at the second server until that connection is lost.
    first.start_again();
    let service = first.client().await;
    serve(&service, "wireplug.requests.chat.>", |_| (200, r#""first again""#.to_owned())).await;
    assert_eq!(asked(&mut ann).await, json!("second"));
    drop(second);
    answers(&mut ann, "first again").await;
}

/// A server in lame duck mode announces it and closes its connections.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_a_server_in_lame_duck_mode_a_node_moves_to_another() {
    let folder = Folder::new("nats-lame-duck");
    folder.write("nats.conf", "lame_duck_grace_period: \"300ms\"\nlame_duck_duration: \"30s\"\n");
    let (first, _service) = named("first", &["-c", &folder.text("nats.conf")]).await;
    let (second, _service) = named("second", &[]).await;
    let node = node_of(vec![first.url(), second.url()]).await;
    let mut ann = client(&node).await;
    assert_eq!(asked(&mut ann).await, json!("first"));
    first.signal(Signal::USR2);
    answers(&mut ann, "second").await;
    assert!(!wireplug_tests::log::lines(&["the server of NATS is about to stop"]).is_empty());
}

/// A server sends a message that makes the client library's task fail. All subscriptions end with
/// the task.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_ended_is_replaced() {
    let nats = NatsServer::start();
    let service = nats.client().await;
    serve(&service, "wireplug.requests.chat.>", echo_headers).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("nats://{}", listener.local_addr().expect("an address"));
    let real = nats.url().replace("nats://", "");
    let served = tokio::spawn(async move {
        let (mut strange, _) = listener.accept().await.expect("a node");
        strange
            .write_all(b"INFO {\"headers\":true,\"max_payload\":1048576}\r\nPONG\r\n")
            .await
            .expect("it reads");
        let mut said = Vec::new();
        while said.windows(3).filter(|part| part == b"SUB").count() < 3 {
            assert_ne!(strange.read_buf(&mut said).await.expect("it lives"), 0);
        }
        // A length that overflows when the library adds to it.
        strange.write_all(b"MSG x 1 18446744073709551600\r\n").await.expect("it reads");
        // The next connection goes to a real server.
        let (mut node, _) = listener.accept().await.expect("the node again");
        let mut nats = TcpStream::connect(real).await.expect("it is there");
        let _ = copy_bidirectional(&mut node, &mut nats).await;
        drop(strange);
    });
    let node = node_of(vec![url]).await;
    until("the node to hear all again", || async {
        let log = wireplug_tests::log::lines(&["the client of NATS has ended"]);
        !log.is_empty() && node.nodes().problem().is_none()
    })
    .await;
    let mut ann = client(&node).await;
    // The line is written before the other client takes the place of the one that ended.
    let answered = async {
        while asked(&mut ann).await == json!({ "code": 503 }) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    wireplug_tests::within("the service to answer", answered).await;
    let session = address(&mut ann).await;
    assert_eq!(ask(&service, &format!("bind.session.{session}"), "ann").await, None);
    node.shutdown().await;
    served.abort();
}
