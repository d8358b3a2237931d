//! Tests of what vectors do not show well: limits, and streams that are divided anywhere.

use wireplug_guest::testing::{Client as Tester, Received};
use wireplug_guest::{Event, Message, Peer};

use crate::Postgres;

const MAX_PACKET: u32 = 64 << 10;

fn message(kind: u8, fields: &[u8]) -> Vec<u8> {
    [&[kind][..], &(fields.len() as u32 + 4).to_be_bytes(), fields].concat()
}

fn parse(name: &str, sql: &str) -> Vec<u8> {
    message(b'P', format!("{name}\0{sql}\0\0\0").as_bytes())
}

/// Binds the unnamed portal to a statement without parameters.
fn bind(statement: &str) -> Vec<u8> {
    message(b'B', format!("\0{statement}\0\0\0\0\0\0\0").as_bytes())
}

fn execute() -> Vec<u8> {
    message(b'E', b"\0\0\0\0\0")
}

fn sync() -> Vec<u8> {
    message(b'S', b"")
}

fn query(sql: &str) -> Vec<u8> {
    message(b'Q', format!("{sql}\0").as_bytes())
}

/// Returns the session of a client that was let in over a Unix socket.
fn established() -> Tester<Postgres> {
    let peer = Peer { transport: "unix".to_owned(), max_packet: MAX_PACKET, ..Peer::default() };
    let mut client = Tester::connect("{}", peer).expect("a session");
    client.receive(b"\0\0\0\x12\0\x03\0\0user\0ann\0\0");
    client.receive(&message(b'p', b"secret\0"));
    assert_eq!(client.answer(200, b"").last(), Some(&Event::Established));
    client
}

/// Returns the bodies of the requests among what was received.
fn requests(received: &[Received]) -> Vec<(u64, String)> {
    let request = |received: &Received| match received {
        Received::Event(Event::Request { id, body, .. }) => {
            Some((*id, String::from_utf8(body.clone()).expect("JSON is text")))
        }
        _ => None,
    };
    received.iter().filter_map(request).collect()
}

/// Returns the reason for which the session ended, if it did.
fn closed(received: &[Received]) -> Option<&str> {
    received.iter().find_map(|received| match received {
        Received::Event(Event::Close { reason, .. }) => Some(&**reason),
        _ => None,
    })
}

/// Answers a request of the extended protocol, and returns all messages of the server.
fn respond(client: &mut Tester<Postgres>, id: u64, body: &str) -> String {
    let response = Message::response(id, "postgres.extended", 200, body.as_bytes());
    let packets = client.encode(response).expect("an answer in its turn");
    String::from_utf8_lossy(&packets.concat()).into_owned()
}

