//! The outbox: messages wait here until the session's machine encodes them.
//!
//! The application's [`Session`](super::Session) and the [`Machine`](super::Machine) each have a
//! handle to the same outbox, and know nothing else about each other. The outbox must not know
//! sessions, tasks or wakers: the sender of a message wakes the connection's task.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use super::Message;
use super::broadcast::{BroadcastClass, SharedPush, Sharing};
use super::open_requests::{Answer, Matched, OpenRequests};
use super::queue::{Full, MessageQueue, Waiting};
use super::relay::Residence;
use super::request::RequestError;
use crate::codec::Role;
use crate::config::{ClientLimits, Overflow};

/// The limits of an outbox.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OutboxLimits {
    /// The size of waiting messages above which pushes overflow, in bytes.
    pub(crate) max_bytes: usize,
    /// The policy for a push that does not fit.
    pub(crate) overflow: Overflow,
    /// The largest number of requests to the client that wait for a response.
    pub(crate) max_requests: usize,
    /// How long the application waits for the response to a request, unless it says otherwise.
    pub(crate) request_timeout: Duration,
}

impl From<&ClientLimits> for OutboxLimits {
    fn from(limits: &ClientLimits) -> Self {
        Self {
            max_bytes: limits.max_outbox,
            overflow: limits.overflow,
            max_requests: limits.max_client_requests,
            request_timeout: limits.client_request_timeout,
        }
    }
}

/// The next message of an outbox, as a session that sleeps sees it.
pub(crate) enum NextMessage {
    /// No message waits.
    None,
    /// A push to many, of which the session's class, with this index, shares an encoding.
    OfClass(Arc<SharedPush>, usize),
    /// The codec of the session must encode it.
    Own,
}

/// A handle to one session's outbox. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Outbox(Arc<OutboxState>);

struct OutboxState {
    /// Locked by the connection's own task and by the senders of pushes to this client, and never
    /// by the data path of another connection.
    contents: Mutex<Contents>,
    /// The size of the messages that wait, in bytes. Written under the lock. The connection's task
    /// reads it without the lock, and is woken after each change.
    waiting: AtomicUsize,
    /// The size of the encoded output that the client has not taken, in bytes, as the last turn of
    /// the connection left it.
    output: AtomicUsize,
    /// Pushes that were dropped and not counted yet. Written under the lock, and read without it.
    overflowed: AtomicU64,
    /// Whether the codec has still to learn of abandoned requests. Written under the lock, and read
    /// without it.
    has_abandoned: AtomicBool,
    /// Whether the session is on its way to another process, or there. Written under the lock.
    has_left: AtomicBool,
}

struct Contents {
    queue: MessageQueue,
    /// The class of sessions with which this one shares encodings of pushes.
    share: Option<BroadcastClass>,
    /// The requests to the client that wait for a response.
    requests: OpenRequests,
    /// How long the application waits for the response to a request.
    request_timeout: Duration,
    /// Whether the connection has ended. Then no push is accepted.
    closed: bool,
    /// Where the session is, while sessions move to another process.
    residence: Residence,
}

/// What became of messages that were added.
pub(crate) struct Pushed {
    /// Whether they fit, or `None` if the outbox is closed.
    pub(crate) fit: Option<Result<(), Full>>,
    /// Those that the other process must get for the session, which is on its way or there.
    pub(crate) forward: Vec<Message>,
}

/// The messages of a session that leaves the process, and the id of its latest request.
#[derive(Debug, Default)]
pub(crate) struct SavedOutbox {
    pub(crate) messages: Vec<Message>,
    pub(crate) last_request: u32,
}

impl Outbox {
    /// Creates an outbox with these limits.
    pub(crate) fn new(limits: OutboxLimits) -> Self {
        let OutboxLimits { max_bytes, overflow, max_requests, request_timeout } = limits;
        let contents = Contents {
            queue: MessageQueue::new(max_bytes, overflow),
            share: None,
            requests: OpenRequests::new(max_requests),
            request_timeout,
            closed: false,
            residence: Residence::Here,
        };
        Self(Arc::new(OutboxState {
            contents: Mutex::new(contents),
            waiting: AtomicUsize::new(0),
            output: AtomicUsize::new(0),
            overflowed: AtomicU64::new(0),
            has_abandoned: AtomicBool::new(false),
            has_left: AtomicBool::new(false),
        }))
    }

