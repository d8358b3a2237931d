//! Foreign TLS clients: OpenSSL, curl, and rustls.

use std::process::{Command, Stdio};

use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message as Frame;
use wireplug::app::Json;
use wireplug::{App, Session};
use wireplug_tests::folder::Folder;
use wireplug_tests::within;

use super::{AUTHORITY, connect, encrypted};
use crate::connectors::{address, app, run};

/// Returns [`app`] with a route that returns the client's own attributes.
fn attributes() -> App {
    app().route("me", |session: Session| async move {
        let client = session.client();
        let attributes: serde_json::Map<_, _> =
            client.attributes.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        Json(json!({ "transport": client.transport, "attributes": attributes }))
    })
}

#[tokio::test]
async fn openssl_over_a_stream() {
    let folder = Folder::new("tls-openssl");
    for url in ["tls://127.0.0.1:0", "hybrid+tls://127.0.0.1:0"] {
        for (version, shown) in [("-tls1_2", "1.2"), ("-tls1_3", "1.3")] {
            let server = encrypted(attributes(), url, AUTHORITY.issue(&folder, "server")).await;
            let mut openssl = Command::new("sh");
            let script = "printf '1 echo hello\\n2 me\\n- kick\\n' | openssl s_client -connect \"$1\" -servername localhost \
                -CAfile \"$2\" -verify_return_error -quiet \"$3\"";
            openssl.args(["-c", script, "sh", &address(&server)]).arg(AUTHORITY.root(&folder)).arg(version);
            let output = run(openssl).await;
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            let me =
                json!({ "transport": "tcp", "attributes": { "tls-version": shown, "tls-sni": "localhost" } });
            let lines: Vec<&str> = said.lines().collect();
            let errors = String::from_utf8_lossy(&output.stderr);
            assert_eq!(lines.len(), 3, "{said}{errors}");
            assert_eq!((lines[0], lines[2]), ("1 200 hello", "bye you asked for it"), "{errors}");
            let heard: serde_json::Value = serde_json::from_str(&lines[1]["2 200 ".len()..]).expect("JSON");
            assert_eq!(heard, me);
            // The server sends TLS's close message. Without it, OpenSSL reports an error.
            assert!(!errors.contains("unexpected eof"), "{errors}");
            assert_eq!(server.shutdown().await.closes, [("kicked", 1)].into());
        }
    }
}

#[tokio::test]
async fn curl_upgrades_to_websocket() {
    let folder = Folder::new("tls-curl");
    for url in ["wss://127.0.0.1:0", "hybrid+tls://127.0.0.1:0"] {
        let server = encrypted(app(), url, AUTHORITY.issue(&folder, "server")).await;
        let curl = |headers: &[&str]| {
            let mut curl = Command::new("curl");
            curl.args(["--silent", "--include", "--http1.1", "--max-time", "2", "--cacert"]);
            curl.arg(AUTHORITY.root(&folder));
            for header in headers {
                curl.args(["--header", header]);
            }
            curl.arg(format!("https://{}/game?room=1", address(&server)));
            curl
        };
        let upgrade = [
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ];
        let output = run(curl(&upgrade)).await;
        let said = String::from_utf8_lossy(&output.stdout).to_ascii_lowercase();
        assert!(said.starts_with("http/1.1 101 switching protocols\r\n"), "{said}");
        assert!(said.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"), "{said}");

        let output = run(curl(&[])).await;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.starts_with("HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\n"), "{said}");
        assert!(output.status.success(), "the answer is whole: {}", output.status);
        server.shutdown().await;
    }
}

/// A WebSocket listener names the protocol inside TLS. A client that offers only other protocols is
/// refused.
#[tokio::test]
async fn openssl_asks_for_a_protocol() {
    let folder = Folder::new("tls-alpn");
    let server = encrypted(app(), "wss://127.0.0.1:0", AUTHORITY.issue(&folder, "server")).await;
    for (offered, taken) in [("http/1.1", true), ("h2,http/1.1", true), ("h2", false)] {
        let mut openssl = Command::new("openssl");
        openssl.args(["s_client", "-connect", &address(&server), "-alpn", offered]).stdin(Stdio::null());
        let output = run(openssl).await;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(said.contains("ALPN protocol: http/1.1"), taken, "{said}");
        assert_eq!(output.status.success(), taken, "{said}");
    }
    server.shutdown().await;
}

#[tokio::test]
async fn rustls_over_each_url() {
    let folder = Folder::new("tls-rustls");
    for url in ["tls://127.0.0.1:0", "hybrid+tls://127.0.0.1:0"] {
        let server = encrypted(app(), url, AUTHORITY.issue(&folder, "server")).await;
        let mut client = connect(&server).await;
        // More than one record in each direction.
        let long = "x".repeat(40_000);
        assert_eq!(client.ask(&format!("1 echo {long}")).await, format!("1 200 {long}"));
        client.0.shutdown().await.expect("it lives");
        assert_eq!(client.hear().await, "");
        assert_eq!(server.shutdown().await.closes, [("client-closed", 1)].into());
    }
    for url in ["wss://127.0.0.1:0", "hybrid+tls://127.0.0.1:0"] {
        let server = encrypted(app(), url, AUTHORITY.issue(&folder, "server")).await;
        assert!(server.urls()[0].starts_with(&url[..url.len() - 1]), "{:?}", server.urls());
        let stream = AUTHORITY.client(None).connect(&address(&server)).await.expect("a handshake");
        let url = format!("wss://{}", address(&server));
        let (mut client, _) = within("an upgrade", client_async(&url, stream)).await.expect("it upgrades");
        use futures_util::{SinkExt as _, StreamExt as _};
        client.send(Frame::text("1 echo hello")).await.expect("it reads");
        let answer = within("an answer", client.next()).await.expect("one").expect("whole");
        assert_eq!(answer, Frame::text("1 200 hello"));
        client.close(None).await.expect("it reads");
        let goodbye = within("a goodbye", client.next()).await;
        assert!(matches!(goodbye, Some(Ok(Frame::Close(_)))), "{goodbye:?}");
        assert_eq!(server.shutdown().await.closes, [("client-closed", 1)].into());
    }
}

/// Many clients end a connection without TLS's close message.
#[tokio::test]
async fn a_client_that_just_goes_has_closed() {
    let folder = Folder::new("tls-goes");
    let server = encrypted(app(), "tls://127.0.0.1:0", AUTHORITY.issue(&folder, "server")).await;
    let mut client = connect(&server).await;
    assert_eq!(client.ask("1 echo a").await, "1 200 a");
    client.0.get_mut().get_mut().0.shutdown().await.expect("it lives");
    assert_eq!(client.hear().await, "");
    assert_eq!(server.shutdown().await.closes, [("client-closed", 1)].into());
}
