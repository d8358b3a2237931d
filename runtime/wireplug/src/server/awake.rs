//! How many sessions are awake at a time, and which of them sleeps when another one needs its
//! place.
//!
//! A session takes a place when it opens or wakes, and gives the place back when it sleeps or ends.
//! At the limit, sessions wait for a place in the order in which they came, and the sessions that
//! were idle for longest are asked to sleep. A session decides in its own turn: one that is busy
//! declines.
//!
//! The lock is taken when a session opens, sleeps, wakes or ends, and never on the path of a
//! packet. There, a session only writes and reads values of its own.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout};

use crate::codec::Codec as _;
use crate::slot::Generation;

/// The most sessions that are asked at a time beyond those that are waited for. Finding the
/// sessions that were idle for longest looks at all of them, so a few places are freed in advance.
const IN_ADVANCE: usize = 64;

/// How long a session that declined is not asked again, in milliseconds.
const REST: u64 = 100;

/// How often a client that waits to open asks again, in case that sessions declined.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// The places of the sessions that are awake. Cheap to clone; clones share them.
#[derive(Clone, Debug)]
pub(crate) struct AwakeLimit(Arc<Shared>);

/// The sessions of a node that are awake, each with a sandbox of the standard pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct AwakeStatus {
    /// Sessions that are awake.
    pub awake: u64,
    /// The most sessions that may be awake ([`max_awake`](crate::config::ServerConfig::max_awake)).
    pub max_awake: u64,
    /// Sessions that wait until they can open or wake, because as many as may be are awake.
    pub waiting: u64,
}

/// Returns whether the sandboxes of a codec are in the standard pool, where each session that is
/// awake needs a place. A native codec has no sandboxes, and the large pool has places of its own.
pub(super) fn needs_place(codec: &Generation) -> bool {
    codec.cpu_account().is_some() && codec.max_sessions().is_none()
}

#[derive(Debug)]
struct Shared {
    max: usize,
    /// The time from which uses are counted.
    epoch: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The places that are taken, also those that were granted and not collected yet. A session
    /// that moves to another codec takes a place even if none is free.
    taken: usize,
    /// The sessions that can sleep, by their number; `None` if the number is free.
    sessions: Vec<Option<Arc<AwakeSession>>>,
    free: Vec<usize>,
    /// How many sessions were asked to sleep and have neither slept nor declined.
    asked: usize,
    waiting: VecDeque<Arc<Waiter>>,
}

/// An awake session that can sleep. It writes its own fields, and the limit reads them.
#[derive(Debug)]
struct AwakeSession {
    /// When its codec was called last, in milliseconds since the epoch.
    used: AtomicU64,
    /// When it may be asked, in milliseconds since the epoch.
    not_before: AtomicU64,
    /// Whether it is asked to sleep.
    is_asked: AtomicBool,
    waker: Waker,
}

/// A session that waits for a place.
#[derive(Debug, Default)]
struct Waiter {
    is_granted: AtomicBool,
    waker: AtomicWaker,
}

/// The place of an awake session. It is free when this is dropped.
#[derive(Debug)]
pub(crate) struct AwakePlace {
    limit: Arc<Shared>,
    /// The session's number and entry, if it can sleep.
    session: Option<(usize, Arc<AwakeSession>)>,
}

/// A session in the queue for a place. When this is dropped, the session leaves the queue.
#[derive(Debug)]
pub(crate) struct Queued {
    limit: Arc<Shared>,
    waiter: Arc<Waiter>,
}

impl AwakeLimit {
    /// Creates a limit of `max` places. `now` is in running time, like all instants here.
    pub(crate) fn new(max: u32, now: Instant) -> Self {
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        Self(Arc::new(Shared { max, epoch: now, state: Mutex::default() }))
    }

    /// Takes a place, or returns `None` if none is free for a session that comes now.
    pub(crate) fn take(&self) -> Option<AwakePlace> {
        let mut state = self.0.lock();
        if state.taken >= self.0.max || !state.waiting.is_empty() {
            return None;
        }
        state.taken += 1;
        Some(AwakePlace { limit: Arc::clone(&self.0), session: None })
    }

