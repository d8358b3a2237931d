//! Requests to the client: each has an id of its own and at most one result.

use std::time::Duration;

use tokio::task::{JoinHandle, yield_now};
use tokio::time::{advance, sleep};

use super::rig::{Rig, Setup, at};
use crate::codec::Violation;
use crate::session::open_requests::OpenRequests;
use crate::session::{ClientResponse, CloseReason, RequestError};
use wireplug_connectors::running_time::RunningTime;

type Answer = JoinHandle<Result<ClientResponse, RequestError>>;

fn rig() -> Rig {
    Rig::established_with(Setup { client_requests: 8, ..Setup::default() })
}

/// Sends a request, which then waits in the outbox.
async fn send(rig: &Rig, body: &'static str) -> Answer {
    let answer = tokio::spawn(rig.session.request_bytes("ask", body).into_future());
    yield_now().await;
    answer
}

/// Returns the status and the body of the response.
async fn response(answer: Answer) -> (u16, String) {
    let ClientResponse { status, body } = answer.await.unwrap().expect("a response");
    (status, String::from_utf8(body.into()).unwrap())
}

async fn error(answer: Answer) -> RequestError {
    answer.await.unwrap().expect_err("no response")
}

#[tokio::test]
async fn a_request_gets_the_response_with_its_id() {
    let mut rig = rig();
    let (first, second) = (send(&rig, "x").await, send(&rig, "y").await);
    rig.flush();
    assert_eq!(rig.calls(), ["encode 2"]);
    assert_eq!(rig.written(), ["?1 ask 200 x", "?2 ask 200 y"]);
    rig.receive(&["response 2 404 no; response 1 200 yes"]);
    assert_eq!(response(first).await, (200, "yes".to_owned()));
    assert_eq!(response(second).await, (404, "no".to_owned()));
    assert!(rig.actions().is_empty(), "a response is no message for a handler");
    assert_eq!(rig.machine.take_tally().messages_in, 2);
}

#[tokio::test]
async fn the_ids_of_both_directions_are_independent() {
    let mut rig = rig();
    rig.receive(&["request 1 a b"]);
    let answer = send(&rig, "x").await;
    rig.respond(1, "y");
    rig.flush();
    assert_eq!(rig.written(), ["?1 ask 200 x", "1 route 200 y"]);
    rig.receive(&["response 1 200 z"]);
    assert_eq!(response(answer).await, (200, "z".to_owned()));
    assert_eq!(rig.actions(), ["request 1 a b"]);
}

#[tokio::test]
async fn a_response_that_answers_no_request_is_counted() {
    let mut rig = rig();
    let answer = send(&rig, "x").await;
    rig.flush();
    rig.receive(&["response 1 200 a; response 1 200 b; response 2 200 c; response 0 200 d"]);
    assert_eq!(response(answer).await, (200, "a".to_owned()));
    let tally = rig.machine.take_tally();
    assert_eq!((tally.messages_in, tally.late, tally.unknown), (1, 1, 2));
    assert_eq!((rig.actions().len(), rig.closed()), (0, None));
}

#[tokio::test]
async fn a_codec_without_client_requests_gets_none() {
    let mut rig = Rig::established();
    assert!(matches!(error(send(&rig, "x").await).await, RequestError::Unsupported));
    rig.flush();
    assert!(rig.calls().is_empty());
    // The codec may change before the request is encoded.
    let mut rig = self::rig();
    let answer = send(&rig, "x").await;
    rig.replace_codec(Setup::default());
    rig.flush();
    assert!(matches!(error(answer).await, RequestError::Unsupported));
    assert!(rig.calls().is_empty());
}

#[tokio::test]
async fn a_request_that_cannot_be_sent_fails_at_once() {
    for body in ["refuse", "formless", "two\nlines", "a|two\nlines"] {
        let mut rig = rig();
        let answer = send(&rig, body).await;
        rig.push("b");
        rig.flush();
        assert_eq!(rig.calls(), ["encode 2"], "{body}: it is not encoded again");
        assert_eq!(rig.written(), ["- on 200 b"], "{body}");
        assert!(matches!(error(answer).await, RequestError::Refused(_)), "{body}");
        assert_eq!(rig.machine.take_tally().refused, 1, "{body}");
    }
}

