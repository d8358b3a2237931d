//! Tests of what the vectors leave out: limits, and streams that are divided anywhere. A host
//! replays the vectors.

use wireplug_guest::testing::{self, Received};
use wireplug_guest::{Event, Message, Peer};

use crate::{MAX_STANZA, Xmpp};

type Client = testing::Client<Xmpp>;

const OPTIONS: &str = r#"{"domain": "localhost"}"#;
const HEADER: &str = "<stream:stream to='localhost' version='1.0' xmlns='jabber:client' \
    xmlns:stream='http://etherx.jabber.org/streams'>";
const AUTH: &str = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGFubgBzZWNyZXQ=</auth>";
const BIND: &str = "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>";

fn connect(max_packet: usize) -> Result<Client, String> {
    let attributes = vec![("tls-version".to_owned(), "1.3".to_owned())];
    Client::connect(OPTIONS, Peer { max_packet: max_packet as u32, attributes, ..Peer::default() })
}

/// Returns a client that may send stanzas.
fn bound() -> Client {
    let mut client = connect(MAX_STANZA).unwrap();
    client.receive(format!("{HEADER}{AUTH}").as_bytes());
    client.answer(200, b"");
    let received = client.receive(format!("{HEADER}{BIND}").as_bytes());
    assert_eq!(received.last(), Some(&Received::Event(Event::Established)));
    client
}

/// Returns the reason for which a stanza ends the stream, or an empty text.
fn end_of(stanza: &str) -> String {
    match bound().receive(stanza.as_bytes()).pop() {
        Some(Received::Event(Event::Close { reason, .. })) => reason,
        _ => String::new(),
    }
}

#[test]
fn the_items_do_not_depend_on_how_the_stream_is_divided() {
    let stream = " \n<message to='bob@localhost' a=\"&#xA;'\"><body>gr\u{fc}\u{df}e\r\n&lt;\
        <![CDATA[]]]]></body><x xmlns='urn:x'><y/></x></message>\t<presence/>\
        <iq type='get' id='1'><p xmlns='urn:p'/></iq><a></b>";
    let whole = bound().receive(stream.as_bytes());
    assert_eq!(whole.len(), 13);
    assert_eq!(bound().receive_bytewise(stream.as_bytes()), whole);
    for at in 0..stream.len() {
        let mut client = bound();
        let mut received = client.receive(&stream.as_bytes()[..at]);
        client.hand_over().unwrap();
        received.extend(client.receive(&stream.as_bytes()[at..]));
        assert_eq!(received, whole, "{at}");
    }
}

#[test]
fn a_stanza_at_its_limits_is_taken_and_one_above_is_not() {
    let nested = |depth: usize| format!("<message>{}{}</message>", "<a>".repeat(depth), "</a>".repeat(depth));
    let wide = |count: usize| format!("<message>{}</message>", "<a/>".repeat(count));
    let attributes = |count: usize| (0..count).map(|number| format!(" a{number}=''")).collect::<String>();
    let long = |length: usize| {
        format!(
            "<message><body>{}</body></message>",
            "x".repeat(length - "<message><body></body></message>".len())
        )
    };
    for (good, bad, reason) in [
        (nested(31), nested(32), "policy-violation: elements are nested deeper than 32"),
        (wide(1023), wide(1024), "policy-violation: a stanza has more elements than 1024"),
        (
            format!("<presence{}/>", attributes(32)),
            format!("<presence{}/>", attributes(33)),
            "policy-violation: an element has more attributes than 32",
        ),
        (
            format!("<presence><a xmlns='{}'/></presence>", "n".repeat(256)),
            format!("<presence><a xmlns='{}'/></presence>", "n".repeat(257)),
            "policy-violation: the name of a namespace has more bytes than 256",
        ),
        (
            format!("<presence a='{}'/>", "v".repeat(8192)),
            format!("<presence a='{}'/>", "v".repeat(8193)),
            "restricted-xml: restricted xml: long name or reference",
        ),
        (
            format!("<presence id='{}'/>", "i".repeat(256)),
            format!("<presence id='{}'/>", "i".repeat(257)),
            "policy-violation: an id has more than 256 bytes",
        ),
        (long(65_536), long(65_537), "policy-violation: a stanza has more bytes than 65536"),
    ] {
        assert_eq!(end_of(&good), "");
        assert_eq!(end_of(&bad), reason);
    }
}

#[test]
fn a_header_has_at_most_2048_bytes() {
    let header = |length: usize| {
        HEADER.replace(" to=", &format!(" a='{}' to=", "x".repeat(length - HEADER.len() - 5)))
    };
    let close = |client: &mut Client, header: &str| {
        let closed = |received: &Received| matches!(received, Received::Event(Event::Close { .. }));
        client.receive(header.as_bytes()).iter().any(closed)
    };
    assert!(!close(&mut connect(MAX_STANZA).unwrap(), &header(2048)));
    assert!(close(&mut connect(MAX_STANZA).unwrap(), &header(2049)));
}

#[test]
fn a_long_id_is_refused_before_there_is_an_address() {
    let mut client = connect(10_000).unwrap();
    client.receive(format!("{HEADER}{AUTH}").as_bytes());
    client.answer(200, b"");
    let bind = BIND.replace("id='b'", &format!("id='{}'", "&apos;".repeat(1500)));
    let end = client.receive(format!("{HEADER}{bind}").as_bytes()).pop();
    let reason = "policy-violation: an id has more than 256 bytes".to_owned();
    assert_eq!(end, Some(Received::Event(Event::Close { code: 0, reason })));
}

#[test]
fn five_logins_may_fail() {
    let mut client = connect(MAX_STANZA).unwrap();
    client.receive(HEADER.as_bytes());
    for _ in 0..4 {
        client.receive(AUTH.as_bytes());
        assert_eq!(client.answer(401, b"").len(), 1);
    }
    client.receive(AUTH.as_bytes());
    let end = client.answer(401, b"").pop();
    let reason = "policy-violation: 5 logins have failed".to_owned();
    assert_eq!(end, Some(Event::Close { code: 0, reason }));
}

#[test]
fn at_most_512_requests_wait_for_a_response() {
    let mut client = bound();
    let is_request = |received: &Received| matches!(received, Received::Event(Event::Request { .. }));
    let received = client.receive("<message/>".repeat(513).as_bytes());
    assert_eq!(received.iter().filter(|received| is_request(received)).count(), 512);
    let Some(Received::Event(Event::Reply(reply))) = received.last() else { panic!("{received:?}") };
    assert!(String::from_utf8_lossy(reply).contains("<resource-constraint "));
    // An answer makes room for one.
    assert_eq!(client.encode(Message::response(1, "xmpp.message", 200, b"")), Ok(vec![]));
    assert!(client.receive(b"<message/>").iter().any(is_request));
}

#[test]
fn a_stanza_of_the_application_that_is_too_long_is_rejected() {
    let body = |length: usize| format!(r#"{{"body":"{}"}}"#, "&".repeat(length)).into_bytes();
    let mut client = bound();
    assert!(client.encode(Message::notice("xmpp.message", &body(13_000))).is_ok());
    assert!(client.encode(Message::notice("xmpp.message", &body(13_200))).is_err());
}

#[test]
fn a_listener_must_allow_stanzas_of_10000_bytes() {
    assert!(connect(10_000).is_ok());
    assert!(connect(9_999).is_err());
}
