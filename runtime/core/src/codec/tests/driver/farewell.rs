//! A farewell gives replies, lines for the log, and a close.

use super::*;
use crate::codec::CodecError;

#[test]
fn a_farewell_gets_the_cause_and_the_reason() {
    for cause in Cause::ALL {
        let mut rig = Rig::established();
        rig.farewell(cause, "all").unwrap();
        assert_eq!(rig.taken(), [format!("reply \"bye {} all\"", cause.name())]);
    }
}

#[test]
fn a_farewell_may_give_several_events_or_none() {
    let mut rig = Rig::established();
    rig.farewell(Cause::Kicked, "do reply a; log warn b; reply c; close 4000 d; reply late").unwrap();
    assert_eq!(rig.taken(), ["reply \"a\"", "log warn \"b\"", "reply \"c\"", "close 4000 \"d\""]);
    let mut rig = Rig::established();
    rig.farewell(Cause::Shutdown, "silent").unwrap();
    assert!(rig.taken().is_empty() && rig.driver.fault().is_none());
}

#[test]
fn a_farewell_is_allowed_before_the_session_is_established() {
    let mut rig = Rig::new(&Script::default());
    rig.decode(&["hello a"], 0).unwrap();
    assert!(rig.driver.has_farewell());
    assert_eq!(rig.farewell(Cause::Shutdown, "all"), Ok(()));
}

#[test]
fn other_events_in_a_farewell_break_the_contract() {
    for (event, name) in [
        ("hello b", "hello"),
        ("established", "established"),
        ("notice r b", "message"),
        ("request 1 r b", "message"),
        ("timer 5", "timer"),
        ("address-verified", "address-verified"),
        ("rejected b", "rejected"),
        ("fatal b", "fatal"),
    ] {
        let mut rig = Rig::established();
        let reason = format!("do reply a; {event}; reply late");
        assert_eq!(rig.farewell(Cause::Kicked, &reason), violation(Violation::Farewell(name)), "{event}");
        assert_eq!(rig.taken(), ["reply \"a\""], "what comes before counts");
    }
}

#[test]
fn the_events_of_a_farewell_are_checked_as_any_others() {
    let mut rig = Rig::established();
    assert_eq!(rig.farewell(Cause::Kicked, "do wrong"), violation(Violation::PacketIndex));
    let mut rig = Rig::established();
    assert_eq!(rig.farewell(Cause::Kicked, "do close 1005 a"), violation(Violation::CloseCode));
}

#[test]
fn nothing_of_a_farewell_counts_when_its_call_fails() {
    let mut rig = Rig::established();
    let failed = rig.farewell(Cause::Kicked, "do reply a; trap");
    assert!(matches!(failed, Err(CallError::Failed(CodecError::Trap(_)))));
    assert!(rig.taken().is_empty() && rig.driver.fault().is_some());
}

#[test]
fn after_a_farewell_nothing_is_allowed() {
    let mut rig = Rig::established();
    rig.farewell(Cause::Displaced, "all").unwrap();
    assert!(!rig.driver.has_farewell());
    assert_eq!(rig.decode(&["reply a"], 0), not_allowed(NotAllowed::Over));
    assert_eq!(rig.encode(&[response(1, "x")]), not_allowed(NotAllowed::Over));
    assert_eq!(rig.farewell(Cause::Displaced, "again"), not_allowed(NotAllowed::Over));
    assert!(rig.driver.into_working().is_none());
}
