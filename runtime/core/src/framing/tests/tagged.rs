//! Tests of packets with tags: the first byte of a packet says whether it is text or binary.

use super::*;

const MAX_PACKET: usize = 10;

fn splitter() -> Splitter {
    Splitter::new(Layout::One, Payload::Tagged, MAX_PACKET, 1 << 20)
}

fn joiner() -> Joiner {
    Joiner::new(Layout::One, Payload::Tagged, MAX_PACKET)
}

/// Splits messages into one batch. Returns the packets, and the error of the last message, if any.
fn split(messages: &[(&[u8], bool)]) -> (Vec<Vec<u8>>, Option<SplitError>) {
    let (mut splitter, mut batch) = (splitter(), Packets::new());
    let mut error = None;
    for &(mut message, is_text) in messages {
        match splitter.split(&mut message, is_text, &mut batch) {
            Ok(split) => assert_eq!((split, message), (Split::Done, &b""[..])),
            Err(wrong) => error = Some(wrong),
        }
        assert!(batch.is_well_formed());
    }
    assert_eq!(
        batch.byte_len(),
        batch.iter().map(<[u8]>::len).sum::<usize>(),
        "no byte lies between packets"
    );
    (batch.iter().map(<[u8]>::to_vec).collect(), error)
}

/// Joins a packet behind other bytes. Returns the message and whether it is text.
fn join(packet: &[u8]) -> Result<(Vec<u8>, bool), JoinError> {
    let mut out = b"before".to_vec();
    let joined = joiner().join(packet, &mut out);
    let message = out.strip_prefix(b"before").expect("nothing of it changes").to_vec();
    assert!(joined.is_ok() || message.is_empty());
    joined.map(|is_text| (message, is_text))
}

#[test]
fn each_message_comes_in_behind_the_tag_of_its_kind() {
    let messages = [(&b"text"[..], true), (b"bytes\xff", false), (b"", true), (b"", false), (b"text", false)];
    let packets = [&b"\x01text"[..], b"\x02bytes\xff", b"\x01", b"\x02", b"\x02text"].map(<[u8]>::to_vec);
    assert_eq!(split(&messages), (packets.into(), None));
}

#[test]
fn a_text_message_that_is_no_text_is_an_error_and_does_not_come_in() {
    let messages = [(&b"fine"[..], true), (b"bad \xff", true)];
    assert_eq!(split(&messages), (vec![b"\x01fine".to_vec()], Some(SplitError::NotText)));
    assert_eq!(split(&messages[1..]), (vec![], Some(SplitError::NotText)));
}

#[test]
fn each_packet_goes_out_as_its_tag_says_and_without_it() {
    assert_eq!(join(b"\x01text"), Ok((b"text".to_vec(), true)));
    assert_eq!(join(b"\x02text"), Ok((b"text".to_vec(), false)));
    assert_eq!(join(b"\x02\xff"), Ok((b"\xff".to_vec(), false)));
    assert_eq!(join(b"\x01"), Ok((vec![], true)));
    assert_eq!(join(b"\x02"), Ok((vec![], false)));
    // Only the first byte is a tag.
    assert_eq!(join(b"\x02\x01\x02"), Ok((b"\x01\x02".to_vec(), false)));
}

#[test]
fn a_packet_with_another_tag_or_none_does_not_go_out() {
    for packet in [&b""[..], b"\0", b"\0text", b"\x03text", b"text", b"\xff\x01"] {
        assert_eq!(join(packet), Err(JoinError::Untagged), "{}", packet.escape_ascii());
    }
}

#[test]
fn a_packet_with_the_tag_of_text_must_be_text() {
    assert_eq!(join(b"\x01\xff"), Err(JoinError::NotText));
    // The tag is no part of the first character.
    assert_eq!(join(b"\x01\x80"), Err(JoinError::NotText));
    assert_eq!(join("\u{1}é".as_bytes()), Ok(("é".as_bytes().to_vec(), true)));
}

