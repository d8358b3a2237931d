//! Tests with bytes that no joiner wrote: the splitter does not panic or loop, and its result does
//! not depend on how the bytes are cut into reads.

use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn the_result_does_not_depend_on_the_cuts(
        framing in framings(), is_text: bool, input in bytes(300), cuts in cuts(),
        max_packet in 0..100_usize, max_batch in select(vec![0, 10, 1 << 20]),
    ) {
        let layout = Layout::Stream(framing);
        let mut splitter = Splitter::new(layout.clone(), payload(is_text), max_packet, 1 << 20);
        let whole = split_all(&mut splitter, [&*input]);
        let mut splitter = Splitter::new(layout, payload(is_text), max_packet, max_batch);
        let in_pieces = split_all(&mut splitter, cut(&input, &cuts));
        prop_assert_eq!(in_pieces, whole);
    }

    #[test]
    fn whatever_comes_only_valid_packets_come_out(
        layout in layouts(), is_text: bool, input in bytes(300), cuts in cuts(), max_packet in 0..100_usize,
    ) {
        let mut splitter = Splitter::new(layout, payload(is_text), max_packet, 1 << 20);
        let (packets, _) = split_all(&mut splitter, cut(&input, &cuts));
        for packet in packets {
            prop_assert!(packet.len() <= max_packet);
            prop_assert!(!is_text || std::str::from_utf8(&packet).is_ok());
        }
    }

    #[test]
    fn no_more_is_held_than_came_and_no_more_than_a_packet(
        framing in framings(), input in bytes(300), cuts in cuts(), max_packet in 0..100_usize,
    ) {
        let mut splitter = Splitter::new(Layout::Stream(framing), Payload::Binary, max_packet, 1 << 20);
        let (mut came, mut packets) = (0, 0);
        for piece in cut(&input, &cuts) {
            came += piece.len();
            let (out, error) = split_all(&mut splitter, [piece]);
            packets += out.iter().map(Vec::len).sum::<usize>();
            if error.is_some() {
                break;
            }
            // The longest header has 8 bytes: an offset of 4 and a width of 4.
            prop_assert!(splitter.partial.len() <= (came - packets).min(max_packet + 8));
        }
    }
}

#[test]
fn text_that_is_no_text_ends_it_and_does_not_come_out() {
    let mut splitter = Splitter::new(Layout::Stream(delimiter(b"\n")), Payload::Text, 100, 1 << 20);
    let out = split_all(&mut splitter, [b"fine\nbad \xff\nlost\n".as_slice()]);
    assert_eq!(out, (vec![b"fine".to_vec()], Some(SplitError::NotText)));

    let out = split_all(&mut Splitter::new(Layout::One, Payload::Text, 100, 1 << 20), [b"\xff".as_slice()]);
    assert_eq!(out, (vec![], Some(SplitError::NotText)));
}

#[test]
fn text_is_judged_whole_with_the_bytes_before_its_length() {
    // The length field is between the two bytes of one character.
    let framing = length(1, 1, false, 0);
    let stream = joined(&framing, "é".as_bytes());
    let mut splitter = Splitter::new(Layout::Stream(framing), Payload::Text, 100, 1 << 20);
    assert_eq!(split_all(&mut splitter, [stream.as_slice()]), (vec!["é".as_bytes().to_vec()], None));
}

#[test]
fn a_message_without_a_packet_is_an_error_where_it_must_hold_some() {
    for framing in all_framings() {
        let split = |layout| split_all(&mut Splitter::new(layout, Payload::Binary, 100, 1 << 20), [&b""[..]]);
        assert_eq!(split(Layout::Framed(framing.clone())), (vec![], Some(SplitError::EmptyMessage)));
        assert_eq!(split(Layout::Continuous(framing)), (vec![], None));
    }
    // Without framing, an empty message is an empty packet.
    let out = split_all(&mut Splitter::new(Layout::One, Payload::Binary, 100, 1 << 20), [&b""[..]]);
    assert_eq!(out, (vec![vec![]], None));
}

#[test]
fn a_message_that_ends_inside_a_packet_is_an_error_behind_its_whole_packets() {
    for framing in all_framings() {
        let packet = b"longer".to_vec();
        let two = joined(&framing, &packet).repeat(2);
        for length in two.len() / 2 + 1..two.len() {
            let mut splitter = Splitter::new(Layout::Framed(framing.clone()), Payload::Binary, 100, 1 << 20);
            let out = split_all(&mut splitter, [&two[..length]]);
            assert_eq!(out, (vec![packet.clone()], Some(SplitError::PartialMessage)));
            assert_eq!(splitter.partial.capacity(), 0);
        }
    }
}
