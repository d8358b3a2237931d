//! UDP over real sockets: which clients get a session, the content of datagrams, losses, and the
//! end of a session.
//!
//! The bytes of the opening are written out here as `docs/udp.md` specifies them, and not taken
//! from the runtime.

mod address_check;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::json;
use tokio::net::UdpSocket;
use tokio::sync::Semaphore;
use wireplug::config::{AccessConfig, ClientLimits, OverRate, ServerConfig};
use wireplug::session::Message;
use wireplug::{App, CodecSource, Listener, RunningServer, Server, Session};
use wireplug_core::codec::{self, Codec, CodecError, CodecSession, Description, Peer};
use wireplug_core::framing::MessageFraming;
use wireplug_tests::app::{self as demo, ECHO};
use wireplug_tests::raw::{hello, notification, package, request, response};
use wireplug_tests::{server, within};

use super::netstring::codec::Lines;
use super::{address, app, app_and_ends, lines, serve, try_serve};

#[path = "../../../runtime/wireplug/examples/udp_client.rs"]
#[allow(dead_code, reason = "its main function is not called here")]
pub(crate) mod example;

const URL: &str = "udp://127.0.0.1:0";
const MAGIC: &[u8] = b"\xffWPUDP1";
const OPEN: &[u8] = b"\xffWPUDP1\x03";

struct Client(UdpSocket);

impl Client {
    /// Binds a socket without sending anything.
    async fn new(server: &RunningServer) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
        socket.connect(address(server)).await.expect("an address");
        Self(socket)
    }

    async fn open(server: &RunningServer) -> Self {
        let client = Self::new(server).await;
        let cookie = client.challenged(&[0; 24]).await;
        client.say(&answer(&cookie)).await;
        assert_eq!(client.hear().await, OPEN);
        client
    }

    async fn say(&self, datagram: &[u8]) {
        self.0.send(datagram).await.expect("it is sent");
    }

    async fn hear(&self) -> Vec<u8> {
        let mut datagram = vec![0; 65_536];
        let length = within("a datagram", self.0.recv(&mut datagram)).await.expect("the server lives");
        datagram.truncate(length);
        datagram
    }

    async fn ask(&self, datagram: impl AsRef<[u8]>) -> String {
        self.say(datagram.as_ref()).await;
        String::from_utf8(self.hear().await).expect("text")
    }

    /// Sends a datagram that must be challenged, and returns the cookie.
    async fn challenged(&self, datagram: &[u8]) -> Vec<u8> {
        self.say(datagram).await;
        let challenge = self.hear().await;
        assert!(challenge.len() <= datagram.len(), "the server amplifies");
        assert_eq!((challenge.len(), &challenge[..8]), (24, &b"\xffWPUDP1\x01"[..]));
        challenge[8..].to_vec()
    }

    /// Checks that no unexpected datagram has come, after the server has processed everything that
    /// was sent before.
    async fn is_quiet(&self) {
        // The server processes datagrams one after the other, so the answer to this one comes last.
        let challenge = self.hear_challenge().await;
        assert_eq!(challenge[..8], *b"\xffWPUDP1\x01");
    }

    async fn hear_challenge(&self) -> Vec<u8> {
        self.say(&[0; 24]).await;
        self.hear().await
    }
}

fn answer(cookie: &[u8]) -> Vec<u8> {
    [MAGIC, &[2], cookie].concat()
}

/// Returns the error with which a server with this listener does not start.
async fn refused(listener: Listener) -> String {
    let error = try_serve(app(), listener).await.err().expect("it is refused");
    format!("{error:#}")
}

fn listener(codec: CodecSource) -> Listener {
    Listener::at(URL).codec(codec)
}

fn pomelo() -> CodecSource {
    CodecSource::pomelo(json!({ "dictionary": false }))
}

// === opening a session ===

