//! How a WebSocket opens: access lists, negotiation, the attributes that the application sees, and
//! the answers that HTTP clients receive.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use wireplug::app::Json;
use wireplug::config::WebSocketConfig;
use wireplug::{App, CodecSource, Listener, RunningServer, Session};
use wireplug_core::codec::{Abilities, Codec, CodecError, CodecSession, Description, Instant, Peer};
use wireplug_tests::raw::Raw;
use wireplug_tests::{log, until, within};

use super::netstring::codec::Lines;
use super::{address, app, lines, run, serve, socket};

pub const UPGRADE: &str = "Host: here\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

async fn with(websocket: WebSocketConfig) -> RunningServer {
    with_codec(websocket, lines()).await
}

async fn with_codec(websocket: WebSocketConfig, codec: CodecSource) -> RunningServer {
    log::init();
    let app: App = app().route("me", |session: Session| async move {
        let attributes = &session.client().attributes;
        Json(
            attributes
                .iter()
                .map(|(name, value)| (name.clone(), json!(value)))
                .collect::<Map<String, Value>>(),
        )
    });
    let mut listener = Listener::new("ws://127.0.0.1:0", codec);
    listener.websocket = websocket;
    serve(app, listener).await
}

fn list(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Sends a request. Returns the whole answer, or only its head if it opens a WebSocket, and the
/// line that logs the connection's end, if it has ended.
async fn request(server: &RunningServer, request: &str) -> (String, Option<String>) {
    let (mut socket, peer) = socket(server).await;
    socket.write_all(request.as_bytes()).await.expect("it reads");
    let mut answer = Vec::new();
    loop {
        // The connection may be reset if the server has not read all bytes.
        let read = within("an answer", socket.read_buf(&mut answer)).await.unwrap_or(0);
        let text = String::from_utf8_lossy(&answer);
        if text.starts_with("HTTP/1.1 101 ") && text.ends_with("\r\n\r\n") {
            return (text.into_owned(), None);
        }
        if read == 0 {
            break;
        }
    }
    drop(socket);
    (String::from_utf8_lossy(&answer).into_owned(), Some(log::closing_line(peer).await))
}

// === access lists ===

#[tokio::test]
async fn paths_and_origins_are_lists() {
    let server = with(WebSocketConfig {
        paths: list(&["/game", "/chat"]),
        origins: list(&["https://example.org", "null"]),
        ..WebSocketConfig::default()
    })
    .await;
    let answers = [
        ("/game", None, "101"),
        ("/game?room=1", None, "101"),
        ("/chat", Some("https://example.org"), "101"),
        ("/chat", Some("HTTPS://EXAMPLE.org"), "101"),
        ("/chat", Some("null"), "101"),
        ("/", None, "404"),
        ("/game/", None, "404"),
        ("/Game", None, "404"),
        ("/chat", Some("https://example.org:8443"), "403"),
        ("/chat", Some("http://example.org"), "403"),
        ("/chat", Some("https://evil.example"), "403"),
        ("/chat", Some(""), "403"),
        ("/chat", Some("https://example.org\r\nOrigin: https://evil.example"), "403"),
    ];
    let mut forbidden = 0;
    for (path, origin, status) in answers {
        let origin_line = origin.map(|origin| format!("Origin: {origin}\r\n")).unwrap_or_default();
        let (answer, end) =
            request(&server, &format!("GET {path} HTTP/1.1\r\n{origin_line}{UPGRADE}\r\n")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path} {origin:?}: {answer}");
        if status != "101" {
            forbidden += 1;
            let end = end.expect("it ended");
            assert!(end.contains("forbidden: the ") && end.contains("cause=\"forbidden\""), "{end}");
        }
    }
    assert_eq!(server.shutdown().await.closes.get("forbidden"), Some(&forbidden));
}

#[tokio::test]
async fn without_lists_all_are_let_in() {
    let server = with(WebSocketConfig::default()).await;
    for head in ["GET / HTTP/1.1\r\n", "GET /any/path HTTP/1.1\r\nOrigin: https://evil.example\r\n"] {
        let (answer, _) = request(&server, &format!("{head}{UPGRADE}\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        assert!(!answer.to_ascii_lowercase().contains("sec-websocket-protocol"), "{answer}");
        assert!(!answer.to_ascii_lowercase().contains("sec-websocket-extensions"), "{answer}");
    }
}

// === negotiation and attributes ===

#[tokio::test]
async fn the_first_subprotocol_that_both_speak_is_chosen() {
    let server =
        with(WebSocketConfig { subprotocols: list(&["v2", "v1"]), ..WebSocketConfig::default() }).await;
    for (offered, chosen) in [
        ("v1, v2", Some("v2")),
        ("v1", Some("v1")),
        ("v3,v1", Some("v1")),
        ("v3\r\nSec-WebSocket-Protocol: v2", Some("v2")),
        ("v3", None),
        ("V2", None),
    ] {
        let head = format!("GET / HTTP/1.1\r\n{UPGRADE}Sec-WebSocket-Protocol: {offered}\r\n\r\n");
        let (answer, _) = request(&server, &head).await;
        let header = answer.to_ascii_lowercase();
        let header = header.lines().find_map(|line| line.strip_prefix("sec-websocket-protocol: "));
        assert_eq!(header, chosen, "{offered}");
    }
}

/// A codec that reports the peers for which it opens sessions.
struct Tells(Lines, mpsc::UnboundedSender<Peer>);

impl Codec for Tells {
    fn description(&self) -> &Description {
        self.0.description()
    }

    fn abilities(&self) -> Abilities {
        self.0.abilities()
    }

    fn open(&self, peer: Peer, now: Instant) -> Result<Box<dyn CodecSession>, CodecError> {
        let _ = self.1.send(peer.clone());
        self.0.open(peer, now)
    }
}

#[tokio::test]
async fn codec_and_application_see_how_a_client_came() {
    let (tell, mut peers) = mpsc::unbounded_channel();
    let rules = WebSocketConfig {
        paths: list(&["/game"]),
        origins: list(&["https://example.org"]),
        subprotocols: list(&["v2"]),
        headers: list(&["Authorization", "x-forwarded-for", "Cookie", "X-Absent"]),
        ..WebSocketConfig::default()
    };
    let server = with_codec(rules, CodecSource::native(Arc::new(Tells(Lines::default(), tell)))).await;
    let url = format!("ws://{}/game?room=1&name=%C3%A9", address(&server));
    let mut request = url.into_client_request().expect("a request");
    request.headers_mut().insert("Origin", "https://example.org".parse().expect("a value"));
    request.headers_mut().insert("Sec-WebSocket-Protocol", "v1, v2".parse().expect("a value"));
    for (name, value) in [
        ("authorization", "Basic Y3A6MQ=="),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-for", "192.0.2.2"),
        ("cookie", "a=1"),
        ("cookie", "b=2"),
        ("x-unnamed", "hidden"),
    ] {
        request.headers_mut().append(name, value.parse().expect("a value"));
    }
    let stream = TcpStream::connect(address(&server)).await.expect("it listens");
    let (mut client, _) = within("an upgrade", client_async(request, stream)).await.expect("it upgrades");
    use futures_util::{SinkExt as _, StreamExt as _};
    client.send(Frame::text("1 me")).await.expect("it reads");
    let answer =
        within("an answer", client.next()).await.expect("one").expect("whole").into_text().expect("text");
    let me: Value = serde_json::from_str(answer.strip_prefix("1 200 ").expect("an answer")).expect("JSON");
    let wanted = json!({
        "path": "/game", "query": "room=1&name=%C3%A9", "host": address(&server),
        "origin": "https://example.org", "subprotocol": "v2",
        "header:authorization": "Basic Y3A6MQ==", "header:x-forwarded-for": "192.0.2.1, 192.0.2.2",
        "header:cookie": "a=1; b=2",
    });
    assert_eq!(me, wanted);
    let peer = peers.recv().await.expect("a session was opened");
    let seen: Map<String, Value> =
        peer.attributes.into_iter().map(|(name, value)| (name, json!(value))).collect();
    assert_eq!(Value::Object(seen), wanted);
}

/// Opens a WebSocket with these header fields. Returns the first bytes of the answer.
async fn upgraded(server: &RunningServer, fields: &str) -> Raw {
    let mut client = Raw::connect(&server.urls()[0].replace("ws://", "tcp://")).await;
    client.send(format!("GET / HTTP/1.1\r\n{UPGRADE}{fields}\r\n").as_bytes()).await;
    client
}

#[tokio::test]
async fn a_trusted_proxy_names_its_client() {
    let (tell, mut peers) = mpsc::unbounded_channel();
    let codec = CodecSource::native(Arc::new(Tells(Lines::default(), tell)));
    let mut listener = Listener::new("ws://127.0.0.1:0", codec);
    listener.websocket.trusted_proxies = vec!["127.0.0.1/32".parse().expect("a network")];
    listener.access.deny = vec!["198.51.100.0/24".parse().expect("a network")];
    log::init();
    let server = serve(app(), listener).await;
    let mut client = upgraded(&server, "X-Forwarded-For: 6.6.6.6, 203.0.113.7\r\n").await;
    assert_eq!(client.line().await, "HTTP/1.1 101 Switching Protocols\r");
    assert_eq!(peers.recv().await.expect("a session").address, "203.0.113.7:0");
    // The lists of networks judge the address of the client.
    let mut denied =
        upgraded(&server, "X-Forwarded-For: 198.51.100.1:80\r\nForwarded: for=6.6.6.6\r\n").await;
    while denied.try_line().await.is_some() {}
    // Nobody else can name an address.
    let mut raw = Raw::connect_from("127.0.0.2", &server.urls()[0].replace("ws://", "tcp://")).await;
    raw.send(format!("GET / HTTP/1.1\r\n{UPGRADE}X-Forwarded-For: 203.0.113.7\r\n\r\n").as_bytes()).await;
    assert!(peers.recv().await.expect("a session").address.starts_with("127.0.0.2:"));
    drop(raw);
    let closes = server.shutdown().await.closes;
    assert_eq!(closes.get("denied"), Some(&1), "{closes:?}");
}

#[tokio::test]
async fn a_silent_client_gets_pings() {
    let (server, mut client) = pinged(Duration::from_millis(200)).await;
    for _ in 0..4 {
        client.expect(&[0x89, 0]).await;
        client.send(&[0x8a, 0x80, 0, 0, 0, 0]).await;
    }
    assert_eq!(server.sessions().len(), 1);
    server.shutdown().await;
}

#[tokio::test]
async fn a_client_that_answers_no_ping_is_closed() {
    let (server, mut client) = pinged(Duration::from_millis(20)).await;
    client.expect(&[0x89, 0, 0x89, 0, 0x89, 0, 0x88]).await;
    until("its end", || async { server.sessions().is_empty() }).await;
    assert_eq!(server.shutdown().await.closes["transport"], 1);
}

/// Returns a server that sends pings, and a client of it whose WebSocket is open.
async fn pinged(ping_interval: Duration) -> (RunningServer, Raw) {
    let server = with(WebSocketConfig { ping_interval, ..WebSocketConfig::default() }).await;
    let mut client = upgraded(&server, "").await;
    while client.line().await != "\r" {}
    (server, client)
}

#[tokio::test]
async fn health_checks_are_answered_where_that_is_wanted() {
    for health in [true, false] {
        let paths = list(&["/game"]);
        let server = with(WebSocketConfig { health, paths, ..WebSocketConfig::default() }).await;
        for (request, wanted) in [
            ("GET /readyz", "HTTP/1.1 200 OK\r"),
            ("HEAD /livez", "HTTP/1.1 200 OK\r"),
            ("POST /livez", "HTTP/1.1 405 Method Not Allowed\r"),
        ] {
            let mut client = Raw::connect(&server.urls()[0].replace("ws://", "tcp://")).await;
            client.send(format!("{request} HTTP/1.1\r\nHost: here\r\n\r\n").as_bytes()).await;
            let status = client.line().await;
            assert_eq!(status == wanted, health || request.starts_with("POST"), "{request}: {status}");
            while client.try_line().await.is_some() {}
        }
        until("their ends", || async { server.stats().connections_open == 0 }).await;
        let closes = server.shutdown().await.closes;
        let probes = if health { 3 } else { 0 };
        assert_eq!(closes.get("client-closed").copied().unwrap_or_default(), probes, "{closes:?}");
    }
}

// === requests that do not upgrade ===

#[tokio::test]
async fn http_clients_get_an_answer() {
    let server = with(WebSocketConfig::default()).await;
    let other_version = UPGRADE.replace("13", "8");
    let without_key = UPGRADE.replace("Sec-WebSocket-Key", "X");
    let bad_key = UPGRADE.replace("dGhlIHNhbXBsZSBub25jZQ==", "short");
    let early = format!("GET / HTTP/1.1\r\n{UPGRADE}\r\n\u{1}");
    let long = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(17 << 10));
    let requests = [
        ("GET / HTTP/1.1\r\nHost: here\r\n\r\n".to_owned(), "426 Upgrade Required\r\nUpgrade: websocket\r\n"),
        (
            format!("GET / HTTP/1.1\r\n{other_version}\r\n"),
            "426 Upgrade Required\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13",
        ),
        (format!("GET / HTTP/1.1\r\n{without_key}\r\n"), "400 Bad Request"),
        (format!("GET / HTTP/1.1\r\n{bad_key}\r\n"), "400 Bad Request"),
        (
            format!("POST / HTTP/1.1\r\n{UPGRADE}Content-Length: 3\r\n\r\nabc"),
            "405 Method Not Allowed\r\nAllow: GET, HEAD, OPTIONS",
        ),
        (format!("GET / HTTP/1.0\r\n{UPGRADE}\r\n"), "426 Upgrade Required\r\nUpgrade: websocket\r\n"),
        ("GET / HTTP/1.0\r\n\r\n".to_owned(), "426 Upgrade Required\r\nUpgrade: websocket\r\n"),
        ("GET /\r\n\r\n".to_owned(), "400 Bad Request"),
        ("OPTIONS * HTTP/1.1\r\nHost: here\r\n\r\n".to_owned(), "200 OK\r\nAllow: GET, HEAD, OPTIONS"),
        ("PRI * HTTP/2.0\r\n\r\n".to_owned(), "505 HTTP Version Not Supported"),
        (format!("GET / HTTP/1.1\r\nHost: there\r\n{UPGRADE}\r\n"), "400 Bad Request"),
        (format!("GET / HTTP/1.1\r\n{UPGRADE}Content-Length: 1\r\n\r\n"), "400 Bad Request"),
        (
            format!("GET / HTTP/1.1\r\n{UPGRADE}Content-Length: 0\r\nContent-Length: 1\r\n\r\n"),
            "400 Bad Request",
        ),
        (format!("GET / HTTP/1.1\r\n{UPGRADE}Transfer-Encoding: chunked\r\n\r\n"), "400 Bad Request"),
        (
            format!("GET / HTTP/1.1\r\n{UPGRADE}Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"),
            "400 Bad Request",
        ),
        (format!("GET / HTTP/1.1\r\nno header\r\n{UPGRADE}\r\n"), "400 Bad Request"),
        (early, "400 Bad Request"),
        (long, "431 Request Header Fields Too Large"),
    ];
    let count = requests.len() as u64;
    for (said, status) in requests {
        let (answer, end) = request(&server, &said).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{said}{answer}");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        assert!(head.contains("\r\nConnection: close"), "{head}");
        assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())), "{answer}");
        let end = end.expect("it ended");
        let number = &status[..3];
        assert!(
            end.contains(&format!("transport: a request that opens no WebSocket, answered with {number}: ")),
            "{end}"
        );
    }
    assert_eq!(server.shutdown().await.closes, [("transport", count)].into());
}

