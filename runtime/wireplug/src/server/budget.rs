//! The CPU time that a session may use, and when its codec may be called.
//!
//! A session has a budget of its own, and shares the budget of its codec with all sessions of the
//! codec's slot. A session over either budget is held: its socket is not read, its codec is not
//! called, and session time stands still. A session over its own budget resumes when its debt is
//! paid. A session of a codec that is over its budget resumes at the time that was reserved for it.
//! A session that stays over its own budget is ended.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::codec::{CodecError, CpuTime, Reason};
use crate::config::CodecLimits;
use wireplug_core::codec::cpu::{CpuAccount, Grant, MEASURED_FOR, Reservation, Turn, average};

/// How far a session may run ahead of its budget, in wall time. It may use the budget of one second
/// at once.
const BURST: Duration = Duration::from_secs(1);

/// The length of a break, in wall time. If a session stays within its budget for this long, its
/// time over the budget is counted from zero again.
const BREAK: Duration = Duration::from_millis(100);

/// The length of a connection's turn, in ticks. The turn ends with the call during which it reaches
/// this length. Another call may have begun just before, so other connections of this thread wait
/// for at most two calls.
const TICKS_A_TURN: u64 = 2;

/// The budget of one session.
#[derive(Debug)]
pub(super) struct Budget {
    codec: Arc<CpuAccount>,
    /// The share of a processor that the session may use. `None` if the session has no budget of
    /// its own.
    share: Option<f64>,
    /// How long the session may stay over its budget. Zero means without end.
    timeout: Duration,
    /// When the CPU time that the session has used is paid for.
    paid: Instant,
    /// Until when the session's calls are measured.
    measured_until: Option<Instant>,
    /// Since when the session has been over its budget without a break.
    over_since: Option<Instant>,
    /// The average CPU time of the session's recent turns.
    usual: Option<Duration>,
    state: State,
    /// The count of ticks when the session's turn began.
    turn_began: u64,
}

/// Whether the codec may be called.
#[derive(Debug)]
enum State {
    /// The codec may be called, unless it is over its budget.
    Free,
    /// The codec may not be called before this time. With a reservation, the session then has its
    /// turn among the sessions of the codec, if the codec's budget allows it.
    Held(Instant, Option<Reservation>),
    /// The codec may be called until the turn ends, although it is over its budget.
    Granted { _grant: Grant },
}

impl Budget {
    pub(super) fn new(limits: &CodecLimits, codec: Arc<CpuAccount>, now: Instant) -> Self {
        Self {
            share: (limits.session_cpu > 0).then_some(f64::from(limits.session_cpu) / 100.0),
            timeout: limits.over_cpu_timeout,
            paid: now,
            measured_until: None,
            over_since: None,
            usual: None,
            state: State::Free,
            turn_began: codec.ticks().now(),
            codec,
        }
    }

    /// Begins a turn of the connection. Returns the count of ticks.
    pub(super) fn begin_turn(&mut self) -> u64 {
        self.turn_began = self.codec.ticks().now();
        self.turn_began
    }

    /// Returns whether the turn has lasted so long that other connections should get theirs.
    pub(super) fn has_had_turn(&self) -> bool {
        self.codec.ticks().now() - self.turn_began >= TICKS_A_TURN
    }

    /// Returns whether the codec may be called now. If so, it may be called until the turn ends;
    /// otherwise it may be called at [`Budget::held_until`].
    pub(super) fn may_call(&mut self) -> bool {
        match &self.state {
            State::Granted { .. } => true,
            State::Free if !self.codec.is_over() => true,
            State::Free => {
                let cost = self.usual.unwrap_or_else(|| self.codec.usual());
                self.state = match self.codec.turn(cost) {
                    Turn::Now(grant) => State::Granted { _grant: grant },
                    Turn::Later(reservation, wait) => State::Held(Instant::now() + wait, Some(reservation)),
                };
                matches!(self.state, State::Granted { .. })
            }
            State::Held(until, _) if *until > Instant::now() => false,
            State::Held(..) => self.resume(),
        }
    }