#[tokio::test]
async fn without_the_cookie_of_its_address_nobody_gets_a_session_or_more_than_it_sent() {
    let server = serve(app(), listener(lines())).await;
    let client = Client::new(&server).await;
    // Shorter than a challenge, so the server does not answer.
    for length in [0, 1, 8, 23] {
        client.say(&vec![b'x'; length]).await;
    }
    client.is_quiet().await;
    // Any other datagram, even a packet of the codec, gets an answer that is at most as long.
    for length in [24, 25, 1200, 1201, 9000] {
        client.challenged(&vec![b'x'; length]).await;
    }
    let cookie = client.challenged(&[0; 24]).await;
    // A forged cookie, a short one, a long one, and the challenge itself, as an echo service or
    // another server would return it.
    let forged: Vec<u8> = cookie.iter().map(|byte| byte ^ 1).collect();
    client.say(&answer(&forged)).await;
    client.say(&answer(&cookie[..15])).await;
    client.say(&[answer(&cookie), vec![0]].concat()).await;
    client.say(&[MAGIC, &[1], &cookie].concat()).await;
    client.say(&[OPEN, &[0; 24]].concat()).await;
    client.is_quiet().await;
    // The cookie is sent from another address.
    let other = Client::new(&server).await;
    other.say(&answer(&cookie)).await;
    other.is_quiet().await;
    assert_eq!(server.stats().connections_accepted, 0);

    client.say(&answer(&cookie)).await;
    assert_eq!(client.hear().await, OPEN);
    assert_eq!(client.ask("1 echo hello").await, "1 200 hello");
    // The client sends its answer again, as if the server's answer had been lost.
    client.say(&answer(&cookie)).await;
    assert_eq!(client.hear().await, OPEN);
    assert_eq!(client.ask("2 echo hello").await, "2 200 hello");
    let stats = server.shutdown().await;
    assert_eq!((stats.connections_accepted, stats.packets_in), (1, 2));
}

#[tokio::test]
async fn limits_hold() {
    let shut = |access: AccessConfig, limit: u32| {
        let mut listener = listener(lines());
        listener.access = access;
        let config = ServerConfig { max_connections: limit, ..ServerConfig::default() };
        Server::new(app()).config(config).listener(listener).start()
    };
    let from_here = || vec!["127.0.0.0/8".parse().expect("a network")];
    for (access, limit, let_in, cause) in [
        (AccessConfig { deny: from_here(), ..AccessConfig::default() }, 10, 0, "denied"),
        (AccessConfig { max_per_address: 1, ..AccessConfig::default() }, 10, 1, "address-full"),
        (AccessConfig::default(), 1, 1, "server-full"),
    ] {
        let server = shut(access, limit).await.expect("it starts");
        let mut sessions = Vec::new();
        for _ in 0..let_in {
            sessions.push(Client::open(&server).await);
        }
        let client = Client::new(&server).await;
        let cookie = client.challenged(&[0; 24]).await;
        client.say(&answer(&cookie)).await;
        let counted = async {
            while server.stats().closes != [(cause, 1)].into() {
                tokio::task::yield_now().await;
            }
        };
        within(cause, counted).await;
        // The refused client has been sent nothing.
        client.is_quiet().await;
        for session in &sessions {
            assert_eq!(session.ask("1 echo still here").await, "1 200 still here");
        }
        server.shutdown().await;
    }
}

// === the content of a datagram ===

#[tokio::test]
async fn pomelo_speaks_over_udp() {
    let server = serve(demo::demo(), listener(pomelo())).await;
    let client = Client::open(&server).await;
    client.say(&hello()).await;
    assert!(client.hear().await.ends_with(b"\"sys\":{}}"));
    let asked = (1..4).flat_map(|id| request(id, ECHO, format!("[{id}]")));
    let asked: Vec<u8> = package(2, "").into_iter().chain(asked).collect();
    client.say(&asked).await;
    let answers: Vec<u8> = (1..4).flat_map(|id| response(id, format!("[{id}]"))).collect();
    assert_eq!(client.hear().await, answers, "what is sent together is one datagram");
    let session = server.sessions().get(wireplug::session::SessionId(1)).expect("the only one");
    assert_eq!(session.client().transport, "udp");
    assert_eq!(session.client().address, client.0.local_addr().expect("one").to_string());
    // The codec's farewell is the last packet.
    let stats = within("the end", server.shutdown()).await;
    assert_eq!(stats.closes, [("shutdown", 1)].into());
    assert_eq!(client.hear().await[0], 5);
    assert!(client.0.try_recv(&mut [0; 64]).is_err());
}

/// Returns an application whose route `three` pushes three bodies of this many bytes.
fn three(bytes: usize) -> App {
    app().route("three", move |session: Session| async move {
        let push = |n: u8| Message::push("on", Bytes::from(vec![b'0' + n; bytes]));
        let _ = session.send_batch((1..4).map(push).collect());
    })
}

