//! Splits any bytes, in any chunks, under any framing. Splitting does not panic, gives the same
//! result for all chunks, and gives packets that can be joined and split again.

#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use wireplug_core::framing::{
    Delimiter, Framing, Joiner, Layout, LengthField, Packets, Payload, Split, SplitError, Splitter, Varint,
};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    layout: AnyLayout<'a>,
    payload: AnyPayload,
    /// Whether the transport marks the messages as text.
    is_text: bool,
    max_packet: u16,
    max_batch: u16,
    /// The lengths of the chunks, which repeat.
    cuts: [u8; 4],
    bytes: &'a [u8],
}

#[derive(Arbitrary, Debug)]
enum AnyLayout<'a> {
    Stream(AnyFraming<'a>),
    One,
    Framed(AnyFraming<'a>),
    Continuous(AnyFraming<'a>),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum AnyPayload {
    Binary,
    Text,
    Tagged,
}

#[derive(Arbitrary, Debug)]
enum AnyFraming<'a> {
    Delimiter(&'a [u8]),
    Length { offset: u8, width: u8, little_endian: bool, adjust: i32 },
    Varint(u8),
}

impl AnyFraming<'_> {
    fn framing(&self) -> Option<Framing> {
        Some(match *self {
            AnyFraming::Delimiter(bytes) => Framing::Delimiter(Delimiter::new(bytes).ok()?),
            AnyFraming::Length { offset, width, little_endian, adjust } => {
                Framing::Length(LengthField::new(offset, width, little_endian, adjust).ok()?)
            }
            AnyFraming::Varint(offset) => Framing::Varint(Varint::new(offset)),
        })
    }
}

fuzz_target!(|input: Input| {
    let layout = match &input.layout {
        AnyLayout::Stream(framing) => framing.framing().map(Layout::Stream),
        AnyLayout::One => Some(Layout::One),
        AnyLayout::Framed(framing) => framing.framing().map(Layout::Framed),
        AnyLayout::Continuous(framing) => framing.framing().map(Layout::Continuous),
    };
    let Some(layout) = layout else { return };
    let payload = match input.payload {
        AnyPayload::Binary => Payload::Binary,
        AnyPayload::Text => Payload::Text,
        // A codec whose packets have tags is refused with any other layout of messages.
        AnyPayload::Tagged if layout != Layout::One => return,
        AnyPayload::Tagged => Payload::Tagged,
    };
    let (max_packet, max_batch) = (input.max_packet.into(), input.max_batch.into());
    let splitter = || Splitter::new(layout.clone(), payload, max_packet, max_batch);

    let whole = split(&mut splitter(), [input.bytes], input.is_text);
    if matches!(layout, Layout::Stream(_) | Layout::Continuous(_)) {
        let pieces = chunks(input.bytes, input.cuts);
        assert_eq!(split(&mut splitter(), pieces, input.is_text), whole, "the result depends on the chunks");
    }

    let joiner = Joiner::new(layout.clone(), payload, max_packet);
    for packet in whole.0 {
        let mut joined = Vec::new();
        let is_text = joiner.join(&packet, &mut joined).expect("what was cut can be joined");
        assert!(payload != Payload::Tagged || is_text == input.is_text, "the tag says what the packet is");
        let again = split(&mut splitter(), [&joined[..]], is_text);
        assert_eq!(again, (vec![packet], None), "what was joined is cut again");
    }
});

/// Returns all packets, and the error that ended the splitting.
fn split<'a>(
    splitter: &mut Splitter,
    inputs: impl IntoIterator<Item = &'a [u8]>,
    is_text: bool,
) -> (Vec<Vec<u8>>, Option<SplitError>) {
    let mut packets = Vec::new();
    let mut batch = Packets::new();
    for mut input in inputs {
        loop {
            let split = splitter.split(&mut input, is_text, &mut batch);
            assert!(batch.len() <= Packets::MAX);
            assert!(split != Ok(Split::Full) || !batch.is_empty(), "a full batch is not empty");
            packets.extend(batch.iter().map(<[u8]>::to_vec));
            batch.clear();
            match split {
                Ok(Split::Done) => break,
                Ok(Split::Full) => {}
                Err(error) => return (packets, Some(error)),
            }
        }
    }
    (packets, None)
}

fn chunks(mut bytes: &[u8], cuts: [u8; 4]) -> Vec<&[u8]> {
    let mut chunks = Vec::new();
    for cut in cuts.into_iter().cycle() {
        let (chunk, rest) = bytes.split_at(bytes.len().min(usize::from(cut) + 1));
        chunks.push(chunk);
        bytes = rest;
        if bytes.is_empty() {
            break;
        }
    }
    chunks
}