/// Header fields are lists over several lines (RFC 9110, section 5.3), an empty line may come
/// first, and a line feed alone ends a line (RFC 9112, section 2.2).
#[tokio::test]
async fn every_legal_request_opens_a_websocket() {
    let server = with(WebSocketConfig { subprotocols: list(&["v2"]), ..WebSocketConfig::default() }).await;
    let legal = |from: &str, to: &str| format!("GET / HTTP/1.1\r\n{}\r\n", UPGRADE.replace(from, to));
    let requests = [
        legal("Connection: Upgrade", "Connection: keep-alive\r\nConnection: Upgrade"),
        legal("Connection: Upgrade", "Connection: keep-alive,\tUpgrade"),
        legal("Connection: Upgrade", "connection:upgrade,keep-alive"),
        legal("Connection: Upgrade", "Connection: , ,\tUPGRADE\t,"),
        legal("Upgrade: websocket", "Upgrade: websocket, h2c"),
        legal("Upgrade: websocket", "Upgrade: h2c\r\nUpgrade:\tWebSocket"),
        legal("Version: 13", "Version: 8, 13"),
        legal("Host: here\r\n", "Host: here\r\nContent-Length: 0\r\n"),
        legal(
            "Host: here",
            "Host: here\r\nSec-WebSocket-Extensions: a\r\nSec-WebSocket-Extensions: b; c=1,\td",
        ),
        format!("\r\nGET / HTTP/1.1\r\n{UPGRADE}\r\n"),
        format!("\r\n\r\nGET / HTTP/1.1\r\n{UPGRADE}\r\n"),
        format!("GET / HTTP/1.1\r\n{UPGRADE}\r\n").replace("\r\n", "\n"),
        format!("GET http://here/ HTTP/1.1\r\n{UPGRADE}\r\n"),
    ];
    for said in requests {
        let (answer, _) = request(&server, &said).await;
        assert!(answer.starts_with("HTTP/1.1 101 "), "{said}{answer}");
    }
    let chosen =
        legal("Host: here", "Host: here\r\nSec-WebSocket-Protocol: v1\r\nSec-WebSocket-Protocol: v3,\tv2");
    let (answer, _) = request(&server, &chosen).await;
    assert!(answer.to_lowercase().contains("\r\nsec-websocket-protocol: v2\r\n"), "{answer}");
}

