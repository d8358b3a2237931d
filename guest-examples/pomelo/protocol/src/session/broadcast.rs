//! One encoding of a push for all sessions of a class.

use std::sync::Arc;

use super::{Message, Negotiated, Role, Session, State, encode};
use crate::options::Options;

/// The class of the sessions whose clients have the dialect, the dictionary and the schemas of the
/// options. It is the only class: sessions with others come from before a handoff, and end with
/// their clients.
const CURRENT: u32 = 0;

impl Session {
    /// Returns the class for [`Options::encode_shared`], or `None` if the session shares no
    /// encodings: outside of the working state, and if its client has another dialect, another
    /// dictionary or other schemas than the options.
    #[must_use]
    pub fn broadcast_class(&self) -> Option<u32> {
        let Negotiated { dialect, dictionary, protos, .. } = &self.negotiated;
        let known = (*dialect, dictionary.as_ref().map(Arc::as_ptr), protos.as_ref().map(Arc::as_ptr));
        let Options { dialect, dictionary, protos, .. } = &*self.options;
        let current = (*dialect, dictionary.as_ref().map(Arc::as_ptr), protos.as_ref().map(Arc::as_ptr));
        (self.state == State::Working && known == current).then_some(CURRENT)
    }
}

impl Options {
    /// Appends the packet for a push to `out`. The packet is the one that [`Session::encode`]
    /// appends for each session of the class.
    ///
    /// # Errors
    ///
    /// Returns an error if no session has the class, if the message is not a push, or if
    /// [`Session::encode`] rejects the push. `out` is then unchanged.
    pub fn encode_shared(&self, class: u32, message: &Message<'_>, out: &mut Vec<u8>) -> Result<(), String> {
        if class != CURRENT {
            return Err(format!("no session has the class {class}"));
        }
        if message.role != Role::Notice {
            return Err("only a push can be encoded for a class of sessions".to_owned());
        }
        Ok(encode(self.dialect, self.dictionary.as_deref(), self.protos.as_deref(), message, out)?)
    }
}
