//! Packets behind a hello are decoded after the application's answer, and not before.

use super::rig::{Rig, Setup, at, protocol};
use crate::codec::Violation;
use crate::session::CloseReason;
use wireplug_core::framing::SplitError;

fn rig() -> Rig {
    rig_with(Setup::default())
}

fn rig_with(setup: Setup) -> Rig {
    let rig = Rig::new(Setup { handshake: true, ..setup });
    rig.calls();
    rig
}

/// Answers the hello, and decodes what waits behind it.
fn answer(rig: &mut Rig) {
    rig.machine.answer(200, b"", at(0));
    while rig.machine.is_in_batch() {
        rig.machine.decode(at(0));
    }
    rig.machine.decode(at(0));
}

fn replies(count: usize) -> String {
    (0..count).map(|number| format!("reply {number}\n")).collect()
}

fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|number| number.to_string()).collect()
}

#[test]
fn packets_behind_a_hello_wait_for_the_answer() {
    let mut rig = rig();
    rig.receive(&["reply a", "hello me", "reply b; request 1 r x"]);
    assert_eq!(rig.calls(), ["decode 3 at 0"]);
    assert!(rig.machine.hello_is_open() && rig.machine.is_in_batch());
    assert_eq!((rig.written(), rig.actions()), (vec!["a".to_owned()], vec!["hello me".to_owned()]));
    assert_eq!(rig.machine.take_tally().packets_in, 2, "a packet counts when it is decoded");
    rig.machine.decode(at(1));
    assert!(rig.calls().is_empty() && rig.written().is_empty());

    rig.machine.answer(200, b"welcome", at(5));
    assert!(!rig.machine.hello_is_open());
    rig.machine.decode(at(6));
    assert_eq!(rig.calls(), ["answer 200 welcome at 5", "decode 1 at 6"]);
    assert_eq!(rig.written(), ["b"]);
    assert_eq!(rig.actions(), ["established", "request 1 r x"]);
    assert_eq!(rig.machine.take_tally().packets_in, 1);
}

#[test]
fn nothing_is_received_while_packets_wait_behind_a_hello() {
    let mut rig = rig();
    rig.receive(&["hello me", "reply a"]);
    let mut more = &b"reply b\n"[..];
    rig.machine.receive(&mut more, false, at(0));
    assert_eq!(more, b"reply b\n");
    answer(&mut rig);
    rig.receive_bytes(more);
    assert_eq!(rig.written(), ["a", "b"]);
}

#[test]
fn input_that_comes_behind_a_hello_waits_too() {
    let mut rig = rig();
    rig.receive(&["hello me"]);
    assert!(!rig.machine.is_in_batch());
    rig.receive(&["reply a"]);
    assert_eq!(rig.calls(), ["decode 1 at 0"]);
    answer(&mut rig);
    assert_eq!(rig.written(), ["a"]);
}

#[test]
fn a_full_batch_behind_a_hello_is_decoded_after_the_answer() {
    let mut rig = rig();
    let input = format!("hello me\n{}", replies(300));
    let rest = rig.receive_bytes(input.as_bytes());
    assert_eq!(rig.calls(), ["decode 256 at 0"]);
    assert_eq!(rest.iter().filter(|byte| **byte == b'\n').count(), 45, "the rest of the input waits");
    assert!(rig.written().is_empty());
    answer(&mut rig);
    rig.receive_bytes(rest);
    assert_eq!(rig.calls(), ["answer 200  at 0", "decode 255 at 0", "decode 45 at 0"]);
    assert_eq!(rig.written(), numbers(300));
    assert_eq!(rig.machine.take_tally().packets_in, 301);
}

#[test]
fn a_hello_may_be_the_last_packet_of_a_full_batch() {
    let mut rig = rig();
    let input = format!("{}hello me\n{}", "reply x\n".repeat(255), replies(300));
    let rest = rig.receive_bytes(input.as_bytes());
    assert_eq!(rig.calls(), ["decode 256 at 0"]);
    assert_eq!(rig.written(), ["x"; 255]);
    // A batch gathers behind the open hello. It is full, so more input stays where it is.
    let mut more = rest;
    rig.machine.receive(&mut more, false, at(0));
    rig.machine.receive(&mut more, false, at(0));
    assert_eq!(more.iter().filter(|byte| **byte == b'\n').count(), 44);
    assert!(rig.calls().is_empty());
    answer(&mut rig);
    rig.receive_bytes(more);
    assert_eq!(rig.written(), numbers(300));
}