    /// Creates the outbox of a session from another process.
    pub(crate) fn resume(limits: OutboxLimits, saved: SavedOutbox) -> Self {
        let outbox = Self::new(limits);
        let mut contents = outbox.lock();
        contents.requests.resume(saved.last_request);
        // What waited there waits here, whatever the limits are.
        saved.messages.into_iter().for_each(|message| contents.queue.respond(message));
        outbox.note_waiting(&contents);
        drop(contents);
        outbox
    }

    /// Replaces the limits. What waits already stays, even if it exceeds them.
    pub(crate) fn set_limits(&self, limits: OutboxLimits) {
        let OutboxLimits { max_bytes, overflow, max_requests, request_timeout } = limits;
        let mut contents = self.lock();
        contents.queue.set_limits(max_bytes, overflow);
        contents.requests.set_max(max_requests);
        contents.request_timeout = request_timeout;
    }

    // === the sender's side ===

    /// Calls `push` to add messages in one step, unless the outbox is closed. `place` is the place
    /// of the command that they are part of, if the command was sent to the other process of an
    /// upgrade.
    pub(crate) fn push_with(
        &self,
        place: Option<u64>,
        push: impl FnOnce(&mut MessageQueue) -> Result<(), Full>,
    ) -> Pushed {
        let mut contents = self.lock();
        let mut forward = Vec::new();
        if contents.closed {
            return Pushed { fit: None, forward };
        }
        if let Residence::Leaving(left) | Residence::Gone(left) = contents.residence {
            let is_here_too = contents.residence == Residence::Leaving(left);
            let mut queue = contents.queue.like();
            let pushed = push(&mut queue);
            let messages: Vec<Message> =
                std::iter::from_fn(|| queue.pop_if(|_| true)).map(Waiting::into_message).collect();
            if is_here_too {
                // The session goes on here if the other process does not take it.
                for message in &messages {
                    let _ = contents.queue.push(message.clone());
                }
                self.note_waiting(&contents);
            }
            // A command whose frame came behind that of the session reaches it there.
            if place.is_none_or(|place| place < left) {
                forward = messages;
            }
            return Pushed { fit: Some(pushed), forward };
        }
        let pushed = push(&mut contents.queue);
        let overflowed = contents.queue.take_overflowed();
        if overflowed > 0 {
            self.0.overflowed.fetch_add(overflowed, Ordering::Relaxed);
        }
        self.note_waiting(&contents);
        Pushed { fit: Some(pushed), forward }
    }

    /// Adds a response, which always fits.
    pub(crate) fn respond(&self, message: Message) {
        let mut contents = self.lock();
        contents.queue.respond(message);
        self.note_waiting(&contents);
    }

    /// Adds a request to the client. Returns its id, and the receiver of its response.
    ///
    /// # Errors
    /// Returns an error if the connection has ended, the codec takes no requests, or a limit is
    /// reached.
    pub(super) fn request(&self, route: Arc<str>, body: Bytes) -> Result<(u64, Answer), RequestError> {
        let mut contents = self.lock();
        if contents.closed {
            return Err(RequestError::Closed);
        }
        if contents.residence != Residence::Here {
            return Err(RequestError::Moved);
        }
        let (id, answer) = contents.requests.open()?;
        let request = Message::request(id, route, body);
        if !contents.queue.has_room_for(request.size() + contents.requests.held_bytes()) {
            contents.requests.abandon(id);
            return Err(RequestError::Full);
        }
        if let Some(request) = contents.requests.hold(request) {
            contents.queue.request(request);
        }
        self.note_waiting(&contents);
        Ok((id, answer))
    }

    /// Notes that nobody waits for the response to a request any more. A request that still waits
    /// is not sent. Returns whether the connection's task has to look: either the codec must learn
    /// of it, or less waits now.
    pub(super) fn abandon(&self, id: u64) -> bool {
        let mut contents = self.lock();
        let Some(is_encoded) = contents.requests.abandon(id) else { return false };
        if is_encoded {
            self.0.has_abandoned.store(true, Ordering::Relaxed);
        } else {
            contents.queue.remove_request(id);
        }
        self.release(&mut contents);
        true
    }

    /// Returns how long the application waits for the response to a request, unless it says
    /// otherwise.
    pub(super) fn request_timeout(&self) -> Duration {
        self.lock().request_timeout
    }

