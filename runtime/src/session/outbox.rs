//! The outbox: messages that wait for one client, not encoded yet, in the order of the calls.

use std::collections::VecDeque;

use super::Message;

/// What waits for one client.
#[derive(Debug)]
pub(crate) struct Outbox {
    waiting: VecDeque<Message>,
    bytes: usize,
    max_bytes: usize,
}

/// A push did not fit: the client does not read as fast as the application pushes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the outbox is full")]
pub(crate) struct Full;

impl Outbox {
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self { waiting: VecDeque::new(), bytes: 0, max_bytes }
    }

    /// Adds a response. It always fits: the connection stops reading requests when the outbox is high.
    pub(crate) fn respond(&mut self, message: Message) {
        self.bytes += message.size();
        self.waiting.push_back(message);
    }

    /// Adds a message that nobody asked for, if there is room.
    pub(crate) fn push(&mut self, message: Message) -> Result<(), Full> {
        if self.bytes + message.size() > self.max_bytes {
            return Err(Full);
        }
        self.respond(message);
        Ok(())
    }

    /// Takes the oldest message out, if `fits` agrees.
    pub(crate) fn pop_if(&mut self, fits: impl FnOnce(&Message) -> bool) -> Option<Message> {
        if !fits(self.waiting.front()?) {
            return None;
        }
        let message = self.waiting.pop_front()?;
        self.bytes -= message.size();
        if self.waiting.is_empty() {
            // An idle connection keeps no room for what it once had to say.
            self.waiting.shrink_to(16);
        }
        Some(message)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// What waits, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}
