//! Which calls the driver allows, and which events of an answer it hands out.

use super::*;
use crate::codec::driver::Disposition;
use crate::codec::{Abilities, CodecError, Role};

#[test]
fn events_come_with_the_index_of_their_packet() {
    let mut rig = Rig::established();
    assert_eq!(rig.decode(&["reply a", "rejected b; log warn c; address-verified"], 0), Ok(2));
    assert_eq!(rig.taken, ["0 reply \"a\"", "1 rejected \"b\"", "1 log warn \"c\"", "1 address-verified"]);
}

#[test]
fn each_hello_has_one_answer() {
    let mut rig = Rig::new(&Script::default());
    assert_eq!(rig.answer(), not_allowed(NotAllowed::NoHello));
    rig.decode(&["hello a"], 0).unwrap();
    rig.answer().unwrap();
    assert!(rig.driver.is_established(), "the scripted codec has answered `established`");
    assert_eq!(rig.answer(), not_allowed(NotAllowed::NoHello));
}

#[test]
fn a_timer_fires_once_and_not_before_it_is_due() {
    let mut rig = Rig::established();
    assert_eq!(rig.on_timer(0), not_allowed(NotAllowed::NoTimer));
    rig.decode(&["timer 10; timer 20"], 5).unwrap();
    assert_eq!(rig.driver.timer(), Some(25), "the later one replaces the one before");
    assert_eq!(rig.on_timer(24), not_allowed(NotAllowed::TimerNotDue { at: 25 }));
    rig.on_timer(25).unwrap();
    assert_eq!(rig.on_timer(26), not_allowed(NotAllowed::NoTimer));
    rig.decode(&["timer 0"], 30).unwrap();
    assert_eq!(rig.driver.timer(), Some(31), "no time at all means 1 ms");
    rig.decode(&["timer 4294967295"], 30).unwrap();
    assert_eq!(rig.driver.timer(), Some(30 + u64::from(u32::MAX)));
}

#[test]
fn nothing_is_encoded_or_shared_before_the_session_is_established() {
    let mut rig = Rig::new(&Script::default());
    assert!(!rig.driver.can_encode());
    assert_eq!(rig.encode(&[push("x")]), not_allowed(NotAllowed::NotEstablished));
    assert_eq!(rig.driver.broadcast_class(), not_allowed(NotAllowed::NotEstablished));
    assert!(rig.taken.is_empty());
}

#[test]
fn a_session_that_the_codec_has_ended_encodes_responses_only() {
    for end in ["close 4000 a", "fatal a"] {
        let mut rig = Rig::established_with(&Script::with_client_requests());
        rig.decode(&["timer 5", &format!("{end}; reply late")], 0).unwrap();
        assert!(!rig.taken().iter().any(|taken| taken.contains("late")), "what follows the end is ignored");
        assert_eq!(rig.driver.timer(), None);
        assert_eq!(rig.decode(&["reply a"], 0), not_allowed(NotAllowed::Ended));
        assert_eq!(rig.answer(), not_allowed(NotAllowed::Ended));
        assert_eq!(rig.on_timer(5), not_allowed(NotAllowed::Ended));
        assert_eq!(rig.driver.save(), not_allowed(NotAllowed::Ended));
        assert_eq!(rig.farewell(Cause::Kicked, "a"), not_allowed(NotAllowed::Ended));
        assert_eq!(rig.encode(&[response(1, "x"), push("x")]), not_allowed(NotAllowed::Ended));
        assert_eq!(rig.encode(&[response(1, "x"), request(1, "x")]), not_allowed(NotAllowed::Ended));
        for role in [Role::Notice, Role::Request] {
            assert_eq!(rig.driver.disposition(role, 1, 100), Disposition::DropEnded);
        }
        assert_eq!(rig.driver.disposition(Role::Response, 1, 100), Disposition::Encode);
        rig.encode(&[response(1, "x")]).unwrap();
        assert_eq!(rig.taken, ["0..1 response 1 a 200 at 0: x"]);
    }
}

#[test]
fn after_a_fault_nothing_is_allowed() {
    let mut rig = Rig::established();
    assert!(matches!(rig.decode(&["trap"], 0), Err(CallError::Failed(CodecError::Trap(_)))));
    assert!(rig.driver.fault().is_some());
    assert_eq!(rig.decode(&["reply a"], 0), not_allowed(NotAllowed::Over));
    assert_eq!(rig.encode(&[response(1, "x")]), not_allowed(NotAllowed::Over));
    assert_eq!(rig.farewell(Cause::Kicked, "a"), not_allowed(NotAllowed::Over));
    assert!(rig.driver.into_working().is_none());
}

#[test]
fn a_call_needs_the_interface_of_the_codec() {
    let without = || Rig::new(&Script { abilities: Abilities::default(), ..Script::default() });
    let mut rig = without();
    assert_eq!(rig.answer(), not_allowed(NotAllowed::Interface("handshake")));
    assert_eq!(rig.on_timer(0), not_allowed(NotAllowed::Interface("clock")));
    assert_eq!(rig.farewell(Cause::Kicked, "a"), not_allowed(NotAllowed::Interface("farewell")));
    assert_eq!(rig.driver.broadcast_class(), not_allowed(NotAllowed::Interface("broadcast")));
    assert_eq!(rig.driver.save(), not_allowed(NotAllowed::Interface("handoff")));
    assert_eq!(rig.decode(&["hello a"], 0), violation(Violation::MissingAbility("hello")));
    assert_eq!(without().decode(&["timer 5"], 0), violation(Violation::MissingAbility("timer")));
}

#[test]
fn a_message_before_established_and_a_second_established_break_the_contract() {
    let early = || Rig::new(&Script::default());
    assert_eq!(early().decode(&["notice r"], 0), violation(Violation::EarlyMessage));
    assert_eq!(early().decode(&["established; established"], 0), violation(Violation::StrayEstablished));
    assert_eq!(early().decode(&["established; notice r"], 0), Ok(1));
}

#[test]
fn only_a_refusal_to_save_keeps_the_session() {
    let mut rig = Rig::established();
    rig.decode(&["set 12"], 0).unwrap();
    assert!(matches!(rig.driver.save(), Err(CallError::Failed(CodecError::Refused(_)))));
    assert!(rig.driver.is_working() && rig.driver.fault().is_none());
}

#[test]
fn a_timer_stays_only_if_the_next_codec_has_a_clock() {
    let without = Script { abilities: Abilities::default(), ..Script::default() };
    let mut rig = Rig::established();
    rig.decode(&["timer 10"], 0).unwrap();
    assert_eq!((rig.replace(&Script::default(), 3), rig.driver.timer()), (0, Some(10)));
    assert_eq!((rig.replace(&without, 3), rig.driver.timer()), (0, None));
    assert_eq!(
        rig.replace(&Script::default(), 3),
        1,
        "a codec that begins to have a clock is called at once"
    );
}