/// The answer to a HEAD request equals that to a GET request without the body (RFC 9110, section
/// 9.3.2).
#[tokio::test]
async fn a_head_gets_no_body() {
    let server = with(WebSocketConfig::default()).await;
    let (get, _) = request(&server, "GET / HTTP/1.1\r\nHost: here\r\n\r\n").await;
    let length = get.split_once("\r\n\r\n").expect("a head").1.len();
    for said in ["HEAD / HTTP/1.1\r\nHost: here\r\n\r\n", "\r\nHEAD / HTTP/1.0\r\n\r\n"] {
        let (answer, _) = request(&server, said).await;
        assert!(answer.starts_with("HTTP/1.1 426 ") && answer.ends_with("\r\n\r\n"), "{answer}");
        assert!(answer.contains("\r\nConnection: close, Upgrade\r\n"), "{answer}");
        let length_header =
            answer.lines().find_map(|line| line.strip_prefix("Content-Length: ")).expect("a length");
        assert!(length_header.parse::<usize>().expect("a number") > 0 && length > 0, "{answer}");
    }
}

#[tokio::test]
async fn a_head_has_16_kib() {
    const MAX: usize = 16 << 10;
    for url in ["ws://127.0.0.1:0", "hybrid://127.0.0.1:0"] {
        let server = serve(app(), Listener::new(url, lines())).await;
        for (length, status) in [(MAX, "101"), (MAX + 1, "431"), (2 * MAX, "431")] {
            let around = format!("GET / HTTP/1.1\r\n{UPGRADE}X: \r\n\r\n").len();
            let filler = "x".repeat(length - around);
            let said = format!("GET / HTTP/1.1\r\n{UPGRADE}X: {filler}\r\n\r\n");
            assert_eq!(said.len(), length);
            let (answer, _) = request(&server, &said).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{url} {length}: {answer}");
            assert!(status == "101" || answer.contains("more than 16384 bytes"), "{answer}");
        }
        server.shutdown().await;
    }
}

