//! One encoding of a push for many sessions.

use std::sync::Arc;

use super::{Message, Session, State, Told, encode};
use crate::options::Options;

/// The class of the sessions whose clients know the dictionary and the schemas of the options. There is no other:
/// those from before a handoff die out with their clients.
const CURRENT: u32 = 0;

impl Session {
    /// The class of sessions for whose pushes [`Options::encode_shared`] serves. None outside of the working
    /// state, and where the client was told another dictionary, or other schemas, than these options have.
    #[must_use]
    pub fn share_class(&self) -> Option<u32> {
        let Told { dictionary, protos, .. } = &self.told;
        let known = (dictionary.as_ref().map(Arc::as_ptr), protos.as_ref().map(Arc::as_ptr));
        let Options { dictionary, protos, .. } = &*self.options;
        let current = (dictionary.as_ref().map(Arc::as_ptr), protos.as_ref().map(Arc::as_ptr));
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
        Ok(encode(self.dictionary.as_deref(), self.protos.as_deref(), message, out)?)
    }
}