    /// Sets the class of sessions with which this one shares encodings from now on.
    pub(crate) fn set_broadcast_class(&self, share: Option<BroadcastClass>) {
        self.lock().share = share;
    }

    /// Calls `show` with the class of sessions with which this one shares encodings, if there is
    /// one.
    pub(crate) fn with_broadcast_class(&self, show: impl FnOnce(&BroadcastClass)) {
        if let Some(share) = &self.lock().share {
            show(share);
        }
    }

    // === to another process ===

    /// Returns whether no request to the client is under way.
    pub(crate) fn has_no_requests(&self) -> bool {
        self.lock().requests.is_idle()
    }

    /// Returns the number of the class of sessions with which this one shares encodings.
    pub(crate) fn class(&self) -> Option<u32> {
        self.lock().share.as_ref().map(|share| share.class)
    }

    /// Returns where the session is.
    pub(crate) fn residence(&self) -> Residence {
        // Only a session that has left needs the lock.
        if !self.0.has_left.load(Ordering::Acquire) {
            return Residence::Here;
        }
        self.lock().residence
    }

    /// Lets the session leave in the frame with this place. Returns the messages that travel with
    /// it, which also stay here. Returns `None` if the outbox is closed, or requests to the client
    /// wait for a response.
    pub(crate) fn leave(&self, place: u64) -> Option<SavedOutbox> {
        let mut contents = self.lock();
        if contents.closed || !contents.requests.is_idle() {
            return None;
        }
        contents.residence = Residence::Leaving(place);
        self.0.has_left.store(true, Ordering::Release);
        let messages = contents.queue.iter().map(|waiting| waiting.message().clone()).collect();
        Some(SavedOutbox { messages, last_request: contents.requests.last() })
    }

    /// Notes that the other process serves the session.
    pub(crate) fn set_gone(&self) {
        let mut contents = self.lock();
        if let Residence::Leaving(place) = contents.residence {
            contents.residence = Residence::Gone(place);
        }
        (contents.queue, contents.share) = (contents.queue.like(), None);
        self.note_waiting(&contents);
    }

    /// Lets the session go on in this process, with the messages that have come meanwhile.
    pub(crate) fn stay(&self) {
        let mut contents = self.lock();
        contents.residence = Residence::Here;
        self.0.has_left.store(false, Ordering::Release);
    }

