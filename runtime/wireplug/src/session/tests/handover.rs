//! A session that moves to another codec: everything that was under way stays as it is.

use super::rig::{Rig, Setup, at};
use super::script::trap;
use crate::codec::{Abilities, CodecError};
use crate::session::CloseReason;

#[test]
fn packets_stay_and_messages_go_to_the_new_codec() {
    let mut rig = Rig::established();
    rig.push("encoded");
    rig.flush();
    rig.push("waiting");
    rig.respond(7, "too");
    rig.replace_codec(Setup::default());
    rig.flush();
    assert_eq!(rig.calls(), ["encode 2"], "the new codec is not asked for what was encoded");
    assert_eq!(rig.written(), ["- on 200 encoded", "- on 200 waiting", "7 route 200 too"]);
}

#[test]
fn half_a_packet_is_whole_for_the_new_codec() {
    let mut rig = Rig::established();
    rig.receive_bytes(b"reply one\nreply t");
    assert_eq!(rig.calls(), ["decode 1 at 0"]);
    rig.replace_codec(Setup::default());
    rig.receive_bytes(b"wo\n");
    assert_eq!(rig.calls(), ["decode 1 at 0"]);
    assert_eq!(rig.written(), ["one", "two"]);
}

#[test]
fn the_new_codec_is_called_when_the_timer_of_the_old_one_is_due() {
    let mut rig = Rig::established();
    rig.receive(&["timer 10"]);
    rig.replace_codec(Setup { ticks: &["reply late"], ..Setup::default() });
    assert!(rig.calls().is_empty(), "it has no first tick: its session is not new");
    assert_eq!(rig.machine.deadline(), Some(10));
    rig.machine.on_time(at(10));
    assert_eq!(rig.calls(), ["tick at 10"]);
    assert_eq!(rig.written(), ["late"]);
}

#[test]
fn a_codec_without_a_clock_loses_the_timer() {
    let mut rig = Rig::established();
    rig.receive(&["timer 10"]);
    let abilities = Abilities { clock: false, ..Setup::default().abilities };
    rig.replace_codec(Setup { abilities, ..Setup::default() });
    assert_eq!(rig.machine.deadline(), None);
}

#[test]
fn a_clock_that_the_old_codec_did_not_have_begins() {
    let abilities = Abilities { clock: false, ..Setup::default().abilities };
    let mut rig = Rig::new(Setup { abilities, ..Setup::default() });
    rig.replace_codec(Setup { ticks: &["timer 10"], ..Setup::default() });
    assert_eq!(rig.calls(), ["tick at 0"]);
    assert_eq!(rig.machine.deadline(), Some(10));
}

#[test]
fn the_answer_to_a_hello_goes_to_the_new_codec() {
    let mut rig = Rig::new(Setup { handshake: true, ..Setup::default() });
    rig.receive(&["hello you"]);
    assert_eq!(rig.actions(), ["hello you"]);
    rig.replace_codec(Setup { handshake: true, answer: "reply welcome; established", ..Setup::default() });
    rig.machine.answer(200, b"word", at(3));
    assert_eq!(rig.calls(), ["answer 200 word at 3"]);
    assert_eq!((rig.written(), rig.actions()), (vec!["welcome".to_owned()], vec!["established".to_owned()]));
}

#[test]
fn a_codec_that_refuses_to_save_keeps_the_session() {
    let mut rig = Rig::new(Setup { answer: "cannot be saved", ..Setup::default() });
    assert!(matches!(rig.machine.save(), Err(CodecError::Refused(_))));
    assert!(rig.machine.is_movable());
    rig.receive(&["reply alive"]);
    assert_eq!(rig.written(), ["alive"]);
}

#[test]
fn a_codec_that_fails_to_save_loses_the_session() {
    let mut rig = Rig::new(Setup { answer: "trap", ..Setup::default() });
    assert_eq!(rig.machine.save(), Err(trap()));
    assert!(!rig.machine.is_movable());
    assert_eq!(rig.closed(), Some(CloseReason::CodecFault(trap())));
}

#[test]
fn a_session_that_is_ending_does_not_move() {
    let mut rig = Rig::established();
    assert!(rig.machine.is_movable());
    rig.receive(&["close 4000 done"]);
    assert!(!rig.machine.is_movable());
}

#[test]
fn packets_behind_a_hello_go_to_the_codec_that_gets_the_answer() {
    let mut rig = Rig::new(Setup { handshake: true, ..Setup::default() });
    rig.receive(&["hello you", "reply a"]);
    rig.replace_codec(Setup { handshake: true, ..Setup::default() });
    rig.machine.decode(at(2));
    assert!(rig.calls().is_empty(), "the hello is still open");
    rig.machine.answer(200, b"", at(3));
    rig.machine.decode(at(4));
    assert_eq!(rig.calls(), ["answer 200  at 3", "decode 1 at 4"]);
    assert_eq!(rig.written(), ["a"]);
}

#[test]
fn the_rest_of_a_stream_is_cut_by_the_new_codec() {
    let mut rig = Rig::established_with(Setup::framer());
    rig.receive_bytes(b"reply one\nneed 50\nreply t");
    assert_eq!(rig.calls(), ["cut 25 bytes at 0"]);
    rig.replace_codec(Setup::framer());
    // The new codec has not said how many bytes it needs.
    rig.receive_bytes(b"wo\n");
    assert_eq!(rig.calls(), ["cut 10 bytes at 0"]);
    assert_eq!(rig.written(), ["one", "two"]);
}

#[test]
fn a_verified_address_stays_verified() {
    let mut rig = Rig::established();
    rig.receive(&["reply a"]);
    assert!(!rig.machine.is_address_verified());
    rig.receive(&["address-verified; reply b"]);
    assert!(rig.machine.is_address_verified());
    rig.replace_codec(Setup::default());
    assert!(rig.machine.is_address_verified());
}
