//! HTTP long-polling, request by request.

use serde_json::json;
use tokio::net::TcpStream;
use wireplug::Listener;
use wireplug_tests::within;

use super::{URL, address, app, app_and_ends, ask, ends, event, open, serve};

/// Joins by polling, on two connections like a browser.
async fn join(server: &wireplug::RunningServer) -> (TcpStream, TcpStream, String) {
    let mut post = TcpStream::connect(address(server)).await.expect("it listens");
    let mut get = TcpStream::connect(address(server)).await.expect("it listens");
    let sid = open(&mut get).await;
    assert!(ask(&mut post, "POST", &sid, "40").await.ends_with("\r\n\r\nok"));
    let joined = ask(&mut get, "GET", &sid, "").await;
    assert!(joined.contains("40{\"sid\":"), "{joined}");
    (get, post, sid)
}

#[tokio::test]
async fn payloads_hold_many_packets() {
    let server = serve(app(), Listener::at(URL)).await;
    let (mut get, mut post, sid) = join(&server).await;
    let payload = ["3".to_owned(), event(1, "echo", "1"), event(2, "echo", "2")].join("\u{1e}");
    assert!(ask(&mut post, "POST", &sid, &payload).await.ends_with("ok"));
    let mut received = String::new();
    while !received.contains("\\\"id\\\":2") {
        received += &ask(&mut get, "GET", &sid, "").await;
    }
    assert!(received.contains("{\\\"id\\\":1,\\\"body\\\":1}"), "{received}");
    // Binary data is written in base64, and is a packet like any other. The packets of this codec
    // are text.
    let bytes =
        format!("4517-[\"message\",{}]\u{1e}bAAAAAQRlY2hv", json!({ "_placeholder": true, "num": 0 }));
    let bytes = bytes.replacen("4517-", "451-7", 1);
    assert!(ask(&mut post, "POST", &sid, &bytes).await.ends_with("ok"));
    let received = ask(&mut get, "GET", &sid, "").await;
    assert!(received.contains("437[\"{\\\"id\\\":1,"), "{received}");
    // The client leaves, and its session id is unknown after that.
    ask(&mut post, "POST", &sid, "41").await;
    ends(&server, "client-closed").await;
    let mut late = TcpStream::connect(address(&server)).await.expect("it listens");
    assert!(ask(&mut late, "POST", &sid, "3").await.starts_with("HTTP/1.1 400"));
    server.shutdown().await;
}

/// In Engine.IO, a client must wait for the answer to a request before it sends the next one of the
/// same kind.
#[tokio::test]
async fn requests_of_a_kind_do_not_overlap() {
    let (app, mut reasons) = app_and_ends();
    let server = serve(app, Listener::at(URL)).await;
    let (mut get, _post, sid) = join(&server).await;
    let mut another = TcpStream::connect(address(&server)).await.expect("it listens");
    let (first, second) = tokio::join!(ask(&mut get, "GET", &sid, ""), ask(&mut another, "GET", &sid, ""));
    assert!(first.starts_with("HTTP/1.1 400") || second.starts_with("HTTP/1.1 400"), "{first}\n{second}");
    let reason = within("an end", reasons.recv()).await.expect("one").to_string();
    assert_eq!(reason, "transport: two polls at once");
    server.shutdown().await;
}

#[tokio::test]
async fn what_is_not_asked_right_is_refused() {
    let server = serve(app(), Listener::at(URL)).await;
    let refused = async |head: &str, status: &str| {
        let mut stream = TcpStream::connect(address(&server)).await.expect("it listens");
        let request = format!("{head} HTTP/1.1\r\nHost: here\r\nContent-Length: 0\r\n\r\n");
        let answer = super::exchange(&mut stream, &request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{head}: {answer}");
        assert!(answer.to_lowercase().contains("connection: close"), "{head}: {answer}");
    };
    refused("GET /", "404").await;
    refused("GET /socket.io/", "400").await;
    refused("GET /socket.io/?EIO=3&transport=polling", "400").await;
    refused("GET /socket.io/?EIO=4&transport=none", "400").await;
    refused("GET /socket.io/?EIO=4&transport=polling&sid=none", "400").await;
    refused("GET /socket.io/?EIO=4&transport=websocket", "400").await;
    refused("POST /socket.io/?EIO=4&transport=polling", "400").await;
    refused(&format!("GET /socket.io/?EIO=4&transport=polling&t={}", "a".repeat(20 << 10)), "431").await;
    refused("DELETE /socket.io/?EIO=4&transport=polling", "400").await;
    // Clients that the access lists refuse are counted.
    assert_eq!(server.shutdown().await.closes, [("forbidden", 1)].into());
}
