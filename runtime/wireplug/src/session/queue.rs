//! The queue of an outbox: messages that wait for one client, unencoded, in the order of the calls.

use std::collections::VecDeque;
use std::sync::Arc;

use super::Message;
use super::broadcast::SharedPush;
use crate::codec::Role;
use crate::config::Overflow;

/// The messages that wait for one client, and the limit and policy for pushes that do not fit.
#[derive(Debug)]
pub(crate) struct MessageQueue {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    max_bytes: usize,
    overflow: Overflow,
    /// Pushes that were dropped and not counted yet.
    overflowed: u64,
}

/// One message that waits.
#[derive(Clone, Debug)]
pub(crate) enum Waiting {
    /// A message for this client.
    Message(Message),
    /// A push to many clients, which may share its encoding.
    Shared(Arc<SharedPush>),
}

impl From<Arc<SharedPush>> for Waiting {
    fn from(push: Arc<SharedPush>) -> Self {
        Waiting::Shared(push)
    }
}

impl From<Message> for Waiting {
    fn from(message: Message) -> Self {
        Waiting::Message(message)
    }
}

impl Waiting {
    /// Returns the message.
    pub(crate) fn message(&self) -> &Message {
        match self {
            Waiting::Message(message) => message,
            Waiting::Shared(push) => &push.message,
        }
    }

    /// Returns the message, to be encoded for this client alone.
    pub(crate) fn into_message(self) -> Message {
        match self {
            Waiting::Message(message) => message,
            Waiting::Shared(push) => push.message.clone(),
        }
    }

    /// Returns the memory that the message takes up while it waits, in bytes. A push to many counts
    /// in full for each receiver.
    fn size(&self) -> usize {
        self.message().size()
    }

    fn may_be_dropped(&self) -> bool {
        self.message().role == Role::Notice
    }
}

/// The error for a push that does not fit: the client does not read as fast as the application
/// pushes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the outbox is full")]
pub(crate) struct Full {
    /// Whether the policy ends the connection.
    pub(crate) closes: bool,
}

impl MessageQueue {
    pub(crate) fn new(max_bytes: usize, overflow: Overflow) -> Self {
        Self { waiting: VecDeque::new(), bytes: 0, max_bytes, overflow, overflowed: 0 }
    }

    /// Creates an empty queue with the same limit and policy.
    pub(crate) fn like(&self) -> Self {
        Self::new(self.max_bytes, self.overflow)
    }

    /// Returns the messages that wait, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Waiting> {
        self.waiting.iter()
    }

    /// Replaces the limit and the policy. What waits already stays.
    pub(crate) fn set_limits(&mut self, max_bytes: usize, overflow: Overflow) {
        (self.max_bytes, self.overflow) = (max_bytes, overflow);
    }

    /// Adds a response. It always fits: the connection stops reading requests when much waits.
    pub(crate) fn respond(&mut self, message: Message) {
        self.add(Waiting::Message(message));
    }

    /// Returns whether so many bytes fit without dropping anything.
    pub(crate) fn has_room_for(&self, bytes: usize) -> bool {
        self.bytes + bytes <= self.max_bytes
    }

    /// Adds a request to the client, for which the caller has found room. It is never dropped to
    /// make room.
    pub(crate) fn request(&mut self, request: Message) {
        self.add(Waiting::Message(request));
    }

    /// Adds a push, if there is room or the policy makes room. Only pushes are dropped to make
    /// room; responses stay.
    pub(crate) fn push(&mut self, push: impl Into<Waiting>) -> Result<(), Full> {
        let push = push.into();
        let size = push.size();
        if size > self.max_bytes {
            // The push would not fit into an empty queue either.
            self.overflowed += 1;
            return Err(Full { closes: self.overflow == Overflow::Close });
        }
        while self.bytes + size > self.max_bytes {
            self.overflowed += 1;
            let oldest = match self.overflow {
                Overflow::DropOldest => self.waiting.iter().position(Waiting::may_be_dropped),
                Overflow::DropNewest | Overflow::Close => None,
            };
            let Some(dropped) = oldest.and_then(|oldest| self.waiting.remove(oldest)) else {
                return Err(Full { closes: self.overflow == Overflow::Close });
            };
            self.bytes -= dropped.size();
        }
        self.add(push);
        Ok(())
    }

    /// Removes a request to the client, if it still waits.
    pub(crate) fn remove_request(&mut self, id: u64) {
        let is_it = |waiting: &Waiting| {
            let message = waiting.message();
            message.role == Role::Request && message.id == id
        };
        if let Some(removed) =
            self.waiting.iter().position(is_it).and_then(|index| self.waiting.remove(index))
        {
            self.bytes -= removed.size();
        }
    }

    fn add(&mut self, waiting: Waiting) {
        self.bytes += waiting.size();
        self.waiting.push_back(waiting);
    }

    /// Returns how many pushes were dropped since the last call.
    pub(crate) fn take_overflowed(&mut self) -> u64 {
        std::mem::take(&mut self.overflowed)
    }

    /// Returns the message that has waited longest.
    pub(crate) fn front(&self) -> Option<&Waiting> {
        self.waiting.front()
    }

    /// Takes out the message that has waited longest, if `fits` returns true for it.
    pub(crate) fn pop_if(&mut self, fits: impl FnOnce(&Waiting) -> bool) -> Option<Waiting> {
        if !fits(self.waiting.front()?) {
            return None;
        }
        let waiting = self.waiting.pop_front()?;
        self.bytes -= waiting.size();
        if self.waiting.is_empty() {
            // An idle connection must not keep the capacity of a long queue.
            self.waiting.shrink_to(16);
        }
        Some(waiting)
    }

    /// Frees the memory of the queue, if no message waits.
    pub(crate) fn free(&mut self) {
        if self.waiting.is_empty() {
            self.waiting = VecDeque::new();
        }
    }

    /// Returns how many messages wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Returns the size of the messages that wait, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}
