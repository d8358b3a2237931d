//! One encoding of a push for many sessions.

use std::sync::Arc;

use super::{Message, Session, State, encode};
use crate::options::Options;

/// The class of the sessions whose clients know the dictionary of the options. There is no other: a
/// dictionary from before a handoff dies out with its clients.
const CURRENT: u32 = 0;

impl Session {
    /// The class of sessions for whose pushes [`Options::encode_shared`] serves. None outside of the working
    /// state, and where the client was told another dictionary than these options have.
    #[must_use]
    pub fn share_class(&self) -> Option<u32> {
        let known = self.told.dictionary.as_ref().map(Arc::as_ptr);
        let current = self.options.dictionary.as_ref().map(Arc::as_ptr);
        (self.state == State::Working && known == current).then_some(CURRENT)
    }
}

impl Options {
    /// Appends the packet for a push to `out`: what [`Session::encode`] appends for each session of this
    /// class.
    ///
    /// # Errors
    ///
    /// A sentence, for a class that no session has, for a message with an id, and where [`Session::encode`]
    /// refuses the push. `out` is as before then.
    pub fn encode_shared(&self, class: u32, message: &Message<'_>, out: &mut Vec<u8>) -> Result<(), String> {
        if class != CURRENT {
            return Err(format!("no session has the class {class}"));
        }
        // As everywhere, 0 says "no id".
        if let Some(id @ 1..) = message.id {
            return Err(format!("a response, to the request {id}, is for one session alone"));
        }
        Ok(encode(self.dictionary.as_deref(), message, out)?)
    }
}
