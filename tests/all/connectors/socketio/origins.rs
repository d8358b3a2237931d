//! Web pages of other origins: which of them may connect over either transport, and the headers
//! that browsers receive.

use tokio::net::TcpStream;
use wireplug::{Listener, RunningServer};

use super::{URL, address, app, ends, exchange, serve, try_serve};

async fn listening(origins: &[&str], paths: &[&str]) -> RunningServer {
    let mut listener = Listener::at(URL);
    listener.websocket.origins = origins.iter().map(|&origin| origin.to_owned()).collect();
    listener.websocket.paths = paths.iter().map(|&path| path.to_owned()).collect();
    serve(app(), listener).await
}

/// Returns the head of the answer to a request with these headers, in small letters.
async fn answer(server: &RunningServer, method: &str, query: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(address(server)).await.expect("it listens");
    let request = format!("{method} {query} HTTP/1.1\r\nHost: here\r\n{headers}\r\n");
    exchange(&mut stream, &request).await.to_lowercase()
}

const POLLING: &str = "/socket.io/?EIO=4&transport=polling";
const SOCKET: &str = "/socket.io/?EIO=4&transport=websocket";
const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: \
                       dGhlIHNhbXBsZSBub25jZQ==\r\n";

#[tokio::test]
async fn the_list_holds_for_both_transports() {
    let server = listening(&["https://example.org"], &[]).await;
    let (listed, other) = ("Origin: https://example.org\r\n", "Origin: https://evil.org\r\n");
    for (query, more, status) in [(POLLING, "", "http/1.1 200"), (SOCKET, UPGRADE, "http/1.1 101")] {
        let head = answer(&server, "GET", query, &format!("{listed}{more}")).await;
        assert!(head.starts_with(status), "{head}");
        assert!(head.contains("access-control-allow-origin: https://example.org\r\n"), "{head}");
        let head = answer(&server, "GET", query, &format!("{other}{more}")).await;
        assert!(head.starts_with("http/1.1 403") && !head.contains("access-control-allow-origin"), "{head}");
        // Clients that are not browsers send no origin.
        assert!(answer(&server, "GET", query, more).await.starts_with(status));
    }
    let asks = "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: x-token\r\n";
    let head = answer(&server, "OPTIONS", POLLING, &format!("{listed}{asks}")).await;
    assert!(
        head.starts_with("http/1.1 204") && head.contains("access-control-allow-headers: x-token"),
        "{head}"
    );
    let head = answer(&server, "OPTIONS", POLLING, &format!("{other}{asks}")).await;
    assert!(head.starts_with("http/1.1 403"), "{head}");
    server.shutdown().await;
}

#[tokio::test]
async fn without_a_list_all_may_connect_and_browsers_get_no_headers() {
    let server = listening(&[], &[]).await;
    let head = answer(&server, "GET", SOCKET, &format!("Origin: https://evil.org\r\n{UPGRADE}")).await;
    assert!(head.starts_with("http/1.1 101") && !head.contains("access-control"), "{head}");
    server.shutdown().await;
}

#[tokio::test]
async fn paths_may_be_others() {
    let server = listening(&[], &["/game/"]).await;
    assert!(answer(&server, "GET", POLLING, "").await.starts_with("http/1.1 404"));
    let there = POLLING.replace("socket.io", "game");
    assert!(answer(&server, "GET", &there, "").await.starts_with("http/1.1 200"));
    server.shutdown().await;
}

#[tokio::test]
async fn it_has_no_subprotocols() {
    let mut listener = Listener::at(URL);
    listener.websocket.subprotocols = vec!["pomelo".to_owned()];
    let error = try_serve(app(), listener).await.err().expect("it has no effect");
    assert!(format!("{error:#}").contains("subprotocols"), "{error:#}");
}

/// A client that sends more bytes after its upgrade request, without waiting for the answer, is
/// closed.
#[tokio::test]
async fn who_does_not_wait_for_the_upgrade_is_ended() {
    let server = listening(&[], &[]).await;
    let mut stream = TcpStream::connect(address(&server)).await.expect("it listens");
    let request = format!("GET {SOCKET} HTTP/1.1\r\nHost: here\r\n{UPGRADE}\r\n\u{1}\u{1}");
    exchange(&mut stream, &request).await;
    ends(&server, "transport").await;
    server.shutdown().await;
}
