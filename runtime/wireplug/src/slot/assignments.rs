//! The assignments of a slot: which generation each session is on, and where it is to go. They are
//! the core of a swap.
//!
//! Pure bookkeeping under one lock. The lock is taken when a session opens, ends or moves, and
//! never on the path of a packet: there, a session only reads a flag of its own. This module knows
//! nothing of codecs, tasks or time, so that a model checker can run it (`tests/model`). It is one
//! file because the model includes it by its path.
//!
//! A swap changes which generation is current, and puts all sessions that have to move into a
//! queue. The driver of the swap [signals](Assignments::signal) the sessions, a few at a time. A
//! session that was signalled asks for its [directive](Assignments::directive), applies it between
//! two calls of its codec, and [acknowledges](Assignments::ack) it.

use std::collections::{BTreeMap, VecDeque};
use std::task::Waker;

use super::sync::{Arc, AtomicBool, Mutex, MutexGuard, Ordering, lock};

/// Which generation each session is on.
pub(crate) struct Assignments<G> {
    state: Mutex<State<G>>,
}

struct State<G> {
    current: u64,
    /// The generation that a rollback goes back to.
    previous: Option<u64>,
    entries: Vec<Entry<G>>,
    sessions: BTreeMap<u64, Assignment>,
    /// Sessions that have a directive and were not signalled yet.
    queue: VecDeque<u64>,
    /// How many sessions were signalled and have not acknowledged yet.
    signalled: usize,
    /// How often a generation has stopped being current, or on trial, so far.
    left: u64,
}

struct Entry<G> {
    number: u64,
    generation: Arc<G>,
    role: Role,
    /// How many sessions are on it.
    sessions: usize,
    /// The value of [`State::left`] when it was left last; 0 if it never was.
    left: u64,
}

/// The role of a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// New sessions open on it.
    Current,
    /// It is tried on a share of the sessions.
    Trial(RunningTrial),
    /// It was replaced. The value says what becomes of its sessions.
    Leaving(Leave),
}

/// How a candidate is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RunningTrial {
    /// It mirrors the calls of this share of the sessions. Its results are thrown away.
    Shadow(Share),
    /// This share of the new sessions opens on it.
    Canary(Share),
}

/// A share of all sessions, as a part of 2^64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share(u64);

impl Share {
    /// A share from 0, no session, to 1, all sessions.
    pub(crate) fn new(share: f64) -> Self {
        // Saturates at both ends.
        Self((share * u64::MAX as f64) as u64)
    }

    /// Whether a session belongs to the share. Consecutive session numbers are spread evenly.
    fn has(self, session: u64) -> bool {
        const GOLDEN_RATIO: u64 = 0x9e37_79b9_7f4a_7c15;
        session.wrapping_mul(GOLDEN_RATIO) <= self.0 && self.0 > 0
    }
}

/// What becomes of the sessions of a generation that was replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    /// They move to the current generation; a session that cannot move stays.
    Handoff,
    /// They stay until they end.
    Drain,
    /// They are closed.
    Close,
}

/// An instruction of the slot to a session.
#[derive(Debug)]
pub(crate) enum Directive<G> {
    /// Nothing.
    Stay,
    /// Go on with this generation, which has this number.
    Move(u64, Arc<G>),
    /// Let this generation mirror its calls, or no generation if it is `None`.
    Mirror(Option<(u64, Arc<G>)>),
    /// End.
    Close,
}

/// A session's report of what it did with its directive.
pub(crate) enum Ack<G> {
    /// Nothing: the directive had been taken back.
    Nothing,
    /// It is about to end.
    Ends,
    /// It is on this generation now.
    Moved(u64, Arc<G>),
    /// It could not move to the generation with this number, and stays.
    Stays(u64),
    /// It can neither move nor be mirrored before it [resumes](Assignments::resume).
    Waits,
    /// It asked the generation with this number to mirror it, whether or not that succeeded. `None`
    /// means that no generation mirrors it now.
    Mirrored(Option<u64>),
}

/// The assignment of one session.
struct Assignment {
    on: u64,
    /// The generation that mirrors it, or that failed to.
    mirror: Option<u64>,
    /// The generation that the session could not move to.
    cannot: Option<u64>,
    /// Whether it can neither move nor be mirrored for the moment. No swap waits for it.
    waits: bool,
    signal: Arc<Signal>,
}

/// The flag and the waker by which a session learns that there is a directive for it.
pub(crate) struct Signal {
    is_set: AtomicBool,
    waker: Waker,
}

