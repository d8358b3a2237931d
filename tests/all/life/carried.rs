//! A handoff carries over requests in flight, and also messages that wait, an incomplete packet, an
//! incomplete handshake, the end of a timer, and the data that the client was sent.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Semaphore;
use wireplug::Session;
use wireplug::app::Error;
use wireplug::config::ClientLimits;
use wireplug::config::LiveSessions::Handoff;
use wireplug::session::SessionId;
use wireplug_tests::app::{self, ECHO, ON_CHAT};
use wireplug_tests::client::Client;
use wireplug_tests::raw::{ACK, DATA, HANDSHAKE, Raw, frame, hello, package, request, response};
use wireplug_tests::server::{self, Setup};
use wireplug_tests::{log, within};

use super::{pomelo, pomelo_with, sessions_by_generation, slot};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pushes_from_before_and_after_arrive_in_order() {
    // The messages wait for so long that the new codec usually has to encode those from before the
    // swap.
    let client = ClientLimits { flush_interval: Duration::from_secs(1), ..server::setup().client };
    let server = server::serve(app::demo(), Setup { client, ..server::setup() }, [pomelo(1)]).await;
    let slot = &slot(&server);
    let mut clients = [Client::connect(&server.tcp()).await, Client::connect(&server.ws()).await];
    server.until("both established", |_| server.sessions().len() == 2).await;
    let session = |id| server.sessions().get(SessionId(id)).expect("it is connected");
    let sessions = [session(1), session(2)];
    let push = |n: u64| sessions.iter().for_each(|session| session.push(ON_CHAT, &n).expect("there is room"));
    (0..100).for_each(push);
    assert_eq!(slot.swap(&pomelo(2), Some(Handoff)).await.expect("a good codec").moved, 2);
    (100..200).for_each(push);
    for client in &mut clients {
        for n in 0..200 {
            assert_eq!(client.next_push().await, (ON_CHAT.to_owned(), json!(n)));
        }
    }
}

