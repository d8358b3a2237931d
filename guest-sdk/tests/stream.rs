//! Checks how a stream is cut and decoded in one call.

use std::cell::Cell;

use wireplug_guest::__private::{Next, decode_stream, unflattened};
use wireplug_guest::testing::{Client, Received};
use wireplug_guest::{
    Codec, Cut, Description, Event, Events, Fault, Framer, Handshake, Instant, Message, MessageFraming,
    Packets, Peer, Requests, Session, TlsUpgrade, cut,
};

/// Each line does what it says.
#[derive(Debug, Default)]
struct Script {
    /// The delimiter of the next packet.
    delimiter: u8,
    tls_begins: bool,
    /// An answer of `cut` that breaks the contract.
    wrong: Option<Cut>,
    cuts: Cell<usize>,
}

struct Scripts;

impl Codec for Scripts {
    type Session = Script;

    fn describe() -> Description {
        let messages = MessageFraming::Continuous;
        Description { messages, client_requests: 8, ..Description::new("script", "1") }
    }

    fn configure(options: &str) -> Result<Self, String> {
        wireplug_guest::no_options(options).map(|()| Self)
    }

    fn open(&self, _peer: Peer, _now: Instant) -> Result<Script, String> {
        Ok(Script { delimiter: b'\n', ..Script::default() })
    }
}

impl Session for Script {
    fn decode(&mut self, packet: &[u8], _now: Instant, events: &mut Events) -> Result<(), Fault> {
        let (&delimiter, line) = packet.split_last().expect("a packet has its delimiter");
        assert_eq!(delimiter, self.delimiter);
        match line {
            b"hello" => events.hello(b"me"),
            b"close" => events.close("enough"),
            b"rejected" => {
                events.reply(b"never seen");
                return Err(Fault::rejected("no"));
            }
            b"fatal" => return Err(Fault::fatal("never")),
            b"tls" => self.tls_begins = true,
            b"need" => self.wrong = Some(Cut::Need(1)),
            b"empty" => self.wrong = Some(Cut::Packet(0)),
            b"long" => self.wrong = Some(Cut::Packet(1000)),
            [b'=', delimiter] => self.delimiter = *delimiter,
            _ => events.notice("line", line),
        }
        Ok(())
    }

    fn encode(&mut self, message: &Message, _now: Instant, packets: &mut Packets) -> Result<(), Fault> {
        packets.push(message.body);
        Ok(())
    }
}

impl Framer for Script {
    fn cut(&self, bytes: &[u8]) -> Result<Cut, Fault> {
        self.cuts.set(self.cuts.get() + 1);
        match self.wrong {
            Some(wrong) => Ok(wrong),
            None if self.tls_begins => Ok(Cut::StartTls),
            None if bytes.starts_with(b"?") => Err(Fault::rejected("no line")),
            None => cut::line(bytes, &[self.delimiter], 12),
        }
    }
}

impl TlsUpgrade for Script {
    fn secured(&mut self, attributes: &[(String, String)], _now: Instant, events: &mut Events) {
        self.tls_begins = false;
        events.reply(format!("{attributes:?}").as_bytes());
    }
}

impl Handshake for Script {
    fn answer(&mut self, _status: u16, _body: &[u8], _now: Instant, events: &mut Events) {
        events.established();
    }
}

impl Requests for Script {
    fn abandoned(&mut self, id: u64, _now: Instant, events: &mut Events) {
        events.reply(format!("cancel {id}").as_bytes());
    }
}

fn client(attributes: &[&str]) -> Client<Scripts> {
    let attributes = attributes.iter().map(|name| ((*name).to_owned(), String::new())).collect();
    Client::connect("{}", Peer { max_packet: 12, attributes, ..Peer::default() }).unwrap()
}

fn packet(packet: &str) -> Received {
    Received::Packet(packet.into())
}

/// Returns what a line gives.
fn line(text: &str, delimiter: char) -> [Received; 2] {
    let event = Event::Notice { route: "line".into(), body: text.into() };
    [packet(&format!("{text}{delimiter}")), Received::Event(event)]
}

fn fatal(reason: &'static str) -> Received {
    Received::Fault(Fault::fatal(reason))
}

/// Checks that a stream gives this in every division into two reads, and byte by byte.
fn gives(stream: &str, expected: &[Received]) {
    for at in 0..=stream.len() {
        let mut client = client(&["starttls"]);
        let mut received = client.receive(&stream.as_bytes()[..at]);
        received.extend(client.receive(&stream.as_bytes()[at..]));
        assert_eq!(received, expected, "{stream:?} divided at {at}");
    }
    assert_eq!(client(&["starttls"]).receive_bytewise(stream.as_bytes()), expected);
}

#[test]
fn the_framing_may_change_behind_any_packet() {
    let [a, b, c] = [line("a", '\n'), line("b\n", ';'), line("c;", '\n')];
    gives("a\n=;\nb\n;=\n;c;\nd", &[&a[..], &[packet("=;\n")], &b, &[packet("=\n;")], &c].concat());
}

