//! A program that embeds the library is upgraded: what its application keeps moves along, and so do
//! sessions over TCP and UDP.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::UdpSocket;
use tokio::sync::Notify;
use wireplug::app::{Json, State};
use wireplug::upgrade::{Takeover, Upgrade};
use wireplug::{App, CodecSource, RunningServer, Server, Session};
use wireplug_tests::client::Client;
use wireplug_tests::raw::{hello, package, request};
use wireplug_tests::within;

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
    let mut server = Server::new(app(kept));
    for url in ["tcp://127.0.0.1:0", "udp://127.0.0.1:0"] {
        server = server.listen(url, pomelo.clone());
    }
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

    let program = std::env::current_exe().expect("a running program has a path");
    let upgrade = ["--exact", NEW, "--include-ignored", "--nocapture"]
        .into_iter()
        .fold(Upgrade::to(program), |upgrade, argument| upgrade.argument(argument));
    let report = old.upgrade(upgrade).await.expect("it is upgraded");
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
