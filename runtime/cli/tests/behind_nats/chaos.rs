//! Services, a node and NATS itself are killed in turn while clients talk.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use wireplug_pomelo::client::{Client as Protocol, Incoming};
use wireplug_tests::chats;
use wireplug_tests::nats::NatsServer;
use wireplug_tests::until;

use super::status::Node;
use super::{JOIN, SEND, programs};

const CLIENTS: usize = 4;

/// The addresses of the nodes, as clients know them.
type Addresses = Arc<Mutex<[String; 2]>>;

/// The counts of one client.
#[derive(Clone, Debug, Default)]
struct Seen {
    /// Requests that a service answered.
    answered: u64,
    /// Requests that were answered with an error, by its code.
    refused: BTreeMap<u64, u64>,
    /// Connections that closed.
    closed: u64,
    /// For each sender, the last number that this client heard and how many numbers it heard.
    heard: BTreeMap<String, (u64, u64)>,
    /// The violations that this client has seen.
    wrong: Vec<String>,
}

/// A client that sends requests without end, and connects again when its connection closes.
struct Chatter {
    name: String,
    /// The node to which it tries to connect first.
    node: usize,
    addresses: Addresses,
    seen: Arc<Mutex<Seen>>,
    /// The number of its last request, counted over all connections.
    number: u64,
}

struct Connection {
    stream: TcpStream,
    protocol: Protocol,
    responses: Vec<(u64, Vec<u8>)>,
    last_response: u64,
}

/// The error when the connection has closed.
struct Closed;

