//! Session time, with the real clock paused.

use tokio::time::advance;

use super::*;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[tokio::test(start_paused = true)]
async fn time_begins_at_zero_and_counts_whole_milliseconds() {
    let clock = SessionClock::start(RunningTime::default());
    assert_eq!(clock.now().session_ms, 0);
    advance(Duration::from_micros(7_900)).await;
    assert_eq!(clock.now().session_ms, 7);
}

#[tokio::test(start_paused = true)]
async fn time_stands_still_while_reading_is_held_back() {
    let mut clock = SessionClock::start(RunningTime::default());
    advance(ms(10)).await;
    clock.hold(true);
    advance(ms(1000)).await;
    assert_eq!(clock.now().session_ms, 10);
    clock.hold(false);
    assert_eq!(clock.now().session_ms, 10);
    advance(ms(5)).await;
    assert_eq!(clock.now().session_ms, 15);
}

#[tokio::test(start_paused = true)]
async fn to_hold_or_let_go_again_changes_nothing() {
    let mut clock = SessionClock::start(RunningTime::default());
    clock.hold(false);
    advance(ms(10)).await;
    clock.hold(true);
    advance(ms(20)).await;
    clock.hold(true);
    advance(ms(20)).await;
    clock.hold(false);
    clock.hold(false);
    assert_eq!(clock.now().session_ms, 10);
}

#[tokio::test(start_paused = true)]
async fn all_the_times_of_holding_add_up() {
    let mut clock = SessionClock::start(RunningTime::default());
    for _ in 0..10 {
        clock.hold(true);
        advance(Duration::from_micros(1_500)).await;
        clock.hold(false);
        advance(Duration::from_micros(500)).await;
    }
    assert_eq!(clock.now().session_ms, 5);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_put_off_by_the_time_of_holding() {
    let mut clock = SessionClock::start(RunningTime::default());
    let opened = Instant::now();
    assert_eq!(clock.instant(100), Some(opened + ms(100)));
    advance(ms(10)).await;
    clock.hold(true);
    assert_eq!(clock.instant(100), None, "it never comes while time stands still");
    advance(ms(40)).await;
    clock.hold(false);
    assert_eq!(clock.instant(100), Some(opened + ms(140)));
}

#[tokio::test(start_paused = true)]
async fn when_a_deadlines_instant_has_come_its_time_has_come_too() {
    let mut clock = SessionClock::start(RunningTime::default());
    advance(Duration::from_micros(300)).await;
    clock.hold(true);
    advance(Duration::from_micros(1_234)).await;
    clock.hold(false);
    tokio::time::sleep_until(clock.instant(25).unwrap()).await;
    assert!(clock.now().session_ms >= 25);
}
