//! Tests of framing with any packets, any bytes and any cuts.

mod boundaries;
mod join;
mod round_trip;
mod strange_input;
mod tagged;
mod words;

use proptest::prelude::*;
use proptest::sample::select;

use super::{
    Delimiter, Framing, JoinError, Joiner, Layout, LengthField, Packets, Payload, Split, SplitError,
    Splitter, Varint,
};

/// Delimiters of 1 to 3 bytes; some overlap themselves.
const DELIMITERS: &[&[u8]] = &[b"\n", b"a", b"\r\n", b"aa", b"ab", b"aaa", b"aba"];

fn delimiter(bytes: &[u8]) -> Framing {
    Framing::Delimiter(Delimiter::new(bytes).unwrap())
}

fn length(offset: u8, width: u8, little_endian: bool, adjust: i32) -> Framing {
    Framing::Length(LengthField::new(offset, width, little_endian, adjust).unwrap())
}

fn varint(offset: u8) -> Framing {
    Framing::Varint(Varint::new(offset))
}

/// Every framing that the tests try.
fn all_framings() -> Vec<Framing> {
    let mut framings: Vec<_> = DELIMITERS.iter().map(|bytes| delimiter(bytes)).collect();
    framings.extend((0..=2).map(varint));
    for offset in 0..=4 {
        for width in 1..=4 {
            for little_endian in [false, true] {
                let whole_header = -i32::from(offset + width);
                let adjusts = [0, 2, whole_header];
                framings.extend(adjusts.map(|adjust| length(offset, width, little_endian, adjust)));
            }
        }
    }
    framings
}

/// Any framing. Each kind is equally likely.
fn framings() -> impl Strategy<Value = Framing> {
    let (lengths, others): (Vec<_>, Vec<_>) =
        all_framings().into_iter().partition(|framing| matches!(framing, Framing::Length(_)));
    let (varints, delimiters): (Vec<_>, Vec<_>) =
        others.into_iter().partition(|framing| matches!(framing, Framing::Varint(_)));
    prop_oneof![select(lengths), select(varints), select(delimiters)]
}

fn layouts() -> impl Strategy<Value = Layout> {
    prop_oneof![
        framings().prop_map(Layout::Stream),
        framings().prop_map(Layout::Framed),
        framings().prop_map(Layout::Continuous),
        Just(Layout::One),
    ]
}

/// Returns the payload of packets without tags.
fn payload(is_text: bool) -> Payload {
    if is_text { Payload::Text } else { Payload::Binary }
}

/// Bytes that often hold delimiters, small lengths, and invalid UTF-8.
fn bytes(max: usize) -> impl Strategy<Value = Vec<u8>> {
    let text = select(b"aab\r\nxy".as_slice());
    let small = select([0, 1, 2, 3, 4, 5, 0x7f, 0x80, 0x81, 0xff].as_slice());
    prop_oneof![
        proptest::collection::vec(text, 0..max),
        proptest::collection::vec(small, 0..max),
        proptest::collection::vec(any::<u8>(), 0..max),
    ]
}

/// The lengths of the pieces into which to cut, used in turn.
fn cuts() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![Just(vec![1]), Just(vec![usize::MAX]), proptest::collection::vec(1..30_usize, 1..8)]
}

/// Cuts a list into pieces of these lengths. The last piece may be shorter.
fn cut<'a, T>(mut list: &'a [T], lengths: &[usize]) -> Vec<&'a [T]> {
    let mut pieces = Vec::new();
    for &length in lengths.iter().cycle() {
        if list.is_empty() {
            break;
        }
        let (piece, rest) = list.split_at(length.min(list.len()));
        pieces.push(piece);
        list = rest;
    }
    pieces
}

/// Returns the packets of these pieces, and the error that ended the reading, if any.
///
/// Checks for every call that batches stay within their bounds, that only a batch with packets is
/// reported as full, and that the number of calls is bounded.
fn split_all<'a>(
    splitter: &mut Splitter,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Vec<u8>>, Option<SplitError>) {
    let mut packets = Vec::new();
    let mut batch = Packets::new();
    for mut piece in pieces {
        // Each call that fills a batch consumes at least one byte, unless the message is empty.
        let mut calls = splitter.partial.len() + piece.len() + 2;
        loop {
            calls = calls.checked_sub(1).expect("the splitter gets no further");
            let result = splitter.split(&mut piece, false, &mut batch);
            assert!(batch.len() <= Packets::MAX);
            assert!(batch.byte_len() <= splitter.max_batch || batch.len() == 1);
            packets.extend(batch.iter().map(<[u8]>::to_vec));
            match result {
                Ok(Split::Full) => assert!(!batch.is_empty()),
                Ok(Split::Done) => assert!(piece.is_empty()),
                Err(error) => return (packets, Some(error)),
            }
            batch.clear();
            if result == Ok(Split::Done) {
                break;
            }
        }
    }
    (packets, None)
}

/// Returns a packet with its framing.
fn joined(framing: &Framing, packet: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Joiner::new(Layout::Stream(framing.clone()), Payload::Binary, usize::MAX).join(packet, &mut out).unwrap();
    out
}