impl Signal {
    /// Whether there is a directive. Cheap: the flag belongs to this session alone.
    pub(crate) fn is_set(&self) -> bool {
        self.is_set.load(Ordering::Acquire)
    }
}

/// The assignment of a new session.
pub(crate) struct Assigned<G> {
    /// The generation that the session is on.
    pub(crate) generation: Arc<G>,
    /// The generation that is to mirror the session.
    pub(crate) mirror: Option<Arc<G>>,
    pub(crate) signal: Arc<Signal>,
}

/// A generation as [`Assignments::list`] shows it.
pub(crate) struct Listed<G> {
    pub(crate) generation: Arc<G>,
    pub(crate) role: Role,
    /// Whether a rollback goes back to it.
    pub(crate) is_previous: bool,
    pub(crate) sessions: usize,
    /// For [`Assignments::close`]: differs each time that the generation is left.
    pub(crate) left: u64,
}

impl<G> Assignments<G> {
    /// The assignments of a slot that has its first generation.
    pub(crate) fn new(number: u64, generation: Arc<G>) -> Self {
        let state = State {
            current: number,
            previous: None,
            entries: vec![Entry { number, generation, role: Role::Current, sessions: 0, left: 0 }],
            sessions: BTreeMap::new(),
            queue: VecDeque::new(),
            signalled: 0,
            left: 0,
        };
        Self { state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State<G>> {
        lock(&self.state)
    }

    // === what sessions do ===

    /// Assigns a new session to a generation. From now on no swap misses the session. `waker` wakes
    /// its task.
    pub(crate) fn acquire(&self, id: u64, waker: Waker) -> Assigned<G> {
        let mut state = self.lock();
        let (mut on, mut mirror) = (state.current, None);
        match state.trial() {
            Some((number, RunningTrial::Canary(share))) if share.has(id) => on = number,
            Some((number, RunningTrial::Shadow(share))) if share.has(id) => mirror = Some(number),
            _ => {}
        }
        let signal = Arc::new(Signal { is_set: AtomicBool::new(false), waker });
        let session = Assignment { on, mirror, cannot: None, waits: false, signal: Arc::clone(&signal) };
        state.sessions.insert(id, session);
        let mirror = mirror.and_then(|number| state.generation(number));
        let entry = state.entry_mut(on);
        entry.sessions += 1;
        Assigned { generation: Arc::clone(&entry.generation), mirror, signal }
    }

    /// Removes a session that has ended.
    pub(crate) fn release(&self, id: u64) {
        let mut state = self.lock();
        if let Some(session) = state.sessions.remove(&id) {
            if session.signal.is_set() {
                state.signalled -= 1;
            }
            state.entry_mut(session.on).sessions -= 1;
            state.forget();
        }
    }

    /// Notes that a session can move and be mirrored again. Returns what it has to do. It does so
    /// at once, without a signal, and acknowledges it.
    pub(crate) fn resume(&self, id: u64) -> Directive<G> {
        if let Some(session) = self.lock().sessions.get_mut(&id) {
            session.waits = false;
        }
        self.directive(id)
    }

    /// Returns what a session has to do.
    pub(crate) fn directive(&self, id: u64) -> Directive<G> {
        let state = self.lock();
        state.sessions.get(&id).map_or(Directive::Stay, |session| state.directive(id, session))
    }

    /// Records what a session did with its directive.
    pub(crate) fn ack(&self, id: u64, ack: Ack<G>) {
        let mut state = self.lock();
        let Some(session) = state.sessions.get_mut(&id) else { return };
        let was_signalled = session.signal.is_set.swap(false, Ordering::AcqRel);
        let on = session.on;
        let ends = matches!(ack, Ack::Ends);
        match ack {
            Ack::Nothing | Ack::Ends => {}
            Ack::Moved(number, generation) => {
                (session.on, session.mirror, session.cannot) = (number, None, None);
                state.entry_mut(on).sessions -= 1;
                match state.entries.iter_mut().find(|entry| entry.number == number) {
                    Some(entry) => entry.sessions += 1,
                    None => {
                        // While the session moved to it, this generation was replaced too, and
                        // forgotten.
                        let role = Role::Current;
                        state.entries.push(Entry { number, generation, role, sessions: 1, left: 0 });
                        state.leave(number, Leave::Handoff);
                    }
                }
            }
            Ack::Stays(number) => session.cannot = Some(number),
            Ack::Waits => session.waits = true,
            Ack::Mirrored(number) => session.mirror = number,
        }
        if was_signalled {
            state.signalled -= 1;
        }
        // The roles may have changed since the directive was given.
        if !ends && state.has_directive(id) {
            state.queue.push_back(id);
        }
        state.forget();
    }

    // === what the driver of a swap does ===

    /// Signals sessions that have a directive, until `most` sessions are signalled and have not
    /// acknowledged. Returns false if no session is signalled and none waits to be.
    pub(crate) fn signal(&self, most: usize) -> bool {
        let mut wake = Vec::new();
        let mut state = self.lock();
        while state.signalled < most
            && let Some(id) = state.queue.pop_front()
        {
            if !state.has_directive(id) {
                continue;
            }
            let Some(session) = state.sessions.get(&id) else { continue };
            // A session that was signalled and has not acknowledged is queued again when it does.
            if !session.signal.is_set.swap(true, Ordering::AcqRel) {
                wake.push(session.signal.waker.clone());
                state.signalled += 1;
            }
        }
        let busy = state.signalled > 0;
        drop(state);
        wake.iter().for_each(Waker::wake_by_ref);
        busy
    }

    // === what changes the roles ===

    /// Makes a generation current; it may be the one on trial. The generation that was current is
    /// kept for a rollback, unless `keeps_previous` says that the one kept so far stays.
    pub(crate) fn swap(&self, number: u64, generation: Arc<G>, leave: Leave, keeps_previous: bool) {
        let mut state = self.lock();
        let before = state.current;
        state.end_trial_of_other(number);
        state.leave(before, leave);
        let role = Role::Current;
        match state.entries.iter_mut().find(|entry| entry.number == number) {
            Some(entry) => entry.role = role,
            None => state.entries.push(Entry { number, generation, role, sessions: 0, left: 0 }),
        }
        state.current = number;
        if !keeps_previous {
            state.previous = Some(before);
        }
        state.requeue();
    }

    /// Makes the generation before the current one current again, if the current one still has this
    /// number. Its sessions move back; a session that cannot move stays. Returns `None` if another
    /// generation is current, or if there is none to go back to.
    pub(crate) fn roll_back(&self, number: u64) -> Option<Arc<G>> {
        let mut state = self.lock();
        if state.current != number {
            return None;
        }
        let previous = state.previous.take()?;
        state.end_trial_of_other(previous);
        state.leave(number, Leave::Handoff);
        state.entry_mut(previous).role = Role::Current;
        state.current = previous;
        state.requeue();
        state.generation(previous)
    }

    /// Puts a generation on trial. The trial of another generation ends.
    pub(crate) fn try_out(&self, number: u64, generation: Arc<G>, trial: RunningTrial) {
        let mut state = self.lock();
        state.end_trial_of_other(number);
        state.entries.push(Entry { number, generation, role: Role::Trial(trial), sessions: 0, left: 0 });
        state.requeue();
    }

    /// Changes how a generation on trial is tried. Returns false if it is not on trial.
    pub(crate) fn try_otherwise(&self, number: u64, trial: RunningTrial) -> bool {
        self.change_trial(number, |state| state.entry_mut(number).role = Role::Trial(trial))
    }

    /// Ends the trial of a generation. Returns false if it is not on trial.
    pub(crate) fn end_trial(&self, number: u64) -> bool {
        self.change_trial(number, |state| state.leave(number, Leave::Handoff))
    }

    fn change_trial(&self, number: u64, change: impl FnOnce(&mut State<G>)) -> bool {
        let mut state = self.lock();
        let is_on_trial = state.trial().is_some_and(|(on_trial, _)| on_trial == number);
        if is_on_trial {
            change(&mut state);
            state.requeue();
        }
        is_on_trial
    }

    /// Lets the sessions of a generation that was replaced drain where they are, instead of moving.
    /// Returns false if no sessions are moving away from it.
    pub(crate) fn stop_moving(&self, number: u64) -> bool {
        let mut state = self.lock();
        let entry = state.entries.iter_mut().find(|entry| entry.number == number);
        let Some(entry) =
            entry.filter(|entry| entry.role == Role::Leaving(Leave::Handoff) && entry.sessions > 0)
        else {
            return false;
        };
        entry.role = Role::Leaving(Leave::Drain);
        state.requeue();
        true
    }

    /// Closes the sessions that are still on a generation, unless it was left once more since
    /// `left`.
    pub(crate) fn close(&self, number: u64, left: u64) {
        let mut state = self.lock();
        let entry = state.entries.iter_mut().find(|entry| entry.number == number);
        if let Some(entry) = entry
            && matches!(entry.role, Role::Leaving(_))
            && entry.left == left
        {
            entry.role = Role::Leaving(Leave::Close);
            state.requeue();
        }
    }

    // === what there is ===

    /// Returns the generation on which new sessions open.
    pub(crate) fn current(&self) -> Arc<G> {
        let state = self.lock();
        Arc::clone(&state.entry(state.current).generation)
    }

    /// Returns the generation that is on trial.
    pub(crate) fn on_trial(&self) -> Option<(Arc<G>, RunningTrial)> {
        let state = self.lock();
        let (number, trial) = state.trial()?;
        Some((state.generation(number)?, trial))
    }

    /// Returns all generations, the oldest first.
    pub(crate) fn list(&self) -> Vec<Listed<G>> {
        let state = self.lock();
        let listed = |entry: &Entry<G>| Listed {
            generation: Arc::clone(&entry.generation),
            role: entry.role,
            is_previous: state.previous == Some(entry.number),
            sessions: entry.sessions,
            left: entry.left,
        };
        state.entries.iter().map(listed).collect()
    }

    /// Returns how many sessions are on a generation that was replaced.
    pub(crate) fn leaving(&self) -> usize {
        let state = self.lock();
        let leaving = state.entries.iter().filter(|entry| matches!(entry.role, Role::Leaving(_)));
        leaving.map(|entry| entry.sessions).sum()
    }
}

impl<G> State<G> {
    fn entry(&self, number: u64) -> &Entry<G> {
        self.entries.iter().find(|entry| entry.number == number).expect("a generation stays while it is used")
    }

    fn entry_mut(&mut self, number: u64) -> &mut Entry<G> {
        let entry = self.entries.iter_mut().find(|entry| entry.number == number);
        entry.expect("a generation stays while it is used")
    }

    fn generation(&self, number: u64) -> Option<Arc<G>> {
        let entry = self.entries.iter().find(|entry| entry.number == number)?;
        Some(Arc::clone(&entry.generation))
    }

    fn trial(&self) -> Option<(u64, RunningTrial)> {
        self.entries.iter().find_map(|entry| match entry.role {
            Role::Trial(trial) => Some((entry.number, trial)),
            _ => None,
        })
    }

    fn directive(&self, id: u64, session: &Assignment) -> Directive<G> {
        match self.entry(session.on).role {
            Role::Leaving(Leave::Close) => return Directive::Close,
            Role::Leaving(Leave::Handoff) if !session.waits && session.cannot != Some(self.current) => {
                return Directive::Move(self.current, Arc::clone(&self.entry(self.current).generation));
            }
            Role::Leaving(_) | Role::Current | Role::Trial(_) => {}
        }
        let wanted = match self.trial() {
            Some((number, RunningTrial::Shadow(share))) if session.on == self.current && share.has(id) => {
                Some(number)
            }
            _ => None,
        };
        if wanted == session.mirror || (session.waits && wanted.is_some()) {
            return Directive::Stay;
        }
        Directive::Mirror(wanted.and_then(|number| Some((number, self.generation(number)?))))
    }

    fn has_directive(&self, id: u64) -> bool {
        self.sessions.get(&id).is_some_and(|session| !matches!(self.directive(id, session), Directive::Stay))
    }

    /// Queues all sessions that have a directive, after the roles changed.
    fn requeue(&mut self) {
        let all = self.sessions.iter();
        let moving = all.filter(|(id, session)| !matches!(self.directive(**id, session), Directive::Stay));
        self.queue = moving.map(|(id, _)| *id).collect();
        self.forget();
    }

    fn end_trial_of_other(&mut self, number: u64) {
        if let Some((on_trial, _)) = self.trial()
            && on_trial != number
        {
            self.leave(on_trial, Leave::Handoff);
        }
    }

    fn leave(&mut self, number: u64, leave: Leave) {
        self.left += 1;
        let left = self.left;
        let entry = self.entry_mut(number);
        (entry.role, entry.left) = (Role::Leaving(leave), left);
    }

    /// Drops the generations that nothing needs any more.
    fn forget(&mut self) {
        let previous = self.previous;
        self.entries.retain(|entry| {
            entry.sessions > 0 || previous == Some(entry.number) || !matches!(entry.role, Role::Leaving(_))
        });
    }
}
