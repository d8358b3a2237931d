//! Requests of the application to a client that are open while the codec of the session is swapped.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use wireplug::config::LiveSessions::{Close, Drain, Handoff};
use wireplug::config::SwapConfig;
use wireplug::session::{ClientResponse, RequestError};
use wireplug::{App, CodecSource, Session};
use wireplug_tests::digits::{Digits, Form, frame};
use wireplug_tests::raw::Raw;
use wireplug_tests::server::{self, Setup, TestServer};
use wireplug_tests::within;

use super::changed::{self, Change};
use super::guests::marked;
use super::{guest, slot};

const ASK: &str = "a.question";

type Answer = JoinHandle<Result<ClientResponse, RequestError>>;

/// Serves one client of this codec. Returns its session, too.
async fn serve(codec: CodecSource, swap: SwapConfig) -> (TestServer, Digits, Session) {
    let (sender, mut sessions) = mpsc::unbounded_channel();
    let app = App::new().on_opened(move |session| {
        let _ = sender.send(session.clone());
    });
    let setup = Setup { swap, url: "tcp://127.0.0.1:0", ..server::setup() };
    let server = server::serve(app, setup, [codec]).await;
    let client = Digits::connect(&server.tcp()).await;
    let session = within("the session", sessions.recv()).await.expect("one");
    (server, client, session)
}

fn ask(session: &Session) -> Answer {
    tokio::spawn(session.request_bytes(ASK, "").into_future())
}

/// Sends a request, and waits until the client has it.
async fn asked(session: &Session, client: &mut Digits, id: u32) -> Answer {
    let answer = ask(session);
    assert_eq!(client.next().await, frame("REQ", id, ASK, ""));
    answer
}

async fn result(answer: Answer) -> Result<(u16, Vec<u8>), RequestError> {
    let answer = within("a result", answer).await.expect("no panic");
    answer.map(|answer| (answer.status, answer.body.to_vec()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_handoff_the_answers_reach_those_who_asked_before_it() {
    let [old, new] = changed::digits(2, [Change::Nothing; 2]);
    let (server, mut client, session) = serve(old, SwapConfig::default()).await;
    let first = asked(&session, &mut client, 1).await;
    let second = asked(&session, &mut client, 2).await;
    let late = session.request_bytes(ASK, "").timeout(Duration::from_secs(2));
    let late = tokio::spawn(late.into_future());
    assert_eq!(client.next().await, frame("REQ", 3, ASK, ""));
    let never = asked(&session, &mut client, 4).await;
    assert_eq!(slot(&server).swap(&new, Some(Handoff)).await.expect("a good codec").moved, 1);

    // The new codec gives up on the third one. The ids go on.
    assert!(matches!(result(late).await, Err(RequestError::TimedOut)));
    assert_eq!(client.next().await, frame("CAN", 3, "", ""));
    let fifth = asked(&session, &mut client, 5).await;
    let answer = |id, status, body| Form::Text.write(&frame("RES", id, status, body));
    let answers = [
        answer(5, "200", "the fifth"),
        answer(3, "200", "the third"),
        answer(2, "507", "the second"),
        answer(1, "200", "the first"),
        answer(1, "200", "again"),
        answer(6, "200", "nobody asked"),
    ];
    client.send(answers.concat()).await;
    for (asked, status, body) in [(first, 200, "first"), (second, 507, "second"), (fifth, 200, "fifth")] {
        let body = format!("the {body}").into_bytes();
        assert_eq!(result(asked).await.expect("a response"), (status, body));
    }
    assert!(!never.is_finished(), "nobody has answered it");
    drop(client);
    assert!(matches!(result(never).await, Err(RequestError::Closed)));
    let stats = server.until("the end", |stats| stats.connections_open == 0).await;
    assert_eq!(stats.drops, [("late", 2), ("unknown", 1)].into());
}

/// The time to drain is the time in which the client can still answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_handoff_they_are_answered_until_the_session_is_closed() {
    let codecs = changed::digits(2, [Change::NoHandoff; 2]);
    let swap = SwapConfig { drain_timeout: Duration::from_secs(4), ..SwapConfig::default() };
    let (server, mut client, session) = serve(codecs[0].clone(), swap).await;
    let first = asked(&session, &mut client, 1).await;
    let second = asked(&session, &mut client, 2).await;
    let report = slot(&server).swap(&codecs[1], None).await.expect("a good codec");
    assert_eq!((report.sessions, report.staying), (Drain, 1));
    client.send(Form::Text.write(&frame("RES", 2, "200", "in time"))).await;
    assert_eq!(result(second).await.expect("a response"), (200, b"in time".to_vec()));
    let third = asked(&session, &mut client, 3).await;
    for open in [first, third] {
        assert!(matches!(result(open).await, Err(RequestError::Closed)));
    }
    assert_eq!(client.try_next().await, None);
    server.until_closed("replaced", 1).await;
    assert!(matches!(result(ask(&session)).await, Err(RequestError::Closed)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swap_that_closes_fails_them_at_once() {
    let [old, new] = changed::digits(2, [Change::Nothing; 2]);
    let (server, mut client, session) = serve(old, SwapConfig::default()).await;
    let open = asked(&session, &mut client, 1).await;
    slot(&server).swap(&new, Some(Close)).await.expect("a good codec");
    assert!(matches!(result(open).await, Err(RequestError::Closed)));
    assert_eq!(client.try_next().await, None);
    server.until_closed("replaced", 1).await;
}

/// A codec that could not take over the open requests does not get the session.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_codec_without_requests_does_not_take_a_session_over() {
    let (sender, mut sessions) = mpsc::unbounded_channel();
    let app = App::new().on_opened(move |session| drop(sender.send(session.clone())));
    let setup = Setup { url: "tcp://127.0.0.1:0", ..server::setup() };
    let server = server::serve(app, setup, [guest(&marked("asks").client_requests())]).await;
    let mut client = Raw::connect(&server.tcp()).await;
    let session = within("the session", sessions.recv()).await.expect("one");
    let open = tokio::spawn(session.request_bytes(ASK, "what?").into_future());
    assert_eq!(client.line().await, "what?");

    let (slot, without) = (&slot(&server), guest(&marked("does not ask")));
    let error = slot.swap(&without, Some(Handoff)).await.expect_err("it takes no requests").to_string();
    assert!(error.contains("requests to the client differs between them"), "{error}");
    let report = slot.swap(&without, None).await.expect("a good codec");
    assert_eq!((report.sessions, report.staying), (Drain, 1));
    assert!(!open.is_finished());
    drop(client);
    assert!(matches!(result(open).await, Err(RequestError::Closed)));
}
