//! Packets that wait to be written.

use crate::session::output::MESSAGE;
use crate::session::{Outgoing, Output};
use wireplug_core::framing::{Delimiter, Framing, JoinError, Joiner, Layout, Payload};

fn joiner() -> Joiner {
    Joiner::new(Layout::One, Payload::Binary, 1 << 10)
}

/// Returns a joiner of lines, of at most 10 bytes.
fn lines(layout: fn(Framing) -> Layout) -> Joiner {
    let framing = Framing::Delimiter(Delimiter::new(b"\n").unwrap());
    Joiner::new(layout(framing), Payload::Binary, 10)
}

/// Adds the packets of one message.
fn push_all(
    output: &mut Output,
    packets: &[&[u8]],
    ack: Option<u64>,
    joiner: &Joiner,
) -> Result<(), JoinError> {
    output.push_all(packets.iter().copied(), ack, joiner)
}

/// Takes out all messages.
fn all(output: &mut Output) -> Vec<Outgoing> {
    let Output::Messages(messages) = output else { unreachable!() };
    std::iter::from_fn(|| messages.pop()).collect()
}

fn message(message: &'static str, is_text: bool, ack: Option<u64>) -> Outgoing {
    Outgoing { message: Some(message.into()), is_text, ack }
}

#[test]
fn a_stream_goes_on_where_writing_stopped() {
    let mut output = Output::stream();
    output.push(b"first", &joiner()).unwrap();
    let Output::Stream(stream) = &mut output else { unreachable!() };
    stream.advance(2);
    assert_eq!(stream.front(), b"rst");
    output.push(b"second", &joiner()).unwrap();
    let Output::Stream(stream) = &mut output else { unreachable!() };
    assert_eq!(stream.front(), b"rstsecond");
    stream.advance(9);
    assert_eq!(output.len(), 0);
}

#[test]
fn a_client_that_never_reads_all_costs_no_more_than_what_waits() {
    let mut output = Output::stream();
    output.push(&[b'x'; 100], &joiner()).unwrap();
    for _ in 0..10_000 {
        output.push(&[b'x'; 100], &joiner()).unwrap();
        let Output::Stream(stream) = &mut output else { unreachable!() };
        stream.advance(100);
        assert_eq!(stream.front(), [b'x'; 100]);
    }
    let Output::Stream(stream) = output else { unreachable!() };
    assert!(stream.bytes.get().is_some_and(|bytes| bytes.capacity() < 4 << 10));
}

#[test]
fn what_is_written_leaves_nothing_behind() {
    let mut output = Output::stream();
    (0..100).for_each(|_| output.push(&[b'x'; 1000], &joiner()).unwrap());
    let Output::Stream(stream) = &mut output else { unreachable!() };
    stream.advance(100_000);
    assert!(stream.bytes.get().is_none());
}

#[test]
fn messages_are_written_one_by_one() {
    let mut output = Output::messages();
    output.push(b"first", &joiner()).unwrap();
    output.push(b"second", &joiner()).unwrap();
    // Each message counts with the memory that it takes up beside its content.
    let both = output.len();
    assert!(both > 11);
    let Output::Messages(messages) = &mut output else { unreachable!() };
    assert_eq!(messages.pop(), Some(message("first", false, None)));
    assert_eq!(output.len(), both - (5 + MESSAGE));
}

#[test]
fn each_message_is_text_or_binary() {
    let mut output = Output::messages();
    let joiner = |payload| Joiner::new(Layout::One, payload, 10);
    output.push(b"a", &joiner(Payload::Text)).unwrap();
    output.push(b"b", &joiner(Payload::Binary)).unwrap();
    output.push(b"\x01c", &joiner(Payload::Tagged)).unwrap();
    push_all(&mut output, &[b"\x02d", b"\x01e"], Some(7), &joiner(Payload::Tagged)).unwrap();
    output.acknowledge(8);
    assert_eq!(
        all(&mut output),
        [
            message("a", true, None),
            message("b", false, None),
            message("c", true, None),
            message("d", false, Some(7)),
            message("e", true, None),
            Outgoing { message: None, is_text: false, ack: Some(8) },
        ]
    );
    assert_eq!(output.push(b"c", &joiner(Payload::Tagged)), Err(JoinError::Untagged));
    assert_eq!(output.len(), 0);
}

