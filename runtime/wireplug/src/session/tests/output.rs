//! Packets that wait to be written.

use crate::session::Output;
use crate::session::output::MESSAGE;
use wireplug_core::framing::{JoinError, Joiner, Layout};

fn joiner() -> Joiner {
    Joiner::new(Layout::One, false, 1 << 10)
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
    assert!(stream.bytes.capacity() < 4 << 10);
}

#[test]
fn what_is_written_leaves_little_behind() {
    let mut output = Output::stream();
    (0..100).for_each(|_| output.push(&[b'x'; 1000], &joiner()).unwrap());
    let Output::Stream(stream) = &mut output else { unreachable!() };
    stream.advance(100_000);
    assert!(stream.bytes.capacity() <= 4 << 10);
}

#[test]
fn messages_are_written_one_by_one() {
    let mut output = Output::messages(true);
    output.push(b"first", &joiner()).unwrap();
    output.push(b"second", &joiner()).unwrap();
    // Each message counts with the memory that it takes up beside its content.
    let both = output.len();
    assert!(both > 11);
    let Output::Messages(messages) = &mut output else { unreachable!() };
    assert!(messages.is_text());
    assert_eq!(messages.pop().unwrap().message.unwrap(), "first");
    assert_eq!(output.len(), both - (5 + MESSAGE));
}

#[test]
fn a_packet_that_cannot_be_framed_leaves_nothing() {
    for mut output in [Output::stream(), Output::messages(false)] {
        output.push(b"a", &joiner()).unwrap();
        let before = output.len();
        assert!(output.push(&[b'x'; 2000], &joiner()).is_err());
        assert_eq!(output.len(), before);
    }
}

#[test]
fn datagrams_hold_whole_packets_up_to_their_size() {
    let datagrams = |shared| {
        let mut output = Output::datagrams(false, 10, shared);
        for packet in [&b"1234"[..], b"5678", b"90", b"a", b"0123456789"] {
            output.push(packet, &joiner()).unwrap();
        }
        assert_eq!(output.push(b"0123456789a", &joiner()), Err(JoinError::Datagram { length: 11, max: 10 }));
        let waits = output.len();
        let Output::Messages(messages) = &mut output else { unreachable!() };
        let all: Vec<_> = std::iter::from_fn(|| messages.pop()?.message).collect();
        assert_eq!((waits, output.len()), (21 + all.len() * MESSAGE, 0));
        all
    };
    assert_eq!(datagrams(true), ["1234567890", "a", "0123456789"]);
    assert_eq!(datagrams(false), ["1234", "5678", "90", "a", "0123456789"]);
}
