//! Limits on connections, in all and for each address, and the lists of networks that may connect.

use std::time::Duration;

use tokio_tungstenite::tungstenite::Message;
use wireplug::config::{AccessConfig, ClientLimits, ServerConfig};
use wireplug::{App, Session};
use wireplug_tests::app::{self, ECHO};
use wireplug_tests::client::Client;
use wireplug_tests::hostile::Function::DecodeBatch;
use wireplug_tests::hostile::{Guest, bodies};
use wireplug_tests::raw::{Raw, RawWebSocket, hello, notification, package, request, response};
use wireplug_tests::server::{self, Setup};

use super::{LimitedServer, access, closed, ordinary};

const KICK_ME: &str = "a.b.kick";

fn app() -> App {
    app::with_guests().route(KICK_ME, |session: Session| async move { session.kick("as you like") })
}

/// The ways in which a connection may end.
#[derive(Clone, Copy, Debug)]
enum Ending {
    SaysNothing,
    SaysHelloAndGoes,
    Leaves,
    LeavesWhileAsking,
    IsKicked,
    BreaksFraming,
    BreaksProtocol,
    FailsToUpgrade,
    LeavesInUpgrade,
    LeavesWebSocket,
    DropsWebSocket,
}

const ENDINGS: [(Ending, &str); 11] = [
    (Ending::SaysNothing, "client-closed"),
    (Ending::SaysHelloAndGoes, "client-closed"),
    (Ending::Leaves, "client-closed"),
    (Ending::LeavesWhileAsking, "client-closed"),
    (Ending::IsKicked, "kicked"),
    (Ending::BreaksFraming, "framing"),
    (Ending::BreaksProtocol, "protocol"),
    (Ending::FailsToUpgrade, "transport"),
    (Ending::LeavesInUpgrade, "transport"),
    (Ending::LeavesWebSocket, "client-closed"),
    (Ending::DropsWebSocket, "client-closed"),
];

