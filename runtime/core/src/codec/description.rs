//! A codec's description of itself.

use crate::framing::{Framing, Layout, MessageUnit};

/// What a codec is: its name, and the properties that the runtime needs for framing and routing. It
/// is `description` in `wit/codec.wit`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The name of the protocol, as log lines and metrics show it.
    pub name: String,
    /// The codec's own version.
    pub version: String,
    /// How packets are cut from a stream. If `None`, stream transports are refused.
    pub framing: Option<Framing>,
    /// What one message of a message transport holds. If `None`, message transports are refused.
    pub message: Option<MessageUnit>,
    /// Whether packets are text.
    pub text: bool,
    /// Whether bodies are JSON.
    pub json: bool,
    /// Whether messages and pushes must wait for the `established` event. If false, a session is
    /// established when it opens.
    pub handshake: bool,
    /// Whether a batch of messages may become fewer packets.
    pub merges: bool,
}

impl Description {
    /// Returns the layout of packets in a stream, or `None` if stream transports are refused.
    pub fn stream_layout(&self) -> Option<Layout> {
        self.framing.clone().map(Layout::Stream)
    }

    /// Returns the layout of packets in the messages of a message transport, or `None` if message
    /// transports are refused.
    pub fn message_layout(&self) -> Option<Layout> {
        match self.message? {
            MessageUnit::One => Some(Layout::One),
            MessageUnit::Framed => self.framing.clone().map(Layout::Framed),
            MessageUnit::Bytes => self.framing.clone().map(Layout::Bytes),
        }
    }
}

/// The optional abilities of a codec. Each is an interface of `wit/codec.wit`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Abilities {
    /// Decodes or encodes many packets or messages in one call.
    pub batch: bool,
    /// Passes a client's hello to the application, which answers it.
    pub handshake: bool,
    /// Has a timer, for heartbeats and time-outs.
    pub clock: bool,
    /// Makes a last packet when the runtime ends the connection.
    pub farewell: bool,
    /// Encodes a push once for all sessions of a class.
    pub broadcast: bool,
    /// Moves live sessions to another version.
    pub handoff: bool,
}

impl Abilities {
    /// Returns the names of the interfaces of these abilities, as in `wit/codec.wit`.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        let Abilities { batch, handshake, clock, farewell, broadcast, handoff } = *self;
        [
            ("batch", batch),
            ("handshake", handshake),
            ("clock", clock),
            ("farewell", farewell),
            ("broadcast", broadcast),
            ("handoff", handoff),
        ]
        .into_iter()
        .filter_map(|(name, has)| has.then_some(name))
    }
}

/// The connection as a codec sees it when its session opens.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The name of the listener's transport, such as `tcp` or `ws`.
    pub transport: String,
    /// The client's address as `ip:port` or `[v6]:port`. Empty if the transport has no addresses.
    pub address: String,
    /// Random bytes from the operating system, new for each session. They are the codec's only
    /// source of randomness.
    pub entropy: [u8; 32],
    /// What else the transport knows about the connection, as pairs of name and value.
    pub attributes: Vec<(String, String)>,
}

/// When a push to many is encoded once for a class of sessions, instead of once by each session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sharing {
    /// The smallest number of receivers for which the push of a class is shared.
    pub min_receivers: usize,
    /// The largest number of classes of one push that are shared.
    pub max_classes: usize,
}

impl Default for Sharing {
    /// Returns the values for a codec whose `encode_shared` is a plain function: shares from two
    /// receivers on.
    fn default() -> Self {
        Self { min_receivers: 2, max_classes: 16 }
    }
}
