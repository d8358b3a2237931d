//! Tests of codecs that cut streams themselves: the length of a packet is its first byte.
//!
//! The packet `T` starts TLS, and any other packet is sent back.

use std::sync::Arc;

use super::{Broadcasts, report};
use crate::check::report::Outcome;
use crate::check::{Check, Property, Report};
use wireplug_core::codec::{
    Abilities, Codec, CodecError, CodecSession, Description, Encoded, Events, Frames, Instant, Kind,
    MessageRef, Messages, Next, Peer,
};
use wireplug_core::framing::{MessageFraming, Packets, Payload};
use wireplug_core::vectors::Vectors;

const VECTORS: &str = r#"
session
stream 02 "hi" 01 "x" 03 "ab"
  cut 02 "hi"
  reply "hi"
  cut 01 "x"
  reply "x"
stream "c"
  cut 03 "abc"
  reply "abc"
out notice onChat "hey"
  packet 03 "hey"
session tcp 127.0.0.1:1 starttls yes
stream 01 "T" 16 03
  cut 01 "T"
  reply "go"
  start-tls
secured tls-sni example.org
  reply "tls-sni"
stream 01 "x"
  cut 01 "x"
  reply "x"
session ws
stream 01 "x" 01 "y"
  cut 01 "x"
  reply "x"
  cut 01 "y"
  reply "y"
"#;

/// The flaw of a codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    None,
    /// It takes the beginning of a packet for the packet.
    Impatient,
    /// It counts the calls, and sends the number back.
    Counting,
    /// It asks for as many bytes as there are.
    Stuck,
    /// The last packet ends behind the bytes.
    Beyond,
    /// It starts TLS on every connection.
    AnyTls,
    /// Its packets for messages may be longer than the largest packet.
    TooLong,
}

struct Cutter {
    description: Description,
    flaw: Flaw,
}

impl Cutter {
    fn new(flaw: Flaw) -> Self {
        let description = Description {
            name: "cutter".into(),
            version: String::new(),
            framing: None,
            messages: Some(MessageFraming::Framed),
            payload: Payload::Binary,
            json: false,
            handshake: false,
            client_requests: 0,
            coalesces: false,
            max_packet: None,
        };
        Self { description, flaw }
    }
}

impl Codec for Cutter {
    fn description(&self) -> &Description {
        &self.description
    }

    fn abilities(&self) -> Abilities {
        Abilities { framer: true, tls_upgrade: true, ..Abilities::default() }
    }

    fn open(&self, peer: Peer, _: Instant) -> Result<Box<dyn CodecSession>, CodecError> {
        let has_tls = peer.attributes.iter().any(|(name, _)| name == "starttls");
        Ok(Box::new(CutterSession { flaw: self.flaw, has_tls, calls: 0 }))
    }
}

impl Broadcasts for Cutter {}

struct CutterSession {
    flaw: Flaw,
    has_tls: bool,
    calls: u8,
}

impl CodecSession for CutterSession {
    fn decode(&mut self, _: &Arc<Packets>, _: Instant, _: &mut Events) -> Result<(), CodecError> {
        panic!("the codec cuts all of its packets itself")
    }

    fn decode_stream(
        &mut self,
        bytes: &Arc<Vec<u8>>,
        _: Instant,
        frames: &mut Frames,
    ) -> Result<(), CodecError> {
        self.calls = self.calls.wrapping_add(1);
        let mut rest = &bytes[..];
        while frames.ends.len() < Packets::MAX {
            let Some((&length, behind)) = rest.split_first() else { break };
            let whole = usize::from(length);
            if behind.len() < whole && self.flaw != Flaw::Impatient {
                let need = if self.flaw == Flaw::Stuck { rest.len() } else { 1 + whole };
                frames.next = Next::Need(need as u32);
                return Ok(());
            }
            let (packet, behind) = behind.split_at(whole.min(behind.len()));
            rest = behind;
            let index = frames.ends.len() as u32;
            frames.ends.push((bytes.len() - rest.len()) as u32);
            match packet {
                b"T" if self.has_tls || self.flaw == Flaw::AnyTls => {
                    frames.events.push(index, Kind::Reply, b"go");
                    frames.next = Next::StartTls;
                    return Ok(());
                }
                _ if self.flaw == Flaw::Counting => frames.events.push(index, Kind::Reply, &[self.calls]),
                packet => frames.events.push(index, Kind::Reply, packet),
            }
        }
        if self.flaw == Flaw::Beyond
            && let Some(end) = frames.ends.last_mut()
        {
            *end += 1;
        }
        frames.next = if rest.is_empty() { Next::Need(1) } else { Next::Full };
        Ok(())
    }

