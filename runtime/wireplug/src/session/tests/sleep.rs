//! A session that sleeps: its codec is not called, and everything else goes on.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;
use std::thread;

use super::broadcast::{Sharer, push, rigs};
use super::rig::{Rig, Setup, at};
use super::script::trap;
use crate::codec::{Abilities, CodecError, SavedStates};
use crate::session::CloseReason;

#[test]
fn packets_wait_for_the_codec() {
    let mut rig = Rig::established();
    rig.sleep();
    rig.receive(&["reply one", "reply two"]);
    assert!(rig.machine.has_undecoded());
    assert_eq!(rig.calls(), ["save"]);
    rig.wake(Setup::default());
    rig.machine.decode(at(1));
    assert_eq!(rig.calls(), ["decode 2 at 1"]);
    assert_eq!(rig.written(), ["one", "two"]);
}

#[test]
fn half_a_packet_needs_no_codec() {
    for setup in [Setup::default, Setup::framer] {
        let mut rig = Rig::established_with(setup());
        rig.receive_bytes(b"reply o");
        rig.calls();
        rig.sleep();
        rig.receive_bytes(b"n");
        if !setup().abilities.framer {
            assert!(!rig.machine.has_undecoded());
        }
        rig.receive_bytes(b"e\n");
        assert!(rig.machine.has_undecoded());
        assert_eq!(rig.calls(), ["save"]);
        rig.wake(setup());
        rig.machine.decode(at(0));
        assert_eq!(rig.written(), ["one"]);
    }
}

#[test]
fn a_session_in_the_middle_of_a_batch_does_not_sleep() {
    let mut rig = Rig::established_with(Setup::called_singly());
    rig.receive(&["reply one", "reply two"]);
    assert!(!rig.machine.may_sleep());
    rig.machine.decode(at(0));
    assert!(rig.machine.may_sleep());
}

#[test]
fn a_session_that_waits_for_the_application_or_for_tls_does_not_sleep() {
    let mut rig = Rig::new(Setup { handshake: true, ..Setup::default() });
    assert!(rig.machine.may_sleep(), "in the middle of the handshake");
    rig.receive(&["hello you"]);
    rig.actions();
    assert!(!rig.machine.may_sleep());
    rig.machine.answer(200, b"", at(0));
    assert!(!rig.machine.may_sleep(), "the application does not know yet that it is established");
    rig.actions();
    assert!(rig.machine.may_sleep());

    let mut rig = Rig::established_with(Setup::framer());
    rig.receive_bytes(b"start-tls\n");
    rig.actions();
    assert!(!rig.machine.may_sleep());
    let abilities = Abilities { handoff: false, ..Setup::default().abilities };
    assert!(!Rig::established_with(Setup { abilities, ..Setup::default() }).machine.may_sleep());
}

#[test]
fn the_timer_runs_while_the_session_sleeps() {
    let mut rig = Rig::established();
    rig.receive(&["timer 10"]);
    rig.sleep();
    assert_eq!(rig.machine.deadline(), Some(10));
    rig.wake(Setup { ticks: &["reply beat; timer 10"], ..Setup::default() });
    assert!(rig.machine.on_time(at(10)));
    assert_eq!((rig.calls(), rig.machine.deadline()), (vec!["tick at 10".to_owned()], Some(20)));
}

#[test]
fn messages_wait_and_keep_their_order() {
    let mut rig = Rig::established();
    rig.push("encoded");
    rig.flush();
    rig.sleep();
    rig.push("one");
    rig.respond(7, "two");
    assert!(rig.machine.encode_shared(usize::MAX, || true), "the codec is needed");
    rig.wake(Setup::default());
    rig.flush();
    assert_eq!(rig.calls(), ["encode 2"]);
    assert_eq!(rig.written(), ["- on 200 encoded", "- on 200 one", "7 route 200 two"]);
}

