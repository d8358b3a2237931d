//! Tests that the splitter returns the joined packets unchanged, however the bytes are cut in
//! transit.

use super::*;

const MAX_PACKET: usize = 600;

/// Packets, some of them longer than any piece.
fn packets() -> impl Strategy<Value = Vec<Vec<u8>>> {
    proptest::collection::vec(prop_oneof![4 => bytes(12), 1 => bytes(MAX_PACKET)], 0..20)
}

/// Limits from batches of one packet each to one batch for all packets.
fn max_batches() -> impl Strategy<Value = usize> {
    select(vec![0, 1, 5, 64, 1 << 20])
}

/// Joins the packets that can be joined. Returns these packets, and each of them with its framing.
fn join_all(joiner: &Joiner, packets: Vec<Vec<u8>>) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    packets
        .into_iter()
        .filter_map(|packet| {
            let mut framed = Vec::new();
            joiner.join(&packet, &mut framed).ok().map(|_| (packet, framed))
        })
        .unzip()
}

/// Returns the inputs that the receiver may see: a stream cut anywhere, or messages of whole
/// packets.
fn inputs(layout: &Layout, framed: Vec<Vec<u8>>, cuts: &[usize]) -> Vec<Vec<u8>> {
    match layout {
        Layout::One => framed,
        Layout::Framer { .. } => unreachable!("no codec is here"),
        Layout::Framed(_) => cut(&framed, cuts).into_iter().map(<[_]>::concat).collect(),
        Layout::Stream(_) | Layout::Continuous(_) => {
            cut(&framed.concat(), cuts).into_iter().map(<[_]>::to_vec).collect()
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn joined_packets_come_out_the_same(
        layout in layouts(), is_text: bool, packets in packets(), cuts in cuts(), max_batch in max_batches(),
    ) {
        let joiner = Joiner::new(layout.clone(), payload(is_text), MAX_PACKET);
        let (sent, framed) = join_all(&joiner, packets);
        let inputs = inputs(&layout, framed, &cuts);

        let mut splitter = Splitter::new(layout, payload(is_text), MAX_PACKET, max_batch);
        let (came, error) = split_all(&mut splitter, inputs.iter().map(Vec::as_slice));

        prop_assert_eq!(error, None);
        prop_assert_eq!(came, sent);
        prop_assert!(splitter.partial.is_empty());
    }
}

#[test]
fn a_batch_holds_at_most_256_packets() {
    let mut splitter = Splitter::new(Layout::Stream(delimiter(b"\n")), Payload::Binary, 100, 1 << 20);
    let stream = b"x\n".repeat(300);
    let (mut input, mut batch) = (stream.as_slice(), Packets::new());

    assert_eq!(splitter.split(&mut input, false, &mut batch), Ok(Split::Full));
    assert_eq!((batch.len(), input.len()), (256, 2 * 44));
    // No packet is lost while the batch is full.
    assert_eq!(splitter.split(&mut input, false, &mut batch), Ok(Split::Full));
    assert_eq!((batch.len(), input.len()), (256, 2 * 44));

    batch.clear();
    assert_eq!(splitter.split(&mut input, false, &mut batch), Ok(Split::Done));
    assert_eq!(batch.len(), 44);
}

#[test]
fn a_full_batch_leaves_an_empty_message_for_the_next() {
    let mut splitter = Splitter::new(Layout::One, Payload::Binary, 100, 1 << 20);
    let mut batch = Packets::new();
    for _ in 0..Packets::MAX {
        assert_eq!(splitter.split(&mut &b""[..], false, &mut batch), Ok(Split::Done));
    }
    assert_eq!(splitter.split(&mut &b""[..], false, &mut batch), Ok(Split::Full));
    batch.clear();
    assert_eq!(splitter.split(&mut &b""[..], false, &mut batch), Ok(Split::Done));
    assert_eq!(batch.len(), 1);
}

#[test]
fn a_packet_longer_than_a_batch_has_one_of_its_own() {
    for framing in [delimiter(b"\n"), length(1, 3, false, 0), varint(0)] {
        let (small, large) = (b"small".as_slice(), [b'x'; 50].as_slice());
        let stream = [small, large, small].map(|packet| joined(&framing, packet)).concat();
        let mut splitter = Splitter::new(Layout::Stream(framing), Payload::Binary, 100, 20);
        let mut input = stream.as_slice();
        for expected in [small, large, small] {
            let mut batch = Packets::new();
            splitter.split(&mut input, false, &mut batch).unwrap();
            assert_eq!(batch, Packets::from_iter([expected]));
        }
    }
}

#[test]
fn nothing_is_held_once_a_long_packet_is_out() {
    for framing in [delimiter(b"\n"), length(1, 3, false, 0), varint(0)] {
        let stream = joined(&framing, &[b'x'; 10_000]);
        let mut splitter = Splitter::new(Layout::Stream(framing), Payload::Binary, 1 << 20, 100);
        let (packets, error) = split_all(&mut splitter, stream.chunks(7));
        assert_eq!((packets.len(), error), (1, None));
        assert_eq!(splitter.partial.capacity(), 0);
    }
}
