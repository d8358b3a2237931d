//! The core of slots and swaps under a model checker.
//!
//! The runtime's own file is compiled here with loom's locks and atomics, and loom runs each test
//! in every order in which its threads can interleave. A session does here what a connection's task
//! does: it registers its waker, reads its flag, applies its directive, and sleeps. If a session is
//! not woken, it deadlocks, and loom reports that.

#![cfg(test)]

#[path = "../../runtime/wireplug/src/slot/assignments.rs"]
#[allow(dead_code, reason = "the server uses the rest")]
mod assignments;

mod sync {
    pub(super) use loom::sync::atomic::{AtomicBool, Ordering};
    pub(super) use loom::sync::{Arc, Mutex, MutexGuard};

    pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().expect("no test panics under a lock")
    }
}

use std::future::poll_fn;
use std::task::{Poll, Wake, Waker};

use loom::future::{AtomicWaker, block_on};
use loom::sync::{Arc, Notify};
use loom::thread;

use assignments::{Ack, Assigned, Assignments, Directive, Leave, RunningTrial, Share};

/// A slot and the notification that its driver waits for. A generation is represented by its
/// number.
struct Slot {
    assignments: Assignments<u64>,
    acked: Notify,
}

impl Slot {
    fn new() -> Arc<Self> {
        Arc::new(Self { assignments: Assignments::new(1, Arc::new(1)), acked: Notify::new() })
    }

    fn swap(&self, number: u64, leave: Leave) {
        self.assignments.swap(number, Arc::new(number), leave, false);
        self.drive();
    }

    /// Does what `Slot::drive` does, on a thread.
    fn drive(&self) {
        while self.assignments.signal(1) {
            self.acked.wait();
        }
    }

    /// Returns the numbers of the generations that are held, with the number of their sessions.
    fn held(&self) -> Vec<(u64, usize)> {
        self.assignments.list().iter().map(|listed| (*listed.generation, listed.sessions)).collect()
    }
}

/// Wakes the thread of a session, whichever its current waker is.
#[derive(Default)]
struct Task(AtomicWaker);

impl Wake for Task {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.wake();
    }
}

/// The behaviour of a session.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    /// The session applies its directives, and ends once it is on this generation.
    MovesTo(u64),
    /// The session cannot move, and ends when it is closed. If it opens on generation 2, it ends at
    /// once.
    Stays,
    /// The session ends at the first opportunity.
    Ends,
}

/// Runs a session from its opening to its end. Returns the generations that it was on.
fn live(slot: &Slot, id: u64, manner: Manner) -> Vec<u64> {
    let task = std::sync::Arc::new(Task::default());
    let Assigned { generation, signal, .. } =
        slot.assignments.acquire(id, Waker::from(std::sync::Arc::clone(&task)));
    let mut on = vec![*generation];
    block_on(poll_fn(|cx| {
        task.0.register_by_ref(cx.waker());
        let mut closed = false;
        if signal.is_set() && manner != Manner::Ends {
            let ack = match slot.assignments.directive(id) {
                Directive::Move(number, _) if manner == Manner::Stays => Ack::Stays(number),
                Directive::Move(number, to) => {
                    on.push(number);
                    Ack::Moved(number, to)
                }
                Directive::Mirror(candidate) => Ack::Mirrored(candidate.map(|(number, _)| number)),
                Directive::Close => {
                    closed = true;
                    Ack::Ends
                }
                Directive::Stay => Ack::Nothing,
            };
            slot.assignments.ack(id, ack);
            slot.acked.notify();
        }
        let is_over = match manner {
            Manner::MovesTo(number) => on.last() == Some(&number),
            Manner::Stays => closed || on == [2],
            Manner::Ends => true,
        };
        if is_over { Poll::Ready(()) } else { Poll::Pending }
    }));
    slot.assignments.release(id);
    slot.acked.notify();
    on
}

/// Runs a session on a thread of its own.
fn spawn(slot: &Arc<Slot>, id: u64, manner: Manner) -> thread::JoinHandle<Vec<u64>> {
    let slot = Arc::clone(slot);
    thread::spawn(move || live(&slot, id, manner))
}

/// Runs a test in every order in which its threads can interleave with at most three preemptions.
/// All orders of three threads would take hours, and faults that need more preemptions are hardly
/// known.
fn check(test: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(test);
}

#[test]
fn a_session_that_opens_beside_a_swap_is_not_missed() {
    loom::model(|| {
        let slot = Slot::new();
        let session = spawn(&slot, 1, Manner::MovesTo(2));
        slot.swap(2, Leave::Handoff);
        let on = session.join().unwrap();
        assert!(on == [1, 2] || on == [2], "{on:?}");
        assert_eq!(slot.held(), [(1, 0), (2, 0)], "the one before is kept for a rollback");
    });
}

#[test]
fn a_session_follows_two_swaps_and_what_nobody_needs_is_let_go() {
    check(|| {
        let slot = Slot::new();
        let session = spawn(&slot, 1, Manner::MovesTo(3));
        slot.swap(2, Leave::Handoff);
        slot.swap(3, Leave::Handoff);
        let on = session.join().unwrap();
        assert!(on.is_sorted() && on.last() == Some(&3), "{on:?}");
        assert_eq!(slot.held(), [(2, 0), (3, 0)]);
    });
}

