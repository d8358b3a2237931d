//! The life of a codec that cuts its stream itself and changes its framing: handoff, shadow and
//! renewal between any two bytes of a stream that has both framings.

use bytes::Bytes;
use futures_util::future::join;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use wireplug::app::Error;
use wireplug::config::LiveSessions::Handoff;
use wireplug::session::{ClientResponse, Message, RequestError};
use wireplug::slot::Trial;
use wireplug::{App, CodecSource, Session};
use wireplug_tests::digits::{Digits, Form, frame};
use wireplug_tests::server::{self, Setup, TestServer};
use wireplug_tests::within;

use super::changed::{self, Change};
use super::{generation, slot};

const NUMBER: &str = "a.number";
const ASK: &str = "a.question";
const ON_NUMBER: &str = "onNumber";
const ON_SWAP: &str = "onSwap";

/// The bodies of the client's messages. Most of them contain what looks like a frame.
const BODIES: [&[u8]; 5] =
    [b"1", b"2 REQ 9 3 a\nabc", b"3\nBIN 0 0\n", b"4\0\0\0\x06B\0\0\0\0\0", b"5 \r\nSTLS\r\n"];

type Answer = Result<ClientResponse, RequestError>;

/// A session with the requests that the application has sent to its client.
struct Opened {
    session: Session,
    answers: JoinHandle<(Answer, Answer)>,
}

/// Frames of a client, with the bytes that they have on the wire.
struct Stream {
    bytes: Vec<u8>,
    /// Where each frame ends.
    ends: Vec<usize>,
}

/// Serves an application that pushes the body of each message, and then answers with it. It sends
/// two requests to each client at once.
async fn serve(codec: CodecSource) -> (TestServer, mpsc::UnboundedReceiver<Opened>) {
    let (sender, opened) = mpsc::unbounded_channel();
    let app = App::new()
        .route(NUMBER, |body: Bytes, session: Session| async move {
            session.send(Message::push(ON_NUMBER, body.clone()))?;
            Ok::<_, Error>(body)
        })
        .on_opened(move |session| {
            let ask = |body: &'static str| session.request_bytes(ASK, body).into_future();
            let answers = tokio::spawn(join(ask("first"), ask("second")));
            let _ = sender.send(Opened { session: session.clone(), answers });
        });
    let setup = Setup { url: "tcp://127.0.0.1:0", ..server::setup() };
    (server::serve(app, setup, [codec]).await, opened)
}

/// Returns requests, notifications and responses in both framings.
fn stream() -> Stream {
    let text = [
        frame("NTC", 0, NUMBER, BODIES[0]),
        frame("REQ", 7, NUMBER, BODIES[1]),
        frame("RES", 2, "200", "to the second"),
        frame("REQ", 8, NUMBER, BODIES[2]),
        frame("BIN", 0, "", ""),
    ];
    let binary = [
        frame("REQ", 9, NUMBER, BODIES[3]),
        frame("RES", 1, "507", "to the first"),
        frame("NTC", 0, NUMBER, BODIES[4]),
    ];
    let mut stream = Stream { bytes: Vec::new(), ends: Vec::new() };
    let text = text.iter().map(|frame| Form::Text.write(frame));
    for frame in text.chain(binary.iter().map(|frame| Form::Binary.write(frame))) {
        stream.bytes.extend(frame);
        stream.ends.push(stream.bytes.len());
    }
    stream
}

/// Sends the stream in two parts, and checks everything that the client and the application get.
/// Calls `change` when the server has read the first part, which has `at` bytes.
async fn converse(
    server: &TestServer,
    opened: &mut mpsc::UnboundedReceiver<Opened>,
    at: usize,
    change: impl AsyncFnOnce(),
) {
    let Stream { bytes, ends } = stream();
    let mut client = Digits::connect(&server.tcp()).await;
    let Opened { session, answers } = within("the session", opened.recv()).await.expect("one");
    for (id, body) in [(1, "first"), (2, "second")] {
        assert_eq!(client.next().await, frame("REQ", id, ASK, body));
    }
    let whole = ends.iter().filter(|end| **end <= at).count() as u64;
    let read = server.stats().packets_in + whole;
    client.send(&bytes[..at]).await;
    // What follows the last whole packet was sent with it, so it has been read too.
    server.until("the first part to be read", |stats| stats.packets_in >= read).await;
    let push = |body: &str| session.push(ON_SWAP, body).expect("there is room");
    push("before");
    change().await;
    push("after");
    client.send(&bytes[at..]).await;

    let (mut numbers, mut changes, mut switched) = (Vec::new(), Vec::new(), 0);
    while (numbers.len(), changes.len(), switched) != (8, 2, 1) {
        let frame = client.next().await;
        match (frame.kind, &*frame.argument) {
            ("BIN", "") => switched += 1,
            ("PSH", ON_SWAP) => changes.push(frame),
            _ => numbers.push(frame),
        }
    }
    let both = |id, body| [frame("PSH", 0, ON_NUMBER, body), frame("RES", id, "200", body)];
    let mut wanted = vec![frame("PSH", 0, ON_NUMBER, BODIES[0])];
    for (id, body) in [(7, BODIES[1]), (8, BODIES[2]), (9, BODIES[3])] {
        wanted.extend(both(id, body));
    }
    wanted.push(frame("PSH", 0, ON_NUMBER, BODIES[4]));
    assert_eq!(numbers, wanted, "cut at {at}");
    let wanted = ["before", "after"].map(|body| frame("PSH", 0, ON_SWAP, format!("{body:?}")));
    assert_eq!(changes, wanted, "cut at {at}");
    let (first, second) = within("the responses", answers).await.expect("no panic");
    for (answer, status, body) in [(first, 507, "to the first"), (second, 200, "to the second")] {
        let answer = answer.expect("a response");
        assert_eq!((answer.status, &answer.body[..]), (status, body.as_bytes()), "cut at {at}");
    }
    // Nothing comes behind that but the answer to this.
    client.send(Form::Binary.write(&frame("BYE", 0, "", ""))).await;
    assert_eq!(client.next().await, frame("BYE", 0, "", ""));
    assert_eq!(client.try_next().await, None);
    // The server waits for the client to close, too.
    drop(client);
    server.until("the end to be counted", |stats| stats.connections_open == 0).await;
}

