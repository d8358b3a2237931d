//! Ticks and the codec's timer, in virtual time.

use super::script::{Rig, Setup, protocol};

fn rig(ticks: &'static [&'static str]) -> Rig {
    Rig::new(Setup { ticks, ..Setup::default() })
}

#[test]
fn the_codec_ticks_at_open_so_that_a_server_may_speak_first() {
    let mut rig = rig(&["reply banner; message - a x"]);
    assert_eq!(rig.calls(), ["tick at 0"]);
    assert_eq!(rig.written(), ["banner"]);
    assert_eq!(rig.actions(), ["established", "message - a x"]);
    assert_eq!(rig.machine.deadline(), None);
}

#[test]
fn a_wake_ticks_once_when_its_time_has_come() {
    let mut rig = rig(&["wake 10"]);
    rig.calls();
    assert_eq!(rig.machine.deadline(), Some(10));
    rig.machine.on_time(9);
    assert!(rig.calls().is_empty());
    rig.machine.on_time(12);
    rig.machine.on_time(13);
    assert_eq!(rig.calls(), ["tick at 12"]);
    assert_eq!(rig.machine.deadline(), None);
}

#[test]
fn a_wake_counts_from_the_call_that_asked_for_it() {
    let mut rig = rig(&["wake 10", "wake 10"]);
    rig.machine.on_time(13);
    assert_eq!(rig.machine.deadline(), Some(23));
    rig.machine.receive(&mut &b"wake 5\n"[..], 14);
    rig.machine.decode(14);
    assert_eq!(rig.machine.deadline(), Some(19));
}

#[test]
fn a_later_wake_replaces_the_one_before() {
    let mut rig = rig(&["wake 10; wake 30"]);
    assert_eq!(rig.machine.deadline(), Some(30));
    rig.receive(&["wake 20", "reply a"]);
    assert_eq!(rig.machine.deadline(), Some(20));
    rig.receive(&["wake 4294967295"]);
    assert_eq!(rig.machine.deadline(), Some(u64::from(u32::MAX)));
}

#[test]
fn a_wake_of_zero_ticks_at_most_once_a_millisecond() {
    let mut rig = rig(&["wake 0", "wake 0", "wake 0", "wake 0"]);
    rig.calls();
    for now_ms in [0, 0, 1, 1, 1, 2, 2] {
        rig.machine.on_time(now_ms);
    }
    assert_eq!(rig.calls(), ["tick at 1", "tick at 2"]);
}

#[test]
fn a_time_out_of_the_codec_ends_the_session() {
    let mut rig = rig(&["wake 10", "reply bye; close heartbeat; wake 1"]);
    rig.machine.on_time(10);
    assert_eq!(rig.written(), ["bye"]);
    assert_eq!(rig.closed(), protocol("heartbeat"));
    assert_eq!(rig.machine.deadline(), None);
}

#[test]
fn the_codec_may_close_when_it_opens() {
    let mut rig = rig(&["close full"]);
    assert_eq!(rig.closed(), protocol("full"));
    rig.receive(&["reply a"]);
    assert!(rig.written().is_empty());
}

#[test]
fn a_timer_has_its_least_interval() {
    let ticks: &[&str] = &["wake 0", "wake 9", "wake 11"];
    let mut rig = Rig::new(Setup { ticks, min_timer: 10, ..Setup::default() });
    for at in [10, 20, 31] {
        assert_eq!(rig.machine.deadline(), Some(at));
        rig.machine.on_time(at);
    }
}
