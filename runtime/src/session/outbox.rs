//! The outbox: messages that wait for one client, not encoded yet, in the order of the calls.

use std::collections::VecDeque;

use super::Message;
use crate::config::Overflow;

/// What waits for one client.
#[derive(Debug)]
pub(crate) struct Outbox {
    waiting: VecDeque<Message>,
    bytes: usize,
    max_bytes: usize,
    overflow: Overflow,
    /// Pushes that were dropped and not counted yet.
    overflowed: u64,
}

/// A push did not fit: the client does not read as fast as the application pushes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the outbox is full")]
pub(crate) struct Full {
    /// The policy ends the connection.
    pub(crate) closes: bool,
}

impl Outbox {
    pub(crate) fn new(max_bytes: usize, overflow: Overflow) -> Self {
        Self { waiting: VecDeque::new(), bytes: 0, max_bytes, overflow, overflowed: 0 }
    }

    /// Adds a response. It always fits: the connection stops reading requests when the outbox is high.
    pub(crate) fn respond(&mut self, message: Message) {
        self.bytes += message.size();
        self.waiting.push_back(message);
    }

    /// Adds a message that nobody asked for, if there is room or the policy makes room. Only pushes make
    /// room: responses and what is encoded already stay.
    pub(crate) fn push(&mut self, message: Message) -> Result<(), Full> {
        if message.size() > self.max_bytes {
            // No room that can be made is enough.
            self.overflowed += 1;
            return Err(Full { closes: self.overflow == Overflow::Close });
        }
        while self.bytes + message.size() > self.max_bytes {
            self.overflowed += 1;
            let oldest = match self.overflow {
                // One that would not fit into an empty outbox costs nobody else's place.
                _ if message.size() > self.max_bytes => None,
                Overflow::DropOldest => self.waiting.iter().position(|waiting| waiting.id.is_none()),
                Overflow::DropNewest | Overflow::Close => None,
            };
            let Some(dropped) = oldest.and_then(|oldest| self.waiting.remove(oldest)) else {
                return Err(Full { closes: self.overflow == Overflow::Close });
            };
            self.bytes -= dropped.size();
        }
        self.respond(message);
        Ok(())
    }

    /// The pushes that were dropped since the last call.
    pub(crate) fn take_overflowed(&mut self) -> u64 {
        std::mem::take(&mut self.overflowed)
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

    /// How many messages wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// What waits, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}