#[tokio::test]
async fn a_batch_is_split_on_packet_borders() {
    // A package is 8 bytes longer than its body. Two of them fit into a datagram, and three do not.
    let server = serve(three(100), listener(pomelo()).options(json!({ "max-datagram": 300 }))).await;
    let client = Client::open(&server).await;
    client.say(&hello()).await;
    client.hear().await;
    client.say(&[package(2, ""), notification("three", "")].concat()).await;
    assert_eq!(client.hear().await.len(), 2 * 108);
    assert_eq!(client.hear().await.len(), 108);
    server.shutdown().await;

    // Without framing, a receiver could not tell packets in a datagram apart, so each has its own.
    let server = serve(three(1), listener(lines())).await;
    let client = Client::open(&server).await;
    assert_eq!(client.ask("- three").await, "- on 1");
    assert_eq!(client.hear().await, b"- on 2");
    assert_eq!(client.hear().await, b"- on 3");
    server.shutdown().await;
}

#[tokio::test]
async fn what_fits_no_datagram_is_refused_or_dropped_and_counted() {
    let server = serve(
        app().route("long", || async { Bytes::from(vec![b'x'; 40]) }),
        listener(lines()).options(json!({ "max-datagram": 40 })),
    )
    .await;
    let client = Client::open(&server).await;
    // A response that is too long is replaced by a response with status 500.
    assert_eq!(client.ask("1 long").await, "1 500 ");
    client.say("3 echo ".repeat(6).as_bytes()).await;
    assert_eq!(client.ask("4 echo hello").await, "4 200 hello");
    let stats = server.shutdown().await;
    assert_eq!(stats.drops, [("refused", 1), ("datagrams", 1)].into());
}

/// The codec of lines, which may continue from one message to the next.
struct Running(Lines, Description);

impl Codec for Running {
    fn description(&self) -> &Description {
        &self.1
    }

    fn open(&self, peer: Peer, now: codec::Instant) -> Result<Box<dyn CodecSession>, CodecError> {
        self.0.open(peer, now)
    }
}

#[tokio::test]
async fn what_cannot_be_over_udp_is_refused_at_the_start() {
    let lines_of_bytes = Lines::default();
    let description =
        Description { messages: Some(MessageFraming::Continuous), ..lines_of_bytes.description().clone() };
    let running = CodecSource::native(Arc::new(Running(lines_of_bytes, description)));
    let why = refused(listener(running)).await;
    assert!(why.contains("run across messages, and a datagram may be lost"), "{why}");

    let mut forever = listener(lines());
    forever.limits.idle_timeout = Duration::ZERO;
    let why = refused(forever).await;
    assert!(why.contains("need `limits.idle-timeout`"), "{why}");

    let mut behind_proxy = listener(lines());
    behind_proxy.access.proxies = vec!["127.0.0.0/8".parse().expect("a network")];
    let why = refused(behind_proxy).await;
    assert!(why.contains("`access.proxies` must be empty"), "{why}");

    for options in [json!({ "max-datagram": 23 }), json!({ "max-datagram": 65_508 }), json!({ "mtu": 1 })] {
        let why = refused(listener(lines()).options(options)).await;
        assert!(why.starts_with("udp://127.0.0.1:0: "), "{why}");
    }
}

// === losses ===

#[tokio::test]
async fn a_client_that_is_not_read_loses_what_came_last() {
    const SENT: u64 = 400;
    /// The number of datagrams that wait for a client that is not read.
    const INBOX: u64 = 128;
    let permits = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&permits);
    let app = app().route("wait", move || {
        let held = Arc::clone(&held);
        async move { held.acquire_owned().await.expect("it is never closed").forget() }
    });
    let mut listener = listener(lines());
    listener.limits = ClientLimits { max_in_flight: 1, ..ClientLimits::default() };
    let server = serve(app, listener).await;
    let client = Client::open(&server).await;
    client.say(b"0 wait").await;
    for id in 1..=SENT {
        client.say(format!("{id} echo x").as_bytes()).await;
    }
    // The server has processed all datagrams before it opens this session.
    Client::open(&server).await;
    permits.add_permits(1);
    assert_eq!(client.hear().await, b"0 200 ");
    let (mut answered, mut last) = (0, 0);
    while answered + lost(&server) < SENT {
        let heard = String::from_utf8(client.hear().await).expect("text");
        let id: u64 = heard.strip_suffix(" 200 x").expect("an answer").parse().expect("an id");
        answered += 1;
        assert!(id > last && (answered >= INBOX || id == answered), "{id} is the answer {answered}");
        last = id;
    }
    assert!(lost(&server) > 0 && answered >= INBOX, "{answered}");
    assert_eq!(client.ask("1 echo hello").await, "1 200 hello");
    server.shutdown().await;
}

