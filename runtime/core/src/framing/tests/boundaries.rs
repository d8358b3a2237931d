//! Tests of the exact limits, and of heads with false lengths.

use super::*;

const MAX_PACKET: usize = 100;

/// Returns a packet of this length that contains no delimiter.
fn packet(length: usize) -> Vec<u8> {
    vec![b'x'; length]
}

fn split(layout: Layout, stream: &[u8], piece: usize) -> (Vec<Vec<u8>>, Option<SplitError>) {
    split_all(&mut Splitter::new(layout, Payload::Binary, MAX_PACKET, 1 << 20), stream.chunks(piece))
}

#[test]
fn the_longest_packet_comes_in_and_one_byte_more_does_not() {
    let too_long = Some(SplitError::TooLong { length: 101, max: MAX_PACKET });
    for framing in all_framings() {
        for piece in [1, 3, 1000] {
            let layout = Layout::Stream(framing.clone());
            let longest = joined(&framing, &packet(MAX_PACKET));
            assert_eq!(split(layout.clone(), &longest, piece), (vec![packet(MAX_PACKET)], None));
            let longer = joined(&framing, &packet(MAX_PACKET + 1));
            assert_eq!(split(layout, &longer, piece), (vec![], too_long.clone()));
        }
    }
    assert_eq!(split(Layout::One, &packet(MAX_PACKET), 1000), (vec![packet(MAX_PACKET)], None));
    assert_eq!(split(Layout::One, &packet(MAX_PACKET + 1), 1000), (vec![], too_long));
}

#[test]
fn the_longest_packet_goes_out_and_one_byte_more_does_not() {
    let layouts = all_framings().into_iter().map(Layout::Stream).chain([Layout::One]);
    for layout in layouts {
        let joiner = Joiner::new(layout, Payload::Binary, MAX_PACKET);
        assert_eq!(joiner.join(&packet(MAX_PACKET), &mut Vec::new()), Ok(false));
        let too_long = JoinError::TooLong { length: MAX_PACKET + 1, max: MAX_PACKET };
        assert_eq!(joiner.join(&packet(MAX_PACKET + 1), &mut Vec::new()), Err(too_long));
    }
}

#[test]
fn a_head_that_claims_too_much_errs_at_once_and_holds_nothing() {
    let heads: [(Framing, &[u8], u64); 4] = [
        (length(0, 4, false, 0), b"\xff\xff\xff\xff", (1 << 32) - 1),
        (length(2, 4, true, i32::MAX), b"ab\xff\xff\xff\xff", 2 + (1 << 32) - 1 + (1 << 31) - 1),
        (length(1, 3, false, 0), b"a\xff\xff\xff", 1 << 24),
        (varint(1), b"a\xff\xff\xff\x7f", 1 << 28),
    ];
    for (framing, head, length) in heads {
        for piece in [1, 1000] {
            let mut splitter =
                Splitter::new(Layout::Stream(framing.clone()), Payload::Binary, MAX_PACKET, 1 << 20);
            let out = split_all(&mut splitter, head.chunks(piece));
            assert_eq!(out, (vec![], Some(SplitError::TooLong { length, max: MAX_PACKET })));
            assert!(splitter.partial.capacity() <= 16);
        }
    }
}

#[test]
fn room_is_made_for_what_came_and_not_for_what_a_head_claims() {
    for framing in [length(0, 4, false, 0), length(1, 3, true, 0), varint(0)] {
        let stream = joined(&framing, &packet(1 << 20));
        let mut splitter = Splitter::new(Layout::Stream(framing), Payload::Binary, 1 << 20, 1 << 20);
        assert_eq!(split_all(&mut splitter, stream[..10].chunks(1)), (vec![], None));
        assert!(splitter.partial.capacity() <= 32);
    }
}

#[test]
fn a_stream_without_an_end_of_packet_errs_as_soon_as_no_packet_can_end() {
    for bytes in DELIMITERS {
        let longest = MAX_PACKET + bytes.len();
        let stream = packet(longest);
        let layout = Layout::Stream(delimiter(bytes));
        assert_eq!(split(layout.clone(), &stream[1..], 1), (vec![], None));
        assert!(matches!(split(layout, &stream, 1), (_, Some(SplitError::TooLong { .. }))));
    }
}

#[test]
fn a_partial_packet_that_is_longer_than_a_new_maximum_is_an_error() {
    for framing in all_framings() {
        let stream = joined(&framing, &packet(80));
        let (most, last) = stream.split_at(stream.len() - 1);
        let mut splitter = Splitter::new(Layout::Stream(framing), Payload::Binary, MAX_PACKET, 1 << 20);
        assert_eq!(split_all(&mut splitter, [most]), (vec![], None));
        splitter.set_max_packet(50, 1 << 20);
        let (packets, error) = split_all(&mut splitter, [last]);
        assert!(
            packets.is_empty() && matches!(error, Some(SplitError::TooLong { max: 50, .. })),
            "{error:?}"
        );
    }
}

#[test]
fn a_length_below_its_adjustment_is_an_error() {
    let layout = Layout::Stream(length(0, 2, false, -2));
    assert_eq!(split(layout.clone(), b"\0\x02", 1), (vec![vec![]], None));
    assert_eq!(split(layout, b"\0\x01", 1), (vec![], Some(SplitError::NegativeLength { value: 1 })));
}

#[test]
fn a_varint_has_at_most_four_bytes() {
    let layout = Layout::Stream(varint(0));
    // A length may have more bytes than it needs.
    assert_eq!(split(layout.clone(), b"\x81\x80\x80\0x", 1), (vec![packet(1)], None));
    for piece in [1, 1000] {
        let out = split(layout.clone(), b"\x80\x80\x80\x80\0", piece);
        assert_eq!(out, (vec![], Some(SplitError::LongVarint)));
    }
}

#[test]
fn a_framing_that_cannot_be_used_is_refused() {
    assert!(LengthField::new(0, 0, false, 0).is_err());
    assert!(LengthField::new(0, 5, false, 0).is_err());
    assert!(Delimiter::new(b"").is_err());
    assert!(Delimiter::new(&[b'x'; Delimiter::MAX]).is_ok());
    assert!(Delimiter::new(&[b'x'; Delimiter::MAX + 1]).is_err());
}
