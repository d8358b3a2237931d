//! Tests of what vectors do not show well: limits, and the order of events.

use wireplug_guest::testing::Client as Tester;
use wireplug_guest::{Event, Fault, Message};

use crate::client::{MAX_FILTER, MAX_FILTERS};
use crate::{Mqtt, topic};

/// Returns a text behind its length.
fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes()[..], text.as_bytes()].concat()
}

/// Returns a CONNECT with a keep alive of 10 s.
fn connect() -> Vec<u8> {
    [&b"\x10\x00\x04MQTT\x04\x02\x00\x0a"[..], &text("me")].concat()
}

/// Returns the events of an accepted [`connect`].
fn accepted() -> [Event; 3] {
    [Event::Reply(b"\x20\x00\x00".to_vec()), Event::Established, Event::Timer(15_000)]
}

/// Returns a client whose CONNECT was accepted.
fn connected(options: &str) -> Tester<Mqtt> {
    let mut client = Tester::open(options).expect("the options are good");
    assert!(matches!(&client.decode(&connect()).expect("a good CONNECT")[..], [Event::Hello(_)]));
    assert_eq!(client.answer(200, b""), accepted());
    client
}

/// Returns a SUBSCRIBE to these filters.
fn subscribe(filters: &[&str]) -> Vec<u8> {
    let filters = filters.iter().map(|filter| [text(filter), vec![1]].concat());
    [&b"\x82\x00\x07"[..], &filters.collect::<Vec<_>>().concat()].concat()
}

#[test]
fn filters_match_as_the_specification_says() {
    // The examples of the specification, sections 4.7.1 and 4.7.2.
    for (filter, topic, is_match) in [
        ("sport/tennis/player1/#", "sport.tennis.player1", true),
        ("sport/tennis/player1/#", "sport.tennis.player1.ranking", true),
        ("sport/tennis/player1/#", "sport.tennis.player1.score.wimbledon", true),
        ("#", "sport", true),
        ("sport/tennis/+", "sport.tennis.player1", true),
        ("sport/tennis/+", "sport.tennis.player1.ranking", false),
        ("sport/+", "sport", false),
        ("sport/+", "sport.", true),
        ("+/+", ".finance", true),
        ("/+", ".finance", true),
        ("+", ".finance", false),
        ("#", "$SYS.monitor", false),
        ("+/monitor", "$SYS.monitor", false),
        ("$SYS/#", "$SYS.monitor", true),
        ("a", "a", true),
        ("a", "b", false),
        ("a/b", "a", false),
    ] {
        assert_eq!(topic::matches(filter, topic), is_match, "{filter} {topic}");
    }
    for filter in ["#", "+", "a/+/b", "/", "a//b", "+/#", "$SYS/#"] {
        assert!(topic::is_filter(filter), "{filter}");
    }
    for filter in ["", "a#", "#/a", "a+", "+a/b", "a/#/b"] {
        assert!(!topic::is_filter(filter), "{filter}");
    }
}

#[test]
fn subscriptions_are_limited() {
    let mut client = connected("{}");
    let granted = |events: Vec<Event>| match &events[..] {
        [Event::Reply(suback)] => suback[3..].to_vec(),
        other => panic!("{other:?}"),
    };
    let long = "a".repeat(MAX_FILTER + 1);
    let refused = client.decode(&subscribe(&[&long, &long[1..], "with.dot"])).map(granted);
    assert_eq!(refused, Ok(vec![0x80, 0, 0x80]));
    let many: Vec<_> = (0..MAX_FILTERS).map(|n| format!("t/{n}")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let last = client.decode(&subscribe(&many)).map(granted).expect("a good SUBSCRIBE");
    assert_eq!(last.iter().filter(|code| **code == 0).count(), MAX_FILTERS - 1);
    // A filter that the client has subscribed to already does not count again.
    assert_eq!(client.decode(&subscribe(&["t/0"])).map(granted), Ok(vec![0]));
    // One packet that repeats a filter cannot become thousands of messages.
    let again = ["t/0"; MAX_FILTERS + 1];
    let mut notified = connected(r#"{"on-subscribe":"a.b.c"}"#);
    let events = notified.decode(&subscribe(&again)).expect("a good SUBSCRIBE");
    assert_eq!(events.len(), 1 + MAX_FILTERS);
    assert_eq!(granted(events[..1].to_vec()), [&[0; MAX_FILTERS][..], &[0x80]].concat());
}

#[test]
fn silence_ends_a_connection_after_one_and_a_half_times_its_keep_alive() {
    let mut client = connected("{}");
    client.now.session_ms = 14_000;
    assert_eq!(client.decode(b"\xc0"), Ok(vec![Event::Reply(b"\xd0".to_vec())]));
    client.now.session_ms = 15_000;
    assert_eq!(client.tick(), [Event::Timer(14_000)]);
    client.now.session_ms = 28_999;
    assert_eq!(client.tick(), [Event::Timer(1)]);
    client.now.session_ms = 29_000;
    assert!(matches!(&client.tick()[..], [Event::Close { .. }]));
}

#[test]
fn pushes_go_to_subscribers() {
    let mut client = connected("{}");
    let push = |client: &mut Tester<Mqtt>, route| client.encode(Message::notice(route, b"{}"));
    assert_eq!(push(&mut client, "onChat"), Ok(vec![]));
    client.decode(&subscribe(&["onChat", "+/b"])).expect("a good SUBSCRIBE");
    client.hand_over().expect("the session can move");
    assert_eq!(push(&mut client, "onChat"), Ok(vec![b"\x30\x00\x06onChat{}".to_vec()]));
    assert_eq!(push(&mut client, "a.b"), Ok(vec![b"\x30\x00\x03a/b{}".to_vec()]));
    assert_eq!(push(&mut client, "a.c"), Ok(vec![]));
    client.decode(b"\xa2\x00\x09\x00\x06onChat").expect("a good UNSUBSCRIBE");
    assert_eq!(push(&mut client, "onChat"), Ok(vec![]));
}

#[test]
fn handled_messages_are_acknowledged() {
    let mut client = connected("{}");
    let response = |status| Message::response(0x0102, "a", status, b"");
    for status in [200, 404, 403] {
        assert_eq!(client.encode(response(status)), Ok(vec![b"\x40\x01\x02".to_vec()]));
    }
    assert!(matches!(client.encode(response(503)), Err(Fault::Fatal(_))));
}

#[test]
fn a_client_that_waits_for_the_answer_is_not_silent() {
    let mut client = Tester::<Mqtt>::open("{}").expect("the options are good");
    client.decode(&connect()).expect("a good CONNECT");
    client.now.session_ms = 60_000;
    assert_eq!(client.answer(200, b""), accepted());
}
