//! Tests of what the vectors leave out. A host replays the vectors.

use wireplug_guest::testing::{Client, Received};
use wireplug_guest::{Event, Fault, Message, Peer};

use super::Digits;

fn client(attributes: &[&str]) -> Client<Digits> {
    let attributes = attributes.iter().map(|name| ((*name).to_owned(), String::new())).collect();
    let mut client =
        Client::connect("{}", Peer { max_packet: 66_000, attributes, ..Peer::default() }).unwrap();
    assert_eq!(client.tick(), [Event::Reply(b"+OK digits\r\n".to_vec())]);
    client
}

const STREAM: &[u8] =
    b"REQ 7 5 chat.say\nhelloNTC 0 0 a\nBIN 0 0\n\0\0\0\x08N\0\0\0\0\x01abBYE\xff\xff\xff\xff";

#[test]
fn the_answers_do_not_depend_on_how_the_stream_is_divided() {
    let whole = client(&[]).receive(STREAM);
    let packets: Vec<_> = whole
        .iter()
        .filter_map(|r| if let Received::Packet(packet) = r { Some(packet) } else { None })
        .collect();
    assert_eq!(
        packets,
        [&b"REQ 7 5 chat.say\nhello"[..], b"NTC 0 0 a\n", b"BIN 0 0\n", b"\0\0\0\x08N\0\0\0\0\x01ab"]
    );
    assert_eq!(whole.last(), Some(&Received::Fault(Fault::fatal("the frame has more than 66000 bytes"))));
    assert_eq!(client(&[]).receive_bytewise(STREAM), whole);
    for at in 0..STREAM.len() {
        let mut client = client(&[]);
        let mut received = client.receive(&STREAM[..at]);
        client.hand_over().unwrap();
        received.extend(client.receive(&STREAM[at..]));
        assert_eq!(received, whole);
    }
}

#[test]
fn tls_begins_once_and_only_where_it_can() {
    let reply = |text: &str| Received::Event(Event::Reply(text.into()));
    let stls = Received::Packet(b"STLS\r\n".to_vec());
    let mut client = client(&["starttls"]);
    let begun = [stls.clone(), reply("+OK begin TLS\r\n"), Received::StartTls];
    assert_eq!(client.receive(b"STLS\r\n\x16\x03\x01"), begun);
    assert_eq!(client.receive(b"NTC 0 0 a\n"), []);
    assert_eq!(client.secured(&[("tls-sni", "localhost")]), []);
    assert_eq!(client.receive(b"STLS\r\n"), [stls, reply("-ERR no TLS\r\n")]);
}

#[test]
fn the_largest_body_has_65535_bytes() {
    let body = vec![b'x'; 65_536];
    let mut client = client(&[]);
    let packets = client.encode(Message::notice("a", &body[1..])).unwrap();
    assert_eq!(packets[0].len(), "PSH 0 65535 a\n".len() + 65_535);
    let too_long = Err(Fault::rejected("the body has more than 65535 bytes"));
    assert_eq!(client.encode(Message::notice("a", &body)), too_long);

    let frame = [b"NTC 0 0 a\nBIN 0 0\n", &65_542_u32.to_be_bytes()[..], b"N\0\0\0\0\0", &body].concat();
    let fatal = Fault::fatal("the body has more than 65535 bytes");
    assert_eq!(client.receive(&frame).last(), Some(&Received::Fault(fatal)));
}

#[test]
fn an_id_that_no_frame_has_is_rejected() {
    let mut client = client(&[]);
    let rejected = Err(Fault::rejected("the id is above 4294967295"));
    assert_eq!(client.encode(Message::request(1 << 32, "a", b"")), rejected);
    assert_eq!(client.abandon(1 << 32), []);
}

#[test]
fn a_state_of_another_format_is_refused() {
    use wireplug_guest::{Handoff as _, Instant};
    for state in [&b""[..], b"\x01", b"\x01\x08", b"\x02\0", b"\x01\0\0"] {
        assert!(Digits.restore(Peer::default(), state, Instant::default()).is_err(), "{state:?}");
    }
}
