//! A program that embeds the library is upgraded: what its application keeps moves along, and so do
//! sessions over TCP and UDP.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::UdpSocket;
use tokio::sync::Notify;
use wireplug::app::{Json, State};
use wireplug::config::ServerConfig;
use wireplug::session::Message;
use wireplug::upgrade::{Takeover, Upgrade};
use wireplug::{App, CodecSource, RunningServer, Server, Session};
use wireplug_tests::client::Client;
use wireplug_tests::digits::{Digits, frame};
use wireplug_tests::raw::{Raw, hello, package, request};
use wireplug_tests::versions::DIGITS;
use wireplug_tests::within;

use crate::connectors::netstring::codec::Lines;
use crate::connectors::udp::example as udp_client;

/// The name of the test that is the new process.
const NEW: &str = "upgrade::in_the_new_process";

/// What the application keeps beside its sessions.
#[derive(Clone, Default)]
struct Kept {
    count: Arc<AtomicU64>,
    log: Arc<Mutex<Vec<String>>>,
    end: Arc<Notify>,
}

impl Kept {
    fn note(&self, what: &str, session: &Session) {
        self.log.lock().expect("nobody panics").push(format!("{what} {}", session.id()));
    }
}

fn app(kept: &Kept) -> App<Kept> {
    let [saved, restored, opened, moved, closed] = [(); 5].map(|()| kept.clone());
    App::with_state(kept.clone())
        .route(
            "count",
            |State(kept): State<Kept>| async move { Json(kept.count.fetch_add(1, Ordering::Relaxed)) },
        )
        .route("log", |State(kept): State<Kept>| async move {
            Json(kept.log.lock().expect("nobody panics").clone())
        })
        .route("ask", |session: Session| async move {
            tokio::spawn(async move {
                let answer = session.request_bytes("question", "6*7").await.expect("an answer");
                session.send(Message::push("answered", answer.body)).expect("it is open");
            });
        })
        .route("end", |State(kept): State<Kept>| async move { kept.end.notify_one() })
        .route("remember", |session: Session| async move { session.set("what", Some("it")) })
        .route("recall", |session: Session| async move {
            Json(session.setting("what").map(|what| what.to_string()))
        })
        .save(move || {
            // Whoever counts here after that counts in vain.
            let count = saved.count.swap(1000, Ordering::Relaxed);
            async move { count.to_le_bytes().to_vec() }
        })
        .restore(move |bytes| {
            let count = u64::from_le_bytes(bytes.try_into().expect("it saved 8 bytes"));
            restored.count.store(count, Ordering::Relaxed);
            async {}
        })
        .on_opened(move |session| opened.note("opened", session))
        .on_moved(move |session| moved.note("moved", session))
        .on_closed(move |session, _| closed.note("closed", session))
}

async fn serve(kept: &Kept, takeover: Option<Takeover>) -> RunningServer {
    let pomelo = CodecSource::pomelo(json!({}));
    // Both tests have servers in this process, whose sandboxes share its addresses.
    let config = ServerConfig { max_connections: 100, ..ServerConfig::default() };
    let mut server = Server::new(app(kept)).config(config);
    for url in ["tcp://127.0.0.1:0", "udp://127.0.0.1:0"] {
        server = server.listen(url, pomelo.clone());
    }
    server = server
        .listen("tcp://127.0.0.1:0", CodecSource::bytes("digits", DIGITS, json!({})).named("digits"))
        .listen("tcp://127.0.0.1:0", CodecSource::native(Arc::new(Lines::default())).named("lines"));
    if let Some(takeover) = takeover {
        server = server.inherit_sockets(takeover.sockets()).taking_over(takeover);
    }
    server.start().await.expect("it starts")
}

/// A client over UDP. It repeats what is lost.
struct Datagrams(UdpSocket);

impl Datagrams {
    async fn open(url: &str) -> Self {
        let address = url.trim_start_matches("udp://").to_owned();
        let opened = tokio::task::spawn_blocking(move || udp_client::open(address)).await;
        let socket = opened.expect("no panic").expect("a session");
        socket.set_nonblocking(true).expect("a socket");
        let client = Self(UdpSocket::from_std(socket).expect("a socket"));
        client.ask(&hello()).await;
        client.0.send(&package(2, "")).await.expect("it is sent");
        client
    }

    async fn ask(&self, say: &[u8]) -> Vec<u8> {
        let mut datagram = vec![0; 2000];
        let answered = async {
            loop {
                self.0.send(say).await.expect("it is sent");
                let again = Duration::from_millis(500);
                if let Ok(length) = tokio::time::timeout(again, self.0.recv(&mut datagram)).await {
                    return length.expect("the server lives");
                }
            }
        };
        let length = within("a datagram", answered).await;
        datagram.truncate(length);
        datagram
    }

