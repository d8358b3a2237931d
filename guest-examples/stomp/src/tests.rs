//! Tests of the limits, which would be long in vectors.

use wireplug_guest::testing::{Client, Received};
use wireplug_guest::{Event, Fault, Message};

use crate::Stomp;
use crate::client::{MAX_RECEIPT, MAX_REQUESTS};
use crate::delivery::MAX_DELIVERIES;
use crate::frame::{MAX_HEAD, MAX_HEADERS};
use crate::subscriptions::{MAX_COPIES, MAX_NAME, MAX_SUBSCRIPTIONS};
use crate::transactions::{MAX_BYTES, MAX_FRAMES, MAX_TRANSACTIONS};

/// The largest packet in tests, in bytes.
const MAX_PACKET: usize = 64 << 10;

fn connected() -> Client<Stomp> {
    let mut client = Client::<Stomp>::open("{}").expect("the options are good");
    client.receive(b"CONNECT\naccept-version:1.2\nhost:h\n\n\0");
    client.answer(200, b"");
    client
}

/// Sends a stream in one piece to one client, and byte by byte to another. Returns why the
/// connection ends.
fn end(stream: impl AsRef<[u8]>) -> Option<String> {
    let end = reason(connected().receive(stream.as_ref()));
    assert_eq!(end, reason(connected().receive_bytewise(stream.as_ref())));
    end
}

fn reason(received: Vec<Received>) -> Option<String> {
    received.into_iter().find_map(|received| match received {
        Received::Event(Event::Close { reason, .. }) => Some(reason),
        _ => None,
    })
}

fn frames(count: usize, frame: impl Fn(usize) -> String) -> String {
    (0..count).map(frame).collect()
}

/// Returns a frame of this many bytes.
fn padded(begin: &str, length: usize, end: &str) -> String {
    format!("{begin}{}{end}", "a".repeat(length - begin.len() - end.len()))
}

#[test]
fn frames_are_limited() {
    // The limit does not count the NUL.
    let head = |length| padded("SEND\ndestination:a\nx:", length + 1, "\n\n\0");
    assert_eq!(end(head(MAX_HEAD)), None);
    assert_eq!(end(head(MAX_HEAD + 1)).as_deref(), Some("the headers are too long"));
    assert_eq!(end("a".repeat(MAX_HEAD)).as_deref(), Some("the headers are too long"));

    let headers = |count| format!("SEND\n{}\n\0", "destination:a\n".repeat(count));
    assert_eq!(end(headers(MAX_HEADERS)), None);
    assert_eq!(end(headers(MAX_HEADERS + 1)).as_deref(), Some("a frame has more than 64 headers"));

    let body = |length| padded("SEND\ndestination:a\n\n", length, "\0");
    assert_eq!(end(body(MAX_PACKET)), None);
    assert_eq!(end(body(MAX_PACKET + 1)).as_deref(), Some("the frame is too long"));
    let counted =
        |length| format!("SEND\ndestination:a\ncontent-length:{length}\n\n{}\0", "\n".repeat(length));
    let most = MAX_PACKET - 42;
    assert_eq!(end(counted(most)), None);
    assert_eq!(end(counted(most + 1)).as_deref(), Some("the frame is too long"));
}

#[test]
fn subscriptions_are_limited() {
    let subscribe = |number| format!("SUBSCRIBE\nid:{number}\ndestination:{number}\n\n\0");
    assert_eq!(end(frames(MAX_SUBSCRIPTIONS, subscribe)), None);
    let reason = end(frames(MAX_SUBSCRIPTIONS + 1, subscribe));
    assert_eq!(reason.as_deref(), Some("a client may have 256 subscriptions"));

    let again = |number| format!("SUBSCRIBE\nid:{number}\ndestination:a\n\n\0");
    assert_eq!(end(frames(MAX_COPIES, again)), None);
    let reason = end(frames(MAX_COPIES + 1, again));
    assert_eq!(reason.as_deref(), Some("a client may have 4 subscriptions to one destination"));

    let named = |length| format!("SUBSCRIBE\nid:{}\ndestination:a\n\n\0", "a".repeat(length));
    assert_eq!(end(named(MAX_NAME)), None);
    assert_eq!(end(named(MAX_NAME + 1)).as_deref(), Some("`id` has more than 256 bytes"));
}

#[test]
fn transactions_are_limited() {
    let begin = |number| format!("BEGIN\ntransaction:{number}\n\n\0");
    assert_eq!(end(frames(MAX_TRANSACTIONS, begin)), None);
    let reason = end(frames(MAX_TRANSACTIONS + 1, begin));
    assert_eq!(reason.as_deref(), Some("a client may have 16 open transactions"));

    let send = |_| "SEND\ndestination:a\ntransaction:0\n\n\0".to_owned();
    assert_eq!(end(begin(0) + &frames(MAX_FRAMES, send)), None);
    let reason = end(begin(0) + &frames(MAX_FRAMES + 1, send));
    assert_eq!(reason.as_deref(), Some("more than 128 frames wait in transactions"));

    let long = |_| padded("SEND\ndestination:a\ntransaction:0\n\n", MAX_PACKET, "\0");
    assert_eq!(end(begin(0) + &frames(MAX_BYTES / MAX_PACKET, long)), None);
    let reason = end(begin(0) + &frames(MAX_BYTES / MAX_PACKET + 1, long));
    assert_eq!(reason.as_deref(), Some("the frames in transactions have more than 262144 bytes"));
}

#[test]
fn receipts_are_limited() {
    let send = |number| format!("SEND\ndestination:a\nreceipt:{number}\n\n\0");
    assert_eq!(end(frames(MAX_REQUESTS, send)), None);
    let reason = end(frames(MAX_REQUESTS + 1, send));
    assert_eq!(reason.as_deref(), Some("more than 512 frames with receipts wait for an answer"));

    let named = |length| format!("SEND\ndestination:a\nreceipt:{}\n\n\0", "a".repeat(length));
    assert_eq!(end(named(MAX_RECEIPT)), None);
    assert_eq!(end(named(MAX_RECEIPT + 1)).as_deref(), Some("`receipt` has more than 256 bytes"));
}

#[test]
fn acknowledgments_are_limited() {
    let mut client = connected();
    client.receive(b"SUBSCRIBE\nid:0\ndestination:a\nack:client\n\n\0");
    for id in 1..=MAX_DELIVERIES as u64 {
        assert!(client.encode(Message::request(id, "a", b"")).is_ok());
    }
    let more = Message::request(9999, "a", b"");
    assert!(matches!(client.encode(more), Err(Fault::Rejected(_))));
    client.abandon(7);
    assert!(client.encode(more).is_ok());
}

#[test]
fn long_messages_are_rejected() {
    let mut client = connected();
    client.receive(b"SUBSCRIBE\nid:0\ndestination:a\n\n\0");
    let body = vec![0; MAX_PACKET];
    assert!(matches!(client.encode(Message::notice("a", &body)), Err(Fault::Rejected(_))));
    // A reason that is too long is left out.
    client.receive(b"SEND\ndestination:a\nreceipt:r\n\n\0");
    let error = client.encode(Message::response(1, "a", 400, &body)).expect("an ERROR");
    assert_eq!(error, [b"ERROR\nmessage:the application answered with status 400\nreceipt-id:r\n\n\0"]);
}
