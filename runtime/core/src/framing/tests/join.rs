//! Tests that the joiner refuses exactly the packets that could not be cut out again.

use super::*;

/// Returns why a packet must be refused. This is a second and simpler implementation of the rules.
fn expected(framing: &Framing, packet: &[u8]) -> Option<JoinError> {
    let length = packet.len();
    let too_short = |offset| JoinError::TooShort { length, offset };
    match framing {
        Framing::Delimiter(delimiter) => {
            let wire = [packet, &delimiter.bytes].concat();
            let first = wire.windows(delimiter.bytes.len()).position(|window| window == delimiter.bytes);
            (first != Some(length)).then_some(JoinError::HoldsDelimiter)
        }
        Framing::Length(field) => {
            let Some(body) = length.checked_sub(field.offset) else {
                return Some(too_short(field.offset));
            };
            let value = body as i128 - i128::from(field.adjust);
            let fits = (0..1_i128 << (8 * field.width)).contains(&value);
            (!fits).then_some(JoinError::LengthOverflow { length: body })
        }
        Framing::Varint(varint) => (length < varint.offset).then(|| too_short(varint.offset)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn join_refuses_exactly_what_cannot_be_cut_again(
        layout in layouts(), is_text: bool, packet in bytes(600), max_packet in 0..600_usize, before in bytes(5),
    ) {
        let expected = if packet.len() > max_packet {
            Some(JoinError::TooLong { length: packet.len(), max: max_packet })
        } else if is_text && String::from_utf8(packet.clone()).is_err() {
            Some(JoinError::NotText)
        } else {
            layout.framing().and_then(|framing| expected(framing, &packet))
        };

        let mut out = before.clone();
        let joined = Joiner::new(layout, payload(is_text), max_packet).join(&packet, &mut out);

        prop_assert_eq!(&joined, &expected.map_or(Ok(is_text), Err));
        if joined.is_err() {
            prop_assert_eq!(out, before);
        } else {
            prop_assert!(out.starts_with(&before));
        }
    }

    #[test]
    fn a_packet_is_refused_if_and_only_if_its_delimiter_would_cut_it_elsewhere(
        bytes in select(DELIMITERS), packet in bytes(12),
    ) {
        let layout = Layout::Stream(delimiter(bytes));
        let accepted = Joiner::new(layout.clone(), Payload::Binary, 100).join(&packet, &mut Vec::new()).is_ok();
        let wire = [packet.as_slice(), bytes].concat();
        let cut = split_all(&mut Splitter::new(layout, Payload::Binary, 100, 1 << 20), [wire.as_slice()]);
        prop_assert_eq!(accepted, cut == (vec![packet], None));
    }
}

#[test]
fn a_delimiter_that_begins_inside_the_packet_is_seen() {
    let refuses = |bytes: &[u8], packet: &[u8]| {
        Joiner::new(Layout::Stream(delimiter(bytes)), Payload::Binary, 100).join(packet, &mut Vec::new())
            == Err(JoinError::HoldsDelimiter)
    };
    assert!(refuses(b"aa", b"xa"));
    assert!(refuses(b"aba", b"xab"));
    assert!(refuses(b"\r\n", b"x\r\ny"));
    // The packet ends with the beginning of a delimiter, but the next byte does not continue it.
    assert!(!refuses(b"\r\n", b"x\r"));
    assert!(!refuses(b"aba", b"xa"));
}

#[test]
fn a_length_is_refused_from_the_first_that_its_field_cannot_hold() {
    let accepts = |framing: Framing, length: usize| {
        Joiner::new(Layout::Stream(framing), Payload::Binary, usize::MAX)
            .join(&vec![0; length], &mut Vec::new())
            .is_ok()
    };
    assert!(accepts(length(0, 1, false, 0), 255));
    assert!(!accepts(length(0, 1, false, 0), 256));
    // The value includes the header, so the body must be shorter.
    assert!(accepts(length(0, 1, true, -1), 254));
    assert!(!accepts(length(0, 1, true, -1), 255));
    assert!(accepts(length(2, 2, false, 0), (1 << 16) + 1));
    assert!(!accepts(length(2, 2, false, 0), (1 << 16) + 2));
    // The value would be negative.
    assert!(!accepts(length(0, 4, false, 2), 1));
    assert!(accepts(length(0, 4, false, 2), 2));
    // 2^28 does not fit four groups of seven bits. The packet is refused before a byte is copied.
    assert!(!accepts(varint(0), 1 << 28));
}

#[test]
fn the_length_stands_where_and_how_the_framing_says() {
    assert_eq!(joined(&length(1, 3, false, 0), b"\x04body"), b"\x04\0\0\x04body");
    assert_eq!(joined(&length(1, 3, true, 0), b"\x04body"), b"\x04\x04\0\0body");
    assert_eq!(joined(&length(0, 2, false, -2), b"body"), b"\0\x06body");
    assert_eq!(joined(&length(0, 2, false, 2), b"body"), b"\0\x02body");
    // MQTT: one byte of head, then the remaining length.
    assert_eq!(joined(&varint(1), b"\x30body"), b"\x30\x04body");
    assert_eq!(joined(&varint(0), &[7; 321])[..3], [0xc1, 0x02, 7]);
}

#[test]
fn packets_that_the_codec_has_made_complete_go_out_as_they_are() {
    for whole_messages in [false, true] {
        let joiner = Joiner::new(Layout::Framer { whole_messages }, Payload::Binary, 3);
        assert!(joiner.is_complete());
        let mut out = Vec::new();
        assert_eq!(joiner.join(b"\n\0\n", &mut out), Ok(false));
        assert_eq!(out, b"\n\0\n");
        assert_eq!(joiner.join(b"1234", &mut out), Err(JoinError::TooLong { length: 4, max: 3 }));
    }
    for layout in [Layout::One, Layout::Stream(varint(0)), Layout::Framed(delimiter(b"\n"))] {
        assert!(!Joiner::new(layout, Payload::Binary, 3).is_complete());
    }
}
