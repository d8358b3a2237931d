//! Tests of a codec's account in virtual time: each test sets the time.

use super::*;

const MS: u64 = 1_000_000;

/// Creates an account that may keep one of two processors busy.
fn account() -> Arc<CpuAccount> {
    let limits = CodecLimits { total_cpu: 50, ..CodecLimits::default() };
    Arc::new(CpuAccount::with_processors("test", &limits, Ticks::default(), 2))
}

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Creates an account that is over its budget at one second, after 100 ms of calls at one instant.
fn over() -> Arc<CpuAccount> {
    let account = account();
    let now = 1000 * MS;
    account.charge_at(now, ms(100), false);
    account.charge_at(now, ms(100), true);
    assert!(account.is_over());
    account
}

fn wait(turn: &Turn) -> Duration {
    match turn {
        Turn::Now(_) => Duration::ZERO,
        Turn::Later(_, wait) => *wait,
    }
}

#[test]
fn an_estimate_has_calls_measured_and_slows_nobody() {
    let account = account();
    account.charge_at(1000 * MS, ms(500), false);
    assert!(account.is_measured.load(Relaxed) && !account.is_over());
    // The CPU clock shows that the thread hardly ran, so the codec is within its budget.
    account.charge_at(1001 * MS, ms(10), true);
    account.charge_at(1002 * MS, ms(500), false);
    assert!(!account.is_over(), "what began before is not charged by ticks any more");
    // After some time within the budget, estimates by ticks are enough again.
    account.charge_at(1000 * MS + nanos(MEASURED_FOR) + MS, ms(1), true);
    assert!(!account.is_measured.load(Relaxed));
}

#[test]
fn what_is_within_the_share_is_never_over() {
    let account = account();
    for n in 0..10_000 {
        // 9 ms of every 10, of one processor of two.
        account.charge_at(1000 * MS + n * 10 * MS, ms(9), n % 2 == 0);
        assert!(!account.is_over(), "{n}");
    }
    assert_eq!(account.status(), CpuStatus::default());
}

#[test]
fn turns_over_the_budget_come_one_after_the_other() {
    let account = over();
    // The calls took 100 ms, of which the burst allows 10 ms.
    let turns: Vec<_> = (0..4).map(|_| account.turn_at(1000 * MS, ms(9))).collect();
    assert_eq!(turns.iter().map(wait).collect::<Vec<_>>(), [90, 99, 108, 117].map(ms));
    assert_eq!(account.status().delayed, 4);
    // A reservation that is not used is released.
    drop(turns);
    assert_eq!(wait(&account.turn_at(1000 * MS, ms(9))), ms(90));
}

#[test]
fn a_turn_s_real_cost_takes_the_place_of_its_reservation() {
    let account = over();
    let Turn::Later(reservation, _) = account.turn_at(1000 * MS, ms(9)) else { panic!("it must wait") };
    let grant = reservation.begin().expect("a lane is free");
    account.charge_at(1090 * MS, ms(20), true);
    drop(grant);
    assert_eq!(wait(&account.turn_at(1090 * MS, ms(9))), ms(20));
}

#[test]
fn no_more_turns_are_under_way_than_the_share_has_processors() {
    let account = over();
    let reserve = || match account.turn_at(1000 * MS, ms(9)) {
        Turn::Later(reservation, _) => reservation,
        Turn::Now(_) => panic!("it must wait"),
    };
    let (first, second) = (reserve(), reserve());
    let grant = first.begin().expect("one of two processors is this codec's");
    let (second, wait) = second.begin().expect_err("the other is not");
    assert!(wait >= MIN_RETRY);
    drop(grant);
    assert!(second.begin().is_ok());
}

#[test]
fn a_codec_is_under_its_budget_again_when_it_has_rested() {
    let account = over();
    assert!(matches!(account.turn_at(1200 * MS, ms(9)), Turn::Now(_)));
    assert!(!account.is_over());
    assert_eq!(account.status().times_over, 1);
}

#[test]
fn zero_is_no_budget() {
    let limits = CodecLimits { total_cpu: 0, ..CodecLimits::default() };
    let account = CpuAccount::with_processors("test", &limits, Ticks::default(), 2);
    account.charge_at(1000 * MS, Duration::from_secs(1000), false);
    account.charge_at(1000 * MS, Duration::from_secs(1000), true);
    assert!(!account.is_over() && !account.is_measured.load(Relaxed));
}

#[test]
fn a_call_is_charged_the_ticks_that_fell_into_it_or_its_cpu_time() {
    let account = account();
    let mut meter = Meter::new(Arc::clone(&account));
    let begun = meter.begin();
    (0..3).for_each(|_| account.ticks().advance());
    meter.end(begun);
    assert_eq!(meter.take(true), CpuTime { estimated: ms(3), measured: Duration::ZERO });
    let begun = meter.begin();
    // Ticks during a measured call do not count: the thread has hardly run.
    (0..1000).for_each(|_| account.ticks().advance());
    meter.end(begun);
    let spent = meter.take(false);
    assert!(spent.estimated.is_zero() && spent.measured < ms(500), "{spent:?}");
}
