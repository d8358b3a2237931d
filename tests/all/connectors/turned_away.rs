//! Clients of WebSocket that cannot connect get an answer before the upgrade.

use wireplug::config::{AccessConfig, ServerConfig, WebSocketConfig};
use wireplug::{Listener, RunningServer, Server};
use wireplug_tests::raw::Raw;
use wireplug_tests::server::setup;
use wireplug_tests::{log, until, within};

use super::websocket::UPGRADE;
use super::{app, lines};

async fn start(url: &str, max_connections: u32, edit: impl FnOnce(&mut Listener)) -> RunningServer {
    log::init();
    let mut listener = Listener::new(url, lines());
    edit(&mut listener);
    let config = ServerConfig { max_connections, ..ServerConfig::default() };
    let server = Server::new(app()).config(config).compile(setup().compile).listener(listener);
    server.start().await.expect("it starts")
}

/// Requests a WebSocket, or something else, with these header fields. Returns the answer, and the
/// line that logs the connection's end.
async fn request(server: &RunningServer, line: &str, fields: &str) -> (String, String) {
    let mut raw = Raw::connect(&server.urls()[0]).await;
    raw.send(format!("{line} HTTP/1.1\r\n{UPGRADE}{fields}\r\n").as_bytes()).await;
    let answer = String::from_utf8(raw.rest().await).expect("text");
    (answer, within("its line", log::closing_line(raw.address())).await)
}

#[tokio::test]
async fn a_full_server_and_a_full_address_answer_with_503() {
    let one = AccessConfig { max_per_address: 1, ..AccessConfig::default() };
    for url in ["ws://127.0.0.1:0", "hybrid://127.0.0.1:0"] {
        for (max, access, cause) in
            [(1, AccessConfig::default(), "server-full"), (9, one.clone(), "address-full")]
        {
            let server = start(url, max, |listener| {
                listener.access = access;
                listener.websocket.health = true;
            })
            .await;
            let mut inside = Raw::connect(&server.urls()[0]).await;
            inside.send(format!("GET / HTTP/1.1\r\n{UPGRADE}\r\n").as_bytes()).await;
            inside.expect(b"HTTP/1.1 101 ").await;

            let (answer, line) = request(&server, "GET /", "").await;
            assert!(
                answer.starts_with("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 10\r\n"),
                "{answer}"
            );
            assert!(answer.contains("\r\n\r\ntoo many connections"), "{answer}");
            assert!(line.contains(&format!("cause=\"{cause}\"")), "{line}");
            // A health check is answered, and is no client that was turned away.
            let (answer, line) = request(&server, "GET /livez", "").await;
            assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\nok\n"), "{answer}");
            assert!(line.contains("cause=\"client-closed\""), "{line}");
            // Other clients see their connection end.
            if url.starts_with("hybrid") {
                let mut raw = Raw::connect(&server.urls()[0]).await;
                raw.send(b"1 echo a\n").await;
                assert_eq!(raw.rest().await, b"");
            }
            drop(inside);
            until("its place is free", || async { server.stats().connections_open == 0 }).await;
            let mut next = Raw::connect(&server.urls()[0]).await;
            next.send(format!("GET / HTTP/1.1\r\n{UPGRADE}\r\n").as_bytes()).await;
            next.expect(b"HTTP/1.1 101 ").await;
            drop(next);
            server.shutdown().await;
        }
    }
}

/// The address of a client behind a proxy is known only from its request.
#[tokio::test]
async fn a_client_behind_a_proxy_is_turned_away_by_its_own_address() {
    let server = start("ws://127.0.0.1:0", 9, |listener| {
        let trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
        listener.websocket = WebSocketConfig { trusted_proxies, ..WebSocketConfig::default() };
        listener.access.max_per_address = 1;
        listener.access.deny = vec!["203.0.113.9/32".parse().expect("a network")];
    })
    .await;
    let of = |address: &str| format!("X-Forwarded-For: {address}\r\n");
    let mut inside = Raw::connect(&server.urls()[0]).await;
    inside.send(format!("GET / HTTP/1.1\r\n{UPGRADE}{}\r\n", of("203.0.113.7")).as_bytes()).await;
    inside.expect(b"HTTP/1.1 101 ").await;
    for (address, status, cause) in [("203.0.113.7", "503", "address-full"), ("203.0.113.9", "403", "denied")]
    {
        let (answer, line) = request(&server, "GET /", &of(address)).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert_eq!(answer.contains("\r\nRetry-After: "), status == "503", "{answer}");
        assert!(line.contains(&format!("cause=\"{cause}\"")), "{line}");
    }
    let mut other = Raw::connect(&server.urls()[0]).await;
    other.send(format!("GET / HTTP/1.1\r\n{UPGRADE}{}\r\n", of("203.0.113.8")).as_bytes()).await;
    other.expect(b"HTTP/1.1 101 ").await;
    drop((inside, other));
    server.shutdown().await;
}
