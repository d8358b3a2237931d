//! Ticks and the codec's timer, in virtual time.

use super::rig::{Rig, Setup, at, protocol};

fn rig(ticks: &'static [&'static str]) -> Rig {
    Rig::new(Setup { ticks, ..Setup::default() })
}

#[test]
fn the_codec_ticks_at_open_so_that_a_server_may_speak_first() {
    let mut rig = rig(&["reply banner; notice a x"]);
    assert_eq!(rig.calls(), ["tick at 0"]);
    assert_eq!(rig.written(), ["banner"]);
    assert_eq!(rig.actions(), ["established", "notice a x"]);
    assert_eq!(rig.machine.deadline(), None);
}

#[test]
fn a_timer_ticks_once_when_its_time_has_come() {
    let mut rig = rig(&["timer 10"]);
    rig.calls();
    assert_eq!(rig.machine.deadline(), Some(10));
    rig.machine.on_time(at(9));
    assert!(rig.calls().is_empty());
    rig.machine.on_time(at(12));
    rig.machine.on_time(at(13));
    assert_eq!(rig.calls(), ["tick at 12"]);
    assert_eq!(rig.machine.deadline(), None);
}

#[test]
fn a_timer_counts_from_the_call_that_set_it() {
    let mut rig = rig(&["timer 10", "timer 10"]);
    rig.machine.on_time(at(13));
    assert_eq!(rig.machine.deadline(), Some(23));
    rig.machine.receive(&mut &b"timer 5\n"[..], false, at(14));
    rig.machine.decode(at(14));
    assert_eq!(rig.machine.deadline(), Some(19));
}

#[test]
fn a_later_timer_replaces_the_one_before() {
    let mut rig = rig(&["timer 10; timer 30"]);
    assert_eq!(rig.machine.deadline(), Some(30));
    rig.receive(&["timer 20", "reply a"]);
    assert_eq!(rig.machine.deadline(), Some(20));
    rig.receive(&["timer 4294967295"]);
    assert_eq!(rig.machine.deadline(), Some(u64::from(u32::MAX)));
}

#[test]
fn a_timer_of_zero_ticks_at_most_once_a_millisecond() {
    let mut rig = rig(&["timer 0", "timer 0", "timer 0", "timer 0"]);
    rig.calls();
    for now_ms in [0, 0, 1, 1, 1, 2, 2] {
        rig.machine.on_time(at(now_ms));
    }
    assert_eq!(rig.calls(), ["tick at 1", "tick at 2"]);
}

#[test]
fn a_time_out_of_the_codec_ends_the_session() {
    let mut rig = rig(&["timer 10", "reply bye; close 0 heartbeat; timer 1"]);
    rig.machine.on_time(at(10));
    assert_eq!(rig.written(), ["bye"]);
    assert_eq!(rig.closed(), protocol("heartbeat"));
    assert_eq!(rig.machine.deadline(), None);
}

#[test]
fn the_codec_may_close_when_it_opens() {
    let mut rig = rig(&["close 0 full"]);
    assert_eq!(rig.closed(), protocol("full"));
    rig.receive(&["reply a"]);
    assert!(rig.written().is_empty());
}

#[test]
fn a_timer_has_its_least_interval() {
    let ticks: &[&str] = &["timer 0", "timer 9", "timer 11"];
    let mut rig = Rig::new(Setup { ticks, min_timer: 10, ..Setup::default() });
    for due in [10, 20, 31] {
        assert_eq!(rig.machine.deadline(), Some(due));
        rig.machine.on_time(at(due));
    }
}
