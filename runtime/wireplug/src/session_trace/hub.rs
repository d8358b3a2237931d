//! The traces of a server, and the sessions that each of them concerns.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::record::Record;
use super::{Faults, Mask};
use crate::session::{Session, SessionId, User};

/// The most traces at a time. Each is a connection of the control API.
const MAX_TRACES: usize = 8;

/// The most records that wait for the reader of a trace: some seconds of a busy session.
const QUEUE: usize = 1024;

/// The most records of a trace in a second. More of them nobody can read, and a session that is
/// traced must not take the processor from others.
const RECORDS_A_SECOND: u32 = 1000;

/// The most sessions of one trace, among those of a user or from an address.
const MAX_SESSIONS: usize = 100;

/// The beginning of a recording that cannot begin. The reason follows.
pub(crate) const NOT_RECORDED: &str = "# not recorded: ";

/// All traces of a server.
#[derive(Default)]
pub(crate) struct SessionTraces {
    /// The number of traces that concern sessions which open later.
    waiting: AtomicUsize,
    open: Mutex<Vec<Arc<Trace>>>,
    pub(crate) faults: Faults,
}

/// The sessions that a trace concerns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TraceTarget {
    Session(SessionId),
    User(User),
    /// The address of clients, as a filter of addresses has it.
    Address(AddressOf),
}

/// Which addresses match.
#[derive(Clone)]
pub(crate) struct AddressOf(pub(crate) Arc<dyn Fn(&str) -> bool + Send + Sync>);

impl std::fmt::Debug for AddressOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AddressOf")
    }
}

impl PartialEq for AddressOf {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for AddressOf {}

/// What a trace delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TraceKind {
    /// Records of all sessions that match.
    Live,
    /// The test vectors of the first session that matches.
    Vectors,
}

/// A trace that somebody reads.
pub(crate) struct Trace {
    pub(crate) kind: TraceKind,
    pub(crate) mask: Mask,
    target: TraceTarget,
    sender: mpsc::Sender<Bytes>,
    /// Cancelled when nothing more can come.
    pub(crate) ended: CancellationToken,
    /// The records that were lost since the last one that was delivered.
    lost: AtomicU64,
    /// The current second, and the number of records in it.
    second: Mutex<(Instant, u32)>,
    /// The sessions that deliver, or have delivered.
    watched: Mutex<Vec<SessionId>>,
}

/// What the task of a session is asked to do about traces.
pub(crate) enum Order {
    /// Deliver to a trace from now on.
    Watch(Arc<Trace>),
    /// Look which traces have ended.
    Look,
    /// Return the last packets as test vectors, or why there are none.
    Recent(oneshot::Sender<Result<String, String>>),
}

impl SessionTraces {
    /// Begins a trace. Returns `None` if there are too many.
    pub(crate) fn begin(
        &self,
        target: TraceTarget,
        kind: TraceKind,
        mask: Mask,
    ) -> Option<(Arc<Trace>, mpsc::Receiver<Bytes>)> {
        let mut open = self.lock();
        if open.len() >= MAX_TRACES {
            return None;
        }
        let (sender, receiver) = mpsc::channel(QUEUE);
        let trace = Arc::new(Trace {
            kind,
            mask,
            target,
            sender,
            ended: CancellationToken::new(),
            lost: AtomicU64::new(0),
            second: Mutex::new((Instant::now(), 0)),
            watched: Mutex::default(),
        });
        open.push(Arc::clone(&trace));
        self.note_waiting(&open);
        Some((trace, receiver))
    }

    /// Ends a trace.
    pub(crate) fn end(&self, trace: &Arc<Trace>) {
        trace.ended.cancel();
        let mut open = self.lock();
        open.retain(|other| !Arc::ptr_eq(other, trace));
        self.note_waiting(&open);
    }

    fn note_waiting(&self, open: &[Arc<Trace>]) {
        let waits = |trace: &&Arc<Trace>| !matches!(trace.target, TraceTarget::Session(_));
        self.waiting.store(open.iter().filter(waits).count(), Ordering::Relaxed);
    }

    /// Returns the traces that concern a session that opens from this address.
    pub(crate) fn of_opening(&self, session: SessionId, address: &str) -> Vec<Arc<Trace>> {
        if self.waiting.load(Ordering::Relaxed) == 0 {
            return Vec::new();
        }
        let concerns = |trace: &&Arc<Trace>| match &trace.target {
            TraceTarget::Address(matches) => (matches.0)(address),
            TraceTarget::Session(_) | TraceTarget::User(_) => false,
        };
        self.lock().iter().filter(concerns).filter(|trace| trace.take(session)).cloned().collect()
    }