    fn resume(&mut self) -> bool {
        let State::Held(_, reservation) = std::mem::replace(&mut self.state, State::Free) else {
            return true;
        };
        // The session's own debt is paid. The codec's budget is checked next.
        let Some(reservation) = reservation else { return self.may_call() };
        match reservation.begin() {
            Ok(grant) => {
                self.state = State::Granted { _grant: grant };
                true
            }
            Err((reservation, wait)) => {
                self.state = State::Held(Instant::now() + wait, Some(reservation));
                false
            }
        }
    }

    /// Returns the time until which the codec may not be called, if there is one.
    pub(super) fn held_until(&self) -> Option<Instant> {
        match &self.state {
            State::Held(until, _) => Some(*until),
            State::Free | State::Granted { .. } => None,
        }
    }

    /// Returns whether the codec, which could not be called, may be called again at `now`.
    pub(super) fn resumes(&self, now: Instant) -> bool {
        self.held_until().is_some_and(|until| until <= now)
    }

    /// Returns whether the session's calls must be measured.
    pub(super) fn measures(&self) -> bool {
        self.measured_until.is_some()
    }

    /// Ends a turn whose calls took `spent`.
    ///
    /// # Errors
    /// Returns an error if the session has been over its budget for too long.
    pub(super) fn end_turn(&mut self, spent: CpuTime) -> Result<(), CodecError> {
        let was_granted = matches!(self.state, State::Granted { .. });
        if was_granted {
            self.state = State::Free;
        }
        let cost = spent.total();
        if was_granted || !cost.is_zero() {
            self.usual = Some(self.usual.map_or(cost, |usual| average(usual, cost)));
        }
        if cost.is_zero() {
            return Ok(());
        }
        self.codec.note_turn(cost);
        self.charge(spent, Instant::now())
    }

    fn charge(&mut self, spent: CpuTime, now: Instant) -> Result<(), CodecError> {
        let Some(share) = self.share else { return Ok(()) };
        if self.paid + BREAK < now {
            self.over_since = None;
        }
        let filled = now.checked_sub(BURST).unwrap_or(now);
        self.paid = self.paid.max(filled) + spent.total().div_f64(share);
        if self.paid <= now {
            self.measured_until = self.measured_until.filter(|until| *until > now);
            return Ok(());
        }
        let was_measured = self.measured_until.replace(now + MEASURED_FOR).is_some();
        if !was_measured || !spent.estimated.is_zero() {
            // An estimate never slows a session. Its charge is dropped, and the next calls are
            // measured.
            self.paid = filled;
            return Ok(());
        }
        let since = *self.over_since.get_or_insert_with(|| {
            self.codec.count_session_over();
            now
        });
        if !matches!(self.state, State::Held(..)) {
            self.state = State::Held(self.paid, None);
        }
        let timeout = self.timeout;
        if timeout.is_zero() || now - since < timeout && self.paid - now < timeout {
            return Ok(());
        }
        self.codec.count_session_ended();
        let percent = (share * 100.0).round();
        Err(CodecError::Budget(Reason::new(format!(
            "more than {percent} % of a processor for {} s (limits.session-cpu, limits.over-cpu-timeout)",
            (now - since).max(self.paid - now).as_secs()
        ))))
    }
}