fn lost(server: &RunningServer) -> u64 {
    server.stats().drops.get("datagrams").copied().unwrap_or(0)
}

// === the end of a session ===

#[tokio::test]
async fn a_silent_client_is_idle_whatever_is_sent_to_it() {
    const LIMIT: Duration = Duration::from_millis(600);
    let mut listener = listener(lines());
    listener.limits = ClientLimits { idle_timeout: LIMIT, ..ClientLimits::default() };
    let server = serve(app(), listener).await;
    let (silent, speaks) = (Client::open(&server).await, Client::open(&server).await);
    assert_eq!(silent.ask("1 echo hello").await, "1 200 hello");
    let begun = Instant::now();
    while server.stats().closes != [("idle-timeout", 1)].into() {
        assert!(begun.elapsed() < Duration::from_secs(30), "it lives for ever");
        server.sessions().all().send(&Message::push("on", "x"));
        // An empty datagram keeps the session alive, and holds no packet.
        speaks.say(b"").await;
        tokio::time::sleep(LIMIT / 20).await;
    }
    assert!(begun.elapsed() >= LIMIT / 2);
    assert_eq!(server.stats().connections_open, 1);
    // The next datagram tells the client that it has no session.
    let mut heard = silent.hear_challenge().await;
    while heard == b"- on x" || heard.starts_with(b"bye") {
        heard = silent.hear().await;
    }
    assert_eq!((heard.len(), &heard[..8]), (24, &b"\xffWPUDP1\x01"[..]));
    // The client may open a new session from the same port.
    silent.say(&answer(&heard[8..])).await;
    assert_eq!(silent.hear().await, OPEN);
    assert_eq!(silent.ask("1 echo again").await, "1 200 again");
    server.shutdown().await;
}

#[tokio::test]
async fn a_client_that_is_thrown_out_hears_the_farewell_and_no_more() {
    let server = serve(app(), listener(lines())).await;
    let client = Client::open(&server).await;
    assert_eq!(client.ask("- kick").await, "bye you asked for it");
    let stats = async {
        while server.stats().connections_open > 0 {
            tokio::task::yield_now().await;
        }
    };
    within("its end", stats).await;
    client.is_quiet().await;
    server.shutdown().await;
}

#[tokio::test]
async fn the_address_is_free_when_the_server_has_ended() {
    let server = serve(app(), listener(lines())).await;
    let url = server.urls()[0].clone();
    let _client = Client::open(&server).await;
    let error = try_serve(app(), Listener::new(&url, lines())).await.err().expect("it is taken");
    assert!(format!("{error:#}").starts_with(&format!("cannot listen on {url}: ")), "{error:#}");
    within("the end", server.shutdown()).await;
    serve(app(), Listener::new(&url, lines())).await.shutdown().await;
}

#[tokio::test]
async fn the_example_client_asks_and_is_answered() {
    let setup = server::setup();
    let server = Server::new(demo::demo())
        .config(setup.server)
        .listener(listener(pomelo()))
        .start()
        .await
        .expect("it starts");
    let to = address(&server);
    let asked = tokio::task::spawn_blocking(move || example::request(to, ECHO, "{\"hello\":1}"));
    let body = within("an answer", asked).await.expect("no panic").expect("an answer");
    assert_eq!(body, b"{\"hello\":1}");
    server.shutdown().await;
}

/// Datagrams without a packet count towards the rate of packets.
#[tokio::test]
async fn datagrams_that_hold_nothing_or_are_dropped_count() {
    for datagram in [&b""[..], &[b'x'; 2000], OPEN] {
        let mut listener = listener(lines());
        listener.limits =
            ClientLimits { packets_per_second: 10, over_rate: OverRate::Close, ..listener.limits };
        let (app, mut reasons) = app_and_ends();
        let server = serve(app, listener).await;
        let client = Client::open(&server).await;
        for _ in 0..30 {
            client.say(datagram).await;
        }
        let reason = within("an end", reasons.recv()).await.expect("an end");
        assert_eq!(reason.cause(), "over-rate", "{}: {reason}", datagram.len());
        server.shutdown().await;
    }
}
