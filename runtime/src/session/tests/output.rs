//! Packets that wait to be written.

use crate::framing::{Joiner, Layout};
use crate::session::Output;
use crate::session::output::MESSAGE;

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
    // Each is counted with what it takes up beside its bytes.
    let both = output.len();
    assert!(both > 11);
    let Output::Messages(messages) = &mut output else { unreachable!() };
    assert!(messages.is_text());
    assert_eq!(messages.pop().unwrap(), "first");
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
