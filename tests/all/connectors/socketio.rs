//! Socket.IO, frame by frame over WebSocket and request by request over HTTP: its limits and its
//! backpressure. `interop::socketio` tests it with the client of others.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::{WebSocketStream, client_async};
use wireplug::config::{AccessConfig, ClientLimits, CodecLimits, ServerConfig};
use wireplug::{App, CodecSource, Listener, RunningServer, Server};
use wireplug_connectors::{Connector as _, HostPort, SocketIoServer};
use wireplug_tests::{PATIENCE, server, until, within};

use super::{address, app, app_and_ends, serve, try_serve};

mod acks;
mod flood;
mod origins;
mod polling;
mod rates;

const URL: &str = "socketio://127.0.0.1:0";

/// The URL that a client requests to begin over WebSocket.
const WEBSOCKET: &str = "ws://here/socket.io/?EIO=4&transport=websocket&token=x";

/// A client over WebSocket.
struct Client(WebSocketStream<TcpStream>);

impl Client {
    /// Connects without joining the namespace.
    async fn connect(server: &RunningServer) -> Self {
        let stream = TcpStream::connect(address(server)).await.expect("it listens");
        Self::over(stream).await
    }

    async fn over(stream: TcpStream) -> Self {
        let (socket, _) = within("an upgrade", client_async(WEBSOCKET, stream)).await.expect("it upgrades");
        let mut client = Self(socket);
        assert!(client.hear().await.expect("a greeting").starts_with("0{"));
        client
    }

    async fn join(server: &RunningServer) -> Self {
        let mut client = Self::connect(server).await;
        client.say("40").await;
        assert!(client.hear().await.expect("a word").starts_with("40{"));
        client
    }

    async fn say(&mut self, packet: &str) {
        self.0.send(Frame::text(packet)).await.expect("it reads");
    }

    async fn send(&mut self, id: u8, route: &str, body: &str) {
        self.say(&event(id, route, body)).await;
    }