/// Waits until a session of a codec may open, and holds the turn until the grant is dropped.
/// Returns `None` if the codec is within its budget.
pub(super) async fn opening_turn(codec: Arc<CpuAccount>) -> Option<Grant> {
    if !codec.is_over() {
        return None;
    }
    let (mut reservation, mut wait) = match codec.turn(codec.usual()) {
        Turn::Now(grant) => return Some(grant),
        Turn::Later(reservation, wait) => (reservation, wait),
    };
    loop {
        sleep(wait).await;
        match reservation.begin() {
            Ok(grant) => return Some(grant),
            Err((again, later)) => (reservation, wait) = (again, later),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, sleep_until};

    use super::*;
    use wireplug_core::codec::cpu::Ticks;

    /// Returns a budget of a quarter of a processor, which ends a session after 30 s over it.
    fn budget() -> Budget {
        let limits = CodecLimits::default();
        Budget::new(&limits, Arc::new(CpuAccount::unlimited(Ticks::default())), Instant::now())
    }

    fn estimated(ms: u64) -> CpuTime {
        CpuTime { estimated: Duration::from_millis(ms), measured: Duration::ZERO }
    }

    fn measured(ms: u64) -> CpuTime {
        CpuTime { estimated: Duration::ZERO, measured: Duration::from_millis(ms) }
    }

    /// A budget whose calls are measured.
    fn measuring() -> Budget {
        let mut budget = budget();
        assert_eq!(budget.end_turn(estimated(10_000)), Ok(()));
        assert!(budget.measures());
        budget
    }

    async fn until_free(budget: &mut Budget) {
        while !budget.may_call() {
            sleep_until(budget.held_until().expect("it is held")).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn ticks_alone_slow_nobody() {
        let mut budget = measuring();
        assert!(budget.may_call());
        // A call that began before it was measured.
        assert_eq!(budget.end_turn(estimated(10_000)), Ok(()));
        assert!(budget.may_call());
        // The clock measures little, so estimates by ticks are enough again after a while.
        advance(MEASURED_FOR + Duration::from_secs(1)).await;
        assert_eq!(budget.end_turn(measured(1)), Ok(()));
        assert!(!budget.measures() && budget.may_call());
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_over_its_budget_is_held_until_its_debt_is_paid() {
        let mut budget = measuring();
        // A second's worth at once.
        assert_eq!(budget.end_turn(measured(250)), Ok(()));
        assert!(budget.may_call());
        assert_eq!(budget.end_turn(measured(10)), Ok(()));
        let begun = Instant::now();
        until_free(&mut budget).await;
        let held = begun.elapsed();
        assert!(held.abs_diff(Duration::from_millis(40)) < Duration::from_millis(3), "{held:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_stays_over_its_budget_ends() {
        let (mut budget, begun) = (measuring(), Instant::now());
        let error = loop {
            until_free(&mut budget).await;
            if let Err(error) = budget.end_turn(measured(300)) {
                break error;
            }
        };
        assert_eq!(error.cause(), "budget");
        assert!(error.to_string().contains("more than 25 % of a processor for 30 s"), "{error}");
        let took = begun.elapsed();
        assert!((Duration::from_secs(29)..Duration::from_secs(33)).contains(&took), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn debt_that_would_last_longer_than_the_timeout_ends_it_at_once() {
        let mut budget = measuring();
        assert!(budget.end_turn(measured(8_000)).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_break_begins_the_time_anew() {
        let mut budget = measuring();
        for _ in 0..100 {
            until_free(&mut budget).await;
            assert_eq!(budget.end_turn(measured(300)), Ok(()));
            until_free(&mut budget).await;
            advance(2 * BREAK).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn zero_is_no_limit() {
        let limits = CodecLimits { session_cpu: 0, ..CodecLimits::default() };
        let codec = Arc::new(CpuAccount::unlimited(Ticks::default()));
        let mut budget = Budget::new(&limits, codec, Instant::now());
        assert_eq!(budget.end_turn(measured(1_000_000)), Ok(()));
        assert!(budget.may_call() && !budget.measures());

        let limits = CodecLimits { over_cpu_timeout: Duration::ZERO, ..CodecLimits::default() };
        let codec = Arc::new(CpuAccount::unlimited(Ticks::default()));
        let mut budget = Budget::new(&limits, codec, Instant::now());
        assert_eq!(budget.end_turn(estimated(1000)), Ok(()));
        assert_eq!(budget.end_turn(measured(1_000_000)), Ok(()), "it is slowed and never ended");
        assert!(!budget.may_call());
    }
}
