//! Which generation each session is on, and where it is to go: the core of a swap.
//!
//! Pure bookkeeping under one lock, which is taken when a session comes, goes or moves, and never on the way
//! of a packet: there a session only looks at a flag of its own. It knows nothing of codecs, tasks or time, so
//! that a model checker can run it (`tests/model`).
//!
//! A swap changes what is current, and puts all sessions that have to move into a queue. Whoever drives the
//! swap [calls](Roster::call) them, some at a time; a session that was called asks for its
//! [order](Roster::order), carries it out between two calls of its codec, and [answers](Roster::answer).

use std::collections::{BTreeMap, VecDeque};
use std::task::Waker;

use super::sync::{Arc, AtomicBool, Mutex, MutexGuard, Ordering, lock};

/// Which generation each session is on.
pub(crate) struct Roster<G> {
    state: Mutex<State<G>>,
}

struct State<G> {
    current: u64,
    /// Where a rollback goes to.
    previous: Option<u64>,
    entries: Vec<Entry<G>>,
    seats: BTreeMap<u64, Place>,
    /// Sessions that have an order and were not called yet.
    queue: VecDeque<u64>,
    /// Sessions that were called and have not answered.
    called: usize,
    /// How often a generation was left so far.
    left: u64,
}

struct Entry<G> {
    number: u64,
    generation: Arc<G>,
    role: Role,
    /// The sessions that are on it.
    seats: usize,
    /// Which time it was that it was left, of all; 0: it never was.
    left: u64,
}

/// What a generation is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// New sessions open on it.
    Current,
    /// It is tried on a share of the sessions.
    Trial(Trial),
    /// It was replaced: what becomes of its sessions.
    Leaving(Leave),
}

/// How a candidate is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trial {
    /// It mirrors the calls of this share of the sessions, and its answers are thrown away.
    Shadow(Share),
    /// This share of the new sessions opens on it.
    Canary(Share),
}

/// A share of all sessions, as a part of 2^64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share(u64);

impl Share {
    /// From 0, nobody, to 1, everybody.
    pub(crate) fn new(share: f64) -> Self {
        // Saturates at both ends.
        Self((share * u64::MAX as f64) as u64)
    }

    /// Whether a session belongs to it. Spread evenly over numbers that follow each other.
    fn has(self, session: u64) -> bool {
        const GOLDEN_RATIO: u64 = 0x9e37_79b9_7f4a_7c15;
        session.wrapping_mul(GOLDEN_RATIO) <= self.0 && self.0 > 0
    }
}

/// What becomes of the sessions of a generation that was replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    /// They move to the current one; who cannot stays.
    Handoff,
    /// They stay until they end.
    Drain,
    /// They are closed.
    Close,
}

/// What a session is to do.
#[derive(Debug)]
pub(crate) enum Order<G> {
    /// Nothing.
    Stay,
    /// Go on with this generation, of this number.
    Move(u64, Arc<G>),
    /// Let this generation mirror its calls; none: nobody any more.
    Mirror(Option<(u64, Arc<G>)>),
    /// End.
    Close,
}

/// What a session did.
pub(crate) enum Answer<G> {
    /// There was nothing to do any more.
    Nothing,
    /// It is about to end.
    Ends,
    /// It is on this generation now.
    Moved(u64, Arc<G>),
    /// It could not move to the generation of this number, and stays.
    Stays(u64),
    /// It has tried to be mirrored by the generation of this number; or is mirrored by nobody now.
    Mirrored(Option<u64>),
}

/// A session's place.
struct Place {
    on: u64,
    /// The generation that mirrors it, or would not.
    mirror: Option<u64>,
    /// The generation that it could not move to.
    cannot: Option<u64>,
    call: Arc<Call>,
}

/// How a session learns that there is an order for it.
pub(crate) struct Call {
    called: AtomicBool,
    waker: Waker,
}

impl Call {
    /// Whether there is an order. Cheap: the flag belongs to this session alone.
    pub(crate) fn is_on(&self) -> bool {
        self.called.load(Ordering::Acquire)
    }
}

/// Where a new session opens.
pub(crate) struct Sat<G> {
    /// The generation that it is on.
    pub(crate) generation: Arc<G>,
    /// Whose shadow is to mirror it.
    pub(crate) mirror: Option<Arc<G>>,
    pub(crate) call: Arc<Call>,
}

/// What there is of a generation.
pub(crate) struct Listed<G> {
    pub(crate) generation: Arc<G>,
    pub(crate) role: Role,
    /// Whether a rollback goes to it.
    pub(crate) is_previous: bool,
    pub(crate) seats: usize,
    /// For [`Roster::close`]: differs each time that it is left.
    pub(crate) left: u64,
}

