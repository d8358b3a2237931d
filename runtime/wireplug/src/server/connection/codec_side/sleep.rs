//! Lets an idle session sleep, and wakes it.
//!
//! A session that sleeps has no sandbox: the machine has its saved state, and everything else goes
//! on. Both changes happen between two calls of the codec, in the session's own turn and without
//! waiting, so the client cannot notice them. If no sandbox is free for a session that has to wake,
//! the session is held: it is not read, and its time stands still, until a sandbox is free.

use std::time::Duration;

use tokio::time::Instant;

use super::CodecSide;
use super::wake_wait::{WAKE_TIMEOUT, WakeWait};
use crate::codec::{self, CodecError, CpuTime, Reason};
use crate::server::awake::{AwakeLimit, AwakePlace, Queued, needs_place};
use crate::session::Session;
use crate::slot::{Asleep, Lease, SleepCause, WakeCause};
use wireplug_base::limited;

/// After each refusal of the codec to save an idle session, the time until it is asked again
/// doubles, at most so often.
const MAX_REFUSALS: u32 = 6;

/// When a session sleeps, and its place among the sessions that are awake.
pub(super) struct Sleep {
    /// How long the codec must not have been called before. `None` if the session never sleeps.
    after: Option<Duration>,
    /// Since when the session has been idle, or when it could not sleep, in running time.
    idle_since: Instant,
    /// How often the codec has refused to save the session since it was saved last.
    refusals: u32,
    /// Counts the session while it sleeps.
    asleep: Option<Asleep>,
    /// The wait of a session that sleeps until it can wake.
    pub(super) wait: WakeWait,
    /// The CPU time of calls in a sandbox that was dropped, until it is charged.
    spent: CpuTime,
    limit: AwakeLimit,
    /// The session's place while it is awake, if its sandbox is in the standard pool.
    place: Option<AwakePlace>,
}

impl Sleep {
    /// Creates the state of a session that opens at `now`, in running time. `place` is its place
    /// among the sessions that are awake.
    pub(super) fn new(
        session: &Session,
        lease: &Lease,
        limit: AwakeLimit,
        place: Option<AwakePlace>,
        now: Instant,
    ) -> Self {
        let (asleep, wait, spent) = (None, WakeWait::default(), CpuTime::default());
        let after = lease.generation().sleep_after(lease.limits());
        let mut sleep = Self { after, idle_since: now, refusals: 0, asleep, wait, spent, limit, place: None };
        sleep.set_place(place, session, now);
        sleep
    }

    /// Sets the place of the session. If the session can sleep, others may ask it to.
    fn set_place(&mut self, place: Option<AwakePlace>, session: &Session, now: Instant) {
        self.place = place;
        if let Some(place) = self.place.as_mut().filter(|_| self.after.is_some()) {
            place.can_sleep(session.waker(), now);
        }
    }

    /// Ends a turn. Returns the CPU time of the turn's calls, of which `spent` was taken from the
    /// sandbox that the session has now.
    pub(super) fn end_turn(&mut self, spent: CpuTime) -> CpuTime {
        self.wait.end_turn();
        let dropped = std::mem::take(&mut self.spent);
        sum(spent, dropped)
    }
}

impl CodecSide {
    /// Notes in each turn whether the codec was called. `now` is in running time.
    pub(in crate::server::connection) fn note_calls(&mut self, now: Instant) {
        if self.machine.take_called() {
            self.sleep.idle_since = now;
            if let Some(place) = &self.sleep.place {
                place.note_use(now);
            }
        }
    }

    /// Returns when the session is to sleep if it stays idle, in running time.
    pub(in crate::server::connection) fn sleep_at(&self) -> Option<Instant> {
        let after = self.sleep.after.filter(|_| !self.machine.is_asleep())?;
        self.sleep.idle_since.checked_add(after.saturating_mul(1 << self.sleep.refusals))
    }

    /// Puts the session to sleep if it has been idle for long enough at `now`, in running time.
    /// Returns whether the codec failed, so that the session ends.
    pub(in crate::server::connection) fn sleep_when_idle(&mut self, now: Instant) -> bool {
        self.note_calls(now);
        if self.sleep_at().is_none_or(|at| at > now) {
            return false;
        }
        if !self.try_sleep(SleepCause::Idle) {
            // It is asked again later.
            self.sleep.idle_since = now;
        }
        self.machine.fault().is_some()
    }

    /// Returns whether the session is asked to sleep, because another one needs its place.
    pub(in crate::server::connection) fn is_asked_to_sleep(&self) -> bool {
        self.sleep.place.as_ref().is_some_and(AwakePlace::is_asked)
    }

    /// Puts the session, which is asked to sleep, to sleep, unless it is `busy`. `now` is in
    /// running time.
    pub(in crate::server::connection) fn sleep_as_asked(&mut self, busy: bool, now: Instant) {
        // A codec that has refused is not asked again too soon.
        let rests = self.sleep.refusals > 0 && self.sleep_at().is_none_or(|at| at > now);
        let sleeps = !busy && !rests && self.try_sleep(SleepCause::Pressure);
        // A session that sleeps has no place any more.
        if let Some(place) = self.sleep.place.as_ref().filter(|_| !sleeps) {
            place.decline(now);
        }
    }