    /// Returns the next packet that is no ping, or `None` at the end of the connection.
    async fn hear(&mut self) -> Option<String> {
        loop {
            match within("a packet", self.0.next()).await {
                Some(Ok(Frame::Text(text))) if text.as_str() == "2" => self.say("3").await,
                Some(Ok(Frame::Text(text))) => return Some(text.to_string()),
                Some(Ok(Frame::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }

    /// Returns the content of the next message.
    async fn message(&mut self) -> Value {
        let packet = self.hear().await.expect("a message");
        let event: Value = serde_json::from_str(packet.strip_prefix("42").expect("an event")).expect("JSON");
        assert_eq!(event[0], "message");
        serde_json::from_str(event[1].as_str().expect("a text")).expect("JSON")
    }
}

/// Returns an event with a packet of Pomelo's protocol.
fn event(id: u8, route: &str, body: &str) -> String {
    let packet = format!("\0\0\0{}{}{route}{body}", char::from(id), char::from(route.len() as u8));
    format!("42{}", json!(["message", packet]))
}

fn sio() -> CodecSource {
    CodecSource::sio(json!({}))
}

/// The sessions sleep at each pause, and the clients notice nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_sleep_unnoticed() {
    let limits = CodecLimits { sleep_after: Duration::from_millis(1), ..CodecLimits::default() };
    let server = serve(app(), Listener::at(URL).codec(sio().limits(limits))).await;
    let mut client = Client::join(&server).await;
    for id in 1..=5 {
        let slept = async {
            while server.slots()[0].status().generations[0].sleep.asleep == 0 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        within("the session to sleep", slept).await;
        client.send(id, "echo", &format!("[{id}]")).await;
        assert_eq!(client.message().await, json!({ "id": id, "body": [id] }));
    }
    assert!(server.slots()[0].status().generations[0].sleep.woken_packet >= 5);
}

async fn ends(server: &RunningServer, cause: &'static str) {
    let counted = async {
        while server.stats().closes != [(cause, 1)].into() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    within(cause, counted).await;
}

#[tokio::test]
async fn it_speaks_its_own_codec_and_tells_what_it_knows_of_a_client() {
    let server = serve(app(), Listener::at(URL)).await;
    assert_eq!(server.slots()[0].name(), "sio");
    let mut client = Client::join(&server).await;
    client.send(1, "echo", "{\"n\":1}").await;
    assert_eq!(client.message().await, json!({ "id": 1, "body": { "n": 1 } }));
    client.send(2, "nowhere", "").await;
    assert_eq!(client.message().await, json!({ "id": 2, "body": { "code": 404 } }));
    let session = server.sessions().get(wireplug::session::SessionId(1)).expect("the only one");
    let known = session.client();
    assert_eq!(known.transport, "socketio");
    assert!(known.address.starts_with("127.0.0.1:"), "{}", known.address);
    let attribute = |name: &str| {
        let all = known.attributes.iter();
        all.filter(|(known, _)| known == name).map(|(_, value)| value.clone()).collect::<String>()
    };
    assert_eq!((attribute("host"), attribute("transport")), ("here".to_owned(), "websocket".to_owned()));
    assert!(attribute("query").contains("token=x"));
    // The server sends its farewell when it stops.
    let stats = within("the end", server.shutdown()).await;
    assert_eq!(stats.closes, [("shutdown", 1)].into());
    assert_eq!(client.message().await["route"], "onKick");
    assert_eq!(client.hear().await.as_deref(), Some("41"));
    assert_eq!(client.hear().await, None);
}

#[tokio::test]
async fn how_clients_end() {
    let (app, mut reasons) = app_and_ends();
    let server = serve(app, Listener::at(URL)).await;
    let mut reason = async || within("an end", reasons.recv()).await.expect("one").to_string();
    let mut client = Client::join(&server).await;
    client.say("41").await;
    assert_eq!(reason().await, "the client closed the connection");
    // The connection ends with the session.
    assert_eq!(client.hear().await, None);
    let mut client = Client::join(&server).await;
    client.send(1, "echo", "1").await;
    assert_eq!(client.message().await, json!({ "id": 1, "body": 1 }));
    drop(client);
    // Many clients drop the connection without a goodbye.
    assert_eq!(reason().await, "the client closed the connection");
    let mut client = Client::join(&server).await;
    client.say("42[\"message\",{\"no\":\"text\"}]").await;
    assert_eq!(reason().await, "transport: an event without a packet");
    let mut client = Client::join(&server).await;
    client.say("nonsense").await;
    assert!(reason().await.starts_with("transport: "));
    server.shutdown().await;
}

#[tokio::test]
async fn limits_hold() {
    let start = |access: AccessConfig, limit: u32| {
        let mut listener = Listener::new(URL, sio());
        listener.access = access;
        let config = ServerConfig { max_connections: limit, ..ServerConfig::default() };
        Server::new(app()).config(config).compile(server::setup().compile).listener(listener).start()
    };
    let from_here = || vec!["127.0.0.0/8".parse().expect("a network")];
    for (access, limit, let_in, cause) in [
        (AccessConfig { deny: from_here(), ..AccessConfig::default() }, 10, 0, "denied"),
        (AccessConfig { max_per_address: 1, ..AccessConfig::default() }, 10, 1, "address-full"),
        (AccessConfig::default(), 1, 1, "server-full"),
    ] {
        let server = start(access, limit).await.expect("it starts");
        let mut sessions = Vec::new();
        for _ in 0..let_in {
            sessions.push(Client::join(&server).await);
        }
        // The new client counts from the beginning of its session, and is refused before it joins.
        let stream = TcpStream::connect(address(&server)).await.expect("it listens");
        if let Ok((socket, _)) = within("an upgrade", client_async(WEBSOCKET, stream)).await {
            assert_eq!(Client(socket).hear().await, None, "{cause}");
        }
        ends(&server, cause).await;
        for session in &mut sessions {
            session.send(1, "echo", "1").await;
            assert_eq!(session.message().await["id"], 1);
        }
        server.shutdown().await;
    }
}

#[tokio::test]
async fn a_load_balancer_tells_the_address() {
    let mut listener = Listener::new(URL, sio());
    listener.access.proxies = vec!["127.0.0.0/8".parse().expect("a network")];
    listener.access.allow = vec!["10.1.2.0/24".parse().expect("a network")];
    let server = serve(app(), listener).await;
    let mut stream = TcpStream::connect(address(&server)).await.expect("it listens");
    stream.write_all(b"PROXY TCP4 10.1.2.3 10.0.0.1 4000 80\r\n").await.expect("it reads");
    let mut client = Client::over(stream).await;
    client.say("40").await;
    assert!(client.hear().await.expect("a word").starts_with("40{"));
    client.send(1, "echo", "1").await;
    assert_eq!(client.message().await["id"], 1);
    let session = server.sessions().get(wireplug::session::SessionId(1)).expect("the only one");
    assert_eq!(session.client().address, "10.1.2.3:4000");
    server.shutdown().await;
}

#[tokio::test]
async fn who_never_joins_is_given_up() {
    let mut listener = Listener::new(URL, sio());
    listener.limits = ClientLimits {
        handshake_timeout: Duration::from_millis(300),
        first_byte_timeout: Duration::from_millis(300),
        ..ClientLimits::default()
    };
    let server = serve(app(), listener).await;
    let mut silent = TcpStream::connect(address(&server)).await.expect("it listens");
    assert_eq!(within("its end", silent.read(&mut [0; 64])).await.unwrap_or(0), 0, "no head of a request");
    let mut client = Client::connect(&server).await;
    while client.hear().await.is_some() {}
    ends(&server, "handshake-timeout").await;
    server.shutdown().await;
}

#[tokio::test]
async fn the_largest_packet_is_taken_and_no_larger_one() {
    let limits = CodecLimits { max_packet: 1000, ..CodecLimits::default() };
    let (app, mut reasons) = app_and_ends();
    let server = serve(app, Listener::new(URL, sio().limits(limits))).await;
    let mut client = Client::join(&server).await;
    // Each quote in the body takes two more bytes in transit.
    let body = |length: usize| Value::from("\"".repeat(length)).to_string();
    client.send(1, "echo", &body(400)).await;
    assert_eq!(client.message().await["body"], "\"".repeat(400));
    client.send(1, "echo", &"1".repeat(1000)).await;
    let reason = within("an end", reasons.recv()).await.expect("one").to_string();
    assert!(reason.contains("over the maximum of 1000"), "{reason}");
    // A packet far above the limit is not even read whole.
    let mut client = Client::join(&server).await;
    client.send(1, "echo", &"1".repeat(10_000)).await;
    let reason = within("an end", reasons.recv()).await.expect("one").to_string();
    assert!(!reason.contains("maximum of 1000"), "{reason}");
    // The same holds for a request.
    let mut stream = TcpStream::connect(address(&server)).await.expect("it listens");
    let sid = open(&mut stream).await;
    let long = event(1, "echo", &"1".repeat(10_000));
    let answer = ask(&mut stream, "POST", &sid, &format!("40\u{1e}{long}")).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    server.shutdown().await;
}

/// Begins a session by polling. Returns the text that further requests append to their query.
async fn open(stream: &mut TcpStream) -> String {
    let opened = ask(stream, "GET", "", "").await;
    let sid = opened.split("\"sid\":\"").nth(1).and_then(|rest| rest.split('"').next());
    format!("&sid={}", sid.unwrap_or_else(|| panic!("no session: {opened}")))
}

/// Sends a request. Returns the head of its answer and the bytes that came with it.
async fn ask(stream: &mut TcpStream, method: &str, query: &str, body: &str) -> String {
    let request = format!(
        "{method} /socket.io/?EIO=4&transport=polling{query} HTTP/1.1\r\nHost: here\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    exchange(stream, &request).await
}

/// Sends the bytes of a request, and returns the bytes that come at once.
async fn exchange(stream: &mut TcpStream, request: &str) -> String {
    // The server may end the connection while it is being written to.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = vec![0; 64 << 10];
    let length = within("an answer", stream.read(&mut answer)).await.unwrap_or(0);
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

/// While its requests are in flight, a client is not read, over either transport, and loses
/// nothing.
#[tokio::test]
async fn a_client_that_is_not_read_is_held_back() {
    const SENT: usize = 1000;
    let permits = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&permits);
    let app = App::new().route("echo", |body: Bytes| async move { body }).route("wait", move || {
        let held = Arc::clone(&held);
        async move { held.acquire_owned().await.expect("it is never closed").forget() }
    });
    let limits = CodecLimits { max_packet: 2000, ..CodecLimits::default() };
    // Larger arrays would not fit into a packet.
    let codec = CodecSource::sio(json!({ "max-batch": 2000 })).limits(limits);
    let mut listener = Listener::new(URL, codec);
    listener.limits = ClientLimits { max_in_flight: 1, ..ClientLimits::default() };
    let server = serve(app, listener).await;
    let Client(socket) = Client::join(&server).await;
    let (mut say, mut hear) = socket.split();
    say.send(Frame::text(event(1, "wait", ""))).await.expect("it reads");
    let long = event(2, "echo", &Value::from("x".repeat(1900)).to_string());
    let said = tokio::spawn(async move {
        for _ in 0..SENT {
            // 2 MB, which is more than the buffers of the server and the system hold.
            say.send(Frame::text(long.as_str())).await.expect("it lives");
        }
        say
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(server.stats().closes, [].into());
    permits.add_permits(1);
    let mut answers = 0;
    while answers < SENT + 1 {
        let Some(Ok(heard)) = within("an answer", hear.next()).await else {
            panic!("it ended after {answers} answers: {}", server.stats())
        };
        match heard {
            Frame::Text(text) if text.starts_with("42") => {
                // One text may hold several answers.
                answers += text.matches("\\\"id\\\":").count();
            }
            _ => {}
        }
    }
    drop(within("all said", said).await.expect("no panic"));
    let stats = server.shutdown().await;
    assert_eq!((stats.packets_in as usize, stats.drops), (SENT + 1, [].into()));
}

#[tokio::test]
async fn the_address_is_free_when_it_has_stopped() {
    let server = serve(app(), Listener::at(URL)).await;
    let url = server.urls()[0].clone();
    let error = try_serve(app(), Listener::at(&url)).await.err().expect("it is taken");
    assert!(format!("{error:#}").starts_with(&format!("cannot listen on {url}: ")), "{error:#}");
    let mut client = Client::join(&server).await;
    client.send(1, "echo", "1").await;
    client.message().await;
    within("the end", server.shutdown()).await;
    serve(app(), Listener::at(&url)).await.shutdown().await;

    // A connector that is made without a URL.
    let own = SocketIoServer::new(HostPort { host: "127.0.0.1".to_owned(), port: 0 });
    assert_eq!(own.url(), "socketio://127.0.0.1:0");
    let server = serve(app(), Listener::from(own)).await;
    Client::join(&server).await;
    server.shutdown().await;
}

/// Answers that a client does not take do not pile up. The server stops reading from that client
/// and gives it up.
async fn is_given_up(what: &str, server: &RunningServer, mut stream: TcpStream, requests: &[u8]) {
    let mut taken = 0;
    // More than the system buffers and one side reads, and a thousandth of the size without a
    // limit.
    while taken < 64 << 20 {
        match tokio::time::timeout(PATIENCE, stream.write(requests)).await {
            Ok(Ok(bytes)) => taken += bytes,
            Ok(Err(_)) => return,
            Err(_) => panic!("{what}: a client that takes nothing is held for ever: {}", server.stats()),
        }
    }
    panic!("{what}: {taken} bytes were read of a client that takes nothing: {}", server.stats());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_no_answers_is_given_up() {
    let server = serve(app(), Listener::at(URL)).await;
    // Each request begins a session, if there is room for one.
    let request = b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: here\r\n\r\n";
    let requests = request.repeat(1000);
    let stream = TcpStream::connect(address(&server)).await.expect("it listens");
    // The mask of zeros leaves the payload as it is.
    let packet = event(1, "echo", "\"an answer\"");
    let echoes = [&[0x81, 0x80 + packet.len() as u8, 0, 0, 0, 0], packet.as_bytes()].concat().repeat(1000);
    let member = Client::join(&server).await.0.into_inner();
    tokio::join!(
        is_given_up("requests", &server, stream, &requests),
        is_given_up("packets", &server, member, &echoes)
    );
    // The sessions of the requests end with their handshake timeout, if they took all the room.
    until("room", || async { server.stats().connections_open < 300 }).await;
    let mut other = Client::join(&server).await;
    other.send(1, "echo", "1").await;
    assert!(other.hear().await.is_some());
}
