//! How a session ends: the close code of the codec, and the farewell.

use super::rig::{Rig, Setup, at, protocol};
use super::script::trap;
use crate::codec::{Abilities, Cause, CodecError, Reason, Violation};
use crate::session::CloseReason;

/// Returns the close code and the reason with which the codec has ended the session.
fn codec_close(rig: &Rig) -> Option<(u16, String)> {
    rig.machine.codec_close().map(|(code, reason)| (*code, reason.to_string()))
}

#[test]
fn the_close_code_of_the_codec_is_kept_with_its_reason() {
    for (close, code) in [
        ("close 4000 done", Some(4000)),
        ("close 1000 done", Some(1000)),
        ("close 0 done", None),
        ("fatal done", None),
    ] {
        let mut rig = Rig::established();
        rig.receive(&[close]);
        assert_eq!(rig.closed(), protocol("done"));
        assert_eq!(codec_close(&rig), code.map(|code| (code, "done".to_owned())), "{close}");
    }
}

#[test]
fn only_the_first_close_of_the_codec_counts() {
    let mut rig = Rig::established();
    rig.receive(&["close 0 first; close 4000 second", "close 4001 third"]);
    assert_eq!((rig.closed(), codec_close(&rig)), (protocol("first"), None));
}

#[test]
fn a_close_code_that_no_endpoint_may_send_is_the_codecs_fault() {
    let mut rig = Rig::established();
    rig.receive(&["reply a; close 1006 done"]);
    assert_eq!(rig.written(), ["a"]);
    assert_eq!(rig.closed(), Some(CloseReason::CodecFault(Violation::CloseCode.into())));
    assert_eq!(codec_close(&rig), None);
}

#[test]
fn a_tick_and_an_answer_may_close_with_a_code() {
    let mut rig = Rig::new(Setup { ticks: &["timer 5", "close 4001 late"], ..Setup::default() });
    rig.machine.on_time(at(5));
    assert_eq!(codec_close(&rig), Some((4001, "late".to_owned())));

    let answer = "reply no; close 4003 refused";
    let mut rig = Rig::new(Setup { handshake: true, answer, ..Setup::default() });
    rig.receive(&["hello me"]);
    rig.machine.answer(403, b"", at(5));
    assert_eq!(codec_close(&rig), Some((4003, "refused".to_owned())));
}

#[test]
fn a_farewell_is_said_once_behind_all_that_was_sent() {
    let mut rig = Rig::established();
    rig.push("a");
    rig.flush();
    rig.machine.farewell(Cause::Kicked, "for spam", at(7));
    rig.machine.farewell(Cause::Shutdown, "again", at(8));
    assert_eq!(rig.calls(), ["encode 1", "farewell kicked for spam at 7"]);
    assert_eq!(rig.written(), ["- on 200 a", "bye for spam"]);
    assert_eq!(rig.machine.take_tally().packets_out, 2);
}

#[test]
fn a_farewell_gets_the_cause() {
    for cause in Cause::ALL {
        let mut rig = Rig::established();
        rig.machine.farewell(cause, "x", at(0));
        assert_eq!(rig.calls(), [format!("farewell {} x at 0", cause.name())]);
    }
}

#[test]
fn each_close_reason_of_the_runtime_has_its_cause() {
    for (reason, cause) in [
        (CloseReason::Kicked(Reason::new("x")), Some(Cause::Kicked)),
        (CloseReason::Displaced, Some(Cause::Displaced)),
        (CloseReason::Replaced, Some(Cause::Replaced)),
        (CloseReason::Shutdown, Some(Cause::Shutdown)),
        (CloseReason::ClientClosed, None),
        (CloseReason::Protocol(Reason::new("x")), None),
        (CloseReason::CodecFault(trap()), None),
        (CloseReason::IdleTimeout, None),
    ] {
        assert_eq!(reason.cause_of_farewell(), cause, "{reason}");
    }
}

#[test]
fn a_farewell_may_have_several_packets_a_log_line_and_a_close_code() {
    let mut rig = Rig::established();
    rig.farewell("do reply a; log info x; reply b; close 4002 kicked; reply late");
    assert_eq!(rig.written(), ["a", "b"]);
    assert_eq!(codec_close(&rig), Some((4002, "kicked".to_owned())));
    assert_eq!(rig.machine.fault(), None);
}

#[test]
fn a_farewell_without_a_close_leaves_the_code_to_the_runtime() {
    for reason in ["x", "silent", "do reply a; close 0 b"] {
        let mut rig = Rig::established();
        rig.farewell(reason);
        assert_eq!(codec_close(&rig), None, "{reason}");
    }
}

#[test]
fn other_events_in_a_farewell_are_the_codecs_fault() {
    for (event, name) in [
        ("hello a", "hello"),
        ("established", "established"),
        ("notice r x", "message"),
        ("timer 5", "timer"),
        ("address-verified", "address-verified"),
        ("rejected a", "rejected"),
        ("fatal a", "fatal"),
    ] {
        let mut rig = Rig::established();
        rig.farewell(&format!("do reply a; {event}; reply late"));
        assert_eq!(rig.written(), ["a"], "{event}");
        assert!(rig.actions().is_empty());
        let fault = CodecError::from(Violation::Farewell(name));
        assert_eq!(rig.machine.fault(), Some(&fault));
        assert_eq!(rig.closed(), Some(CloseReason::CodecFault(fault)));
    }
}

#[test]
fn a_farewell_may_be_silent_and_may_fail() {
    for (reason, failed) in [("silent", false), ("do reply a; trap", true)] {
        let mut rig = Rig::established();
        rig.farewell(reason);
        assert!(rig.written().is_empty());
        assert_eq!(rig.machine.fault().is_some(), failed);
    }
}

#[test]
fn a_codec_without_a_farewell_is_not_asked_for_one() {
    let abilities = Abilities { farewell: false, ..Setup::default().abilities };
    let mut rig = Rig::established_with(Setup { abilities, ..Setup::default() });
    assert!(!rig.machine.has_farewell());
    rig.farewell("x");
    assert!(rig.calls().is_empty() && rig.written().is_empty());
}
