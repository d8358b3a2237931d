//! The part of a stream that the codec has not cut into packets yet.

use std::sync::Arc;

use wireplug_base::reused::Reused;
use wireplug_core::codec::Next;
use wireplug_core::codec::driver::{Cut, StreamRules};
use wireplug_core::framing::SplitError;

/// The capacity that a short rest of the stream keeps, in bytes.
const KEPT: usize = 8 << 10;

/// The bytes of a stream that the codec cuts itself. They begin at the start of a packet.
pub(super) struct Stream {
    /// The buffer is shared with the sandbox during a call.
    bytes: Reused<Arc<Vec<u8>>>,
    /// The number of bytes from which on the codec is called.
    need: usize,
    /// Whether whole packets may be left after a call.
    is_in_the_middle: bool,
    /// Whether each message of the transport holds whole packets.
    whole_messages: bool,
    /// Whether the bytes end with a message of the transport.
    ends_message: bool,
    /// How many of the bytes were passed to the codec before.
    passed: usize,
    pub(super) rules: StreamRules,
    /// The largest number of bytes of one call.
    max_batch: usize,
    /// The client's error behind the packets.
    broken: Option<SplitError>,
}

impl Stream {
    pub(super) fn new(rules: StreamRules, whole_messages: bool, max_batch: usize) -> Self {
        Self {
            bytes: Reused::new(),
            need: 1,
            is_in_the_middle: false,
            whole_messages,
            ends_message: true,
            passed: 0,
            rules,
            max_batch,
            broken: None,
        }
    }

    /// Returns the bytes, with how many of them the codec is to be called again, and how many it
    /// has got already.
    pub(super) fn rest(&self) -> (&[u8], usize, usize) {
        (self.bytes.get().map_or(&[], |bytes| bytes), self.need, self.passed)
    }

    /// Continues with the bytes of another process.
    pub(super) fn resume(&mut self, bytes: Vec<u8>, need: usize, passed: usize) {
        if !bytes.is_empty() {
            *self.bytes.get_mut() = Arc::new(bytes);
        }
        (self.need, self.passed) = (need, passed);
    }

    /// Lets another codec go on with the bytes, with this largest packet and largest batch.
    pub(super) fn replace(&mut self, max_packet: usize, max_batch: usize) {
        (self.rules.max_packet, self.max_batch) = (max_packet, max_batch);
        self.need = 1;
    }

    /// Moves bytes from the front of `input` to the end of the stream, as far as one batch has
    /// room. Returns false if they are to be decoded at once.
    pub(super) fn take(&mut self, input: &mut &[u8]) -> bool {
        if self.whole_messages && input.is_empty() {
            self.broken = Some(SplitError::EmptyMessage);
            return false;
        }
        if self.whole_messages && self.bytes.is_empty() {
            // What the codec needed at the end of the message before says nothing about this one.
            self.need = 1;
        }
        let room = self.max_batch.saturating_sub(self.len());
        let (now, later) = input.split_at(room.min(input.len()));
        if !now.is_empty() {
            Arc::make_mut(self.bytes.get_mut()).extend_from_slice(now);
        }
        *input = later;
        self.ends_message = later.is_empty();
        // A message of whole packets is decoded before the next one comes.
        !self.whole_messages && self.len() < self.max_batch
    }

    /// Returns the bytes of the next call and how many of them were passed before, or `None` if the
    /// codec waits for more.
    pub(super) fn next_call(&self) -> Option<(&Arc<Vec<u8>>, usize)> {
        let bytes = self.bytes.get()?;
        (bytes.len() >= self.need && self.broken.is_none()).then_some((bytes, self.passed))
    }

    /// Removes the packets that were cut.
    pub(super) fn advance(&mut self, cut: &Cut) {
        let bytes = Arc::make_mut(self.bytes.get_mut());
        bytes.drain(..cut.consumed);
        let rest = bytes.len();
        if rest == 0 {
            self.bytes.release();
        } else if rest <= KEPT && bytes.capacity() > 2 * KEPT {
            bytes.shrink_to(KEPT);
        }
        // Bytes behind a full batch were passed, but the client did not cause another call for
        // them.
        self.passed = 0;
        self.need = match &cut.next {
            Ok(Next::Full | Next::StartTls) => 1,
            Ok(Next::Need(need)) => {
                self.passed = rest;
                *need as usize
            }
            Err(error) => {
                self.broken = Some(error.clone());
                usize::MAX
            }
        };
        self.is_in_the_middle = rest >= self.need;
        if self.whole_messages && self.ends_message && !self.is_in_the_middle && rest > 0 {
            self.broken.get_or_insert(SplitError::PartialMessage);
        }
    }

    /// Forgets the bytes of a call that failed.
    pub(super) fn discard(&mut self) {
        self.bytes.release();
        (self.need, self.is_in_the_middle) = (1, false);
    }

    /// Takes out the bytes that no longer belong to the codec, because TLS begins with them.
    pub(super) fn take_rest(&mut self) -> Vec<u8> {
        (self.passed, self.is_in_the_middle) = (0, false);
        let rest = self.bytes.get().map_or_else(Vec::new, |bytes| bytes.to_vec());
        self.bytes.release();
        rest
    }

    fn len(&self) -> usize {
        self.bytes.get().map_or(0, |bytes| bytes.len())
    }

    /// Whether the beginning of a packet waits for the rest.
    pub(super) fn is_partial(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// Whether whole packets may be left after a call.
    pub(super) fn is_in_the_middle(&self) -> bool {
        self.is_in_the_middle
    }

    /// Takes out the client's error, if there is one.
    pub(super) fn take_broken(&mut self) -> Option<SplitError> {
        self.broken.take()
    }
}