#[test]
fn a_session_that_moves_while_its_target_is_rolled_back_comes_back() {
    loom::model(|| {
        let slot = Slot::new();
        slot.assignments.swap(2, Arc::new(2), Leave::Handoff, false);
        // The session opens on 2 and must end on 1, wherever it is when the roles change.
        let session = spawn(&slot, 1, Manner::MovesTo(1));
        assert!(slot.assignments.roll_back(2).is_some());
        slot.drive();
        let on = session.join().unwrap();
        assert!(on == [2, 1] || on == [1], "{on:?}");
        assert_eq!(slot.held(), [(1, 0)]);
    });
}

#[test]
fn a_roll_back_beside_a_swap_leaves_nobody_behind() {
    loom::model(|| {
        let slot = Slot::new();
        let swapping = {
            let slot = Arc::clone(&slot);
            thread::spawn(move || slot.swap(2, Leave::Handoff))
        };
        // A fault that is found on a session's thread also rolls back from there. The codec of this
        // session is the newer one.
        let rolled_back = slot.assignments.roll_back(2).is_some();
        let end = if rolled_back { 1 } else { 2 };
        swapping.join().unwrap();
        let on = live(&slot, 1, Manner::MovesTo(end));
        assert_eq!(on, [end]);
        assert_eq!(*slot.assignments.current(), end);
    });
}

#[test]
fn sessions_that_stay_are_closed_when_their_time_is_over_and_hold_up_nobody() {
    check(|| {
        let slot = Slot::new();
        let moves = spawn(&slot, 1, Manner::MovesTo(2));
        let stays = spawn(&slot, 2, Manner::Stays);
        slot.swap(2, Leave::Handoff);
        let left =
            slot.assignments.list().iter().find(|listed| *listed.generation == 1).map(|listed| listed.left);
        slot.assignments.close(1, left.unwrap());
        slot.drive();
        assert_eq!(moves.join().unwrap().last(), Some(&2));
        stays.join().unwrap();
        assert_eq!(slot.held(), [(1, 0), (2, 0)]);
    });
}

#[test]
fn a_session_that_ends_beside_a_swap_holds_up_nobody() {
    loom::model(|| {
        let slot = Slot::new();
        let session = spawn(&slot, 1, Manner::Ends);
        slot.swap(2, Leave::Handoff);
        session.join().unwrap();
        assert_eq!(slot.held(), [(1, 0), (2, 0)]);
    });
}

/// The session finds that its directive was withdrawn, while the next one comes.
#[test]
fn a_directive_that_comes_while_a_session_acknowledges_is_not_missed() {
    loom::model(|| {
        let slot = Slot::new();
        let Assigned { signal, .. } = slot.assignments.acquire(1, Waker::noop().clone());
        slot.assignments.swap(2, Arc::new(2), Leave::Handoff, false);
        assert!(slot.assignments.signal(1));
        slot.assignments.roll_back(2);
        let session = {
            let slot = Arc::clone(&slot);
            thread::spawn(move || {
                let ack = match slot.assignments.directive(1) {
                    Directive::Move(number, to) => Ack::Moved(number, to),
                    _ => Ack::Nothing,
                };
                slot.assignments.ack(1, ack);
            })
        };
        slot.assignments.swap(3, Arc::new(3), Leave::Handoff, false);
        // There is room to signal another session, so the directive of this one is taken from the
        // queue.
        slot.assignments.signal(2);
        session.join().unwrap();
        slot.assignments.signal(1);
        assert!(signal.is_set() || slot.held() == [(1, 0), (3, 1)], "{:?}", slot.held());
    });
}

/// The session waits for its client when a swap signals it. It resumes beside the next swap.
#[test]
fn a_session_that_waits_holds_up_no_swap_and_follows_when_it_resumes() {
    loom::model(|| {
        let slot = Slot::new();
        let Assigned { signal, .. } = slot.assignments.acquire(1, Waker::noop().clone());
        slot.assignments.swap(2, Arc::new(2), Leave::Handoff, false);
        assert!(slot.assignments.signal(1));
        slot.assignments.ack(1, Ack::Waits);
        assert!(!slot.assignments.signal(1), "the driver of the swap is done");
        let session = {
            let slot = Arc::clone(&slot);
            thread::spawn(move || match slot.assignments.resume(1) {
                Directive::Move(number, to) => slot.assignments.ack(1, Ack::Moved(number, to)),
                other => panic!("{other:?}"),
            })
        };
        slot.assignments.swap(3, Arc::new(3), Leave::Handoff, false);
        slot.assignments.signal(1);
        session.join().unwrap();
        slot.assignments.signal(1);
        assert!(signal.is_set() || slot.held() == [(2, 0), (3, 1)], "{:?}", slot.held());
    });
}

#[test]
fn a_trial_that_ends_lets_go_of_its_sessions() {
    loom::model(|| {
        let slot = Slot::new();
        slot.assignments.try_out(2, Arc::new(2), RunningTrial::Canary(Share::new(1.0)));
        let session = spawn(&slot, 1, Manner::MovesTo(1));
        assert!(slot.assignments.end_trial(2));
        slot.drive();
        let on = session.join().unwrap();
        assert!(on == [2, 1] || on == [1], "{on:?}");
        assert_eq!(slot.held(), [(1, 0)]);
    });
}