impl Ending {
    async fn happen(self, limited: &LimitedServer, cause: &str) {
        let mut raw = Raw::connect(&limited.tcp()).await;
        let peer = raw.address();
        match self {
            Ending::SaysNothing => {}
            Ending::SaysHelloAndGoes => {
                raw.send(&hello()).await;
                raw.package().await;
            }
            Ending::Leaves => raw = raw.shake_hands().await,
            Ending::LeavesWhileAsking => {
                raw = raw.shake_hands().await;
                raw.send(&request(1, ECHO, "[1]")).await;
                raw.finish().await;
                assert_eq!(raw.rest().await, response(1, "[1]"));
            }
            Ending::IsKicked => {
                raw = raw.shake_hands().await;
                raw.send(&notification(KICK_ME, "")).await;
                raw.rest().await;
            }
            Ending::BreaksFraming => {
                raw = raw.shake_hands().await;
                raw.send(b"\x04\xff\xff\xff").await;
                raw.rest().await;
            }
            Ending::BreaksProtocol => {
                raw.send(&package(9, "")).await;
                raw.rest().await;
            }
            Ending::FailsToUpgrade => {
                raw.send(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n").await;
                raw.rest().await;
            }
            Ending::LeavesInUpgrade => raw.send(b"GET / HTTP/1.1\r\nHost:").await,
            Ending::LeavesWebSocket => {
                let mut socket = RawWebSocket::upgrade(raw, &limited.ws()).await;
                socket.send(Message::Close(None)).await;
                assert!(socket.message().await.is_none());
                return closed(peer, cause, "").await;
            }
            Ending::DropsWebSocket => {
                let mut socket = RawWebSocket::upgrade(raw, &limited.ws()).await;
                socket.send(Message::binary(hello())).await;
                socket.message().await.expect("an answer to the handshake");
                drop(socket);
                return closed(peer, cause, "").await;
            }
        }
        drop(raw);
        closed(peer, cause, "").await;
    }
}

/// There is one place in addition to the neighbour's, and one for its address. A connection that
/// did not give its place back would keep out the next one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn places_are_given_back_however_a_connection_ends() {
    let setup = Setup {
        server: ServerConfig { max_connections: 2, ..ServerConfig::default() },
        access: AccessConfig { max_per_address: 1, ..AccessConfig::default() },
        ..server::setup()
    };
    let limited = LimitedServer::open(app(), setup).await;
    for _ in 0..3 {
        for (ending, cause) in ENDINGS {
            println!("{ending:?}");
            ending.happen(&limited, cause).await;
        }
    }
    let mut last = Client::connect(&limited.tcp()).await;
    assert_eq!(last.request(ECHO, "[]").await, b"[]");
    assert_eq!((limited.server.stats().connections_open, limited.server.sessions().len()), (2, 2));
    drop(last);
    let closes = [("client-closed", 19), ("framing", 3), ("kicked", 3), ("protocol", 3), ("transport", 6)];
    limited.end(&closes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn places_are_given_back_by_a_codec_that_fails() {
    let setup = Setup {
        server: ServerConfig { max_connections: 1, ..ServerConfig::default() },
        access: AccessConfig { max_per_address: 1, ..AccessConfig::default() },
        ..server::setup()
    };
    let guest = Guest::new("broken").with(DecodeBatch, bodies::TRAP).build();
    let codec = wireplug::CodecSource::bytes("broken", guest, serde_json::json!({}));
    let server = server::serve(app(), setup, [codec]).await;
    for n in 1..=5 {
        let mut raw = Raw::connect(&server.tcp()).await;
        raw.send(b"?\n").await;
        assert_eq!(raw.rest().await, b"");
        closed(raw.address(), "codec-trap", "").await;
        assert_eq!(server.stats().closes, [("codec-trap", n)].into());
    }
    server.until("all gone", |stats| stats.connections_open == 0).await;
    assert!(server.sessions().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn places_are_given_back_after_a_time_out() {
    let short = Duration::from_millis(300);
    let setup = Setup {
        server: ServerConfig { max_connections: 2, ..ServerConfig::default() },
        access: AccessConfig { max_per_address: 1, ..AccessConfig::default() },
        client: ClientLimits { handshake_timeout: short, ..ordinary() },
        ..server::setup()
    };
    let limited = LimitedServer::open(app(), setup).await;
    for _ in 0..3 {
        for said in [&b""[..], b"\x01", b"GET / HT"] {
            let mut raw = Raw::connect(&limited.tcp()).await;
            raw.send(said).await;
            assert_eq!(raw.rest().await, b"");
            closed(raw.address(), "handshake-timeout", "the handshake took too long").await;
        }
    }
    limited.end(&[("handshake-timeout", 9)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_many_as_there_are_places_and_no_more() {
    let setup =
        Setup { server: ServerConfig { max_connections: 4, ..ServerConfig::default() }, ..server::setup() };
    let limited = LimitedServer::open(app(), setup).await;
    let mut clients = [
        Client::connect(&limited.tcp()).await,
        Client::connect(&limited.ws()).await,
        Client::open(&limited.tcp()).await,
    ];
    limited.server.until("all to be there", |stats| stats.connections_open == 4).await;
    for url in [limited.tcp(), limited.server.tcp_of(1)] {
        let mut more = Raw::connect(&url).await;
        assert_eq!(more.rest().await, b"");
        closed(more.address(), "server-full", "too many connections").await;
    }
    for client in &mut clients[..2] {
        assert_eq!(client.request(ECHO, "[]").await, b"[]");
    }
    drop(clients);
    limited.end(&[("client-closed", 3), ("server-full", 2)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_many_as_an_address_may_have_and_no_more() {
    let limit = AccessConfig { max_per_address: 2, ..AccessConfig::default() };
    let limited = LimitedServer::open(app(), access(limit)).await;
    let (tcp, ws) = (limited.tcp(), limited.ws());
    let first = Raw::connect_from("127.0.0.2", &tcp).await.shake_hands().await;
    let upgraded = Raw::connect_from("127.0.0.2", &tcp).await;
    let mut second = RawWebSocket::upgrade(upgraded, &ws).await;
    for _ in 0..3 {
        let mut third = Raw::connect_from("127.0.0.2", &tcp).await;
        third.send(&hello()).await;
        assert_eq!(third.rest().await, b"");
        closed(third.address(), "address-full", "too many connections from this address").await;
    }
    // Another address has places of its own.
    let others = [Raw::connect_from("127.0.0.3", &tcp).await, Raw::connect_from("127.0.0.3", &tcp).await];
    for other in others {
        other.shake_hands().await;
    }
    // When a client leaves, another can connect.
    let peer = first.address();
    drop(first);
    closed(peer, "client-closed", "").await;
    let again = Raw::connect_from("127.0.0.2", &tcp).await.shake_hands().await;
    second.send(Message::binary(hello())).await;
    second.message().await.expect("an answer to the handshake");
    drop((again, second));
    limited.end(&[("address-full", 3), ("client-closed", 5)]).await;
}

/// A client that sends nothing, or never completes its upgrade, uses a place of its address too.
/// Otherwise one address could take all places.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_silent_count_too() {
    for (url, said) in [
        ("hybrid://127.0.0.1:0", &b""[..]),
        ("hybrid://127.0.0.1:0", b"GE"),
        ("ws://127.0.0.1:0", b""),
        ("ws://127.0.0.1:0", b"GET / HTTP/1.1\r\n"),
        ("tcp://127.0.0.1:0", b""),
    ] {
        let limit = AccessConfig { max_per_address: 2, ..AccessConfig::default() };
        let server = server::pomelo_with(app(), Setup { url, ..access(limit) }).await;
        let connect = async || {
            let mut raw = Raw::connect_from("127.0.0.2", &server.tcp()).await;
            raw.send(said).await;
            raw
        };
        let [mut one, mut two, mut three] = [connect().await, connect().await, connect().await];
        // Each connection is admitted in a task of its own, so it need not be the last one.
        let (rest, refused) = tokio::select! {
            rest = one.rest() => (rest, one.address()),
            rest = two.rest() => (rest, two.address()),
            rest = three.rest() => (rest, three.address()),
        };
        assert_eq!(rest, b"", "{url} {said:?}");
        closed(refused, "address-full", "").await;
        server.until("two silent ones", |stats| stats.connections_open == 2).await;
        drop((one, two, three));
        server.until("all gone", |stats| stats.connections_open == 0).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_allowed_and_not_the_denied() {
    let networks = |list: &[&str]| list.iter().map(|network| network.parse().expect("a network")).collect();
    let lists = AccessConfig {
        allow: networks(&["127.0.0.0/29"]),
        deny: networks(&["127.0.0.3/32"]),
        ..AccessConfig::default()
    };
    let limited = LimitedServer::open(app(), access(lists)).await;
    for source in ["127.0.0.2", "127.0.0.4", "127.0.0.7"] {
        let raw = Raw::connect_from(source, &limited.tcp()).await.shake_hands().await;
        let peer = raw.address();
        drop(raw);
        closed(peer, "client-closed", "").await;
    }
    for source in ["127.0.0.3", "127.0.0.8", "127.1.0.2"] {
        for said in [hello(), b"GET / HTTP/1.1\r\n".to_vec()] {
            let mut raw = Raw::connect_from(source, &limited.tcp()).await;
            raw.send(&said).await;
            assert_eq!(raw.rest().await, b"", "{source}");
            closed(raw.address(), "denied", "the address is not let in").await;
        }
    }
    limited.end(&[("client-closed", 3), ("denied", 6)]).await;
}