#[test]
fn a_push_to_many_needs_no_session_that_is_awake() {
    let codec = Arc::<Sharer>::default();
    let mut rigs = rigs(&codec, &[7, 7, 7]);
    rigs.iter_mut().for_each(Rig::sleep);
    push(&rigs, "news");
    push(&rigs, "more");
    for rig in &mut rigs {
        assert!(!rig.machine.encode_shared(usize::MAX, || true));
        assert_eq!(rig.written(), ["to class 7: news", "to class 7: more"]);
        assert_eq!(rig.calls(), ["save"]);
        let tally = rig.machine.take_tally();
        assert_eq!((tally.packets_out, tally.messages_out), (2, 2));
    }
    assert_eq!(codec.encoded.load(Ordering::Relaxed), 2);
}

#[test]
fn a_push_to_many_behind_a_single_one_waits_for_it() {
    let codec = Arc::<Sharer>::default();
    let mut rigs = rigs(&codec, &[7, 7]);
    let [rig, _] = &mut rigs[..] else { unreachable!() };
    rig.sleep();
    rig.push("alone");
    push(&rigs, "news");
    let [rig, _] = &mut rigs[..] else { unreachable!() };
    assert!(rig.machine.encode_shared(usize::MAX, || true));
    assert!(rig.written().is_empty());
    rig.wake(Setup::default());
    rig.flush();
    assert_eq!(rig.written(), ["- on 200 alone", "to class 7: news"]);
}

#[test]
fn a_push_that_cannot_be_shared_needs_the_codec() {
    let codec = Arc::<Sharer>::default();
    let mut rigs = rigs(&codec, &[7, 7]);
    rigs.iter_mut().for_each(Rig::sleep);
    push(&rigs, "trap");
    for rig in &mut rigs {
        assert!(rig.machine.encode_shared(usize::MAX, || true));
    }
}

#[test]
fn a_session_that_sleeps_waits_while_another_one_encodes() {
    let codec = Arc::<Sharer>::default();
    let (release, wait) = channel();
    *codec.release.lock().unwrap() = Some(wait);
    let mut rigs = rigs(&codec, &[7, 7]);
    rigs.iter_mut().for_each(Rig::sleep);
    push(&rigs, "news");
    let [one, other] = &mut rigs[..] else { unreachable!() };
    thread::scope(|scope| {
        let encoding = scope.spawn(|| one.machine.encode_shared(usize::MAX, || true));
        while !matches!(codec.release.try_lock(), Err(std::sync::TryLockError::WouldBlock)) {
            thread::yield_now();
        }
        assert!(!other.machine.encode_shared(usize::MAX, || true), "it needs no codec");
        assert!(other.written().is_empty());
        release.send(()).unwrap();
        assert!(!encoding.join().unwrap());
    });
    assert!(!other.machine.encode_shared(usize::MAX, || true));
    assert_eq!(
        (one.written(), other.written()),
        (vec!["to class 7: news".to_owned()], vec!["to class 7: news".to_owned()])
    );
}

#[test]
fn a_codec_that_refuses_to_save_keeps_the_session_awake() {
    let mut rig = Rig::new(Setup { answer: "cannot be saved", ..Setup::default() });
    rig.actions();
    assert!(matches!(rig.machine.sleep(&SavedStates::default()), Err(CodecError::Refused(_))));
    assert!(!rig.machine.is_asleep());
    rig.receive(&["reply alive"]);
    assert_eq!(rig.written(), ["alive"]);
}

#[test]
fn a_codec_that_fails_to_save_loses_the_session() {
    let mut rig = Rig::new(Setup { answer: "trap", ..Setup::default() });
    rig.actions();
    assert_eq!(rig.machine.sleep(&SavedStates::default()).err(), Some(trap()));
    assert_eq!(rig.closed(), Some(CloseReason::CodecFault(trap())));
}

#[test]
fn a_session_that_sleeps_moves_without_a_call_of_its_codec() {
    let mut rig = Rig::established();
    rig.receive(&["timer 10"]);
    rig.sleep();
    rig.calls();
    assert_eq!(rig.machine.save().unwrap(), b"established");
    assert!(rig.calls().is_empty());
    rig.replace_codec(Setup::default());
    assert!(!rig.machine.is_asleep());
    rig.receive(&["reply here"]);
    assert_eq!((rig.written(), rig.machine.deadline()), (vec!["here".to_owned()], Some(10)));
}