impl<G> Roster<G> {
    /// Of a slot whose first generation is there.
    pub(crate) fn new(number: u64, generation: Arc<G>) -> Self {
        let state = State {
            current: number,
            previous: None,
            entries: vec![Entry { number, generation, role: Role::Current, seats: 0, left: 0 }],
            seats: BTreeMap::new(),
            queue: VecDeque::new(),
            called: 0,
            left: 0,
        };
        Self { state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State<G>> {
        lock(&self.state)
    }

    // === what sessions do ===

    /// Gives a new session its place: from now on no swap misses it. `waker` wakes its task.
    pub(crate) fn sit(&self, id: u64, waker: Waker) -> Sat<G> {
        let mut state = self.lock();
        let (mut on, mut mirror) = (state.current, None);
        match state.trial() {
            Some((number, Trial::Canary(share))) if share.has(id) => on = number,
            Some((number, Trial::Shadow(share))) if share.has(id) => mirror = Some(number),
            _ => {}
        }
        let call = Arc::new(Call { called: AtomicBool::new(false), waker });
        state.seats.insert(id, Place { on, mirror, cannot: None, call: Arc::clone(&call) });
        let mirror = mirror.and_then(|number| state.generation(number));
        let entry = state.entry_mut(on);
        entry.seats += 1;
        Sat { generation: Arc::clone(&entry.generation), mirror, call }
    }

    /// Takes the place of a session that ended.
    pub(crate) fn leave(&self, id: u64) {
        let mut state = self.lock();
        if let Some(place) = state.seats.remove(&id) {
            if place.call.is_on() {
                state.called -= 1;
            }
            state.entry_mut(place.on).seats -= 1;
            state.forget();
        }
    }

    /// What a session is to do.
    pub(crate) fn order(&self, id: u64) -> Order<G> {
        let state = self.lock();
        state.seats.get(&id).map_or(Order::Stay, |place| state.order(id, place))
    }

    /// Takes what a session that was called did.
    pub(crate) fn answer(&self, id: u64, answer: Answer<G>) {
        let mut state = self.lock();
        let Some(place) = state.seats.get_mut(&id) else { return };
        let was_called = place.call.called.swap(false, Ordering::AcqRel);
        let on = place.on;
        let ends = matches!(answer, Answer::Ends);
        match answer {
            Answer::Nothing | Answer::Ends => {}
            Answer::Moved(number, generation) => {
                (place.on, place.mirror, place.cannot) = (number, None, None);
                state.entry_mut(on).seats -= 1;
                match state.entries.iter_mut().find(|entry| entry.number == number) {
                    Some(entry) => entry.seats += 1,
                    None => {
                        // While the session moved there, it was replaced in its turn, and forgotten.
                        let role = Role::Current;
                        state.entries.push(Entry { number, generation, role, seats: 1, left: 0 });
                        state.leave(number, Leave::Handoff);
                    }
                }
            }
            Answer::Stays(number) => place.cannot = Some(number),
            Answer::Mirrored(number) => place.mirror = number,
        }
        if was_called {
            state.called -= 1;
        }
        // What was ordered may have been overtaken meanwhile.
        if !ends && state.has_order(id) {
            state.queue.push_back(id);
        }
        state.forget();
    }

    // === what the driver of a swap does ===

    /// Calls sessions that have an order, until `most` are called and have not answered. False: none is, and
    /// none waits to be called.
    pub(crate) fn call(&self, most: usize) -> bool {
        let mut wake = Vec::new();
        let mut state = self.lock();
        while state.called < most
            && let Some(id) = state.queue.pop_front()
        {
            if !state.has_order(id) {
                continue;
            }
            let Some(place) = state.seats.get(&id) else { continue };
            // One that was called and has not answered is queued again by its answer.
            if !place.call.called.swap(true, Ordering::AcqRel) {
                wake.push(place.call.waker.clone());
                state.called += 1;
            }
        }
        let busy = state.called > 0;
        drop(state);
        wake.iter().for_each(Waker::wake_by_ref);
        busy
    }

    // === what changes the roles ===

    /// Makes a generation current; one that is on trial may be it. The one before it is kept for a rollback, unless
    /// the one that is kept already is to stay it.
    pub(crate) fn swap(&self, number: u64, generation: Arc<G>, leave: Leave, keeps_previous: bool) {
        let mut state = self.lock();
        let before = state.current;
        state.end_trial_of_other(number);
        state.leave(before, leave);
        match state.entries.iter_mut().find(|entry| entry.number == number) {
            Some(entry) => entry.role = Role::Current,
            None => state.entries.push(Entry { number, generation, role: Role::Current, seats: 0, left: 0 }),
        }
        state.current = number;
        if !keeps_previous {
            state.previous = Some(before);
        }
        state.requeue();
    }

    /// Makes the generation before the current one current again, if that is still the one of this number. Its
    /// sessions move back; who cannot stays. None: it is not, or there is none before it.
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

    /// Tries a generation; one that was on trial leaves.
    pub(crate) fn try_out(&self, number: u64, generation: Arc<G>, trial: Trial) {
        let mut state = self.lock();
        state.end_trial_of_other(number);
        state.entries.push(Entry { number, generation, role: Role::Trial(trial), seats: 0, left: 0 });
        state.requeue();
    }

    /// Ends the trial of a generation. False: it is not on trial.
    pub(crate) fn end_trial(&self, number: u64) -> bool {
        let mut state = self.lock();
        let is_on_trial = state.trial().is_some_and(|(on_trial, _)| on_trial == number);
        if is_on_trial {
            state.leave(number, Leave::Handoff);
            state.requeue();
        }
        is_on_trial
    }

    /// Has the sessions of a generation that is left drain where they are, and not move. False: it is not so that
    /// they move.
    pub(crate) fn stop_moving(&self, number: u64) -> bool {
        let mut state = self.lock();
        let entry = state.entries.iter_mut().find(|entry| entry.number == number);
        let Some(entry) =
            entry.filter(|entry| entry.role == Role::Leaving(Leave::Handoff) && entry.seats > 0)
        else {
            return false;
        };
        entry.role = Role::Leaving(Leave::Drain);
        state.requeue();
        true
    }

    /// Closes the sessions that are still on a generation since it was left that time.
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

    /// The generation on which new sessions open.
    pub(crate) fn current(&self) -> Arc<G> {
        let state = self.lock();
        Arc::clone(&state.entry(state.current).generation)
    }

    /// The generation that is on trial.
    pub(crate) fn on_trial(&self) -> Option<(Arc<G>, Trial)> {
        let state = self.lock();
        let (number, trial) = state.trial()?;
        Some((state.generation(number)?, trial))
    }

    /// All generations, the oldest first.
    pub(crate) fn list(&self) -> Vec<Listed<G>> {
        let state = self.lock();
        let listed = |entry: &Entry<G>| Listed {
            generation: Arc::clone(&entry.generation),
            role: entry.role,
            is_previous: state.previous == Some(entry.number),
            seats: entry.seats,
            left: entry.left,
        };
        state.entries.iter().map(listed).collect()
    }

    /// How many sessions are on a generation that is to be left, or closed.
    pub(crate) fn leaving(&self) -> usize {
        let state = self.lock();
        let leaving = state.entries.iter().filter(|entry| matches!(entry.role, Role::Leaving(_)));
        leaving.map(|entry| entry.seats).sum()
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

    fn trial(&self) -> Option<(u64, Trial)> {
        self.entries.iter().find_map(|entry| match entry.role {
            Role::Trial(trial) => Some((entry.number, trial)),
            _ => None,
        })
    }

    fn order(&self, id: u64, place: &Place) -> Order<G> {
        match self.entry(place.on).role {
            Role::Leaving(Leave::Close) => return Order::Close,
            Role::Leaving(Leave::Handoff) if place.cannot != Some(self.current) => {
                return Order::Move(self.current, Arc::clone(&self.entry(self.current).generation));
            }
            Role::Leaving(_) | Role::Current | Role::Trial(_) => {}
        }
        let wanted = match self.trial() {
            Some((number, Trial::Shadow(share))) if place.on == self.current && share.has(id) => Some(number),
            _ => None,
        };
        if wanted == place.mirror {
            return Order::Stay;
        }
        Order::Mirror(wanted.and_then(|number| Some((number, self.generation(number)?))))
    }

    fn has_order(&self, id: u64) -> bool {
        self.seats.get(&id).is_some_and(|place| !matches!(self.order(id, place), Order::Stay))
    }

    /// Queues all who have an order, after the roles changed.
    fn requeue(&mut self) {
        let mut queue = std::mem::take(&mut self.queue);
        queue.clear();
        let with_order =
            self.seats.iter().filter(|(id, place)| !matches!(self.order(**id, place), Order::Stay));
        queue.extend(with_order.map(|(id, _)| *id));
        self.queue = queue;
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

    /// Lets go of generations that nobody needs any more.
    fn forget(&mut self) {
        let previous = self.previous;
        self.entries.retain(|entry| {
            entry.seats > 0 || previous == Some(entry.number) || !matches!(entry.role, Role::Leaving(_))
        });
    }
}