    /// Accepts no push any more. If the application keeps the outbox, the outbox then holds no
    /// codec.
    pub(crate) fn close(&self) {
        let mut contents = self.lock();
        contents.share = None;
        contents.requests.close();
        // For the application, a session in another process is open.
        contents.closed |= !matches!(contents.residence, Residence::Gone(_));
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    // === the machine's side ===

    /// Takes messages out of the outbox into a batch, as long as the next one fits. A push to many
    /// does not fit if the session's class shares an encoding of it.
    pub(crate) fn take_messages<B>(
        &self,
        batch: &mut B,
        fits: impl Fn(&B, &Message) -> bool,
        mut take: impl FnMut(&mut B, Message),
    ) {
        let mut contents = self.lock();
        let Contents { queue, share, requests, .. } = &mut *contents;
        loop {
            let is_next = |waiting: &Waiting| match waiting {
                Waiting::Message(message) => fits(batch, message),
                Waiting::Shared(push) => {
                    push.sharing(share.as_ref()) == Sharing::Apart && fits(batch, &push.message)
                }
            };
            let Some(waiting) = queue.pop_if(is_next) else { break };
            let message = waiting.into_message();
            // When the connection ends, all requests end, also those that still wait here.
            if message.role != Role::Request || requests.encoding(message.id) {
                take(batch, message);
            }
        }
        self.note_waiting(&contents);
    }

    /// Returns the next message, which stays in the outbox.
    pub(crate) fn next_message(&self) -> NextMessage {
        let contents = self.lock();
        match contents.queue.front() {
            None => NextMessage::None,
            Some(Waiting::Message(_)) => NextMessage::Own,
            Some(Waiting::Shared(push)) => match push.class_of(contents.share.as_ref()) {
                Some(class) => NextMessage::OfClass(Arc::clone(push), class),
                None => NextMessage::Own,
            },
        }
    }

    /// Takes out this push if it is still the next message. A sender may have dropped it meanwhile
    /// to make room.
    pub(crate) fn take_push(&self, push: &Arc<SharedPush>) -> bool {
        let mut contents = self.lock();
        let is_it = |waiting: &Waiting| matches!(waiting, Waiting::Shared(next) if Arc::ptr_eq(next, push));
        let taken = contents.queue.pop_if(is_it).is_some();
        self.note_waiting(&contents);
        taken
    }

    /// Takes out the next message if it is a push to many. Also returns how the session encodes the
    /// push.
    pub(crate) fn take_shared(&self) -> Option<(Arc<SharedPush>, Sharing)> {
        let mut contents = self.lock();
        let next = contents.queue.pop_if(|waiting| matches!(waiting, Waiting::Shared(_)));
        let Some(Waiting::Shared(push)) = next else { return None };
        let sharing = push.sharing(contents.share.as_ref());
        self.note_waiting(&contents);
        Some((push, sharing))
    }

    /// Sets how many unanswered requests to the client the protocol allows at a time. 0 if the
    /// codec takes no requests.
    pub(crate) fn set_max_sent_requests(&self, max_sent: u16) {
        let mut contents = self.lock();
        contents.requests.set_max_sent(max_sent.into());
        self.release(&mut contents);
    }

    /// Passes a response of the client on to the sender of its request.
    pub(crate) fn answer(&self, id: u64, status: u16, body: Bytes) -> Matched {
        let mut contents = self.lock();
        let matched = contents.requests.answer(id, status, body);
        self.release(&mut contents);
        matched
    }

    /// Ends all requests, and lets no further one begin, because no response can come any more.
    pub(crate) fn close_requests(&self) {
        self.lock().requests.close();
    }

    /// Ends a request that cannot be sent.
    pub(crate) fn fail_request(&self, id: u64, error: RequestError) {
        let mut contents = self.lock();
        contents.requests.fail(id, error);
        self.release(&mut contents);
    }

    /// Takes out the first of the requests that were abandoned after the codec had got them.
    pub(crate) fn take_abandoned(&self) -> Option<u64> {
        if !self.has_abandoned() {
            return None;
        }
        let mut contents = self.lock();
        let (id, has_more) = contents.requests.take_abandoned();
        self.0.has_abandoned.store(has_more, Ordering::Relaxed);
        self.release(&mut contents);
        id
    }

    /// Returns whether [`Outbox::take_abandoned`] would return a request.
    pub(crate) fn has_abandoned(&self) -> bool {
        self.0.has_abandoned.load(Ordering::Relaxed)
    }

    /// Returns how many pushes were dropped since the last call.
    pub(crate) fn take_overflowed(&self) -> u64 {
        match self.0.overflowed.load(Ordering::Relaxed) {
            0 => 0,
            _ => self.0.overflowed.swap(0, Ordering::Relaxed),
        }
    }

    /// Returns the size of the messages that wait, in bytes.
    pub(crate) fn waiting(&self) -> usize {
        self.0.waiting.load(Ordering::Relaxed)
    }

    /// Notes the size of the encoded output that waits, in bytes.
    pub(crate) fn note_output(&self, bytes: usize) {
        self.0.output.store(bytes, Ordering::Relaxed);
    }

    /// Returns how many bytes wait for the client, encoded or not.
    pub(crate) fn waiting_in_all(&self) -> usize {
        self.waiting() + self.0.output.load(Ordering::Relaxed)
    }

    /// Returns how many requests to the client wait for a response.
    #[cfg(feature = "control")]
    pub(crate) fn open_requests(&self) -> usize {
        self.lock().requests.len()
    }

    /// Frees the memory of the queue, if no message waits.
    pub(crate) fn free(&self) {
        self.lock().queue.free();
    }

    /// Returns how many messages wait.
    pub(crate) fn len(&self) -> usize {
        self.lock().queue.len()
    }

    /// Puts the requests that were held back, and that the protocol allows now, into the queue.
    fn release(&self, contents: &mut Contents) {
        while let Some(request) = contents.requests.release() {
            contents.queue.request(request);
        }
        self.note_waiting(contents);
    }

    fn note_waiting(&self, contents: &Contents) {
        self.0.waiting.store(contents.queue.bytes(), Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Contents> {
        // Nothing that runs under this lock can leave the contents half done.
        self.0.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
