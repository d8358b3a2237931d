//! The old process's side of an upgrade: the order of frames, and the sessions that leave.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

use super::message::{SavedCodec, ToNew};
use super::queue::Queue;
use super::saved::SavedSession;
use crate::session::{Command, Directed, Leaving, Relay, Session, SessionId, Target, User};

/// What the task of a connection is asked to do in an upgrade.
pub(crate) enum MoveOrder {
    /// Leave as soon as the session is quiet.
    Leave(LeaveTicket),
    /// Stay, if the session has not left yet.
    Stay,
    /// Go on in this process: the other one has not taken the session.
    ComeBack,
}

/// What became of a session that was asked to leave and did not.
pub(super) enum Outcome {
    /// It stays, and why.
    Stays(String),
    /// It has ended.
    Ended,
}

/// The way to the new process. Messages go in the order in which they get their places.
pub(super) struct Outgoing {
    order: Mutex<Order>,
    outcomes: mpsc::UnboundedSender<(SessionId, Outcome)>,
}

struct Order {
    frames: Queue<ToNew>,
    /// The place of the next frame.
    next: u64,
    /// The codecs that were sent, each with its number.
    codecs: Vec<Arc<SavedCodec>>,
    /// The sessions that have left and are not served yet, each with the time at which it left.
    frozen: HashMap<SessionId, (Session, Instant)>,
    /// Whether no session may leave any more.
    is_closed: bool,
}

/// Permission for one session to leave.
pub(crate) struct LeaveTicket {
    outgoing: Arc<Outgoing>,
    session: SessionId,
    listener: u32,
    /// Whether the session has left, or the process knows that it stays.
    is_used: bool,
}

impl Outgoing {
    /// Creates the way to the new process. Messages go into `frames`, and what becomes of sessions
    /// that do not leave into `outcomes`.
    pub(super) fn new(
        frames: Queue<ToNew>,
        outcomes: mpsc::UnboundedSender<(SessionId, Outcome)>,
    ) -> Arc<Self> {
        let order = Order { frames, next: 1, codecs: Vec::new(), frozen: HashMap::new(), is_closed: false };
        Arc::new(Self { order: Mutex::new(order), outcomes })
    }

    /// Sends a message that has no place.
    pub(super) fn send(&self, message: ToNew) {
        self.lock().put(message, Vec::new());
    }

    /// Returns a ticket for a session, which came to the listener with this number.
    pub(super) fn ticket(self: &Arc<Self>, session: SessionId, listener: u32) -> LeaveTicket {
        LeaveTicket { outgoing: Arc::clone(self), session, listener, is_used: false }
    }

    /// Takes out a session that is on its way.
    pub(super) fn take_frozen(&self, id: SessionId) -> Option<Session> {
        self.lock().frozen.remove(&id).map(|(session, _)| session)
    }

    /// Returns how long a session has been on its way at the most.
    pub(super) fn longest_frozen(&self) -> Duration {
        let order = self.lock();
        order.frozen.values().map(|(_, since)| since.elapsed()).max().unwrap_or_default()
    }

    /// Lets no session leave any more. Takes out all that are on their way.
    pub(super) fn close(&self) -> HashMap<SessionId, Session> {
        let mut order = self.lock();
        order.is_closed = true;
        order.frozen.drain().map(|(id, (session, _))| (id, session)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Order> {
        // Nothing that runs under the lock can leave the order half done.
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Order {
    fn put(&mut self, message: ToNew, descriptors: Vec<OwnedFd>) {
        self.frames.put(message, descriptors);
    }

    fn place(&mut self) -> u64 {
        let place = self.next;
        self.next += 1;
        place
    }
}

impl Relay for Outgoing {
    fn command(&self, target: &Target, command: &Command, _: u64) -> u64 {
        let mut order = self.lock();
        let place = order.place();
        order.put(ToNew::Command(place, target.into(), command.into()), Vec::new());
        place
    }

    fn directed(&self, id: SessionId, directed: Directed) {
        let mut order = self.lock();
        let place = order.place();
        order.put(ToNew::Directed(place, id.0, (&directed).into()), Vec::new());
    }

    fn sent(&self) -> u64 {
        // No session comes to this process.
        0
    }

    fn has_the_nodes(&self) -> bool {
        false
    }

    fn bound(&self, user: &User, at: u64, _: u64) {
        let mut order = self.lock();
        let place = order.place();
        order.put(ToNew::Bound(place, user.clone(), at), Vec::new());
    }

    fn flush(&self) -> BoxFuture<'static, ()> {
        self.lock().frames.flush()
    }
}

impl LeaveTicket {
    /// Returns the number of the listener to which the session came.
    pub(crate) fn listener(&self) -> u32 {
        self.listener
    }

    /// Returns the number of a codec, and sends the codec if it was not sent yet.
    pub(crate) fn codec(&self, codec: &Arc<SavedCodec>) -> u32 {
        let mut order = self.outgoing.lock();
        // Each generation of a codec has one.
        let known = order.codecs.iter().position(|known| Arc::ptr_eq(known, codec));
        let number = known.unwrap_or_else(|| {
            order.put(ToNew::Codec(SavedCodec::clone(codec)), Vec::new());
            order.codecs.push(Arc::clone(codec));
            order.codecs.len() - 1
        });
        u32::try_from(number).expect("there are few codecs")
    }

    /// Sends a copy of the session, which `save` makes of what leaves with it. Returns false if the
    /// session cannot leave at this moment.
    pub(crate) fn send(
        &mut self,
        session: &Session,
        descriptor: Option<OwnedFd>,
        save: impl FnOnce(Leaving) -> SavedSession,
    ) -> bool {
        let outgoing = Arc::clone(&self.outgoing);
        let mut order = outgoing.lock();
        // Under the lock: a command for the session has its place either before this one, and is in
        // the copy, or after it.
        let place = order.next;
        if order.is_closed {
            return false;
        }
        let Some(leaving) = session.leave_process(place) else { return false };
        order.next += 1;
        order.frozen.insert(session.id(), (session.clone(), Instant::now()));
        order.put(ToNew::Session(place, Box::new(save(leaving))), descriptor.into_iter().collect());
        drop(order);
        self.is_used = true;
        true
    }

    /// Reports that the session stays.
    pub(crate) fn stays(mut self, why: &str) {
        self.report(Outcome::Stays(why.to_owned()));
    }

    fn report(&mut self, outcome: Outcome) {
        self.is_used = true;
        // The upgrade may be over.
        let _ = self.outgoing.outcomes.send((self.session, outcome));
    }
}

impl Drop for LeaveTicket {
    fn drop(&mut self) {
        if !self.is_used {
            self.report(Outcome::Ended);
        }
    }
}
