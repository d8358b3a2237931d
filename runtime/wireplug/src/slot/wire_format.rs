//! What a live client would notice of another codec.

use serde::{Deserialize, Serialize};

use crate::codec::{Abilities, Description};

/// The traits of a codec that must not change under a live session. It may be of another process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WireFormat {
    handoff: bool,
    // These are only compared, so their text is enough.
    framing: String,
    messages: String,
    payload: String,
    framer: bool,
    handshake: bool,
    coalesces: bool,
    client_requests: bool,
    /// Whether the application answers hellos.
    answers: bool,
    /// Whether the codec has a clock.
    pub(crate) clock: bool,
}

impl WireFormat {
    pub(super) fn of(description: &Description, abilities: Abilities) -> Self {
        Self {
            handoff: abilities.handoff,
            framing: format!("{:?}", description.framing),
            messages: format!("{:?}", description.messages),
            payload: format!("{:?}", description.payload),
            framer: abilities.framer,
            handshake: description.handshake,
            coalesces: description.coalesces,
            client_requests: description.client_requests > 0,
            answers: abilities.handshake,
            clock: abilities.clock,
        }
    }

    /// Returns whether a live session of another codec can go on with this one.
    ///
    /// # Errors
    /// Returns why not.
    pub(crate) fn takes_over_from(&self, other: &Self) -> Result<(), String> {
        if let Some((which, _)) =
            [("at work", other), ("new", self)].iter().find(|(_, format)| !format.handoff)
        {
            return Err(format!("the {which} codec does not export `handoff`"));
        }
        let traits = [
            ("the framing", other.framing == self.framing && other.framer == self.framer),
            ("the framing of messages", other.messages == self.messages),
            ("text or binary", other.payload == self.payload),
            ("a handshake or not", other.handshake == self.handshake),
            ("coalescing or not", other.coalesces == self.coalesces),
            ("requests to the client", self.client_requests || !other.client_requests),
            ("the application's word on a hello", self.answers || !other.answers),
        ];
        match traits.iter().find(|(_, same)| !same) {
            Some((what, _)) => {
                Err(format!("{what} differs between them, which a live client would not survive"))
            }
            None => Ok(()),
        }
    }
}
