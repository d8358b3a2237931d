//! A codec that fails or breaks the contract is never called again.

use super::rig::{Rig, Setup, at};
use super::script::trap;
use crate::codec::{Abilities, Cause, CodecError, Violation};
use crate::session::CloseReason;

fn fault(error: impl Into<CodecError>) -> Option<CloseReason> {
    Some(CloseReason::CodecFault(error.into()))
}

/// Calls every method of a session that a connection can call, and checks that no call reaches the
/// codec.
fn assert_codec_is_left_alone(rig: &mut Rig) {
    let reason = rig.closed();
    rig.written();
    rig.actions();
    rig.calls();
    rig.receive(&["reply a", "request 1 a x"]);
    rig.machine.on_time(at(1 << 40));
    rig.machine.answer(200, b"", at(1));
    rig.push("late");
    rig.flush();
    rig.machine.farewell(Cause::Kicked, "late", at(1));
    assert!(rig.calls().is_empty());
    assert!(rig.written().is_empty() && rig.actions().is_empty());
    assert_eq!(rig.machine.deadline(), None);
    assert_eq!(rig.closed(), reason);
}

#[test]
fn a_message_before_established_is_the_codecs_fault() {
    let mut rig = Rig::new(Setup { handshake: true, ..Setup::default() });
    rig.receive(&["reply a; request 1 a x; established; request 2 a x"]);
    assert_eq!(rig.written(), ["a"]);
    assert!(rig.actions().is_empty());
    assert_eq!(rig.closed(), fault(Violation::EarlyMessage));
    assert_codec_is_left_alone(&mut rig);
}

#[test]
fn a_second_established_is_the_codecs_fault() {
    let mut rig = Rig::new(Setup { handshake: true, ..Setup::default() });
    rig.receive(&["established; established"]);
    assert_eq!(rig.actions(), ["established"]);
    assert_eq!(rig.closed(), fault(Violation::StrayEstablished));
    assert_codec_is_left_alone(&mut rig);
}

#[test]
fn established_without_a_handshake_is_the_codecs_fault() {
    let mut rig = Rig::established();
    rig.receive(&["established"]);
    assert_eq!(rig.closed(), fault(Violation::StrayEstablished));
    assert_codec_is_left_alone(&mut rig);
}

#[test]
fn a_hello_that_nobody_could_answer_is_the_codecs_fault() {
    let abilities = Abilities { handshake: false, ..Setup::default().abilities };
    let mut rig = Rig::new(Setup { handshake: true, abilities, ..Setup::default() });
    rig.receive(&["hello me"]);
    assert!(rig.actions().is_empty());
    assert_eq!(rig.closed(), fault(Violation::MissingAbility("hello")));
}

#[test]
fn a_timer_without_a_clock_is_the_codecs_fault() {
    let abilities = Abilities { clock: false, ..Setup::default().abilities };
    let mut rig = Rig::new(Setup { abilities, ..Setup::default() });
    assert!(rig.calls().is_empty(), "nor is there a tick at open");
    rig.receive(&["timer 5"]);
    assert_eq!(rig.machine.deadline(), None);
    assert_eq!(rig.closed(), fault(Violation::MissingAbility("timer")));
}

#[test]
fn what_comes_before_a_violation_counts_and_what_follows_does_not() {
    let mut rig = Rig::established();
    rig.receive(&["request 1 a x; reply a", "wrong", "request 2 a x; reply b"]);
    assert_eq!(rig.actions(), ["request 1 a x"]);
    assert_eq!(rig.written(), ["a"]);
    assert_eq!(rig.closed(), fault(Violation::PacketIndex));
    assert_codec_is_left_alone(&mut rig);
}

#[test]
fn nothing_of_an_answer_counts_when_its_call_fails() {
    let mut rig = Rig::established();
    rig.receive(&["request 1 a x; reply a; timer 5", "trap"]);
    assert!(rig.actions().is_empty() && rig.written().is_empty());
    assert_eq!(rig.closed(), fault(trap()));
    assert_codec_is_left_alone(&mut rig);
}

#[test]
fn a_fault_in_the_middle_of_one_receive_ends_its_decoding() {
    let mut rig = Rig::established();
    let mut packets = vec!["reply a"; 600];
    packets[300] = "trap";
    rig.receive(&packets);
    assert_eq!(rig.calls(), ["decode 256 at 0", "decode 256 at 0"]);
    assert_eq!(rig.written().len(), 256);
    assert_codec_is_left_alone(&mut rig);
}

#[test]
fn a_fault_at_a_tick_ends_the_session() {
    let mut at_open = Rig::new(Setup { ticks: &["trap"], ..Setup::default() });
    assert_eq!(at_open.closed(), fault(trap()));
    assert_codec_is_left_alone(&mut at_open);

    let mut later = Rig::new(Setup { ticks: &["timer 5", "wrong"], ..Setup::default() });
    later.machine.on_time(at(5));
    assert_eq!(later.closed(), fault(Violation::PacketIndex));
    assert_codec_is_left_alone(&mut later);
}

#[test]
fn a_fault_at_an_answer_ends_the_session() {
    let mut rig = Rig::new(Setup { handshake: true, answer: "trap", ..Setup::default() });
    rig.receive(&["hello me"]);
    rig.machine.answer(200, b"", at(0));
    assert_eq!(rig.closed(), fault(trap()));
    assert_codec_is_left_alone(&mut rig);
}

#[test]
fn a_fault_at_encoding_ends_the_session_and_loses_only_its_batch() {
    let mut rig = Rig::established();
    rig.push("a");
    rig.flush();
    rig.push("b");
    rig.push("trap");
    rig.flush();
    assert_eq!(rig.calls(), ["encode 1", "encode 2"]);
    assert_eq!(rig.written(), ["- on 200 a"]);
    assert_eq!(rig.closed(), fault(trap()));
    assert_codec_is_left_alone(&mut rig);
}

#[test]
fn after_its_farewell_the_codec_is_left_alone() {
    let mut rig = Rig::new(Setup { ticks: &["timer 5"], ..Setup::default() });
    rig.farewell("for spam");
    assert_codec_is_left_alone(&mut rig);
    // More packets than one batch holds.
    rig.receive(&vec!["reply a"; 300]);
    assert!(rig.calls().is_empty());
}