#[tokio::test]
async fn a_request_that_no_packet_can_hold_never_reaches_the_codec() {
    let mut rig = rig();
    let answer = tokio::spawn(rig.session.request_bytes("ask", "x".repeat(101)).into_future());
    yield_now().await;
    rig.flush();
    assert!(rig.calls().is_empty());
    assert!(matches!(error(answer).await, RequestError::Refused(_)));
}

#[tokio::test]
async fn a_request_does_not_follow_the_end_of_the_session() {
    let mut rig = rig();
    let answer = send(&rig, "x").await;
    rig.receive(&["close 0 done"]);
    rig.flush();
    assert!(rig.written().is_empty());
    assert!(matches!(error(answer).await, RequestError::Closed));
    assert_eq!(rig.machine.take_tally().unsent, 1);
}

#[tokio::test]
async fn only_so_many_requests_may_be_open() {
    let mut rig = rig();
    let (first, _second) = (send(&rig, "x").await, send(&rig, "y").await);
    assert!(matches!(error(send(&rig, "z").await).await, RequestError::TooMany { max: 2 }));
    rig.flush();
    rig.receive(&["response 1 200 a"]);
    assert_eq!(response(first).await, (200, "a".to_owned()));
    let _third = send(&rig, "z").await;
    rig.flush();
    assert_eq!(rig.written(), ["?1 ask 200 x", "?2 ask 200 y", "?3 ask 200 z"], "no id comes again");
}

/// A protocol may allow one request at a time. What is held back counts towards the limits.
#[tokio::test]
async fn requests_that_the_protocol_does_not_allow_yet_are_held_back() {
    let mut rig = Rig::established_with(Setup { client_requests: 1, ..Setup::default() });
    let (first, second) = (send(&rig, "x").await, send(&rig, "y").await);
    assert!(matches!(error(send(&rig, "z").await).await, RequestError::TooMany { max: 2 }));
    rig.push("a");
    rig.flush();
    assert_eq!(rig.written(), ["?1 ask 200 x", "- on 200 a"], "a push overtakes it");
    rig.receive(&["response 2 200 no"]);
    assert_eq!(rig.machine.take_tally().unknown, 1, "the client cannot know it yet");
    rig.receive(&["response 1 200 yes"]);
    assert_eq!(response(first).await, (200, "yes".to_owned()));
    rig.flush();
    assert_eq!(rig.written(), ["?2 ask 200 y"]);
    // A request that nobody waits for any more makes room for the next one, sent or not.
    let third = send(&rig, "z").await;
    third.abort();
    assert!(third.await.unwrap_err().is_cancelled());
    let fourth = send(&rig, "refuse").await;
    second.abort();
    assert!(second.await.unwrap_err().is_cancelled());
    rig.flush();
    assert!(!fourth.is_finished(), "the codec must first learn that nobody waits for the second");
    rig.machine.pass_abandoned(at(0), || true);
    rig.flush();
    assert!(matches!(error(fourth).await, RequestError::Refused(_)), "it was the codec's turn");
    let _fifth = send(&rig, "v").await;
    rig.flush();
    assert_eq!(rig.written(), ["never mind", "?5 ask 200 v"]);
}

