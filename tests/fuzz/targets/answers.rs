//! Checks of a guest's answer, with any heads over any bytes: no check panics, and all slices are
//! within the bytes.

#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use wireplug_core::codec::{Encoded, Event, Frames, fuzzing};
use wireplug_core::framing::Packets;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    bytes: &'a [u8],
    heads: Vec<fuzzing::RawHead>,
    packets: u16,
    ends: Vec<u32>,
    sources: Vec<u32>,
    refused: Vec<u32>,
    messages: u16,
}

fuzz_target!(|input: Input| {
    read_events(&input);
    let encoded = fuzzing::encoded(input.bytes, &input.ends, &input.sources, &input.refused);
    if fuzzing::check(&encoded, input.messages.into()) {
        read_packets(&encoded, &input);
    }
    let frames = Frames { ends: input.ends.clone(), ..Frames::default() };
    if frames.check(input.bytes.len()).is_ok() {
        cut_packets(&frames, input.bytes);
    }
});

fn read_events(input: &Input<'_>) {
    let mut events = fuzzing::events(input.bytes, &input.heads);
    let mut reader = events.read(input.packets.into());
    let mut seen = 0;
    let mut over = false;
    while let Some(event) = reader.next_event() {
        assert!(!over, "nothing follows the first close or fatal");
        let Ok(event) = event else { break };
        over = matches!(event, Event::Close { .. } | Event::Fatal(_));
        seen += match event {
            Event::Message { route, body, .. } => route.len() + body.len(),
            Event::Hello(body) => body.len(),
            Event::Reply(bytes)
            | Event::Log { text: bytes, .. }
            | Event::Close { reason: bytes, .. }
            | Event::Rejected(bytes)
            | Event::Fatal(bytes) => bytes.len(),
            Event::Established | Event::Timer(_) | Event::AddressVerified => 0,
        };
        assert!(seen <= input.bytes.len(), "more was handed out than there is");
    }
}

/// Reads packets that passed the check, message by message as the driver does.
fn read_packets(encoded: &Encoded, input: &Input<'_>) {
    let Encoded { packets, sources, refused } = encoded;
    assert_eq!(sources.len(), packets.len(), "a source for each packet");
    let (mut first, mut seen) = (0, 0);
    for same in sources.chunk_by(|one, next| one == next) {
        assert!(same[0] < u32::from(input.messages), "a source is a message of the batch");
        assert!(refused.iter().all(|refusal| refusal.message != same[0]), "what is refused has no packet");
        seen += packets.range(first..first + same.len()).map(<[u8]>::len).sum::<usize>();
        first += same.len();
    }
    assert!(seen <= input.bytes.len(), "more was handed out than there is");
    assert!(refused.len() <= input.messages.into(), "a message is refused once at most");
}

/// Cuts a stream at ends that passed the check.
fn cut_packets(frames: &Frames, bytes: &[u8]) {
    assert!(frames.ends.len() <= Packets::MAX);
    let mut start = 0;
    for &end in &frames.ends {
        assert!(!bytes[start..end as usize].is_empty(), "a packet has at least one byte");
        start = end as usize;
    }
    assert_eq!(frames.consumed(), start);
}