    /// Returns the body of a response, which is JSON behind the head of its package.
    async fn call(&self, id: u64, route: &str) -> Value {
        let answer = self.ask(&request(id, route, "{}")).await;
        serde_json::from_slice(&answer[6..]).expect("it is JSON")
    }
}

/// Returns the upgrade to the test that is the new process.
fn to_the_new_process() -> Upgrade {
    let program = std::env::current_exe().expect("a running program has a path");
    ["--exact", NEW, "--include-ignored", "--nocapture"]
        .into_iter()
        .fold(Upgrade::to(program), |upgrade, argument| upgrade.argument(argument))
}

/// A session that waits for its client moves when the client has answered. One whose codec cannot
/// save it stays.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_to_a_client_is_answered_before_its_session_moves() {
    let kept = Kept::default();
    let old = Arc::new(serve(&kept, None).await);
    let urls = old.urls();
    let mut client = Digits::connect(&urls[2]).await;
    client.send("REQ 1 0 ask\n").await;
    assert_eq!(client.next().await, frame("RES", 1, "200", ""));
    assert_eq!(client.next().await, frame("REQ", 1, "question", "6*7"));
    let mut lines = Raw::connect(&urls[3]).await;
    lines.send(b"1 count\n").await;
    lines.expect(b"1 200 0\n").await;

    let upgraded = {
        let old = Arc::clone(&old);
        tokio::spawn(async move { old.upgrade(to_the_new_process()).await })
    };
    // The new process serves already.
    let mut other = loop {
        let mut other = Client::open(&urls[0]).await;
        other.handshake(None).await;
        let log = other.call("log", &json!({})).await;
        if !log.as_array().expect("a list").contains(&json!("opened 1")) {
            break other;
        }
    };
    assert!(!upgraded.is_finished(), "the session waits for its client");
    client.send("RES 1 2 200\n42").await;
    assert_eq!(client.next().await, frame("PSH", 0, "answered", "42"));
    let report = within("the upgrade", upgraded).await.expect("no panic").expect("it is upgraded");
    assert!(report.moved >= 1, "{report:?}");
    let stayed: Vec<_> = report.stayed.iter().collect();
    assert_eq!(stayed, [(&"its codec does not export `handoff`".to_owned(), &1)]);

    // The ids of requests go on, and the old process goes on with the session that it has.
    client.send("REQ 2 0 ask\n").await;
    assert_eq!(client.next().await, frame("RES", 2, "200", ""));
    assert_eq!(client.next().await, frame("REQ", 2, "question", "6*7"));
    client.send("RES 2 1 200\n?").await;
    assert_eq!(client.next().await, frame("PSH", 0, "answered", "?"));
    lines.send(b"2 recall\n").await;
    lines.expect(b"2 200 null\n").await;
    drop(lines);
    within("the end of the old server", old.drain_rest()).await;
    other.request("end", "{}").await;
    other.closed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_application_keeps_moves_along() {
    let kept = Kept::default();
    let old = serve(&kept, None).await;
    let urls = old.urls();
    let mut client = Client::open(&urls[0]).await;
    client.handshake(None).await;
    let datagrams = Datagrams::open(&urls[1]).await;
    assert_eq!(client.call("count", &json!({})).await, json!(0));
    client.request("remember", "{}").await;
    assert_eq!(datagrams.call(1, "count").await, json!(1));

    let report = old.upgrade(to_the_new_process()).await.expect("it is upgraded");
    assert_eq!((report.moved, report.stayed.len()), (2, 0), "{report:?}");
    within("the end of the old server", old.drain_rest()).await;
    old.shutdown().await;
    // For the application of the old process, no session has ended.
    assert_eq!(*kept.log.lock().expect("nobody panics"), ["opened 1", "opened 2"]);

    assert_eq!(client.call("count", &json!({})).await, json!(2));
    assert_eq!(datagrams.call(2, "count").await, json!(3));
    assert_eq!(client.call("recall", &json!({})).await, json!("it"));
    let mut log = client.call("log", &json!({})).await;
    log.as_array_mut().expect("a list").sort_by_key(Value::to_string);
    assert_eq!(log, json!(["moved 1", "moved 2"]));
    // A client that comes now has the next number, over UDP too.
    let late = Datagrams::open(&urls[1]).await;
    assert_eq!(late.call(1, "count").await, json!(4));
    let log = client.call("log", &json!({})).await;
    assert_eq!(log[2], json!("opened 3"));
    client.request("end", "{}").await;
    client.closed().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it is the new process of the test above"]
async fn in_the_new_process() {
    let kept = Kept::default();
    let takeover = Takeover::from_stdin().await.expect("the test above has started it");
    let server = serve(&kept, Some(takeover)).await;
    kept.end.notified().await;
    server.shutdown().await;
}