    /// Takes a place even if none is free, for a session that moves and stays awake. Such sessions
    /// use the sandboxes that the pool has in addition to the places.
    pub(crate) fn take_extra(&self) -> AwakePlace {
        self.0.lock().taken += 1;
        AwakePlace { limit: Arc::clone(&self.0), session: None }
    }

    /// Joins the queue for a place. `waker` wakes the session when it has one.
    pub(crate) fn queue(&self, waker: &Waker, now: Instant) -> Queued {
        let waiter = Arc::<Waiter>::default();
        waiter.waker.register(waker);
        let queued = Queued { limit: Arc::clone(&self.0), waiter };
        let mut state = self.0.lock();
        // A place may have become free meanwhile.
        let free = self.0.max.saturating_sub(state.taken);
        state.waiting.push_back(Arc::clone(&queued.waiter));
        let mut woken = Vec::new();
        for _ in 0..free {
            woken.extend(state.grant());
        }
        drop(state);
        woken.iter().for_each(|waiter| waiter.waker.wake());
        queued.ask(now);
        queued
    }

    /// Waits for a place. `now` returns the running time.
    pub(crate) async fn wait(&self, now: impl Fn() -> Instant) -> AwakePlace {
        if let Some(place) = self.take() {
            return place;
        }
        let queued = self.queue(Waker::noop(), now());
        loop {
            let granted = poll_fn(|cx| queued.poll_take(cx));
            match timeout(ASK_AGAIN, granted).await {
                Ok(place) => return place,
                Err(_) => queued.ask(now()),
            }
        }
    }

    /// Returns the state of the places.
    pub(crate) fn status(&self) -> AwakeStatus {
        let state = self.0.lock();
        AwakeStatus {
            awake: state.taken as u64,
            max_awake: self.0.max as u64,
            waiting: state.waiting.len() as u64,
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that runs under this lock can leave the state half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ms(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.epoch).as_millis()).unwrap_or(u64::MAX)
    }

    /// Asks the sessions that were idle for longest to sleep, if more sessions wait than were
    /// asked.
    fn ask(&self, now: Instant) {
        let now = self.ms(now);
        let mut state = self.lock();
        let missing = state.waiting.len().saturating_sub(state.asked);
        if missing == 0 {
            return;
        }
        let may_be_asked = |session: &Arc<AwakeSession>| {
            !session.is_asked.load(Ordering::Relaxed) && session.not_before.load(Ordering::Relaxed) <= now
        };
        let idle = state.sessions.iter().flatten().filter(|session| may_be_asked(session));
        let mut idle: Vec<(u64, &Arc<AwakeSession>)> =
            idle.map(|session| (session.used.load(Ordering::Relaxed), session)).collect();
        let wanted = missing + (self.max / 64).min(IN_ADVANCE);
        if idle.len() > wanted {
            idle.select_nth_unstable_by_key(wanted, |(used, _)| *used);
            idle.truncate(wanted);
        }
        let asked: Vec<Arc<AwakeSession>> =
            idle.into_iter().map(|(_, session)| Arc::clone(session)).collect();
        for session in &asked {
            session.is_asked.store(true, Ordering::Release);
        }
        state.asked += asked.len();
        drop(state);
        asked.iter().for_each(|session| session.waker.wake_by_ref());
    }

    /// Frees a place, or hands it to the session that has waited longest.
    fn free(&self) {
        let mut state = self.lock();
        state.taken -= 1;
        let next = if state.taken < self.max { state.grant() } else { None };
        drop(state);
        if let Some(waiter) = next {
            waiter.waker.wake();
        }
    }
}

impl State {
    /// Grants a free place to the session that has waited longest.
    fn grant(&mut self) -> Option<Arc<Waiter>> {
        let waiter = self.waiting.pop_front()?;
        self.taken += 1;
        waiter.is_granted.store(true, Ordering::Release);
        Some(waiter)
    }
}