#[tokio::test]
async fn what_is_no_http_is_not_waited_for() {
    let server = with(WebSocketConfig::default()).await;
    for said in ["1 echo hello", "\u{1}\0\0\u{2}{}", "get / HTTP/1.1"] {
        let (answer, end) = request(&server, said).await;
        assert_eq!(answer, "", "{said}");
        let end = end.expect("it ended");
        assert!(
            end.contains("transport: the client speaks no HTTP, and this listener only WebSocket"),
            "{end}"
        );
    }
}

#[tokio::test]
async fn curl_is_asked_to_upgrade() {
    let server = with(WebSocketConfig { paths: list(&["/game"]), ..WebSocketConfig::default() }).await;
    let curl = async |arguments: &[&str], path: &str| {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--output", "-", "--write-out", " %{http_code}", "--max-time", "20"]);
        curl.args(arguments).arg(format!("http://{}{path}", address(&server)));
        let output = run(curl).await;
        assert!(output.status.success(), "{}", output.status);
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let output = curl(&[], "/game").await;
    assert!(output.contains("This is a WebSocket server") && output.ends_with(" 426"), "{output}");
    let output = curl(&["--data", "a=b"], "/game").await;
    assert!(output.ends_with(" 405"), "{output}");
    let headers: Vec<&str> = UPGRADE.lines().flat_map(|line| ["--header", line]).collect();
    let output = curl(&headers, "/other").await;
    assert!(output.contains("the path /other is not served") && output.ends_with(" 404"), "{output}");
}
