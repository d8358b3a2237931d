//! What vectors do not show well: bounds, and the order of things.

use wireplug_guest::testing::Client as Tester;
use wireplug_guest::{Event, Fault, Message};

use crate::client::{MAX_EARLY, MAX_FILTER, MAX_FILTERS};
use crate::{Mqtt, topic};

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes()[..], text.as_bytes()].concat()
}

/// A CONNECT with a keep alive of 10 s.
fn connect() -> Vec<u8> {
    [&b"\x10\x00\x04MQTT\x04\x02\x00\x0a"[..], &text("me")].concat()
}

fn connected(options: &str) -> Tester<Mqtt> {
    let mut client = Tester::open(options).expect("the options are good");
    assert!(matches!(&client.decode(&connect()).expect("a good CONNECT")[..], [Event::Hello(_)]));
    let answer = client.answer(200, b"");
    assert_eq!(answer, [Event::Reply(b"\x20\x00\x00".to_vec()), Event::Established, Event::Wake(15_000)]);
    client
}

fn subscribe(filters: &[&str]) -> Vec<u8> {
    let filters = filters.iter().map(|filter| [text(filter), vec![1]].concat());
    [&b"\x82\x00\x07"[..], &filters.collect::<Vec<_>>().concat()].concat()
}

#[test]
fn filters_match_as_the_specification_has_it() {
    // Its own examples, section 4.7.1 and 4.7.2.
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
fn subscriptions_are_bounded() {
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
    // One that is there already takes no room.
    assert_eq!(client.decode(&subscribe(&["t/0"])).map(granted), Ok(vec![0]));
    // But to ask for it again and again in one packet is no way to make thousands of messages.
    let again = ["t/0"; MAX_FILTERS + 1];
    let mut told = connected(r#"{"on-subscribe":"a.b.c"}"#);
    let events = told.decode(&subscribe(&again)).expect("a good SUBSCRIBE");
    assert_eq!(events.len(), 1 + MAX_FILTERS);
    assert_eq!(granted(events[..1].to_vec()), [&[0; MAX_FILTERS][..], &[0x80]].concat());
}

/// Clients need not wait for the answer to CONNECT.
#[test]
fn what_comes_early_is_kept_and_bounded() {
    let mut client = Tester::<Mqtt>::open("{}").expect("the options are good");
    client.decode(&connect()).expect("a good CONNECT");
    assert_eq!(client.decode(&subscribe(&["a"])), Ok(vec![]));
    assert_eq!(client.decode(b"\x32\x00\x01a\x00\x05hi"), Ok(vec![]));
    client.hand_over().expect("it can be carried over");
    let events = client.answer(200, b"");
    let request = Event::Message { id: Some(5), route: "a".to_owned(), body: b"hi".to_vec() };
    assert_eq!(events[3..], [Event::Reply(b"\x90\x00\x07\x00".to_vec()), request]);

    let mut client = Tester::<Mqtt>::open("{}").expect("the options are good");
    client.decode(&connect()).expect("a good CONNECT");
    for _ in 0..MAX_EARLY.0 {
        assert_eq!(client.decode(b"\xc0"), Ok(vec![]));
    }
    assert!(matches!(client.decode(b"\xc0"), Err(Fault::Fatal(_))));
    // The first mistake in it ends the connection, and nothing comes behind that.
    let mut client = Tester::<Mqtt>::open("{}").expect("the options are good");
    client.decode(&connect()).expect("a good CONNECT");
    client.decode(b"\x10").expect("it is kept");
    client.decode(b"\xc0").expect("it is kept");
    assert_eq!(client.answer(200, b"").last(), Some(&Event::Close("a second CONNECT".to_owned())));
}

#[test]
fn silence_ends_a_connection_after_one_and_a_half_times_its_keep_alive() {
    let mut client = connected("{}");
    client.now_ms = 14_000;
    assert_eq!(client.decode(b"\xc0"), Ok(vec![Event::Reply(b"\xd0".to_vec())]));
    client.now_ms = 15_000;
    assert_eq!(client.tick(), [Event::Wake(14_000)]);
    client.now_ms = 28_999;
    assert_eq!(client.tick(), [Event::Wake(1)]);
    client.now_ms = 29_000;
    assert!(matches!(&client.tick()[..], [Event::Close(_)]));
}

#[test]
fn pushes_go_to_those_who_subscribed() {
    let mut client = connected("{}");
    assert_eq!(client.push("onChat", b"{}"), Ok(None));
    client.decode(&subscribe(&["onChat", "+/b"])).expect("a good SUBSCRIBE");
    client.hand_over().expect("it can be carried over");
    assert_eq!(client.push("onChat", b"{}"), Ok(Some(b"\x30\x00\x06onChat{}".to_vec())));
    assert_eq!(client.push("a.b", b"{}"), Ok(Some(b"\x30\x00\x03a/b{}".to_vec())));
    assert_eq!(client.push("a.c", b"{}"), Ok(None));
    client.decode(b"\xa2\x00\x09\x00\x06onChat").expect("a good UNSUBSCRIBE");
    assert_eq!(client.push("onChat", b"{}"), Ok(None));
}

#[test]
fn what_was_answered_is_acknowledged() {
    let mut client = connected("{}");
    let answered = |status| Message { id: Some(0x0102), route: "a", body: b"", status };
    for status in [200, 404, 403] {
        assert_eq!(client.encode(answered(status)), Ok(Some(b"\x40\x01\x02".to_vec())));
    }
    assert!(matches!(client.encode(answered(503)), Err(Fault::Fatal(_))));
}

/// A client that waits to be let in is not silent.
#[test]
fn the_application_may_take_its_time() {
    let mut client = Tester::<Mqtt>::open("{}").expect("the options are good");
    client.decode(&connect()).expect("a good CONNECT");
    client.now_ms = 60_000;
    let answer = client.answer(200, b"");
    assert_eq!(answer, [Event::Reply(b"\x20\x00\x00".to_vec()), Event::Established, Event::Wake(15_000)]);
}
