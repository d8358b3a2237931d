//! Shadows: which answers are compared, which differences are kept, and that a candidate does not
//! affect the session.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::codec::shadow::{Comparison, Shadow, ShadowedSession};
use crate::codec::{CodecError, CodecSession, Encoded, Events, Kind, MessageRef, Messages, Reason, Refusal};
use wireplug_core::framing::Packets;

/// A codec that sends each packet back behind a prefix, and makes a packet of each body in the same
/// way. It fails at the packet `trap`. If the prefix is not empty, the body `refuse` is refused,
/// and the packet `silent` has no events.
struct Echo(&'static str);

impl CodecSession for Echo {
    fn decode(&mut self, packets: &Arc<Packets>, _: u64, events: &mut Events) -> Result<(), CodecError> {
        for (index, packet) in packets.iter().enumerate() {
            if packet == b"silent" && !self.0.is_empty() {
                continue;
            }
            if packet == b"trap" {
                return Err(trap());
            }
            events.push(index as u32, Kind::Reply, &[self.0.as_bytes(), packet].concat());
        }
        Ok(())
    }

    fn encode(&mut self, messages: &Arc<Messages>, _: u64, encoded: &mut Encoded) -> Result<(), CodecError> {
        for (index, message) in messages.iter().enumerate() {
            if message.body == b"refuse" && !self.0.is_empty() {
                encoded.refused.push(Refusal { message: index as u32, reason: self.0.to_owned() });
            } else {
                encoded.packets.push(&[self.0.as_bytes(), message.body].concat());
            }
        }
        Ok(())
    }

    fn answer(&mut self, _: u16, body: &[u8], _: u64, events: &mut Events) -> Result<(), CodecError> {
        events.push(0, Kind::Reply, &[self.0.as_bytes(), body].concat());
        Ok(())
    }

    fn tick(&mut self, _: u64, events: &mut Events) -> Result<(), CodecError> {
        events.push_wake(0, if self.0.is_empty() { 10 } else { 20 });
        Ok(())
    }

    fn farewell(&mut self, _: &str, _: u64) -> Result<Option<Vec<u8>>, CodecError> {
        Ok(None)
    }
}

fn trap() -> CodecError {
    CodecError::Trap(Reason::new("scripted"))
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

    /// Decodes packets; each must come back as it is.
    fn decode(&mut self, packets: &[&str]) {
        let mut batch = Packets::new();
        packets.iter().for_each(|packet| batch.push(packet.as_bytes()));
        let mut events = Events::new();
        self.shadowed.decode(&Arc::new(batch), 0, &mut events).unwrap();
        assert_eq!(events.len(), packets.len());
    }

    fn encode(&mut self, bodies: &[&str]) {
        let mut batch = Messages::new();
        for body in bodies {
            batch.push(MessageRef { id: Some(3), route: "a.b", body: body.as_bytes(), status: 200 });
        }
        let mut encoded = Encoded::default();
        self.shadowed.encode(&Arc::new(batch), 0, &mut encoded).unwrap();
        assert!(encoded.packets.iter().eq(bodies.iter().map(|body| body.as_bytes())));
    }

    /// How many calls were compared, and how many differed.
    fn counts(&self) -> (u64, u64) {
        let compared = self.comparison.snapshot();
        (compared.compared, compared.differences)
    }
}

#[test]
fn equal_answers_are_counted_and_nothing_else() {
    let mut pair = Pair::new("");
    pair.decode(&["a", "b"]);
    pair.encode(&["c", "refuse"]);
    pair.shadowed.tick(0, &mut Events::new()).unwrap();
    pair.shadowed.answer(200, b"x", 0, &mut Events::new()).unwrap();
    assert_eq!(pair.counts(), (6, 0));
    assert!(pair.comparison.snapshot().first.is_empty());
}

#[test]
fn answers_are_compared_packet_by_packet_and_the_difference_shows_both() {
    let mut pair = Pair::new("!");
    pair.decode(&["a", "silent"]);
    assert_eq!(pair.counts(), (2, 2));
    let first = pair.comparison.snapshot().first;
    let shown = |index: usize| {
        let difference = &first[index];
        (&*difference.call, &*difference.input, &*difference.current, &*difference.candidate)
    };
    assert_eq!(shown(0), ("decode", "61", "reply a", "reply !a"));
    assert_eq!(shown(1), ("decode", "73696c656e74", "reply silent", "nothing"));
}

#[test]
fn packets_of_messages_are_compared_and_so_is_what_is_refused() {
    let mut pair = Pair::new("!");
    pair.encode(&["a"]);
    pair.encode(&["refuse"]);
    assert_eq!(pair.counts(), (2, 2));
    let first = pair.comparison.snapshot().first;
    assert_eq!((&*first[0].input, &*first[0].current, &*first[0].candidate), ("3 a.b 200 a", "61", "2161"));
    assert_eq!((&*first[1].current, &*first[1].candidate), ("0 refused", "1 refused"));
}

#[test]
fn ticks_and_the_application_s_word_are_compared_too() {
    let mut pair = Pair::new("!");
    pair.shadowed.tick(0, &mut Events::new()).unwrap();
    pair.shadowed.answer(200, b"x", 0, &mut Events::new()).unwrap();
    let first = pair.comparison.snapshot().first;
    assert_eq!((&*first[0].call, &*first[0].current, &*first[0].candidate), ("tick", "wake 10", "wake 20"));
    assert_eq!(
        (&*first[1].call, &*first[1].current, &*first[1].candidate),
        ("answer", "reply x", "reply !x")
    );
}

#[test]
fn only_the_first_differences_are_kept() {
    let mut pair = Pair::new("!");
    for _ in 0..100 {
        pair.decode(&["a"]);
    }
    assert_eq!(pair.counts(), (100, 100));
    assert_eq!(pair.comparison.snapshot().first.len(), 16);
}

#[test]
fn a_candidate_that_fails_is_reported_once_and_asked_no_more() {
    struct Traps;
    impl CodecSession for Traps {
        fn decode(&mut self, _: &Arc<Packets>, _: u64, _: &mut Events) -> Result<(), CodecError> {
            Err(trap())
        }
        fn encode(&mut self, _: &Arc<Messages>, _: u64, _: &mut Encoded) -> Result<(), CodecError> {
            unreachable!("it has failed")
        }
        fn answer(&mut self, _: u16, _: &[u8], _: u64, _: &mut Events) -> Result<(), CodecError> {
            unreachable!("it has failed")
        }
        fn tick(&mut self, _: u64, _: &mut Events) -> Result<(), CodecError> {
            unreachable!("it has failed")
        }
        fn farewell(&mut self, _: &str, _: u64) -> Result<Option<Vec<u8>>, CodecError> {
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
    assert_eq!(pair.shadowed.decode(&Arc::new(batch), 0, &mut Events::new()), Err(trap()));
    assert_eq!((pair.counts(), pair.faults.load(Ordering::Relaxed)), ((0, 0), 0));
}