    /// Puts the session to sleep if nothing is under way. Returns whether it sleeps.
    fn try_sleep(&mut self, cause: SleepCause) -> bool {
        let is_idle = self.machine.may_sleep()
            && self.answer.is_none()
            && self.secured.is_none()
            && !self.has_messages()
            && self.may_call();
        is_idle && self.fall_asleep(cause)
    }

    /// Saves the session and drops its sandbox. Returns false if the codec does not save it.
    fn fall_asleep(&mut self, cause: SleepCause) -> bool {
        match self.machine.sleep(self.lease.generation().saved_states()) {
            Ok((bytes, spent)) => {
                self.sleep.spent = sum(self.sleep.spent, spent);
                self.sleep.refusals = 0;
                self.sleep.asleep = Some(Asleep::new(self.lease.generation(), bytes, cause));
                // The sandbox is gone, so another session may wake in its place.
                self.sleep.place = None;
                self.publish_codec();
                true
            }
            Err(CodecError::Refused(reason)) => {
                limited!(DEBUG, %reason, "an idle session stays awake, because its codec does not save it");
                self.lease.generation().refused_sleep();
                self.sleep.refusals = (self.sleep.refusals + 1).min(MAX_REFUSALS);
                false
            }
            // The session is over.
            Err(_) => false,
        }
    }

    /// Notes that a session from another process goes on sleeping, with a state of this size in
    /// bytes.
    pub(super) fn goes_on_sleeping(&mut self, bytes: usize) {
        self.sleep.asleep = Some(Asleep::new(self.lease.generation(), bytes, SleepCause::Idle));
        self.sleep.place = None;
        self.publish_codec();
    }

    /// Wakes the session if it sleeps, before a call of the codec at `now`. Returns whether it is
    /// awake. If not, it waits until it can wake, or has ended.
    pub(super) fn wake(&mut self, now: codec::Instant, cause: WakeCause) -> bool {
        if !self.machine.is_asleep() {
            return true;
        }
        if let Err(queued) = self.take_place() {
            self.wait_to_wake(Some(queued), "all sessions that are awake are busy (max-awake)");
            return false;
        }
        let Some(state) = self.machine.saved() else { return true };
        let generation = self.lease.generation();
        let peer = self.peer_of(generation);
        let seed = peer.random_seed;
        match generation.wake(peer, &state, now) {
            Ok(session) => {
                self.machine.wake(session);
                self.machine.restored(&seed, now);
                self.publish_codec();
                // From now on its calls are measured if its budget wants that.
                self.machine.take_cpu_time(self.budget.measures());
                if let Some(asleep) = self.sleep.asleep.take() {
                    asleep.woken(cause);
                }
                let place = self.sleep.place.take();
                self.sleep.set_place(place, &self.session, self.clock.running());
                self.sleep.wait.end();
                true
            }
            Err(CodecError::Exhausted(reason)) => {
                self.sleep.place = None;
                self.wait_to_wake(None, reason.as_str());
                false
            }
            Err(error) => {
                self.machine.fail(error);
                false
            }
        }
    }

    /// Takes a place among the sessions that are awake, if the session needs one.
    ///
    /// # Errors
    /// Returns the session's place in the queue if none is free.
    fn take_place(&mut self) -> Result<(), Queued> {
        if self.sleep.place.is_some() || !needs_place(self.lease.generation()) {
            return Ok(());
        }
        let queued = self.sleep.wait.take_queued();
        let place = match &queued {
            Some(queued) => queued.take(),
            None => self.sleep.limit.take(),
        };
        if place.is_some() {
            self.sleep.place = place;
            return Ok(());
        }
        let now = self.clock.running();
        Err(match queued {
            Some(queued) => {
                queued.ask(now);
                queued
            }
            None => self.sleep.limit.queue(&self.session.waker(), now),
        })
    }

    /// Lets the session wait until it can wake, or ends it if it has waited for too long.
    fn wait_to_wake(&mut self, queued: Option<Queued>, why: &str) {
        if !self.sleep.wait.wait(queued) {
            let waited = WAKE_TIMEOUT.as_secs();
            let why = format!("a sleeping session could not wake for {waited} s: {why}");
            self.machine.fail(CodecError::Exhausted(Reason::new(why)));
        }
    }

    /// Drops the sandbox of a session whose codec is called no more, so that another session may
    /// wake in its place.
    pub(super) fn drop_sandbox(&mut self) {
        self.sleep.spent = sum(self.sleep.spent, self.machine.drop_sandbox());
        self.sleep.place = None;
    }

    /// Notes that the session has moved to another generation. A session that slept before sleeps
    /// again at once, because it moved in a spare sandbox.
    pub(super) fn has_moved(&mut self) {
        self.sleep.after = self.lease.generation().sleep_after(self.lease.limits());
        self.sleep.refusals = 0;
        if let Some(asleep) = self.sleep.asleep.take() {
            asleep.woken(WakeCause::Swap);
            // It also sleeps again if it has work, for which it waits until it can wake.
            if self.machine.is_movable() && self.fall_asleep(SleepCause::Idle) {
                return;
            }
            self.sleep.wait.end();
        }
        // The new codec may use another pool, or may not be able to sleep.
        let place = needs_place(self.lease.generation()).then(|| self.sleep.limit.take_extra());
        self.sleep.set_place(place, &self.session, self.clock.running());
    }
}

fn sum(one: CpuTime, other: CpuTime) -> CpuTime {
    CpuTime { estimated: one.estimated + other.estimated, measured: one.measured + other.measured }
}
