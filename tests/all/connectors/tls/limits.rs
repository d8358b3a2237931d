//! The limits of a listener with TLS: deadlines of the handshake, load balancers, and invalid
//! settings. `connectors::limits` tests the limits after the handshake for all transports.

use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use wireplug::config::{ClientLimits, TlsConfig, WebSocketConfig};
use wireplug::{App, Config, Listener, RunningServer, Server, Session};
use wireplug_tests::folder::Folder;
use wireplug_tests::{log, server, within};

use super::{AUTHORITY, LineClient, address, lines, serve};
use crate::connectors::{app, socket, try_serve};

const SHORT: Duration = Duration::from_millis(300);

/// The first bytes of a ClientHello.
const HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";

async fn with(folder: &Folder, app: App, change: impl FnOnce(&mut Listener)) -> RunningServer {
    log::init();
    let mut listener = Listener::new("tls://127.0.0.1:0", lines());
    listener.tls = Some(AUTHORITY.issue(folder, "server"));
    change(&mut listener);
    serve(app, listener).await
}

#[tokio::test]
async fn a_handshake_has_the_deadlines_of_any_client() {
    let folder = Folder::new("tls-deadlines");
    let ordinary = server::setup().client;
    for (said, limits, cause) in [
        (&b""[..], ClientLimits { first_byte_timeout: SHORT, ..ordinary }, "first-byte-timeout"),
        (
            HELLO,
            ClientLimits { handshake_timeout: SHORT, first_byte_timeout: SHORT, ..ordinary },
            "handshake-timeout",
        ),
    ] {
        let server = with(&folder, app(), |listener| listener.limits = limits).await;
        let mut slow = TcpStream::connect(address(&server)).await.expect("it listens");
        slow.write_all(said).await.expect("it reads");
        // The slow client does not delay other clients.
        let mut other = super::connect(&server).await;
        assert_eq!(other.ask("1 echo a").await, "1 200 a");
        assert_eq!(within("its end", slow.read(&mut [0])).await.unwrap_or(0), 0);
        drop(other);
        let stats = server.shutdown().await;
        assert_eq!(stats.closes.get(cause), Some(&1), "{stats}");
    }
}

/// A load balancer's header comes before TLS. The handshake comes from the client itself.
#[tokio::test]
async fn a_proxy_header_comes_before_tls() {
    let folder = Folder::new("tls-proxy");
    let app = app()
        .route("address", |session: Session| async move { Bytes::from(session.client().address.clone()) });
    let server = with(&folder, app, |listener| {
        listener.access.proxies = vec!["127.0.0.0/8".parse().expect("a network")]
    })
    .await;
    let (mut behind, _) = socket(&server).await;
    behind.write_all(b"PROXY TCP4 10.1.2.3 127.0.0.1 5000 443\r\n").await.expect("it reads");
    let mut client = LineClient::over(AUTHORITY.client(None).over(behind).await.expect("a handshake"));
    assert_eq!(client.ask("1 address").await, "1 200 10.1.2.3:5000");
    drop(client);
    let (socket, peer) = socket(&server).await;
    AUTHORITY.client(None).over(socket).await.expect_err("it has no header");
    let line = log::closing_line(peer).await;
    assert!(line.contains("must begin with a PROXY header"), "{line}");
    server.shutdown().await;
}

/// In a configuration, paths are relative to the configuration file.
#[tokio::test]
async fn a_configuration_sets_it_up() {
    let folder = Folder::new("tls-file");
    AUTHORITY.issue(&folder, "server");
    AUTHORITY.root(&folder);
    let text = "[codecs.a]\nbuiltin = 'pomelo'\n[[listeners]]\nurl = 'wss://127.0.0.1:0'\ncodec = 'a'\n\
        tls = { certificate = 'server.pem', key = 'server.key', client-ca = 'root.pem', client-certificates = 'optional' }\n\
        websocket.paths = ['/game']\n";
    let config = Config::parse(text, &folder.path("w.toml")).expect("a configuration");
    let server = Server::from_config(app(), &config, &folder.path(""))
        .expect("it fits")
        .start()
        .await
        .expect("it starts");
    for (path, opens) in [("/game", true), ("/other", false)] {
        let stream = AUTHORITY.client(None).connect(&address(&server)).await.expect("a handshake");
        let url = format!("wss://{}{path}", address(&server));
        let opened = within("an answer", tokio_tungstenite::client_async(&url, stream)).await;
        assert_eq!(opened.is_ok(), opens, "{path}");
    }
    server.shutdown().await;
}

#[tokio::test]
async fn settings_and_url_go_together() {
    let folder = Folder::new("tls-settings");
    let tls = AUTHORITY.issue(&folder, "server");
    let websocket = WebSocketConfig { paths: vec!["/".to_owned()], ..WebSocketConfig::default() };
    let none = WebSocketConfig::default();
    let cases: [(&str, Option<&TlsConfig>, &WebSocketConfig, &str); 6] = [
        ("tls://127.0.0.1:0", None, &none, "it is encrypted, and has no `tls`"),
        ("hybrid+tls://127.0.0.1:0", None, &none, "it is encrypted, and has no `tls`"),
        ("tcp://127.0.0.1:0", Some(&tls), &none, "it is not encrypted, so `tls` would have no effect"),
        ("memory://tls-settings", Some(&tls), &none, "it is not encrypted, so `tls` would have no effect"),
        ("tcp://127.0.0.1:0", None, &websocket, "it speaks no WebSocket"),
        ("tls://127.0.0.1:0", Some(&tls), &websocket, "it speaks no WebSocket"),
    ];
    for (url, tls, websocket, what) in cases {
        let mut listener = Listener::new(url, lines());
        (listener.tls, listener.websocket) = (tls.cloned(), websocket.clone());
        let error = try_serve(app(), listener).await.err().expect("it is refused").to_string();
        assert!(error.starts_with(&format!("{url}: {what}")), "{error}");
    }
}
