//! Checks of a guest's answer, with any heads over any bytes: no check panics, and all slices are
//! within the bytes.

#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use wireplug_core::codec::{Event, fuzzing};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    bytes: &'a [u8],
    heads: Vec<(u8, u32, Option<u64>, u32, u32)>,
    packets: u16,
    ends: Vec<u32>,
    refused: Vec<u32>,
    messages: u16,
}

fuzz_target!(|input: Input| {
    let mut events = fuzzing::events(input.bytes, &input.heads);
    let mut reader = events.read(input.packets.into());
    let mut seen = 0;
    let mut over = false;
    while let Some(event) = reader.next_event() {
        assert!(!over, "nothing follows the first close or fatal");
        let Ok(event) = event else { break };
        over = matches!(event, Event::Close(_) | Event::Fatal(_));
        seen += match event {
            Event::Message { route, body, .. } => route.len() + body.len(),
            Event::Hello(body) => body.len(),
            Event::Reply(body) | Event::Close(body) | Event::Rejected(body) | Event::Fatal(body) => {
                body.len()
            }
            Event::Established | Event::Wake(_) => 0,
        };
        assert!(seen <= input.bytes.len(), "more was handed out than there is");
    }

    let encoded = fuzzing::encoded(input.bytes, &input.ends, &input.refused);
    if fuzzing::check(&encoded, input.messages.into()) {
        let bytes: usize = encoded.packets.iter().map(<[u8]>::len).sum();
        assert!(bytes <= input.bytes.len());
        assert!(encoded.packets.len() + encoded.refused.len() <= input.messages.into());
    }
});
