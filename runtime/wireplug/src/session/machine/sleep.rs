//! The methods that let a session sleep without a sandbox, and wake it.
//!
//! While a session sleeps, the machine takes input and cuts packets, but calls no codec. The caller
//! wakes the session before a call of the codec, or leaves the work waiting.

use std::sync::Arc;

use super::{Input, Machine};
use crate::codec::{CodecError, CodecSession, CpuTime, Encoded, Events, Instant, Messages, SavedStates};
use crate::session::broadcast::Shared;
use crate::session::outbox::NextMessage;
use wireplug_core::framing::Packets;

/// Stands in the place of a session whose sandbox was dropped. It takes no memory. The driver makes
/// no call.
pub(super) struct NoSession;

impl CodecSession for NoSession {
    fn decode(&mut self, _: &Arc<Packets>, _: Instant, _: &mut Events) -> Result<(), CodecError> {
        unreachable!("the session sleeps, or is over")
    }

    fn encode(&mut self, _: &Arc<Messages>, _: Instant, _: &mut Encoded) -> Result<(), CodecError> {
        unreachable!("the session sleeps, or is over")
    }
}

impl Machine {
    /// Returns whether the session sleeps.
    pub(crate) fn is_asleep(&self) -> bool {
        self.driver.is_asleep()
    }

    /// Returns whether the session may be put to sleep: its codec exports `handoff`, and nothing is
    /// under way that the codec has to finish first.
    pub(crate) fn may_sleep(&self) -> bool {
        self.closed().is_none()
            && self.driver.may_sleep()
            && !self.has_actions()
            && !self.is_in_batch()
            && !self.has_undecoded()
            && !self.has_abandoned()
    }

    /// Puts the session to sleep: saves its state as one of `states`, and drops its sandbox.
    /// Returns the size of the state in bytes, and the CPU time of the calls that was not taken
    /// yet.
    ///
    /// # Errors
    /// Returns an error if the state cannot be saved, like [`Machine::save`]. The session is then
    /// awake, or over.
    pub(crate) fn sleep(&mut self, states: &SavedStates) -> Result<(usize, CpuTime), CodecError> {
        let slept = self.driver.sleep(states);
        let size = slept.map_err(|error| self.not_saved(error))?;
        self.free();
        Ok((size, self.drop_sandbox()))
    }

    /// Drops the sandbox of a session that sleeps, or whose codec is called no more. Returns the
    /// CPU time of the calls that was not taken yet.
    pub(crate) fn drop_sandbox(&mut self) -> CpuTime {
        let session = self.driver.session_mut();
        let spent = session.take_cpu_time(false);
        session.renew(Box::new(NoSession));
        spent
    }

    /// Returns the saved state of a session that sleeps.
    pub(crate) fn saved(&self) -> Option<Vec<u8>> {
        self.driver.saved()
    }

    /// Wakes the session with `codec_session`, which the same codec restored from the saved state.
    pub(crate) fn wake(&mut self, codec_session: Box<dyn CodecSession>) {
        self.driver.session_mut().renew(codec_session);
        self.driver.wake();
    }

    /// Returns whether the codec was called since the last call of this method.
    pub(crate) fn take_called(&mut self) -> bool {
        self.driver.take_called()
    }

    /// Returns whether [`Machine::decode`] would call the codec.
    pub(crate) fn has_undecoded(&self) -> bool {
        self.driver.is_working()
            && !self.driver.hello_is_open()
            && !self.driver.tls_begins()
            && match &self.input {
                Input::Packets(undecoded) => undecoded.has_packets(),
                Input::Stream(stream) => stream.next_call().is_some(),
            }
    }

    /// Puts pushes to many from the front of the outbox into the output, as long as the session's
    /// class shares an encoding of them, which needs no sandbox of this session. Stops when
    /// `high_water` bytes wait to be written, or when `goes_on` returns false. Returns whether the
    /// next message needs the codec.
    pub(crate) fn encode_shared(&mut self, high_water: usize, goes_on: impl Fn() -> bool) -> bool {
        while self.can_encode() && self.effects.output.len() < high_water && goes_on() {
            let (push, class) = match self.effects.outbox.next_message() {
                NextMessage::None => return false,
                NextMessage::Own => return true,
                NextMessage::OfClass(push, class) => (push, class),
            };
            let packets = match push.try_encoded(class) {
                Some(Shared::Packets(packets)) => packets,
                // The codec refused or failed to encode it for all, so each session encodes it.
                Some(Shared::Apart) => return true,
                // Another connection is encoding it at this moment.
                None => return false,
            };
            if self.effects.outbox.take_push(&push) && !self.drops_push(&push.message) {
                self.put_packets(&packets);
                self.report_shared(&push.message.route, &packets);
            }
        }
        false
    }
}
