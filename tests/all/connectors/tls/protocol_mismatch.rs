//! TLS at a listener without TLS, and other protocols at a listener with TLS. Both are reported in
//! a log line with a typed reason.

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use wireplug::{CodecSource, Listener};
use wireplug_tests::folder::Folder;
use wireplug_tests::{log, within};

use super::{AUTHORITY, encrypted, lines, serve};
use crate::connectors::{app, socket};

#[tokio::test]
async fn tls_on_a_plain_port() {
    log::init();
    let pomelo = || CodecSource::pomelo(json!({}));
    for (url, codec) in [
        ("tcp://127.0.0.1:0", pomelo()),
        ("tcp://127.0.0.1:0", lines()),
        ("hybrid://127.0.0.1:0", pomelo()),
        ("hybrid://127.0.0.1:0", lines()),
        ("ws://127.0.0.1:0", lines()),
    ] {
        let server = serve(app(), Listener::new(url, codec)).await;
        let (socket, peer) = socket(&server).await;
        // If the codec waits for more bytes, the client gives up.
        let handshake = AUTHORITY.client(None);
        let handshake = tokio::time::timeout(std::time::Duration::from_secs(1), handshake.over(socket)).await;
        assert!(!matches!(handshake, Ok(Ok(_))), "nobody speaks TLS here");
        let line = log::closing_line(peer).await;
        assert!(
            line.contains("transport: the client speaks TLS, and this listener does not"),
            "{url}: {line}"
        );
        assert_eq!(server.shutdown().await.closes, [("transport", 1)].into(), "{url}");
    }
}

#[tokio::test]
async fn plain_bytes_on_a_tls_port() {
    let folder = Folder::new("tls-plain");
    for url in ["tls://127.0.0.1:0", "wss://127.0.0.1:0", "hybrid+tls://127.0.0.1:0"] {
        let server = encrypted(app(), url, AUTHORITY.issue(&folder, "server")).await;
        for (said, spoken, heard) in [
            (&b"1 echo hello\n"[..], "something plain", ""),
            (b"\x01\0\0\x02{}", "something plain", ""),
            (b"Hello\n", "something plain", ""),
            (b"GET / HTTP/1.1\r\nHost: here\r\n\r\n", "plain HTTP", "HTTP/1.1 400 Bad Request\r\n"),
        ] {
            let (mut socket, peer) = socket(&server).await;
            socket.write_all(said).await.expect("it reads");
            let mut answer = Vec::new();
            // The connection may be reset if the server has not read all bytes.
            let _ = within("its end", socket.read_to_end(&mut answer)).await;
            let answer = String::from_utf8_lossy(&answer);
            assert!(answer.starts_with(heard) && answer.is_empty() == heard.is_empty(), "{answer}");
            drop(socket);
            let line = log::closing_line(peer).await;
            let what = format!("transport: the client speaks {spoken}, and this listener only TLS");
            assert!(line.contains(&what), "{url}: {line}");
        }
        assert_eq!(server.shutdown().await.closes, [("transport", 4)].into(), "{url}");
    }
}
