//! Requests of the application to the client.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::mpsc;
use wireplug::config::ClientLimits;
use wireplug::session::RequestError;
use wireplug::{App, Session};
use wireplug_tests::within;

use super::{app, connect, serve};

/// Returns an application that hands out its sessions.
fn app_and_sessions() -> (App, mpsc::UnboundedReceiver<Session>) {
    let (sender, sessions) = mpsc::unbounded_channel();
    let app = app().on_opened(move |session| {
        let _ = sender.send(session.clone());
    });
    (app, sessions)
}

#[tokio::test]
async fn responses_find_their_requests_in_any_order() {
    let (app, mut sessions) = app_and_sessions();
    let server = serve(app, None, ClientLimits::default()).await;
    let mut client = connect(&server).await;
    let session = within("the session", sessions.recv()).await.expect("one");
    let first = tokio::spawn(session.request("update", &json!({ "to": 2 })).into_future());
    client.expect("?1 8 update\n{\"to\":2}").await;
    let second = tokio::spawn(session.request_bytes("status", "").into_future());
    client.expect("?2 0 status\n").await;
    client.send("R2 2 200\nokR1 4 507\nfull").await;
    let second = within("the second", second).await.expect("no panic").expect("a response");
    assert_eq!((second.status, &second.body[..]), (200, &b"ok"[..]));
    let first = within("the first", first).await.expect("no panic").expect("a response");
    assert_eq!((first.status, &first.body[..]), (507, &b"full"[..]));
}

#[tokio::test]
async fn late_and_unknown_responses_are_counted_and_the_codec_learns_what_was_given_up() {
    let (app, mut sessions) = app_and_sessions();
    let server = serve(app, None, ClientLimits::default()).await;
    let mut client = connect(&server).await;
    let session = within("the session", sessions.recv()).await.expect("one");
    let short = Duration::from_millis(50);
    let error = session.request_bytes("update", "").timeout(short).await.expect_err("nobody answers");
    assert!(matches!(error, RequestError::TimedOut), "{error}");
    client.expect("?1 0 update\n!1 0 gone\n").await;
    // A sender that is gone.
    let sender = tokio::spawn(session.request_bytes("update", "").into_future());
    client.expect("?2 0 update\n").await;
    sender.abort();
    client.expect("!2 0 gone\n").await;
    // The third request gets its own answer, and no other.
    let third = tokio::spawn(session.request_bytes("update", "").into_future());
    client.expect("?3 0 update\n").await;
    client.send("R1 4 200\nlateR9 7 200\nunknownR3 5 200\nthird").await;
    let third = within("the third", third).await.expect("no panic").expect("a response");
    assert_eq!(&third.body[..], b"third");
    let stats = server.shutdown().await;
    assert_eq!((stats.drops.get("late"), stats.drops.get("unknown")), (Some(&1), Some(&1)), "{stats}");
}

#[tokio::test]
async fn a_client_that_goes_fails_its_requests_at_once() {
    let (app, mut sessions) = app_and_sessions();
    let server = serve(app, None, ClientLimits::default()).await;
    let mut client = connect(&server).await;
    let session = within("the session", sessions.recv()).await.expect("one");
    let request = tokio::spawn(session.request_bytes("update", "").into_future());
    client.expect("?1 0 update\n").await;
    drop(client);
    let error = within("the error", request).await.expect("no panic").expect_err("the client is gone");
    assert!(matches!(error, RequestError::Closed), "{error}");
    let error = session.request_bytes("update", "").await.expect_err("the session is over");
    assert!(matches!(error, RequestError::Closed), "{error}");
}

#[tokio::test]
async fn a_request_above_a_limit_fails_at_once() {
    let (app, mut sessions) = app_and_sessions();
    let limits = ClientLimits { max_client_requests: 2, ..ClientLimits::default() };
    let server = serve(app, None, limits).await;
    let mut client = connect(&server).await;
    let session = within("the session", sessions.recv()).await.expect("one");
    let open: Vec<_> =
        (0..2).map(|_| tokio::spawn(session.request_bytes("update", "").into_future())).collect();
    client.expect("?1 0 update\n?2 0 update\n").await;
    let error = session.request_bytes("update", "").await.expect_err("two are open");
    assert!(matches!(error, RequestError::TooMany { max: 2 }), "{error}");
    client.send("R1 0 200\nR2 0 200\n").await;
    for request in open {
        within("a response", request).await.expect("no panic").expect("a response");
    }
    // A body that no packet can hold.
    let error = session.request_bytes("update", vec![b'x'; 5000]).await.expect_err("it is too large");
    assert!(matches!(error, RequestError::Refused(_)), "{error}");
}

#[tokio::test]
async fn a_protocol_without_requests_to_the_client_says_so() {
    let (sender, mut sessions) = mpsc::unbounded_channel();
    let app = App::new().on_opened(move |session| drop(sender.send(session.clone())));
    let lines = wireplug::CodecSource::native(Arc::new(crate::connectors::Lines::default()));
    let server = wireplug::Server::new(app)
        .config(wireplug_tests::server::setup().server)
        .listen("tcp://127.0.0.1:0", lines);
    let server = server.start().await.expect("it starts");
    let _client =
        tokio::net::TcpStream::connect(server.urls()[0].replace("tcp://", "")).await.expect("it listens");
    let session = within("the session", sessions.recv()).await.expect("one");
    let error = session.request_bytes("update", "").await.expect_err("lines have none");
    assert!(matches!(error, RequestError::Unsupported), "{error}");
}