#[test]
fn a_partial_packet_behind_a_hello_becomes_whole_after_the_answer() {
    let mut rig = rig();
    rig.receive_bytes(b"hello me\nreply a\nrep");
    assert!(rig.machine.is_partial());
    answer(&mut rig);
    assert_eq!(rig.written(), ["a"]);
    rig.receive_bytes(b"ly b\n");
    assert_eq!(rig.written(), ["b"]);
}

#[test]
fn a_framing_error_behind_the_packets_behind_a_hello_ends_the_session_after_them() {
    let mut rig = rig();
    let too_long = "x".repeat(101);
    rig.receive_bytes(format!("hello me\nreply a\n{too_long}\nreply lost\n").as_bytes());
    assert_eq!((rig.written().len(), rig.closed()), (0, None));
    answer(&mut rig);
    assert_eq!(rig.written(), ["a"]);
    let error = SplitError::TooLong { length: 101, max: 100 };
    assert_eq!(rig.closed(), Some(CloseReason::Framing(error)));
}

#[test]
fn a_framing_error_right_behind_a_hello_ends_the_session_and_the_hello_is_still_answered() {
    let answer = "reply welcome; established";
    let mut rig = rig_with(Setup { answer, ..Setup::default() });
    rig.receive_bytes(("hello me\n".to_owned() + &"x".repeat(101)).as_bytes());
    assert!(matches!(rig.closed(), Some(CloseReason::Framing(_))));
    assert_eq!(rig.actions(), ["hello me"]);
    rig.machine.answer(200, b"", at(0));
    assert_eq!(rig.written(), ["welcome"]);
}

#[test]
fn nothing_behind_a_framing_error_is_decoded_even_if_a_hello_holds_it_back() {
    let mut rig = rig();
    rig.receive(&["hello me"]);
    rig.receive_bytes(("reply a\n".to_owned() + &"x".repeat(101) + "\n").as_bytes());
    rig.receive(&["reply lost"]);
    assert_eq!(rig.closed(), None);
    answer(&mut rig);
    assert_eq!(rig.written(), ["a"]);
    assert!(matches!(rig.closed(), Some(CloseReason::Framing(_))));
}

#[test]
fn a_codec_without_batches_gets_the_packets_behind_a_hello_one_by_one() {
    let mut rig = rig_with(Setup::called_singly());
    rig.receive(&["hello me", "reply a", "reply b"]);
    rig.machine.decode(at(0));
    assert_eq!(rig.calls(), ["decode 1 at 0"]);
    answer(&mut rig);
    assert_eq!(rig.calls(), ["answer 200  at 0", "decode 1 at 0", "decode 1 at 0"]);
    assert_eq!(rig.written(), ["a", "b"]);
}

#[test]
fn packets_behind_a_hello_are_lost_when_the_session_ends_before_the_answer() {
    let mut rig = rig_with(Setup { ticks: &["timer 5", "close 4001 late"], ..Setup::default() });
    rig.receive(&["hello me", "reply a"]);
    rig.machine.on_time(at(5));
    rig.calls();
    assert!(!rig.machine.hello_is_open() && !rig.machine.is_in_batch());
    answer(&mut rig);
    assert!(rig.calls().is_empty() && rig.written().is_empty());
    assert_eq!(rig.closed(), protocol("late"));
}

#[test]
fn an_event_behind_a_hello_is_the_codecs_fault() {
    for packets in [&["hello me; reply late"][..], &["hello me; established", "reply a"]] {
        let mut rig = rig();
        rig.receive(packets);
        assert_eq!(rig.actions(), ["hello me"]);
        assert_eq!(rig.closed(), Some(CloseReason::CodecFault(Violation::AfterHello.into())));
        answer(&mut rig);
        assert_eq!(rig.calls(), [format!("decode {} at 0", packets.len())]);
        assert!(rig.written().is_empty());
    }
}

#[test]
fn a_second_hello_before_the_answer_is_the_codecs_fault() {
    let mut rig = rig_with(Setup { ticks: &["timer 5", "hello again"], ..Setup::default() });
    rig.receive(&["hello me"]);
    rig.machine.on_time(at(5));
    assert_eq!(rig.actions(), ["hello me"]);
    assert_eq!(rig.closed(), Some(CloseReason::CodecFault(Violation::SecondHello.into())));
}
