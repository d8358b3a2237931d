//! The methods that move a session to another codec or sandbox, mirror it on a candidate, and
//! return its broadcast class.

use super::{Input, Machine, batch_of};
use crate::codec::shadow::{Shadow, ShadowedSession};
use crate::codec::{Codec, CodecError, CodecSession, Instant, Reason};
use crate::session::CloseReason;
use wireplug_core::codec::batch_bytes;
use wireplug_core::codec::driver::CallError;

impl Machine {
    /// Whether the session can move to another codec: it has not ended, and its codec works.
    pub(crate) fn is_movable(&self) -> bool {
        self.closed().is_none() && self.driver.is_working()
    }

    /// Returns the codec's state of the session. Another codec can restore it, to continue the
    /// session or to mirror it.
    ///
    /// # Errors
    /// Returns an error if the state cannot be saved. The session is then over, unless the codec
    /// merely refused.
    pub(crate) fn save(&mut self) -> Result<Vec<u8>, CodecError> {
        let saved = self.driver.save();
        saved.map_err(|error| self.not_saved(error))
    }

    /// Returns why the state was not saved. Ends the session if the codec did not merely refuse.
    pub(super) fn not_saved(&mut self, error: CallError) -> CodecError {
        match error {
            CallError::NotAllowed(why) => CodecError::Refused(Reason::new(why.to_string())),
            CallError::Failed(error) => {
                if !self.driver.is_working() {
                    self.effects.close(CloseReason::CodecFault(error.clone()));
                }
                error
            }
        }
    }

    /// Continues the session with another codec, which restored `codec_session` from the saved
    /// state. All else stays as it is: bytes that were read, messages that wait, and the codec's
    /// timer.
    pub(crate) fn replace_codec(
        &mut self,
        codec: &dyn Codec,
        codec_session: Box<dyn CodecSession>,
        now: Instant,
    ) {
        self.effects.set_secrets(codec.secrets());
        self.batch = batch_of(codec);
        self.max_packet = codec.description().max_packet(self.listener_max_packet);
        match &mut self.input {
            Input::Packets(undecoded) => undecoded.set_max_packet(self.max_packet),
            Input::Stream(stream) => stream.replace(self.max_packet, batch_bytes(self.max_packet)),
        }
        self.effects.outbox.set_max_sent_requests(codec.description().client_requests);
        self.effects.joiner.set_max_packet(self.max_packet);
        let session = ShadowedSession::new(codec_session);
        let replaced = self.driver.replace(codec, session, now, |_, event| self.effects.take(event));
        self.settle(replaced);
    }

    /// Whether the sandbox is nearly out of memory, and the session could move to a new one.
    /// Returns true at most once for each sandbox.
    pub(crate) fn wants_renewal(&mut self) -> bool {
        self.closed().is_none() && self.driver.wants_renewal()
    }

    /// Continues the session with the same codec, which restored `codec_session` in a new sandbox.
    /// A shadow of the session stays.
    pub(crate) fn renew(&mut self, codec_session: Box<dyn CodecSession>) {
        self.driver.session_mut().renew(codec_session);
    }

    /// Sets the shadow that mirrors the session, or removes it.
    pub(crate) fn set_shadow(&mut self, shadow: Option<Shadow>) {
        self.driver.session_mut().set_shadow(shadow);
    }

    /// Returns the class of sessions with which this one shares encodings.
    pub(crate) fn broadcast_class(&mut self) -> Option<u32> {
        let class = self.driver.broadcast_class();
        self.settle(class).flatten()
    }
}