/// Returns the places at which the stream is cut: all behind the first packet.
fn cuts() -> std::ops::Range<usize> {
    let Stream { bytes, ends } = stream();
    ends[0]..bytes.len()
}

/// Checks the counts of a server with which one conversation was held for each cut.
fn check_counts(server: &TestServer) {
    let (conversations, frames) = (cuts().len() as u64, stream().ends.len() as u64);
    let stats = server.stats();
    assert_eq!((&stats.drops, stats.closes.values().sum::<u64>()), (&[].into(), conversations), "{stats}");
    assert_eq!(stats.packets_in, conversations * (frames + 1), "{stats}");
    // BIN and BYE are no messages. Two requests, two pushes and eight other messages go out.
    assert_eq!((stats.messages_in, stats.messages_out), (conversations * 7, conversations * 12), "{stats}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handoff_loses_doubles_and_reorders_nothing_wherever_it_cuts_the_stream() {
    let codecs = changed::digits(4, [Change::Nothing; 2]);
    let (server, mut opened) = serve(codecs[0].clone()).await;
    let slot = &slot(&server);
    for (n, at) in cuts().enumerate() {
        converse(&server, &mut opened, at, async || {
            let report = slot.swap(&codecs[(n + 1) % 2], Some(Handoff)).await.expect("a good codec");
            assert_eq!((report.moved, report.staying), (1, 0), "{report:?}");
        })
        .await;
    }
    check_counts(&server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewal_loses_doubles_and_reorders_nothing_wherever_it_cuts_the_stream() {
    let [codec] = changed::digits(4, [Change::FillsUp]);
    let (server, mut opened) = serve(codec).await;
    for at in cuts() {
        let renewed = || generation(&slot(&server), 1).renewed;
        let before = renewed();
        converse(&server, &mut opened, at, async || {}).await;
        // Behind the greeting and behind each part.
        assert!(renewed() >= before + 3, "{} of {before}, cut at {at}", renewed());
    }
    check_counts(&server);
    assert_eq!(generation(&slot(&server), 1).faults, [].into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_equal_shadow_differs_nowhere_wherever_it_joins_the_stream() {
    let [current, candidate] = changed::digits(4, [Change::Nothing; 2]);
    let (server, mut opened) = serve(current).await;
    let slot = &slot(&server);
    for at in cuts() {
        converse(&server, &mut opened, at, async || {
            slot.try_out(&candidate, Trial::Shadow, 1.0).await.expect("it fits");
        })
        .await;
        let shadow = slot.status().shadow.expect("there is a shadow");
        let left = stream().ends.iter().filter(|end| **end > at).count() as u64;
        // The last of the pushes and the answer to BYE come behind the packets.
        assert!(shadow.compared >= left + 2, "{shadow:?}, joined at {at}");
        assert_eq!((shadow.differences, shadow.not_mirrored), (0, 0), "{shadow:?}, joined at {at}");
        slot.end_trial().await.expect("it is on trial");
    }
    check_counts(&server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shadow_that_joins_in_the_middle_of_a_frame_shows_where_it_differs() {
    let (server, _opened) = serve(changed::digits(4, [Change::Nothing])[0].clone()).await;
    let slot = &slot(&server);
    let mut client = Digits::connect(&server.tcp()).await;
    client.send("NTC 0 1 a.number\nxSTL").await;
    for _ in 0..3 {
        client.next().await;
    }
    slot.try_out(&changed::louder(), Trial::Shadow, 1.0).await.expect("it fits");
    client.send("S\r\nBIN 0 0\n").await;
    client.expect("-ERR no TLS\r\n").await;
    assert_eq!(client.next().await, frame("BIN", 0, "", ""));
    let shadow = slot.status().shadow.expect("there is a shadow");
    let shown: Vec<_> =
        shadow.first.iter().map(|it| [&*it.call, &*it.input, &*it.current, &*it.candidate]).collect();
    let replies = ["no", "NO"].map(|word| format!(r"reply -ERR {word} TLS\r\n"));
    assert_eq!(shown, [["decode-stream", "53544c530d0a", &replies[0], &replies[1]]]);
    assert_eq!((shadow.compared, shadow.differences, shadow.not_mirrored), (2, 1, 0));
}

/// The candidate takes binary frames for text, so it cuts none. It also encodes text until it is
/// lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shadow_that_cuts_other_frames_is_lost_and_hurts_no_session() {
    let [current, candidate] = changed::digits(4, [Change::Nothing, Change::ForgetsForm]);
    let (server, mut opened) = serve(current).await;
    let slot = &slot(&server);
    let at = stream().ends[4] + 7;
    converse(&server, &mut opened, at, async || {
        slot.try_out(&candidate, Trial::Shadow, 1.0).await.expect("it fits");
    })
    .await;
    let shadow = slot.status().shadow.expect("there is a shadow");
    assert_eq!(shadow.not_mirrored, 0);
    let calls: Vec<_> = shadow.first.iter().map(|it| &*it.call).collect();
    let [encoded @ .., "decode-stream"] = &calls[..] else { panic!("{shadow:?}") };
    // Pushes from before, if any.
    assert!(encoded.len() <= 2 && encoded.iter().all(|call| *call == "encode"), "{shadow:?}");
}