#[test]
fn a_packet_that_cannot_be_framed_leaves_nothing() {
    for mut output in [Output::stream(), Output::messages()] {
        output.push(b"a", &joiner()).unwrap();
        let before = output.len();
        assert!(output.push(&[b'x'; 2000], &joiner()).is_err());
        assert_eq!(output.len(), before);
    }
}

#[test]
fn the_packets_of_a_message_are_added_in_order() {
    let mut output = Output::stream();
    push_all(&mut output, &[b"a", b"b", b""], Some(7), &lines(Layout::Stream)).unwrap();
    let Output::Stream(stream) = &output else { unreachable!() };
    assert_eq!(stream.front(), b"a\nb\n\n", "a stream has no acknowledgements");

    let mut output = Output::messages();
    push_all(&mut output, &[b"a", b"b"], None, &lines(Layout::Framed)).unwrap();
    push_all(&mut output, &[], Some(7), &lines(Layout::Framed)).unwrap();
    push_all(&mut output, &[b"c", b"d", b"e"], Some(8), &lines(Layout::Framed)).unwrap();
    let expected = [("a\n", None), ("b\n", None), ("c\n", Some(8)), ("d\n", None), ("e\n", None)];
    assert_eq!(all(&mut output), expected.map(|(text, ack)| message(text, false, ack)));
}

#[test]
fn if_one_packet_of_a_message_cannot_be_framed_none_is_added() {
    let bad: [(&[u8], JoinError); 2] = [
        (b"two\nlines", JoinError::HoldsDelimiter),
        (b"more than 10", JoinError::TooLong { length: 12, max: 10 }),
    ];
    type OutputWithLayout = (fn() -> Output, fn(Framing) -> Layout);
    let outputs: [OutputWithLayout; 3] = [
        (Output::stream, Layout::Stream),
        (Output::messages, Layout::Framed),
        (|| Output::datagrams(100, true), Layout::Framed),
    ];
    for (output, layout) in outputs {
        for (bad, error) in &bad {
            for packets in [&[*bad][..], &[*bad, b"a"], &[b"a", *bad], &[b"a", *bad, b"b"]] {
                let (mut output, joiner) = (output(), lines(layout));
                output.push(b"before", &joiner).unwrap();
                let before = output.len();
                assert_eq!(push_all(&mut output, packets, None, &joiner).as_ref(), Err(error));
                assert_eq!(output.len(), before);
            }
        }
    }
}

#[test]
fn if_one_packet_of_a_message_does_not_fit_a_datagram_none_is_added() {
    for shared in [false, true] {
        let mut output = Output::datagrams(8, shared);
        output.push(b"1", &lines(Layout::Framed)).unwrap();
        let before = output.len();
        for packets in [&[&b"12345678"[..]][..], &[b"a", b"12345678"], &[b"12345678", b"a"]] {
            let error = push_all(&mut output, packets, None, &lines(Layout::Framed));
            assert_eq!(error, Err(JoinError::Datagram { length: 9, max: 8 }));
            assert_eq!(output.len(), before);
        }
        push_all(&mut output, &[b"23", b"45"], None, &lines(Layout::Framed)).unwrap();
        let messages: Vec<_> = all(&mut output).into_iter().filter_map(|next| next.message).collect();
        let expected: &[&str] = if shared { &["1\n23\n45\n"] } else { &["1\n", "23\n", "45\n"] };
        assert_eq!(messages, expected);
    }
}

#[test]
fn datagrams_hold_whole_packets_up_to_their_size() {
    let datagrams = |shared| {
        let mut output = Output::datagrams(10, shared);
        for packet in [&b"1234"[..], b"5678", b"90", b"a", b"0123456789"] {
            output.push(packet, &joiner()).unwrap();
        }
        assert_eq!(output.push(b"0123456789a", &joiner()), Err(JoinError::Datagram { length: 11, max: 10 }));
        let waits = output.len();
        let all: Vec<_> = all(&mut output).into_iter().filter_map(|next| next.message).collect();
        assert_eq!((waits, output.len()), (21 + all.len() * MESSAGE, 0));
        all
    };
    assert_eq!(datagrams(true), ["1234567890", "a", "0123456789"]);
    assert_eq!(datagrams(false), ["1234", "5678", "90", "a", "0123456789"]);
}
