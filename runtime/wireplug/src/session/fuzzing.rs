//! A session for the fuzz targets, driven as a connection drives it, but without a socket, a clock
//! or an application.
//!
//! In place of an application, the session answers each request with the body of the request, and
//! each hello with status 200.

use super::{Action, Machine, Message, Outbox, Output, Wire};
use crate::codec::shadow::{Comparison, Shadow, ShadowedSession};
use crate::codec::{Codec, CodecError, CodecSession, Peer};
use crate::config::Overflow;

/// The most actions that are carried out after one input. Without a limit, a codec that gives a
/// hello at each answer to a hello would never end.
const ACTIONS: usize = 64;

/// The room of the outbox, in bytes.
const WAITING: usize = 64 << 10;

/// A session with its outbox.
pub struct FuzzedSession {
    machine: Machine,
    outbox: Outbox,
}

impl FuzzedSession {
    /// Begins a session of `codec`, which has opened `opened`.
    ///
    /// # Panics
    /// Panics if the description has no layout at all, which is refused when a codec is loaded.
    pub fn new(codec: &dyn Codec, opened: Box<dyn CodecSession>, max_packet: usize) -> Self {
        let description = codec.description();
        let text = description.text;
        let (layout, output) = match description.stream_layout() {
            Some(layout) => (layout, Output::stream()),
            None => {
                let layout = description.message_layout().expect("a codec has one of the two layouts");
                (layout, Output::messages(text))
            }
        };
        let outbox = Outbox::new(WAITING, Overflow::DropNewest);
        let wire = Wire::new(layout, text, max_packet, output);
        let machine = Machine::new(codec, ShadowedSession::new(opened), wire, outbox.clone(), 0);
        let mut session = Self { machine, outbox };
        session.settle(0);
        session
    }

    /// Receives bytes from the client.
    pub fn receive(&mut self, mut bytes: &[u8], now_ms: u64) {
        while !bytes.is_empty() {
            self.machine.receive(&mut bytes, now_ms);
            self.decode(now_ms);
        }
        self.settle(now_ms);
    }

    /// Decodes all packets that were received. If the codec is called for each packet, this takes
    /// several calls of the machine.
    fn decode(&mut self, now_ms: u64) {
        self.machine.decode(now_ms);
        while self.machine.is_in_batch() {
            self.machine.decode(now_ms);
        }
    }

    /// Sends a push to the client.
    pub fn push(&mut self, route: &str, body: &[u8], now_ms: u64) {
        // A full outbox drops the push.
        let _ = self.outbox.push_with(|queue| queue.push(Message::push(route, body.to_vec())));
        self.settle(now_ms);
    }

    /// Does what is due at this time.
    pub fn on_time(&mut self, now_ms: u64) {
        self.machine.on_time(now_ms);
        self.settle(now_ms);
    }

    /// Asks the codec for its last packet.
    pub fn farewell(&mut self, reason: &str, now_ms: u64) {
        self.machine.farewell(reason, now_ms);
        self.settle(now_ms);
    }

    /// Moves the session into another sandbox, as a swap does.
    ///
    /// # Errors
    /// Returns an error if the session cannot be saved or restored. The session then stays in its
    /// old sandbox, unless that has failed.
    pub fn hand_over(&mut self, to: &dyn Codec, peer: Peer, now_ms: u64) -> Result<(), CodecError> {
        if self.machine.is_movable() {
            let state = self.machine.save()?;
            let restored = to.restore(peer, &state, now_ms)?;
            self.machine.replace_codec(to, restored, now_ms);
            self.settle(now_ms);
        }
        Ok(())
    }

    /// Lets a candidate's session mirror this one.
    pub fn shadow_with(&mut self, candidate: Box<dyn CodecSession>) {
        let shadow = Shadow::new(candidate, Comparison::default().into(), Box::new(|_| {}));
        self.machine.set_shadow(Some(shadow));
    }

    /// Whether the session is over.
    pub fn is_over(&self) -> bool {
        self.machine.closed().is_some()
    }

    /// Returns the fault of the codec, if it has failed.
    pub fn fault(&self) -> Option<&CodecError> {
        self.machine.fault()
    }

    /// Carries out the actions, encodes the messages that wait, and discards the output.
    fn settle(&mut self, now_ms: u64) {
        for _ in 0..ACTIONS {
            match self.machine.next_action() {
                None => break,
                Some(Action::Hello(_)) => self.machine.answer(200, b"", now_ms),
                Some(Action::Established) => {
                    self.machine.share_class();
                }
                Some(Action::Message { id: None, .. }) => {}
                Some(Action::Message { id, route, body }) => {
                    self.outbox.respond(Message { id, route, body, status: 200 });
                }
            }
        }
        while self.machine.next_action().is_some() {}
        self.machine.encode_waiting(usize::MAX, now_ms, || true);
        match self.machine.output() {
            Output::Stream(output) => {
                let length = output.front().len();
                output.advance(length);
            }
            Output::Messages(output) => while output.pop().is_some() {},
        }
    }
}
