//! Tests of running time with tokio's clock paused. Advancing that clock in one step simulates a
//! pause of the process.

use std::future::pending;

use futures_util::FutureExt as _;
use tokio::time::advance;

use super::*;

/// Returns a clock that a task keeps, and that has run for a while.
async fn kept() -> RunningTime {
    let time = RunningTime::default();
    let keeper = time.clone();
    tokio::spawn(async move { keeper.keep().await });
    sleep(ms(100)).await;
    time
}

/// Simulates a pause of the process, in milliseconds.
async fn pause(length: u64) {
    advance(ms(length)).await;
}

/// Returns how far running time advances while the process runs for `length` milliseconds.
async fn runs(time: &RunningTime, length: u64) -> Duration {
    let before = time.now();
    sleep(ms(length)).await;
    time.now() - before
}

#[tokio::test(start_paused = true)]
async fn it_goes_on_as_the_real_time_does() {
    let time = kept().await;
    assert_eq!(runs(&time, 10_000).await, ms(10_000));
    assert_eq!(time.read().lost, Duration::ZERO);
    assert_eq!(time.now(), Instant::now());
}

#[tokio::test(start_paused = true)]
async fn it_stands_still_in_a_pause_and_a_moment_longer() {
    let time = kept().await;
    let before = time.now();
    pause(6000).await;
    assert!(time.now() >= before && time.now() - before <= BEAT, "{:?}", time.now() - before);
    assert_eq!(runs(&time, u64::from(MAX_GRACE) - 100).await, Duration::ZERO);
    runs(&time, 100).await;
    assert_eq!(runs(&time, 1000).await, ms(1000));
}

#[tokio::test(start_paused = true)]
async fn whoever_looks_first_after_a_pause_finds_it() {
    let time = kept().await;
    let before = time.now();
    // The task that keeps the clock has not run yet.
    advance(ms(6000)).now_or_never();
    assert!(time.now() >= before && time.now() - before < BEAT);
    assert!(time.read().lost >= ms(6000));
}

#[tokio::test(start_paused = true)]
async fn it_never_goes_back() {
    let time = kept().await;
    let mut before = time.now();
    for step in 0..2000 {
        sleep(ms(step % 7)).await;
        if step % 400 == 0 {
            advance(ms(3000)).now_or_never();
        }
        let now = time.now();
        assert!(now >= before, "{:?} after {step}", before - now);
        before = now;
    }
    assert!(time.read().lost > ms(6000));
}

#[tokio::test(start_paused = true)]
async fn what_was_due_when_the_pause_began_is_due_when_time_goes_on() {
    let time = kept().await;
    let at = time.now();
    advance(ms(6000)).now_or_never();
    let resumed = Instant::now();
    time.sleep_until(at).await;
    assert!(resumed.elapsed() >= ms(u64::from(MAX_GRACE) - 1), "{:?}", resumed.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_short_pause_has_a_short_grace() {
    let time = kept().await;
    pause(600).await;
    let lost = time.read().lost;
    assert!((ms(1200)..=ms(1400)).contains(&lost), "{lost:?}");
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_is_a_little_late_is_not_paused() {
    let time = kept().await;
    for _ in 0..100 {
        pause(300).await;
        sleep(ms(1)).await;
    }
    assert_eq!(time.read().lost, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_is_always_late_does_not_stop_time() {
    let time = kept().await;
    let (begun, real) = (time.now(), Instant::now());
    for _ in 0..100 {
        pause(2000).await;
        sleep(ms(1)).await;
    }
    assert!(time.now() - begun > real.elapsed() / 3, "{:?} of {:?}", time.now() - begun, real.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_nobody_keeps_is_the_real_one() {
    let time = RunningTime::default();
    advance(ms(3_600_000)).await;
    assert_eq!((time.now(), time.read().lost), (Instant::now(), Duration::ZERO));

    let kept = kept().await;
    {
        let keeping = kept.keep();
        tokio::pin!(keeping);
        assert!(keeping.now_or_never().is_none());
    }
    advance(ms(3_600_000)).await;
    assert_eq!(kept.read().lost, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_timer_is_put_off_by_a_pause() {
    let time = kept().await;
    let (real, at) = (Instant::now(), time.now() + ms(1000));
    let waits = async {
        time.sleep_until(at).await;
        real.elapsed()
    };
    let paused = async {
        sleep(ms(500)).await;
        pause(6000).await;
    };
    let (waited, ()) = tokio::join!(waits, paused);
    let exact = ms(1000 + 6000 + u64::from(MAX_GRACE));
    assert!(waited.abs_diff(exact) <= BEAT, "{waited:?}");
    assert!(time.real(at) <= Instant::now());
}

#[tokio::test(start_paused = true)]
async fn a_timeout_is_for_what_does_not_come_while_the_process_runs() {
    let time = kept().await;
    assert_eq!(time.timeout(ms(10), async { 1 }).await, Some(1));
    assert_eq!(time.timeout(ms(10), pending::<()>()).await, None);
    let real = Instant::now();
    let comes = async {
        pause(6000).await;
        sleep(ms(50)).await;
    };
    assert_eq!(time.timeout(ms(10), comes).await, Some(()), "it comes in the grace");
    assert!(real.elapsed() >= ms(6050));
    assert_eq!(time.timeout(Duration::MAX, async { 2 }).await, Some(2));
}
