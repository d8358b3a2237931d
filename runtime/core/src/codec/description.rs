//! What a codec says of itself.

use crate::framing::{Framing, Layout, MessageUnit};

/// What a codec is: its name, and what the runtime must know to frame and route for it.
/// `description` in `wit/codec.wit`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The protocol's name, as logs and counts show it.
    pub name: String,
    /// The codec's own version.
    pub version: String,
    /// How packets are cut from a stream; none: stream transports are refused.
    pub framing: Option<Framing>,
    /// What a message of a message transport holds; none: such transports are refused.
    pub message: Option<MessageUnit>,
    /// Packets are text.
    pub text: bool,
    /// Bodies are JSON.
    pub json: bool,
    /// No message comes and no push goes before the `established` event. False: a session is
    /// established when it opens.
    pub handshake: bool,
    /// A batch of messages may become fewer packets.
    pub merges: bool,
}

impl Description {
    /// How packets lie in a stream; none: stream transports are refused.
    pub fn stream_layout(&self) -> Option<Layout> {
        self.framing.clone().map(Layout::Stream)
    }

    /// How packets lie in the messages of a message transport; none: such transports are refused.
    pub fn message_layout(&self) -> Option<Layout> {
        match self.message? {
            MessageUnit::One => Some(Layout::One),
            MessageUnit::Framed => self.framing.clone().map(Layout::Framed),
            MessageUnit::Bytes => self.framing.clone().map(Layout::Bytes),
        }
    }
}

/// The optional abilities of a codec, each an interface of `wit/codec.wit`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Abilities {
    /// Many packets or messages in one call.
    pub batch: bool,
    /// The application answers a client's hello.
    pub handshake: bool,
    /// Heartbeats and time-outs.
    pub clock: bool,
    /// A last packet when the runtime ends the connection.
    pub farewell: bool,
    /// One encoding for all sessions of a class.
    pub broadcast: bool,
    /// Live sessions are carried over to another version.
    pub handoff: bool,
}

impl Abilities {
    /// The interfaces by which a codec has them, as `wit/codec.wit` names them.
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
    /// The listener's transport: `tcp`, `ws`.
    pub transport: String,
    /// `ip:port`, `[v6]:port`, or empty where the transport has none.
    pub address: String,
    /// Fresh from the operating system: the codec's only source of randomness.
    pub entropy: [u8; 32],
    /// What the transport knows besides, as names and values.
    pub attributes: Vec<(String, String)>,
}

/// When a push to many is encoded once for a class of sessions, and not by each session for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sharing {
    /// A class has so many receivers at the least.
    pub min_receivers: usize,
    /// So many classes of one push are shared at the most.
    pub max_classes: usize,
}

impl Default for Sharing {
    /// For codecs whose `encode_shared` is a plain function: from the second receiver on.
    fn default() -> Self {
        Self { min_receivers: 2, max_classes: 16 }
    }
}