/// Four clients are in the handshake: one has sent nothing, one has sent half of its hello, one
/// waits for the application's answer, and one has not acknowledged the answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_goes_on_where_it_was() {
    let (permits, begun) = (Arc::new(Semaphore::new(1)), Arc::new(Semaphore::new(0)));
    let (opened, started) = (Arc::clone(&permits), Arc::clone(&begun));
    let app = app::demo().hello(move |session: Session| {
        let (permits, begun) = (Arc::clone(&permits), Arc::clone(&begun));
        async move {
            session.push(ON_CHAT, "from before")?;
            begun.add_permits(1);
            permits.acquire().await?.forget();
            Ok::<_, Error>(())
        }
    });
    let source = pomelo_with(1, json!({ "dictionary": false }));
    // A hybrid listener would wait for the first byte before it opens a session.
    let server = server::serve(app, Setup { url: "tcp://127.0.0.1:0", ..server::setup() }, [source]).await;
    let slot = &slot(&server);

    let mut answered = Raw::connect(&server.tcp()).await;
    answered.send(&hello()).await;
    assert_eq!(answered.package().await.0, HANDSHAKE);
    let mut greeted = Raw::connect(&server.tcp()).await;
    greeted.send(&hello()).await;
    drop(within("both hellos", started.acquire_many(2)).await);
    let mut silent = Raw::connect(&server.tcp()).await;
    let mut halfway = Raw::connect(&server.tcp()).await;
    halfway.send(&hello()[..7]).await;
    super::until_sessions(slot, &[(1, 4)]).await;

    let next = pomelo_with(2, json!({ "dictionary": false }));
    let report = slot.swap(&next, Some(Handoff)).await.expect("a good codec");
    assert_eq!((report.moved, sessions_by_generation(slot)), (4, vec![(1, 0), (2, 4)]));

    opened.add_permits(3);
    halfway.send(&hello()[7..]).await;
    silent.send(&hello()).await;
    for client in [&mut greeted, &mut silent, &mut halfway] {
        assert_eq!(client.package().await, (HANDSHAKE, br#"{"code":200,"sys":{}}"#.to_vec()));
    }
    for client in [&mut answered, &mut greeted, &mut silent, &mut halfway] {
        client.send(&[package(ACK, ""), request(1, ECHO, "[1]")].concat()).await;
        client.expect(&package(DATA, b"\x06\x06onChat\"from before\"")).await;
        client.expect(&response(1, "[1]")).await;
    }
    assert_eq!(server.stats().closes, [].into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_packet_waits_for_the_other_half() {
    let options = json!({ "dictionary": false });
    let server = server::serve(app::demo(), server::setup(), [pomelo_with(1, options.clone())]).await;
    let (one, two) = (request(1, ECHO, "[1]"), request(2, ECHO, "[2]"));

    let mut tcp = Raw::pomelo(&server.tcp()).await;
    // The first request is answered, so the bytes that were sent with it have been read.
    tcp.send(&[&one[..], &two[..6]].concat()).await;
    tcp.expect(&response(1, "[1]")).await;
    let mut ws = Raw::upgraded(&server.tcp()).await;
    let served = |packet: Vec<u8>| [&[0x82, packet.len() as u8][..], &packet].concat();
    ws.send(&frame(&hello())).await;
    ws.expect(&served(package(HANDSHAKE, r#"{"code":200,"sys":{}}"#))).await;
    let half = frame(&two);
    ws.send(&[&frame(&package(ACK, ""))[..], &frame(&one), &half[..9]].concat()).await;
    ws.expect(&served(response(1, "[1]"))).await;

    let report = slot(&server).swap(&pomelo_with(2, options), Some(Handoff)).await.expect("a good codec");
    assert_eq!(report.moved, 2);
    tcp.send(&two[6..]).await;
    tcp.expect(&response(2, "[2]")).await;
    ws.send(&half[9..]).await;
    ws.expect(&served(response(2, "[2]"))).await;
}

/// A client that was sent one dictionary keeps it in both directions. A client that comes later is
/// sent the other one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_sent_a_dictionary_keeps_it() {
    let options = |echo: u16, chat: u16| json!({ "dictionary": { ECHO: echo, ON_CHAT: chat } });
    let server = server::serve(app::demo(), server::setup(), [pomelo_with(1, options(1, 2))]).await;
    let mut old = Raw::pomelo(&server.tcp()).await;
    old.send(&package(DATA, b"\x01\x01\x00\x01[1]")).await;
    old.expect(&response(1, "[1]")).await;
    let slot = &slot(&server);
    // The component is the same. Other options alone make another generation.
    slot.swap(&pomelo_with(1, options(2, 1)), Some(Handoff)).await.expect("a good codec");
    assert_eq!(sessions_by_generation(slot), [(1, 0), (2, 1)]);

    let mut new = Raw::connect(&server.tcp()).await;
    new.send(&hello()).await;
    let answer: Value = serde_json::from_slice(&new.package().await.1).expect("JSON");
    assert_eq!(answer["sys"]["dict"], json!({ ECHO: 2, ON_CHAT: 1 }));
    new.send(&package(ACK, "")).await;
    for (client, id, [echo, chat]) in [(&mut old, 1, [1, 2]), (&mut new, 2, [2, 1])] {
        client.send(&package(DATA, [&[1, 9, 0, echo][..], b"[9]"].concat())).await;
        client.expect(&response(9, "[9]")).await;
        server.sessions().get(SessionId(id)).expect("it is there").push(ON_CHAT, "hi").expect("room");
        client.expect(&package(DATA, [&[7, 0, chat][..], b"\"hi\""].concat())).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_falls_silent_is_still_given_up() {
    let options = json!({ "heartbeat": 2, "timeout": 5, "dictionary": false });
    let server = server::serve(app::demo(), server::setup(), [pomelo_with(1, options)]).await;
    let mut raw = Raw::connect(&server.tcp()).await;
    raw.send(&hello()).await;
    raw.package().await;
    raw.send(&package(ACK, "")).await;
    raw.expect(&package(wireplug_tests::raw::HEARTBEAT, "")).await;
    // The options without heartbeats apply only to later clients.
    let next = pomelo_with(2, json!({ "dictionary": false }));
    assert_eq!(slot(&server).swap(&next, Some(Handoff)).await.expect("a good codec").moved, 1);
    assert_eq!(raw.rest().await, b"");
    let line = log::closing_line(raw.address()).await;
    assert!(line.contains("no sign of life from the client for 5 s"), "{line}");
}
