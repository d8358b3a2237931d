//! A session that goes on in another sandbox, is mirrored by a candidate, or shares encodings.

use super::{Machine, batch_of};
use crate::codec::shadow::{Shadow, ShadowedSession};
use crate::codec::{Codec, CodecError, CodecSession, Reason};
use crate::session::CloseReason;
use wireplug_core::codec::driver::CallError;

impl Machine {
    /// Whether another codec can go on with the session: it is at work.
    pub(crate) fn is_movable(&self) -> bool {
        self.closed().is_none() && self.driver.is_working()
    }

    /// Returns what the codec knows of the session, so that another codec can go on with it, or
    /// mirror it.
    ///
    /// # Errors
    /// Returns an error if the session cannot be carried over. Unless the codec merely refused, the
    /// session is over.
    pub(crate) fn save(&mut self) -> Result<Vec<u8>, CodecError> {
        self.driver.save().map_err(|error| match error {
            CallError::NotAllowed(why) => CodecError::Refused(Reason::new(why.to_string())),
            CallError::Failed(error) => {
                if !self.driver.is_working() {
                    self.effects.close(CloseReason::CodecFault(error.clone()));
                }
                error
            }
        })
    }

    /// Goes on with another codec, which has taken over what the one before it knew. All else stays
    /// as it is: what was read, what waits, the codec's timer.
    pub(crate) fn replace_codec(
        &mut self,
        codec: &dyn Codec,
        codec_session: Box<dyn CodecSession>,
        now_ms: u64,
    ) {
        self.effects.set_secrets(codec.secrets());
        self.batch = batch_of(codec);
        let session = ShadowedSession::new(codec_session);
        let replaced = self.driver.replace(codec, session, now_ms, |_, event| self.effects.take(event));
        self.settle(replaced);
    }

    /// Whether the codec is nearly out of memory, and the session could go on in a new sandbox.
    /// Says so once.
    pub(crate) fn wants_renewal(&mut self) -> bool {
        self.closed().is_none() && self.driver.wants_renewal()
    }

    /// Goes on with the same codec, which has taken over what it knew in a new sandbox. Its shadow
    /// goes on too.
    pub(crate) fn renew(&mut self, codec_session: Box<dyn CodecSession>) {
        self.driver.session_mut().renew(codec_session);
    }

    /// Has a candidate mirror the session, or none.
    pub(crate) fn set_shadow(&mut self, shadow: Option<Shadow>) {
        self.driver.session_mut().set_shadow(shadow);
    }

    /// Returns the class of sessions with which this one shares encodings.
    pub(crate) fn share_class(&mut self) -> Option<u32> {
        let class = self.driver.share_class();
        self.settle(class).flatten()
    }
}