    /// Lets the traces of a user watch a session that was bound to the user.
    pub(crate) fn bound(&self, session: &Session, user: &User) {
        if self.waiting.load(Ordering::Relaxed) == 0 {
            return;
        }
        let concerns = |trace: &&Arc<Trace>| matches!(&trace.target, TraceTarget::User(of) if of == user);
        let traces: Vec<_> = self.lock().iter().filter(concerns).cloned().collect();
        traces.into_iter().for_each(|trace| trace.watch(session));
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Trace>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Trace {
    /// Asks the task of a session to deliver to this trace.
    pub(crate) fn watch(self: &Arc<Self>, session: &Session) {
        if self.take(session.id()) {
            session.order(Order::Watch(Arc::clone(self)));
        }
    }

    /// Notes a session that matches. Returns whether it is to deliver: each session delivers once,
    /// and a recording has only one.
    fn take(&self, session: SessionId) -> bool {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let most = if self.kind == TraceKind::Live { MAX_SESSIONS } else { 1 };
        let takes = !self.has_ended() && watched.len() < most && !watched.contains(&session);
        if takes {
            watched.push(session);
        }
        takes
    }

    /// Returns the sessions that deliver, or have delivered.
    pub(crate) fn watched(&self) -> Vec<SessionId> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns whether the trace is over when `session` is.
    pub(crate) fn ends_with(&self, session: SessionId) -> bool {
        self.kind == TraceKind::Vectors || self.target == TraceTarget::Session(session)
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.is_cancelled() || self.sender.is_closed()
    }

    /// Returns whether a record may be made. If not, it is counted as lost.
    pub(super) fn admits(&self) -> bool {
        let admits = self.sender.capacity() > 0 && {
            let mut second = self.second.lock().unwrap_or_else(PoisonError::into_inner);
            if second.0.elapsed() >= Duration::from_secs(1) {
                *second = (Instant::now(), 0);
            }
            second.1 += 1;
            second.1 <= RECORDS_A_SECOND
        };
        if !admits {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        admits
    }

    /// Delivers a record, after the number of those that were lost before it.
    pub(crate) fn deliver(&self, session: SessionId, line: Bytes) {
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let note = format!("{lost} records were lost: there were too many, or they were read too slowly");
            if self.sender.try_send(Record::new(session, "log").noted(note).line()).is_err() {
                self.lost.fetch_add(lost, Ordering::Relaxed);
            }
        }
        if self.sender.try_send(line).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn is_live(&self) -> bool {
        self.kind == TraceKind::Live
    }

    /// Ends a recording that cannot begin.
    pub(crate) fn refuse(&self, why: &str) {
        let _ = self.sender.try_send(format!("{NOT_RECORDED}{why}\n").into());
        self.ended.cancel();
    }

    /// Delivers lines of vectors. Returns false if there is no room.
    pub(super) fn deliver_lines(&self, lines: String) -> bool {
        self.sender.try_send(lines.into()).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    const SESSION: SessionId = SessionId(7);

    fn deliver(trace: &Trace, note: &str) {
        if trace.admits() {
            trace.deliver(SESSION, Record::new(SESSION, "log").noted(note).line());
        }
    }

    fn note(line: &Bytes) -> String {
        let record: Value = serde_json::from_slice(line).unwrap();
        record["note"].as_str().unwrap().to_owned()
    }

    fn begin(traces: &SessionTraces, kind: TraceKind) -> (Arc<Trace>, mpsc::Receiver<Bytes>) {
        let address = AddressOf(Arc::new(|address| address == "here"));
        traces.begin(TraceTarget::Address(address), kind, Mask::default()).unwrap()
    }

    #[test]
    fn a_slow_reader_loses_records_and_learns_how_many() {
        let (trace, mut receiver) = begin(&SessionTraces::default(), TraceKind::Live);
        // The limit of a second is not what is tested here.
        (0..QUEUE + 5).for_each(|number| {
            *trace.second.lock().unwrap() = (Instant::now(), 0);
            deliver(&trace, &number.to_string());
        });
        (0..3).for_each(|number| assert_eq!(note(&receiver.try_recv().unwrap()), number.to_string()));
        deliver(&trace, "next");
        let rest: Vec<String> = std::iter::from_fn(|| Some(note(&receiver.try_recv().ok()?))).collect();
        assert_eq!(rest[rest.len() - 3], (QUEUE - 1).to_string());
        assert!(rest[rest.len() - 2].starts_with("5 records were lost"), "{rest:?}");
        assert_eq!(rest[rest.len() - 1], "next");
    }

    #[test]
    fn too_many_records_in_a_second_are_lost() {
        let (trace, _receiver) = begin(&SessionTraces::default(), TraceKind::Live);
        // The queue is larger, so it is not what is full.
        const { assert!(QUEUE > RECORDS_A_SECOND as usize) };
        *trace.second.lock().unwrap() = (Instant::now() + Duration::from_secs(60), RECORDS_A_SECOND - 1);
        assert!(trace.admits());
        assert!(!trace.admits());
        assert_eq!(trace.lost.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn traces_are_few_and_those_that_end_make_room() {
        let traces = SessionTraces::default();
        let mut open: Vec<_> = (0..MAX_TRACES).map(|_| begin(&traces, TraceKind::Live)).collect();
        let target = || TraceTarget::Session(SESSION);
        assert!(traces.begin(target(), TraceKind::Live, Mask::default()).is_none());
        traces.end(&open.remove(0).0);
        assert!(traces.begin(target(), TraceKind::Live, Mask::default()).is_some());
    }

    #[test]
    fn sessions_that_open_from_an_address_are_watched_and_a_recording_has_one() {
        let traces = SessionTraces::default();
        assert!(traces.of_opening(SESSION, "here").is_empty());
        let (live, _live) = begin(&traces, TraceKind::Live);
        let (_recording, _lines) = begin(&traces, TraceKind::Vectors);
        assert!(traces.of_opening(SESSION, "elsewhere").is_empty());
        assert_eq!(traces.of_opening(SESSION, "here").len(), 2);
        assert!(traces.of_opening(SESSION, "here").is_empty(), "each session delivers once");
        let kinds: Vec<_> = traces.of_opening(SessionId(8), "here").iter().map(|trace| trace.kind).collect();
        assert_eq!(kinds, [TraceKind::Live]);
        traces.end(&live);
        assert!(traces.of_opening(SessionId(9), "here").is_empty());
    }
}