impl AwakePlace {
    /// Lets the session with this place be asked to sleep. `waker` wakes its task.
    pub(crate) fn can_sleep(&mut self, waker: Waker, now: Instant) {
        let session = Arc::new(AwakeSession {
            used: AtomicU64::new(self.limit.ms(now)),
            not_before: AtomicU64::new(0),
            is_asked: AtomicBool::new(false),
            waker,
        });
        let mut state = self.limit.lock();
        let number = state.free.pop().unwrap_or_else(|| {
            state.sessions.push(None);
            state.sessions.len() - 1
        });
        state.sessions[number] = Some(Arc::clone(&session));
        drop(state);
        self.session = Some((number, session));
    }

    /// Notes that the codec of the session was called.
    pub(crate) fn note_use(&self, now: Instant) {
        if let Some((_, session)) = &self.session {
            session.used.store(self.limit.ms(now), Ordering::Relaxed);
        }
    }

    /// Returns whether the session is asked to sleep. Cheap: the flag belongs to this session
    /// alone.
    pub(crate) fn is_asked(&self) -> bool {
        self.session.as_ref().is_some_and(|(_, session)| session.is_asked.load(Ordering::Relaxed))
    }

    /// Notes that the session, which was asked to sleep, stays awake. Another one is asked.
    pub(crate) fn decline(&self, now: Instant) {
        let Some((_, session)) = &self.session else { return };
        let mut state = self.limit.lock();
        session.not_before.store(self.limit.ms(now) + REST, Ordering::Relaxed);
        if session.is_asked.swap(false, Ordering::Relaxed) {
            state.asked -= 1;
        }
        drop(state);
        self.limit.ask(now);
    }
}

impl Drop for AwakePlace {
    fn drop(&mut self) {
        if let Some((number, session)) = self.session.take() {
            let mut state = self.limit.lock();
            state.sessions[number] = None;
            state.free.push(number);
            if session.is_asked.load(Ordering::Relaxed) {
                state.asked -= 1;
            }
        }
        self.limit.free();
    }
}

impl Queued {
    /// Returns whether the session has a place, which [`Queued::take`] returns.
    pub(crate) fn is_granted(&self) -> bool {
        self.waiter.is_granted.load(Ordering::Acquire)
    }

    /// Returns the place of the session, if its turn has come.
    pub(crate) fn take(&self) -> Option<AwakePlace> {
        let is_granted = self.waiter.is_granted.swap(false, Ordering::AcqRel);
        is_granted.then(|| AwakePlace { limit: Arc::clone(&self.limit), session: None })
    }

    fn poll_take(&self, cx: &Context<'_>) -> Poll<AwakePlace> {
        self.waiter.waker.register(cx.waker());
        self.take().map_or(Poll::Pending, Poll::Ready)
    }

    /// Asks sessions to sleep, if not enough of them are asked already: some may have declined.
    pub(crate) fn ask(&self, now: Instant) {
        self.limit.ask(now);
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        let mut state = self.limit.lock();
        state.waiting.retain(|waiter| !Arc::ptr_eq(waiter, &self.waiter));
        drop(state);
        // A place that was granted meanwhile and not collected is for the next one.
        drop(self.take());
    }
}

#[cfg(test)]
mod tests {
    use std::task::Wake;

    use futures_util::FutureExt as _;
    use tokio::time::sleep;

    use super::*;

    fn limit(max: u32) -> AwakeLimit {
        AwakeLimit::new(max, Instant::now())
    }

    fn place(limit: &AwakeLimit, used: u64) -> AwakePlace {
        let mut place = limit.take().expect("one is free");
        place.can_sleep(Waker::noop().clone(), limit.0.epoch + Duration::from_millis(used));
        place
    }

    /// Returns how many places are taken, and how many sessions wait.
    fn counts(limit: &AwakeLimit) -> (u64, u64) {
        let AwakeStatus { awake, waiting, .. } = limit.status();
        (awake, waiting)
    }