    fn secured(
        &mut self,
        attributes: &[(String, String)],
        _: Instant,
        events: &mut Events,
    ) -> Result<(), CodecError> {
        self.has_tls = false;
        attributes.iter().for_each(|(name, _)| events.push(0, Kind::Reply, name.as_bytes()));
        Ok(())
    }

    fn encode(
        &mut self,
        messages: &Arc<Messages>,
        _: Instant,
        encoded: &mut Encoded,
    ) -> Result<(), CodecError> {
        for (index, MessageRef { body, .. }) in messages.iter().enumerate() {
            let most = if self.flaw == Flaw::TooLong { usize::MAX } else { 255 };
            let body = &body[..body.len().min(most)];
            encoded.push(index as u32, &[&[body.len() as u8], body].concat());
        }
        Ok(())
    }
}

fn check(flaw: Flaw) -> Report {
    let vectors = Vectors::parse(VECTORS).unwrap_or_else(|bad| panic!("{bad}"));
    report(&Check::new(b"").vectors(&vectors).cases(3000), |_| Cutter::new(flaw))
}

/// Returns the property that is broken, what is wrong, and the session that shows it.
fn only_failure(report: &Report) -> (Property, &str, &str) {
    let failures: Vec<_> = report.failures().collect();
    let [(property, failure)] = failures[..] else { panic!("{report}") };
    (property, failure.what.as_str(), failure.script.as_str())
}

#[test]
fn the_vectors_hold() {
    let vectors = Vectors::parse(VECTORS).unwrap_or_else(|bad| panic!("{bad}"));
    let mismatches: Vec<_> = vectors.replay(&Cutter::new(Flaw::None)).map(|it| it.to_string()).collect();
    assert!(mismatches.is_empty(), "{}", mismatches.join("\n"));
}

#[test]
fn a_codec_whose_answers_do_not_depend_on_the_reads_has_the_property() {
    let report = check(Flaw::None);
    let finding = report.findings.iter().find(|finding| finding.property == Property::DecodeStream);
    let finding = finding.unwrap_or_else(|| panic!("{report}"));
    let Outcome::Held { times, declined: None } = finding.outcome else { panic!("{report}") };
    assert!(report.holds() && times > 1000, "{report}");
}

#[test]
fn answers_that_depend_on_the_reads_are_found() {
    for flaw in [Flaw::Impatient, Flaw::Counting] {
        let report = check(flaw);
        let (property, what, script) = only_failure(&report);
        assert_eq!(property, Property::DecodeStream, "{flaw:?}: {report}");
        assert_eq!(what, "answered otherwise if the stream comes in small pieces", "{flaw:?}");
        assert!(script.starts_with("session\nstream "), "{flaw:?}: {report}");
        assert!(script.contains("\n  cut ") && Vectors::parse(script).is_ok(), "{flaw:?}: {report}");
    }
}

#[test]
fn a_broken_rule_of_streams_is_named() {
    for (flaw, rule) in [
        (Flaw::Stuck, "an answer without progress"),
        (Flaw::Beyond, "the ends of packets are out of order or out of range"),
        (Flaw::AnyTls, "`start-tls` without a packet before it, or on a connection without the attribute"),
        (Flaw::TooLong, "its framing cannot carry what it made: a packet of "),
    ] {
        let report = check(flaw);
        let robust = report.failures().find(|(property, _)| *property == Property::Robust);
        let (_, failure) = robust.unwrap_or_else(|| panic!("{flaw:?}: {report}"));
        assert!(failure.what.contains(rule), "{flaw:?}: {report}");
    }
}
