//! Sessions that sleep: no call reaches the codec, and everything else stays.

use super::*;
use crate::codec::{Abilities, CodecError, SavedStates};

/// Wakes the session of a rig with the state that was saved.
fn wake(rig: &mut Rig, codec: &Script) {
    *rig.driver.session_mut() = open(codec);
    rig.driver.wake();
}

#[test]
fn nothing_is_called_while_a_session_sleeps() {
    let codec = Script::default();
    let mut rig = Rig::established_with(&codec);
    rig.decode(&["timer 10"], 0).unwrap();
    rig.taken();
    let size = rig.driver.sleep(&SavedStates::default()).unwrap();
    assert_eq!(rig.driver.saved().map(|saved| saved.len()), Some(size));
    assert_eq!(rig.decode(&["reply a"], 0), not_allowed(NotAllowed::Asleep));
    assert_eq!(rig.encode(&[push("x")]), not_allowed(NotAllowed::Asleep));
    assert_eq!(rig.abandoned(1), not_allowed(NotAllowed::Asleep));
    assert_eq!(rig.driver.broadcast_class(), not_allowed(NotAllowed::Asleep));
    assert_eq!(rig.farewell(Cause::Kicked, "a"), not_allowed(NotAllowed::Asleep));
    assert_eq!(rig.on_timer(10), not_allowed(NotAllowed::Asleep));
    assert!(rig.taken().is_empty());
    // What is known without a call stays.
    assert_eq!(rig.driver.timer(), Some(10), "the timer runs");
    assert!(rig.driver.is_established() && rig.driver.can_encode() && rig.driver.has_farewell());

    wake(&mut rig, &codec);
    rig.on_timer(10).unwrap();
    rig.decode(&["reply a"], 10).unwrap();
    rig.encode(&[push("x")]).unwrap();
    assert_eq!(rig.taken.last().map(String::as_str), Some("0..1 notice 0 on 200 at 0: x"));
}

#[test]
fn the_state_of_a_session_that_sleeps_is_not_saved_again() {
    let mut rig = Rig::established();
    let state = rig.driver.save().unwrap();
    rig.driver.sleep(&SavedStates::default()).unwrap();
    rig.driver.take_called();
    assert_eq!(rig.driver.save().unwrap(), state);
    assert!(!rig.driver.take_called(), "the codec was not asked");
}

#[test]
fn a_session_that_moves_is_awake() {
    let mut rig = Rig::established();
    rig.driver.sleep(&SavedStates::default()).unwrap();
    rig.replace(&Script::default(), 0);
    assert!(!rig.driver.is_asleep());
    rig.decode(&["reply a"], 0).unwrap();
}

#[test]
fn a_session_sleeps_only_if_it_can_be_saved_and_waits_for_nothing() {
    assert!(Rig::established().driver.may_sleep());
    let mut rig = Rig::new(&Script::default());
    assert!(rig.driver.may_sleep(), "also during the handshake");
    rig.decode(&["hello a"], 0).unwrap();
    assert!(!rig.driver.may_sleep(), "a hello is open");
    let mut rig = Rig::established();
    rig.decode(&["close 4000 a"], 0).unwrap();
    assert!(!rig.driver.may_sleep(), "it has ended");
    let script = Script::default();
    let abilities = Abilities { handoff: false, ..script.abilities };
    let rig = Rig::established_with(&Script { abilities, ..script });
    assert!(!rig.driver.may_sleep(), "its codec has no `handoff`");
    let mut rig = Rig::established();
    rig.driver.sleep(&SavedStates::default()).unwrap();
    assert!(!rig.driver.may_sleep(), "it sleeps already");
}

#[test]
fn a_session_whose_codec_refuses_to_save_stays_awake() {
    let mut rig = Rig::established();
    // The scripted codec cannot be saved after twelve packets.
    rig.decode(&["reply a"; 11], 0).unwrap();
    assert!(matches!(
        rig.driver.sleep(&SavedStates::default()),
        Err(CallError::Failed(CodecError::Refused(_)))
    ));
    assert!(!rig.driver.is_asleep() && rig.driver.is_working());
    rig.decode(&["reply a"], 0).unwrap();
}

#[test]
fn calls_are_noted() {
    let mut rig = Rig::established();
    assert!(rig.driver.take_called());
    assert!(!rig.driver.take_called());
    rig.decode(&["reply a"], 0).unwrap();
    assert!(rig.driver.take_called());
    assert_eq!(rig.answer(), not_allowed(NotAllowed::NoHello));
    assert!(!rig.driver.take_called(), "no call was made");
}
