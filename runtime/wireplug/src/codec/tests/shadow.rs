//! Shadows: which answers are compared, which differences are kept, and that a candidate does not
//! affect the session.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::codec::shadow::{Comparison, Shadow, ShadowedSession};
use crate::codec::{
    Cause, CodecError, CodecSession, Encoded, Events, Frames, Instant, Kind, MessageRef, Messages, Next,
    Reason, Refusal,
};
use wireplug_core::framing::Packets;

/// A codec that sends each packet back behind a prefix, and makes packets of the parts of each body
/// in the same way. It fails at the packet `trap`. If the prefix is not empty, the codec is a
/// candidate with further differences: see the bodies and packets below.
struct Echo(&'static str);

impl Echo {
    fn is_candidate(&self) -> bool {
        !self.0.is_empty()
    }

    fn echo(&self, bytes: &[u8]) -> Vec<u8> {
        [self.0.as_bytes(), bytes].concat()
    }
}

impl CodecSession for Echo {
    fn decode(&mut self, packets: &Arc<Packets>, _: Instant, events: &mut Events) -> Result<(), CodecError> {
        for (index, packet) in (0..).zip(packets.iter()) {
            match packet {
                b"trap" => return Err(trap()),
                b"silent" if self.is_candidate() => {}
                b"close" => events.push_close(index, if self.is_candidate() { 4001 } else { 4000 }, "x"),
                b"message" if self.is_candidate() => {
                    events.push_message(index, MessageRef::response(7, "", 404, b"x"));
                }
                b"message" => events.push_message(index, MessageRef::request(7, "r", b"x")),
                packet => events.push(index, Kind::Reply, &self.echo(packet)),
            }
        }
        Ok(())
    }

    /// Cuts lines. A candidate takes a line that begins with `long` together with the next one.
    fn decode_stream(
        &mut self,
        bytes: &Arc<Vec<u8>>,
        _: Instant,
        frames: &mut Frames,
    ) -> Result<(), CodecError> {
        let mut start = 0;
        for (at, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
            let line = &bytes[start..at];
            if self.is_candidate() && line.starts_with(b"long") && !line.contains(&b'\n') {
                continue;
            }
            frames.events.push(frames.ends.len() as u32, Kind::Reply, &self.echo(line));
            start = at + 1;
            frames.ends.push(start as u32);
        }
        frames.next = Next::Need((bytes.len() - start) as u32 + 1);
        Ok(())
    }

    fn encode(
        &mut self,
        messages: &Arc<Messages>,
        _: Instant,
        encoded: &mut Encoded,
    ) -> Result<(), CodecError> {
        for (index, message) in (0..).zip(messages.iter()) {
            match message.body {
                b"refuse" if self.is_candidate() => {
                    encoded.refused.push(Refusal { message: index, reason: self.0.to_owned() });
                }
                b"formless" if self.is_candidate() => {}
                body => {
                    body.split(|byte| *byte == b'|').for_each(|part| encoded.push(index, &self.echo(part)));
                }
            }
        }
        Ok(())
    }

    fn answer(&mut self, _: u16, body: &[u8], _: Instant, events: &mut Events) -> Result<(), CodecError> {
        events.push(0, Kind::Reply, &self.echo(body));
        Ok(())
    }

    fn tick(&mut self, _: Instant, events: &mut Events) -> Result<(), CodecError> {
        events.push_timer(0, if self.is_candidate() { 20 } else { 10 });
        Ok(())
    }

    fn farewell(
        &mut self,
        _: Cause,
        reason: &str,
        _: Instant,
        events: &mut Events,
    ) -> Result<(), CodecError> {
        events.push(0, Kind::Reply, &self.echo(reason.as_bytes()));
        Ok(())
    }
}

fn trap() -> CodecError {
    CodecError::Trap(Reason::new("scripted").into())
}

fn now() -> Instant {
    Instant::for_test(0)
}

/// A codec with an empty prefix, and a candidate in its shadow.
struct Pair {
    shadowed: ShadowedSession,
    comparison: Arc<Comparison>,
    faults: Arc<AtomicU64>,
}

impl Pair {
    fn new(candidate: &'static str) -> Self {
        let (comparison, faults) = (Arc::<Comparison>::default(), Arc::<AtomicU64>::default());
        let count = Arc::clone(&faults);
        let on_fault = move |error: &CodecError| {
            assert_eq!(*error, trap());
            count.fetch_add(1, Ordering::Relaxed);
        };
        let shadow = Shadow::new(Box::new(Echo(candidate)), Arc::clone(&comparison), Box::new(on_fault));
        let mut shadowed = ShadowedSession::new(Box::new(Echo("")));
        shadowed.set_shadow(Some(shadow));
        Self { shadowed, comparison, faults }
    }

    /// Decodes packets. Each has one event of the codec at work.
    fn decode(&mut self, packets: &[&str]) {
        let mut batch = Packets::new();
        packets.iter().for_each(|packet| batch.push(packet.as_bytes()));
        let mut events = Events::new();
        self.shadowed.decode(&Arc::new(batch), now(), &mut events).unwrap();
        assert_eq!(events.len(), packets.len());
    }

    /// Decodes a stream of this number of lines.
    fn decode_stream(&mut self, stream: &str, lines: usize) {
        let mut frames = Frames::default();
        self.shadowed.decode_stream(&Arc::new(stream.into()), now(), &mut frames).unwrap();
        assert_eq!(frames.ends.len(), lines);
    }

    /// Encodes responses. The parts of each body must come back as they are.
    fn encode(&mut self, bodies: &[&str]) {
        let mut batch = Messages::new();
        for body in bodies {
            batch.push(MessageRef::response(3, "a.b", 200, body.as_bytes()));
        }
        let mut encoded = Encoded::default();
        self.shadowed.encode(&Arc::new(batch), now(), &mut encoded).unwrap();
        let parts = bodies.iter().flat_map(|body| body.split('|'));
        assert!(encoded.packets.iter().eq(parts.map(str::as_bytes)));
    }

    /// How many calls were compared, and how many differed.
    fn counts(&self) -> (u64, u64) {
        let compared = self.comparison.snapshot();
        (compared.compared, compared.differences)
    }

    /// Returns the differences: the call, its input, the answer of the codec at work, and that of
    /// the candidate.
    fn differences(&self) -> Vec<[String; 4]> {
        let first = self.comparison.snapshot().first.into_iter();
        first.map(|one| [one.call, one.input, one.current, one.candidate]).collect()
    }
}

#[test]
fn equal_answers_are_counted_and_nothing_else() {
    let mut pair = Pair::new("");
    pair.decode(&["a", "b", "close"]);
    pair.decode_stream("a\nb\n", 2);
    pair.encode(&["c", "refuse", "d|e", "formless"]);
    pair.shadowed.tick(now(), &mut Events::new()).unwrap();
    pair.shadowed.answer(200, b"x", now(), &mut Events::new()).unwrap();
    assert_eq!(pair.counts(), (11, 0));
    assert!(pair.differences().is_empty());
}

#[test]
fn answers_are_compared_packet_by_packet_and_the_difference_shows_both() {
    let mut pair = Pair::new("!");
    pair.decode(&["a", "silent"]);
    assert_eq!(pair.counts(), (2, 2));
    assert_eq!(
        pair.differences(),
        [["decode", "61", "reply a", "reply !a"], ["decode", "73696c656e74", "reply silent", "nothing"]]
    );
}

#[test]
fn the_role_the_id_and_the_status_of_an_event_are_compared() {
    let mut pair = Pair::new("!");
    pair.decode(&["message"]);
    pair.decode(&["close"]);
    let answers: Vec<_> =
        pair.differences().into_iter().map(|[_, _, current, candidate]| (current, candidate)).collect();
    let expected = [("request 7 r x", "response 7 404 x"), ("close 4000 x", "close 4001 x")];
    assert_eq!(answers, expected.map(|(current, candidate)| (current.to_owned(), candidate.to_owned())));
}

#[test]
fn packets_of_messages_are_compared_and_so_are_refusals() {
    let mut pair = Pair::new("!");
    pair.encode(&["a"]);
    pair.encode(&["refuse"]);
    pair.encode(&["formless"]);
    pair.encode(&["b|c"]);
    assert_eq!(pair.counts(), (4, 4));
    assert_eq!(
        pair.differences(),
        [
            ["encode", "response 3 a.b 200 a", "61", "2161"],
            ["encode", "response 3 a.b 200 refuse", "726566757365", "refused"],
            ["encode", "response 3 a.b 200 formless", "666f726d6c657373", "no packet"],
            ["encode", "response 3 a.b 200 b|c", "62; 63", "2162; 2163"],
        ]
    );
}

#[test]
fn each_packet_is_compared_with_those_of_its_own_message() {
    let mut pair = Pair::new("!");
    pair.encode(&["formless", "refuse", "a|b", "c"]);
    let answers: Vec<_> = pair.differences().into_iter().map(|[_, _, _, candidate]| candidate).collect();
    assert_eq!(answers, ["no packet", "refused", "2161; 2162", "2163"]);
}

#[test]
fn ticks_and_answers_to_hellos_are_compared_too() {
    let mut pair = Pair::new("!");
    pair.shadowed.tick(now(), &mut Events::new()).unwrap();
    pair.shadowed.answer(200, b"x", now(), &mut Events::new()).unwrap();
    assert_eq!(
        pair.differences(),
        [["tick", "", "timer 10", "timer 20"], ["answer", "", "reply x", "reply !x"]]
    );
}

#[test]
fn a_farewell_is_not_mirrored() {
    let mut pair = Pair::new("!");
    let mut events = Events::new();
    pair.shadowed.farewell(Cause::Kicked, "x", now(), &mut events).unwrap();
    assert_eq!((events.len(), pair.counts()), (1, (0, 0)));
}

#[test]
fn packets_of_a_stream_are_compared() {
    let mut pair = Pair::new("!");
    pair.decode_stream("a\nb\nc", 2);
    assert_eq!(pair.counts(), (2, 2));
    assert_eq!(
        pair.differences(),
        [["decode-stream", "610a", "reply a", "reply !a"], ["decode-stream", "620a", "reply b", "reply !b"]]
    );
}

#[test]
fn a_candidate_that_cuts_other_packets_is_mirrored_no_further() {
    let mut pair = Pair::new("!");
    pair.decode_stream("long\nb\n", 2);
    assert_eq!(
        pair.differences(),
        [["decode-stream", "6c6f6e670a620a", "packets that end at [5, 7]", "packets that end at [7]"]]
    );
    pair.decode_stream("c\n", 1);
    assert_eq!((pair.counts(), pair.faults.load(Ordering::Relaxed)), ((2, 1), 0));
}

#[test]
fn only_the_first_differences_are_kept() {
    let mut pair = Pair::new("!");
    for _ in 0..100 {
        pair.decode(&["a"]);
    }
    assert_eq!(pair.counts(), (100, 100));
    assert_eq!(pair.differences().len(), 16);
}

#[test]
fn a_candidate_that_fails_is_reported_once_and_called_no_more() {
    struct Traps;
    impl CodecSession for Traps {
        fn decode(&mut self, _: &Arc<Packets>, _: Instant, _: &mut Events) -> Result<(), CodecError> {
            Err(trap())
        }

        fn encode(&mut self, _: &Arc<Messages>, _: Instant, _: &mut Encoded) -> Result<(), CodecError> {
            unreachable!("it has failed")
        }
    }
    let mut pair = Pair::new("");
    let count = Arc::clone(&pair.faults);
    let on_fault = move |_: &CodecError| {
        count.fetch_add(1, Ordering::Relaxed);
    };
    pair.shadowed.set_shadow(Some(Shadow::new(
        Box::new(Traps),
        Arc::clone(&pair.comparison),
        Box::new(on_fault),
    )));
    pair.decode(&["a"]);
    pair.encode(&["a"]);
    assert_eq!(pair.faults.load(Ordering::Relaxed), 1);
    assert_eq!(pair.counts(), (0, 0));
}

#[test]
fn a_codec_that_fails_itself_is_not_mirrored() {
    let mut pair = Pair::new("");
    let mut batch = Packets::new();
    batch.push(b"trap");
    assert_eq!(pair.shadowed.decode(&Arc::new(batch), now(), &mut Events::new()), Err(trap()));
    assert_eq!((pair.counts(), pair.faults.load(Ordering::Relaxed)), ((0, 0), 0));
}