    fn asked(places: &[AwakePlace]) -> Vec<usize> {
        (0..places.len()).filter(|&n| places[n].is_asked()).collect()
    }

    #[derive(Default)]
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    #[test]
    fn places_are_counted_and_freed() {
        let limit = limit(2);
        let (one, two) = (limit.take().unwrap(), limit.take().unwrap());
        assert!(limit.take().is_none());
        assert_eq!(counts(&limit), (2, 0));
        drop(one);
        let three = limit.take().unwrap();
        assert!(limit.take().is_none());
        drop((two, three));
        assert_eq!(counts(&limit), (0, 0));
    }

    #[test]
    fn those_that_were_idle_for_longest_are_asked() {
        let limit = limit(4);
        let now = limit.0.epoch;
        let mut places: Vec<AwakePlace> = [30, 10, 40, 20].map(|used| place(&limit, used)).into();
        assert!(asked(&places).is_empty());
        let first = limit.queue(Waker::noop(), now);
        assert_eq!(asked(&places), [1]);
        places[3].note_use(now + Duration::from_millis(50));
        let second = limit.queue(Waker::noop(), now);
        assert_eq!(asked(&places), [0, 1]);
        // The places go to those who wait, in the order in which they came.
        drop(places.remove(0));
        assert!(first.is_granted() && !second.is_granted());
        drop(places.remove(0));
        assert!(second.is_granted());
        assert!(limit.take().is_none());
        drop((first, second));
        assert_eq!(counts(&limit), (2, 0), "they gave up, and their places are free");
    }

    #[test]
    fn for_one_that_declines_another_is_asked() {
        let limit = limit(2);
        let now = limit.0.epoch;
        let places: Vec<AwakePlace> = [10, 20].map(|used| place(&limit, used)).into();
        let queued = limit.queue(Waker::noop(), now);
        assert_eq!(asked(&places), [0]);
        places[0].decline(now);
        assert_eq!(asked(&places), [1]);
        places[1].decline(now);
        assert!(asked(&places).is_empty(), "they are left alone for a while");
        queued.ask(now);
        assert!(asked(&places).is_empty());
        queued.ask(now + Duration::from_millis(REST));
        assert_eq!(asked(&places), [0]);
    }

    #[test]
    fn a_place_that_was_free_when_the_queue_began_is_granted_at_once() {
        let limit = limit(1);
        let woken = Arc::<Woken>::default();
        let queued = limit.queue(&Waker::from(Arc::clone(&woken)), limit.0.epoch);
        assert!(woken.0.load(Ordering::Relaxed));
        let place = queued.take().expect("it was granted");
        assert!(queued.take().is_none());
        drop(queued);
        assert_eq!(counts(&limit), (1, 0));
        drop(place);
        assert_eq!(counts(&limit), (0, 0));
    }

    #[test]
    fn an_extra_place_is_paid_back_before_the_next_grant() {
        let limit = limit(1);
        let one = limit.take().unwrap();
        let extra = limit.take_extra();
        let queued = limit.queue(Waker::noop(), limit.0.epoch);
        drop(one);
        assert!(!queued.is_granted());
        drop(extra);
        assert!(queued.is_granted());
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_waits_to_open_asks_again_and_gets_the_place() {
        let limit = limit(1);
        let only = place(&limit, 0);
        let waiting = tokio::spawn({
            let limit = limit.clone();
            async move { limit.wait(Instant::now).await }
        });
        while !only.is_asked() {
            sleep(Duration::from_millis(1)).await;
        }
        only.decline(Instant::now());
        assert!(!only.is_asked());
        while !only.is_asked() {
            sleep(Duration::from_millis(10)).await;
        }
        assert!(limit.wait(Instant::now).now_or_never().is_none(), "and leaves the queue");
        assert_eq!(counts(&limit).1, 1);
        drop(only);
        let place = waiting.await.unwrap();
        assert_eq!(counts(&limit), (1, 0));
        drop(place);
    }
}
