//! A session for the fuzz targets, driven as a connection drives it, but without a socket, a clock
//! or an application.
//!
//! In place of an application, the session answers each request with the body of the request, and
//! each hello with status 200.

use super::{Action, Machine, Message, Outbox, OutboxLimits, Output, Wire};
use crate::codec::shadow::{Comparison, Shadow, ShadowedSession};
use crate::codec::{Carrier, Cause, Codec, CodecError, CodecSession, Instant, Peer};
use crate::config::ClientLimits;

/// The most actions that are carried out after one input.
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
        let (carrier, layout, output) = match codec.layout(Carrier::Bytes) {
            Some(layout) => (Carrier::Bytes, layout, Output::stream()),
            None => {
                let layout = codec.layout(Carrier::Messages).expect("a codec has one of the two layouts");
                (Carrier::Messages, layout, Output::messages())
            }
        };
        let outbox = Outbox::new(OutboxLimits { max_bytes: WAITING, ..(&ClientLimits::default()).into() });
        let wire = Wire {
            layout,
            payload: description.payload_on(carrier),
            max_packet,
            may_start_tls: false,
            output,
        };
        let now = Instant::for_test(0);
        let machine = Machine::new(codec, ShadowedSession::new(opened), wire, outbox.clone(), 0, now, None);
        let mut session = Self { machine, outbox };
        session.settle(now);
        session
    }

    /// Receives bytes from the client.
    pub fn receive(&mut self, mut bytes: &[u8], now: Instant) {
        while !bytes.is_empty() {
            self.machine.receive(&mut bytes, true, now);
            self.decode(now);
        }
        self.settle(now);
    }

    /// Decodes all packets that were received. If the codec is called for each packet, this takes
    /// several calls of the machine. Each hello is answered before the packets behind it.
    fn decode(&mut self, now: Instant) {
        self.machine.decode(now);
        while self.machine.is_in_batch() || self.machine.hello_is_open() {
            if self.machine.hello_is_open() {
                self.machine.answer(200, b"", now);
            }
            self.machine.decode(now);
        }
    }

    /// Sends a push to the client.
    pub fn push(&mut self, route: &str, body: &[u8], now: Instant) {
        // A full outbox drops the push.
        let _ = self.outbox.push_with(None, |queue| queue.push(Message::push(route, body.to_vec())));
        self.settle(now);
    }

    /// Does what is due at this time.
    pub fn on_time(&mut self, now: Instant) {
        self.machine.on_time(now);
        self.settle(now);
    }

    /// Lets the codec say farewell.
    pub fn farewell(&mut self, cause: Cause, reason: &str, now: Instant) {
        self.machine.farewell(cause, reason, now);
        self.settle(now);
    }

    /// Moves the session into another sandbox, as a swap does.
    ///
    /// # Errors
    /// Returns an error if the session cannot be saved or restored. The session then stays in its
    /// old sandbox, unless that has failed.
    pub fn hand_over(&mut self, to: &dyn Codec, peer: Peer, now: Instant) -> Result<(), CodecError> {
        if self.machine.is_movable() {
            let state = self.machine.save()?;
            let restored = to.restore(peer, &state, now)?;
            self.machine.replace_codec(to, restored, now);
            self.settle(now);
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
    fn settle(&mut self, now: Instant) {
        for _ in 0..ACTIONS {
            match self.machine.next_action() {
                None => break,
                // Each hello is answered where it is decoded.
                Some(Action::Hello(_)) => {}
                Some(Action::Established) => {
                    self.machine.broadcast_class();
                }
                // No transport is there.
                Some(Action::StartTls) => {}
                Some(Action::Message { id: None, .. }) => {}
                Some(Action::Message { id: Some(id), route, body }) => {
                    self.outbox.respond(Message::response(id, route, 200, body));
                }
            }
        }
        while self.machine.next_action().is_some() {}
        self.machine.encode_waiting(usize::MAX, now, || true);
        match self.machine.output() {
            Output::Stream(output) => {
                let length = output.front().len();
                output.advance(length);
            }
            Output::Messages(output) => while output.pop().is_some() {},
        }
    }
}