#[tokio::test]
async fn a_swap_releases_what_the_new_codec_allows() {
    for (client_requests, written) in [(2, vec!["?1 ask 200 x", "?2 ask 200 y"]), (0, vec!["?1 ask 200 x"])] {
        let mut rig = Rig::established_with(Setup { client_requests: 1, ..Setup::default() });
        let (_first, second) = (send(&rig, "x").await, send(&rig, "y").await);
        rig.flush();
        rig.replace_codec(Setup { client_requests, ..Setup::default() });
        rig.flush();
        assert_eq!(rig.written(), written);
        if client_requests == 0 {
            assert!(matches!(error(second).await, RequestError::Unsupported));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_codec_learns_of_a_request_that_has_timed_out() {
    let mut rig = rig();
    let answer = send(&rig, "x").await;
    rig.flush();
    rig.calls();
    assert!(!rig.machine.has_abandoned());
    sleep(Duration::from_secs(6)).await;
    assert!(matches!(error(answer).await, RequestError::TimedOut));
    assert!(rig.machine.has_abandoned());
    rig.machine.pass_abandoned(at(7), || true);
    rig.machine.pass_abandoned(at(8), || true);
    assert_eq!(rig.calls(), ["abandoned 1 at 7"]);
    assert_eq!(rig.written(), ["?1 ask 200 x", "never mind"]);
    rig.receive(&["response 1 200 a"]);
    assert_eq!(rig.machine.take_tally().late, 1);
}

#[tokio::test]
async fn a_request_whose_sender_is_gone_is_not_sent_or_is_abandoned() {
    let mut rig = rig();
    let unsent = send(&rig, "x").await;
    rig.push("a");
    let waiting = rig.session.waiting();
    unsent.abort();
    assert!(unsent.await.unwrap_err().is_cancelled());
    assert_eq!(rig.session.outbox().len(), 1, "it takes up no room any more");
    assert!(rig.session.waiting() < waiting);
    rig.flush();
    assert_eq!((rig.calls(), rig.written()), (vec!["encode 1".to_owned()], vec!["- on 200 a".to_owned()]));
    assert!(rig.calls().is_empty() && !rig.machine.has_abandoned());

    let sent = send(&rig, "y").await;
    rig.flush();
    sent.abort();
    assert!(sent.await.unwrap_err().is_cancelled());
    rig.machine.pass_abandoned(at(0), || true);
    assert_eq!(rig.calls(), ["encode 1", "abandoned 2 at 0"]);
}

#[tokio::test]
async fn a_turn_that_is_used_up_leaves_abandoned_requests_for_the_next() {
    let mut rig = rig();
    let (first, second) = (send(&rig, "x").await, send(&rig, "y").await);
    rig.flush();
    rig.calls();
    for answer in [first, second] {
        answer.abort();
        assert!(answer.await.unwrap_err().is_cancelled());
    }
    rig.machine.pass_abandoned(at(1), || false);
    assert_eq!(rig.calls(), ["abandoned 1 at 1"]);
    assert!(rig.machine.has_abandoned());
    rig.machine.pass_abandoned(at(2), || false);
    assert_eq!(rig.calls(), ["abandoned 2 at 2"]);
    assert!(!rig.machine.has_abandoned());
}

/// The sender may give up between the moment at which the request leaves the outbox and the moment
/// at which the codec refuses it.
#[test]
fn the_codec_does_not_learn_of_a_request_that_it_refused() {
    let mut requests = OpenRequests::new(2);
    requests.set_max_sent(1);
    let (id, _answer) = requests.open().unwrap();
    assert!(requests.encoding(id));
    assert_eq!(requests.abandon(id), Some(true));
    requests.fail(id, RequestError::Closed);
    assert_eq!(requests.take_abandoned(), (None, false));
}

/// What the client sent while the process was stopped must be read first.
#[tokio::test(start_paused = true)]
async fn a_time_in_which_the_process_does_not_run_does_not_count() {
    let time = RunningTime::default();
    let keeper = time.clone();
    tokio::spawn(async move { keeper.keep().await });
    let mut rig = Rig::new(Setup { client_requests: 8, time, ..Setup::default() });
    // A clock that has run for a while stands still in a pause.
    sleep(Duration::from_secs(6)).await;
    let answer = send(&rig, "x").await;
    rig.flush();
    advance(Duration::from_secs(60)).await;
    yield_now().await;
    assert!(!answer.is_finished());
    rig.receive(&["response 1 200 yes"]);
    assert_eq!(response(answer).await, (200, "yes".to_owned()));
    let late = send(&rig, "y").await;
    rig.flush();
    sleep(Duration::from_secs(7)).await;
    assert!(matches!(error(late).await, RequestError::TimedOut));
}

#[test]
fn a_response_without_client_requests_is_the_codecs_fault() {
    let mut rig = Rig::established();
    rig.receive(&["response 1 200 a"]);
    assert_eq!(rig.closed(), Some(CloseReason::CodecFault(Violation::StrayResponse.into())));
}