#[test]
fn the_tag_counts_towards_no_limit() {
    let (longest, longer) = ([b'x'; MAX_PACKET], [b'x'; MAX_PACKET + 1]);
    for (tag, is_text) in [(Payload::TEXT_TAG, true), (Payload::BINARY_TAG, false)] {
        let tagged = |packet: &[u8]| [&[tag][..], packet].concat();
        assert_eq!(split(&[(&longest, is_text)]), (vec![tagged(&longest)], None));
        let too_long = SplitError::TooLong { length: MAX_PACKET as u64 + 1, max: MAX_PACKET };
        assert_eq!(split(&[(&longer, is_text)]), (vec![], Some(too_long)));
        assert_eq!(join(&tagged(&longest)), Ok((longest.to_vec(), is_text)));
        let too_long = JoinError::TooLong { length: MAX_PACKET + 1, max: MAX_PACKET };
        assert_eq!(join(&tagged(&longer)), Err(too_long));
    }
}

#[test]
fn a_full_batch_leaves_a_tagged_message_for_the_next() {
    let mut splitter = Splitter::new(Layout::One, Payload::Tagged, MAX_PACKET, 10);
    let (mut first, mut second, mut batch) = (&b"12345678"[..], &b"9"[..], Packets::new());
    assert_eq!(splitter.split(&mut first, true, &mut batch), Ok(Split::Done));
    assert_eq!(splitter.split(&mut &b"123"[..], true, &mut batch), Ok(Split::Full));
    assert_eq!(splitter.split(&mut second, false, &mut batch), Ok(Split::Done));
    assert_eq!(batch, Packets::from_iter([&b"\x0112345678"[..], b"\x029"]));
}

#[test]
fn packets_without_tags_do_not_depend_on_the_kind_of_their_message() {
    for is_text in [false, true] {
        let (mut binary, mut batch) = (Splitter::new(Layout::One, Payload::Binary, 10, 100), Packets::new());
        assert_eq!(binary.split(&mut &b"\xff"[..], is_text, &mut batch), Ok(Split::Done));
        assert_eq!(batch, Packets::from_iter([&b"\xff"[..]]));
        let (mut text, mut batch) = (Splitter::new(Layout::One, Payload::Text, 10, 100), Packets::new());
        assert_eq!(text.split(&mut &b"text"[..], is_text, &mut batch), Ok(Split::Done));
        assert_eq!(batch, Packets::from_iter([&b"text"[..]]));
        assert_eq!(text.split(&mut &b"\xff"[..], is_text, &mut batch), Err(SplitError::NotText));
    }
}

#[test]
fn the_largest_packet_may_change() {
    let (mut splitter, mut joiner, mut batch) = (splitter(), joiner(), Packets::new());
    splitter.set_max_packet(3, 100);
    joiner.set_max_packet(3);
    assert_eq!(splitter.split(&mut &b"123"[..], true, &mut batch), Ok(Split::Done));
    let too_long = SplitError::TooLong { length: 4, max: 3 };
    assert_eq!(splitter.split(&mut &b"1234"[..], true, &mut batch), Err(too_long));
    assert_eq!(joiner.join(b"\x01123", &mut Vec::new()), Ok(true));
    let too_long = JoinError::TooLong { length: 4, max: 3 };
    assert_eq!(joiner.join(b"\x011234", &mut Vec::new()), Err(too_long));
    splitter.set_max_packet(4, 100);
    joiner.set_max_packet(4);
    assert_eq!(splitter.split(&mut &b"1234"[..], true, &mut batch), Ok(Split::Done));
    assert_eq!(joiner.join(b"\x011234", &mut Vec::new()), Ok(true));
}

proptest! {
    #[test]
    fn a_message_goes_out_as_it_came_in(message in bytes(20), is_text: bool) {
        match split(&[(&message, is_text)]) {
            (packets, None) => {
                prop_assert_eq!(packets.len(), 1);
                prop_assert_eq!(join(&packets[0]), Ok((message, is_text)));
            }
            (packets, Some(_)) => {
                let is_invalid = is_text && std::str::from_utf8(&message).is_err();
                prop_assert!(packets.is_empty() && (is_invalid || message.len() > MAX_PACKET));
            }
        }
    }
}