impl Chatter {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("no panic")
    }

    async fn run(mut self) {
        for attempt in self.node.. {
            let address = self.addresses.lock().expect("no panic")[attempt % 2].clone();
            if let Ok(stream) = TcpStream::connect(address).await {
                let connection =
                    Connection { stream, protocol: Protocol::new(), responses: Vec::new(), last_response: 0 };
                let Err(Closed) = self.talk(connection).await;
                self.seen().closed += 1;
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    async fn talk(&mut self, mut connection: Connection) -> Result<std::convert::Infallible, Closed> {
        let mut out = Vec::new();
        connection.protocol.connect(None, &mut out);
        connection.send(&out).await?;
        while !self.receive(&mut connection).await? {}
        while !self.request(&mut connection, JOIN, json!({ "name": self.name })).await? {}
        loop {
            self.number += 1;
            self.request(&mut connection, SEND, json!({ "text": self.number.to_string() })).await?;
            sleep(Duration::from_millis(2)).await;
        }
    }

    /// Sends a request and waits for the answer. Returns false if the answer is an error.
    async fn request(
        &mut self,
        connection: &mut Connection,
        route: &str,
        body: Value,
    ) -> Result<bool, Closed> {
        let mut out = Vec::new();
        let body = body.to_string();
        let id = connection.protocol.request(route, body.as_bytes(), &mut out).expect("it is ready");
        connection.send(&out).await?;
        let answer = async {
            while connection.responses.is_empty() {
                self.receive(connection).await?;
            }
            Ok(connection.responses.remove(0))
        };
        let Ok(answer) = timeout(Duration::from_secs(20), answer).await else {
            self.seen().wrong.push(format!("{route} {body} has no answer, and its connection is open"));
            return Err(Closed);
        };
        let (answered, body) = answer?;
        let mut seen = self.seen();
        if answered != id || answered <= connection.last_response {
            seen.wrong.push(format!("{answered} was answered, and {id} asked"));
        }
        connection.last_response = answered;
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        match body["code"].as_u64() {
            Some(code) => *seen.refused.entry(code).or_default() += 1,
            None => seen.answered += 1,
        }
        Ok(body["code"].is_null())
    }

    /// Reads once. Returns true if the handshake has completed.
    async fn receive(&mut self, connection: &mut Connection) -> Result<bool, Closed> {
        let mut bytes = Vec::with_capacity(16 << 10);
        if connection.stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return Err(Closed);
        }
        let (mut out, mut incoming, mut ready) = (Vec::new(), Vec::new(), false);
        connection.protocol.receive(&bytes, &mut out, &mut incoming).expect("the node speaks Pomelo");
        connection.send(&out).await?;
        let mut seen = self.seen();
        for incoming in incoming {
            match incoming {
                Incoming::Ready { .. } => ready = true,
                Incoming::Response { id, body, .. } => connection.responses.push((id, body)),
                Incoming::Push { body, .. } => seen.hear(&body),
                other => seen.wrong.push(format!("{other:?}")),
            }
        }
        Ok(ready)
    }
}

impl Connection {
    async fn send(&mut self, bytes: &[u8]) -> Result<(), Closed> {
        self.stream.write_all(bytes).await.map_err(|_| Closed)
    }
}

impl Seen {
    /// Checks that the numbers of each sender only grow, so that no number came twice or out of
    /// order.
    fn hear(&mut self, body: &[u8]) {
        let said: Value = serde_json::from_slice(body).unwrap_or_default();
        let sender = said["from"].as_str().unwrap_or_default().to_owned();
        let number = said["text"].as_str().and_then(|text| text.parse().ok()).unwrap_or(0);
        let (last, count) = self.heard.entry(sender).or_default();
        if number <= *last {
            let wrong = format!("{said} came after {last}");
            self.wrong.push(wrong);
        } else {
            (*last, *count) = (number, *count + 1);
        }
    }

    fn heard_from_all(&self) -> u64 {
        let counts = self.heard.values().map(|(_, count)| *count);
        if self.heard.len() == CLIENTS { counts.min().unwrap_or(0) } else { 0 }
    }
}

struct Crowd(Vec<Arc<Mutex<Seen>>>);

impl Crowd {
    fn all(&self) -> Vec<Seen> {
        self.0.iter().map(|seen| seen.lock().expect("no panic").clone()).collect()
    }

    /// Waits until each client gets further answers and hears all other clients.
    async fn goes_on(&self, after: &str) {
        let before = self.all();
        let what = format!("all to talk and to hear after {after}");
        until(&what, || async {
            self.all().iter().zip(&before).all(|(now, before)| {
                now.answered >= before.answered + 10 && now.heard_from_all() >= before.heard_from_all() + 10
            })
        })
        .await;
        for seen in self.all() {
            assert_eq!(seen.wrong, [""; 0], "after {after}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_killed_every_request_has_one_end_and_all_recovers() {
    let mut nats = NatsServer::start();
    let start = |name| Node::start(&nats, name);
    let (one, other) = (start("chaos-one"), start("chaos-other"));
    let mut services = [(); 2].map(|()| chats::over_nats("rust", &nats, &programs()));
    let addresses: Addresses =
        Arc::new(Mutex::new([one.server.address().to_owned(), other.server.address().to_owned()]));
    let chatters = (0..CLIENTS).map(|number| {
        let seen = Arc::<Mutex<Seen>>::default();
        let name = format!("client {number}");
        let chatter = Chatter {
            name,
            node: number,
            addresses: Arc::clone(&addresses),
            seen: Arc::clone(&seen),
            number: 0,
        };
        (tokio::spawn(chatter.run()), seen)
    });
    let (tasks, seen): (Vec<_>, Vec<_>) = chatters.unzip();
    let crowd = Crowd(seen);
    crowd.goes_on("the start").await;

    for service in &mut services {
        // The new service is already running when the old one is killed.
        *service = chats::over_nats("rust", &nats, &programs());
        crowd.goes_on("a service was killed").await;
    }
    assert!(crowd.all().iter().all(|seen| seen.closed == 0), "services are nothing to connections");

    drop(other);
    crowd.goes_on("a node was killed").await;
    assert_eq!(crowd.all().iter().map(|seen| seen.closed).sum::<u64>(), 2, "its clients, and they alone");
    let other = Node::start(&nats, "chaos-other");
    addresses.lock().expect("no panic")[1] = other.server.address().to_owned();
    drop(one);
    crowd.goes_on("the other node was killed").await;
    let one = Node::start(&nats, "chaos-one");
    addresses.lock().expect("no panic")[0] = one.server.address().to_owned();

    let before: Vec<u64> = crowd.all().iter().map(|seen| seen.closed).collect();
    nats.kill();
    until("all to be refused", || async {
        crowd.all().iter().all(|seen| seen.refused.get(&503).is_some_and(|&count| count > 20))
    })
    .await;
    nats.start_again();
    crowd.goes_on("NATS was killed").await;
    let after: Vec<u64> = crowd.all().iter().map(|seen| seen.closed).collect();
    assert_eq!(before, after, "clients stay connected");
    for seen in crowd.all() {
        assert!(seen.refused.keys().all(|code| [503, 504].contains(code)), "{:?}", seen.refused);
    }
    tasks.iter().for_each(|task| task.abort());
}