#[test]
fn a_rejected_packet_is_followed_by_the_next() {
    let rejected = [packet("rejected\n"), Received::Fault(Fault::rejected("no"))];
    gives("rejected\na\n", &[&rejected[..], &line("a", '\n')].concat());
}

#[test]
fn nothing_follows_the_end_of_the_session() {
    let close = Event::Close { code: 0, reason: "enough".into() };
    gives("close\na\n", &[packet("close\n"), Received::Event(close)]);
    gives("fatal\na\n", &[packet("fatal\n"), fatal("never")]);
}

/// Returns where the packets of one call end, the packet of each event, and what becomes of the
/// rest.
fn frames<S: Framer>(session: &mut S, bytes: &[u8]) -> (Vec<u32>, Vec<u32>, Next) {
    let (mut ends, mut events) = (Vec::new(), Events::default());
    let next = decode_stream(session, bytes, Instant::default(), &mut ends, &mut events);
    let packets = unflattened(events).into_iter().map(|(packet, _)| packet).collect();
    (ends, packets, next)
}

#[test]
fn every_fault_of_cut_is_fatal_and_about_the_rest() {
    gives("a\n?b\nc\n", &[&line("a", '\n')[..], &[fatal("no line")]].concat());
    gives(
        "a\nlonger than that\n",
        &[&line("a", '\n')[..], &[fatal("the packet has more than 12 bytes")]].concat(),
    );
    let (ends, packets, next) = frames(&mut client(&[]).session, b"a\n?");
    assert_eq!((&ends[..], next), (&[2][..], Next::Full));
    assert_eq!(packets, [0, 1]);
}

#[test]
fn an_answer_of_cut_that_breaks_the_contract_is_a_bug() {
    for (name, reason) in [
        ("need\n", "bug: `cut` returned Need(1) for 1 bytes"),
        ("empty\n", "bug: `cut` returned Packet(0) for 1 bytes"),
        ("long\n", "bug: `cut` returned Packet(1000) for 1 bytes"),
    ] {
        let stream = [name.as_bytes(), b"a"].concat();
        assert_eq!(client(&[]).receive(&stream), [packet(name), fatal(reason)]);
    }
    let mut tls = client(&["starttls"]);
    tls.session.tls_begins = true;
    assert_eq!(tls.receive(b"a"), [fatal("bug: `cut` returned StartTls for 1 bytes")]);
}

#[test]
fn a_hello_ends_the_call_and_the_rest_waits_for_the_answer() {
    let mut client = client(&[]);
    let hello = [packet("hello\n"), Received::Event(Event::Hello(b"me".to_vec()))];
    assert_eq!(client.receive(b"hello\na\n"), hello);
    assert_eq!(client.receive(b"b\n"), []);
    assert_eq!(client.answer(200, b""), [Event::Established]);
    assert_eq!(client.receive(b""), [line("a", '\n'), line("b", '\n')].concat());
}

#[test]
fn tls_begins_behind_a_packet() {
    gives("a\ntls\n\x16\x03", &[&line("a", '\n')[..], &[packet("tls\n"), Received::StartTls]].concat());
    let mut client = client(&["starttls"]);
    assert_eq!(client.receive(b"tls\n\x16"), [packet("tls\n"), Received::StartTls]);
    assert_eq!(client.secured(&[("tls-sni", "a")]), [Event::Reply(br#"[("tls-sni", "a")]"#.to_vec())]);
    assert_eq!(client.receive(b"b\n"), line("b", '\n'));
}

#[test]
fn a_call_gives_at_most_256_packets() {
    let session = &mut client(&[]).session;
    let (ends, _, next) = frames(session, &b"a\n".repeat(257));
    assert_eq!((ends.len(), next), (256, Next::Full));
    // TLS needs a packet in the same call.
    let stream = [&b"a\n".repeat(255)[..], b"tls\n\x16"].concat();
    let (ends, _, next) = frames(session, &stream);
    assert_eq!((ends.len(), next), (256, Next::StartTls));
}

#[test]
fn the_codec_is_not_called_before_the_bytes_that_it_needs() {
    struct Fixed;
    impl Framer for Fixed {
        fn cut(&self, bytes: &[u8]) -> Result<Cut, Fault> {
            cut::fixed(bytes, 1000, 1000)
        }
    }
    impl Session for Fixed {
        fn decode(&mut self, _packet: &[u8], _now: Instant, _events: &mut Events) -> Result<(), Fault> {
            Ok(())
        }
        fn encode(&mut self, _: &Message, _now: Instant, _packets: &mut Packets) -> Result<(), Fault> {
            Ok(())
        }
    }
    let (ends, _, next) = frames(&mut Fixed, &[0; 1001]);
    assert_eq!((&ends[..], next), (&[1000][..], Next::Need(1000)));

    let mut client = client(&[]);
    client.receive(b"abc");
    assert_eq!(client.session.cuts.get(), 1);
    client.receive(b"d");
    assert_eq!(client.session.cuts.get(), 2);
}

#[test]
fn an_abandoned_request_reaches_the_session() {
    assert_eq!(client(&[]).abandon(7), [Event::Reply(b"cancel 7".to_vec())]);
}