#[test]
fn a_group_without_sync_is_bounded() {
    let mut client = established();
    let sql = "x".repeat(60_000);
    let group: Vec<_> = (0..9).map(|_| [parse("", &sql), bind(""), execute()].concat()).collect();
    let received = client.receive(&[group.concat(), sync()].concat());
    let [(id, body)] = &requests(&received)[..] else { panic!("one request") };
    assert!(body.len() < 700_000 && body.contains("\"fail\""), "{} bytes", body.len());
    let answer = respond(&mut client, *id, r#"{"results":[{},{},{},{},{},{},{},{},{},{},{},{}]}"#);
    assert!(answer.contains("C54000") && answer.ends_with("Z\0\0\0\x05I"), "{answer}");
}

#[test]
fn few_bytes_cannot_become_many_requests() {
    let mut client = established();
    let sql = "x".repeat(60_000);
    client.receive(&[parse("long", &sql), sync()].concat());
    respond(&mut client, 1, r#"{"results":[{}]}"#);
    // Each of these is 30 bytes, and its request has the text of the statement.
    let short = [bind("long"), execute(), sync()].concat();
    let received = client.receive(&short.repeat(100));
    let requests = requests(&received);
    let total: usize = requests.iter().map(|(_, body)| body.len()).sum();
    assert!(requests.len() > 1 && total <= 512 << 10, "{total} bytes");
    // The others are held until there is room.
    client.now.session_ms = 10;
    assert_eq!(client.tick(), [Event::Timer(10)]);
    let answer = respond(&mut client, 2, r#"{"results":[{"command":"A"}]}"#);
    assert!(answer.ends_with("Z\0\0\0\x05I"), "{answer}");
    let next = requests.last().map_or(0, |(id, _)| id + 1);
    match &client.tick()[..] {
        [Event::Request { id, .. }, Event::Timer(10)] => assert_eq!(*id, next),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_held_is_bounded() {
    let mut client = established();
    let flush = message(b'H', b"");
    client.receive(&[parse("", "a"), flush].concat());
    let long = query(&"x".repeat(60_000));
    for _ in 0..8 {
        assert_eq!(closed(&client.receive(&long)), None);
    }
    let received = client.receive(&long);
    assert_eq!(closed(&received), Some("too many messages wait for an answer"));
}

#[test]
fn syncs_that_wait_for_their_turn_are_bounded() {
    let mut client = established();
    client.receive(&query("SELECT pg_sleep(1000)"));
    let syncs = sync().repeat(1000);
    let ended = (0..1000).find_map(|_| closed(&client.receive(&syncs)).map(str::to_owned));
    assert_eq!(ended.as_deref(), Some("too many messages wait for an answer"));
}

#[test]
fn refused_queries_that_wait_for_their_turn_are_bounded() {
    let mut client = established();
    client.receive(&query("SELECT pg_sleep(1000)"));
    let received = client.receive(&message(b'F', b"").repeat(10_000));
    let requests = requests(&received);
    let total: usize = requests.iter().map(|(_, body)| body.len()).sum();
    assert!(requests.len() > 1000 && total <= 512 << 10, "{total} bytes");
}

#[test]
fn prepared_statements_are_bounded() {
    let mut client = established();
    let refused = (1..1000).find(|&id| {
        client.receive(&[parse(&format!("s{id}"), "a"), sync()].concat());
        respond(&mut client, id, r#"{"results":[{}]}"#).contains("C54000")
    });
    assert_eq!(refused, Some(257));
    let mut client = established();
    let sql = "x".repeat(65_000);
    let refused = (1..100).find(|&id| {
        client.receive(&[parse(&format!("s{id}"), &sql), sync()].concat());
        respond(&mut client, id, r#"{"results":[{}]}"#).contains("C54000")
    });
    assert_eq!(refused, Some(17));
}

#[test]
fn a_row_that_no_packet_can_hold_is_an_error() {
    let mut client = established();
    client.receive(&query("a"));
    let long = "x".repeat(MAX_PACKET as usize);
    let body = format!(r#"{{"results":[{{"columns":[{{"name":"a","type":"text"}}],"rows":[["{long}"]]}}]}}"#);
    let packets = client.encode(Message::response(1, "postgres.query", 200, body.as_bytes()));
    let packets = packets.expect("an answer");
    assert!(packets.iter().all(|packet| packet.len() <= MAX_PACKET as usize));
    let answer = String::from_utf8_lossy(&packets.concat()).into_owned();
    assert!(answer.contains("C54000") && answer.ends_with("Z\0\0\0\x05I"), "{answer}");
}

#[test]
fn long_errors_are_cut() {
    let mut client = established();
    client.receive(&query("a"));
    let long = "ä".repeat(20_000);
    let body = format!(r#"{{"error":{{"message":"{long}","hint":"{long}"}}}}"#);
    let packets = client.encode(Message::response(1, "postgres.query", 200, body.as_bytes()));
    let packets = packets.expect("an answer");
    assert!(packets[0].len() < 10_000 && str::from_utf8(&packets[0][5..]).is_ok());
}

#[test]
fn the_answers_do_not_depend_on_how_the_stream_is_divided() {
    let flush = message(b'H', b"");
    let stream =
        [parse("s", "a"), bind("s"), flush, execute(), sync(), query("b"), message(b'?', b"")].concat();
    let whole = established().receive(&stream);
    assert_eq!(established().receive_bytewise(&stream), whole);
    for at in 0..stream.len() {
        let mut client = established();
        let mut received = client.receive(&stream[..at]);
        client.hand_over().expect("the session can move");
        received.extend(client.receive(&stream[at..]));
        assert_eq!(received, whole);
    }
}

#[test]
fn a_listener_with_small_packets_is_refused() {
    let peer = Peer { max_packet: 32_767, ..Peer::default() };
    assert!(Tester::<Postgres>::connect("{}", peer).is_err());
}
