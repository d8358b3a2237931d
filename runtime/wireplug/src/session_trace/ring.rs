//! The last packets of a session, as test vectors.
//!
//! A ring has two parts. Each begins with the opening of the session or with a state that its codec
//! has saved, so it can be replayed. When the second part is full, it takes the place of the first,
//! and a new one begins. So after a fault, at least `keep-packets` packets are there, and at most
//! twice as many. A codec that exports no `handoff` saves no state: its ring has the first packets
//! of the session, and is given up when it is full.

use std::sync::Arc;

use crate::codec::{Codec, CodecError, Secrets};
use wireplug_core::codec::{Instant, Peer};
use wireplug_core::vectors::{Recorder, Start};

/// The last packets of a session.
pub(crate) struct Ring {
    /// The line with the options, which stands above all.
    options: String,
    previous: String,
    pub(super) recorder: Recorder,
    keep_packets: usize,
    /// The largest size of each part, in bytes.
    part: usize,
    /// The codec to whose memory the ring is charged, and the size that is charged.
    codec: Arc<dyn Codec>,
    charged: usize,
    is_given_up: bool,
}

impl Ring {
    /// Begins with the opening of a session. The ring takes at most `keep_bytes`.
    pub(crate) fn new(
        codec: Arc<dyn Codec>,
        (keep_packets, keep_bytes): (usize, usize),
        options: &str,
        peer: &Peer,
        now: Instant,
    ) -> Self {
        let recorder = Recorder::new("{}", peer, Start::Opening, now, codec.secrets());
        let options = if options == "{}" { String::new() } else { format!("options {options}\n") };
        let part = keep_bytes / 2;
        let (previous, charged) = (String::new(), 0);
        Self { options, previous, recorder, keep_packets, part, codec, charged, is_given_up: false }
    }

    /// Returns whether the current part is full, so that the next one is to begin.
    pub(super) fn is_full(&self) -> bool {
        let len = self.recorder.text().len();
        !self.is_given_up
            && !self.recorder.is_over()
            && (self.recorder.steps() >= self.keep_packets || len > self.part)
    }

    /// Begins the next part with a state that `codec` has saved.
    pub(super) fn turn(&mut self, codec: Arc<dyn Codec>, peer: &Peer, start: Start<'_>, now: Instant) {
        let secrets: Secrets = codec.secrets();
        let next = Recorder::new("{}", peer, start, now, secrets);
        if next.text().len() > self.part {
            return self.give_up();
        }
        self.previous = std::mem::replace(&mut self.recorder, next).take();
        if self.previous.len() > self.part {
            // One packet was larger than the whole part.
            self.previous = String::new();
        }
        self.charge(0);
        self.codec = codec;
    }

    /// Keeps nothing any more.
    pub(super) fn give_up(&mut self) {
        self.recorder.take();
        (self.previous, self.is_given_up) = (String::new(), true);
        self.charge(0);
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.is_given_up
    }

    /// Charges the memory of the ring to its codec.
    pub(super) fn settle(&mut self) {
        if !self.is_given_up {
            self.charge(self.options.len() + self.previous.len() + self.recorder.text().len());
        } else {
            self.recorder.take();
        }
    }

    fn charge(&mut self, bytes: usize) {
        if bytes != self.charged {
            self.codec.release_state(self.charged);
            self.codec.charge_state(bytes);
            self.charged = bytes;
        }
    }

    /// Records that the codec did not open the session.
    pub(crate) fn not_opened(&mut self, error: &CodecError) {
        self.recorder.not_opened(error);
    }

    /// Returns the last packets as test vectors.
    ///
    /// # Errors
    /// Returns why there are none.
    pub(crate) fn vectors(&self) -> Result<String, String> {
        if self.is_given_up {
            return Err("the session is longer than `limits.keep-packets` or `limits.keep-bytes` of its codec, and the \
                        codec does not save its state (`handoff`), or not in this room"
                .to_owned());
        }
        Ok([&*self.options, &*self.previous, self.recorder.text()].concat())
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        self.charge(0);
    }
}
