//! A codec's description of itself.

use super::Carrier;
use crate::framing::{Framing, Layout, MessageFraming, Payload};

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
    /// What one message or datagram holds. If `None`, such transports are refused.
    pub messages: Option<MessageFraming>,
    /// Whether packets are text or binary.
    pub payload: Payload,
    /// Whether bodies are JSON.
    pub json: bool,
    /// Whether messages and pushes must wait for the `established` event. If false, a session is
    /// established when it opens.
    pub handshake: bool,
    /// How many requests of the application the client may have to answer at a time. The runtime
    /// holds back the others. 0 if the protocol has no requests to the client, and 1 for protocols
    /// whose answers have no id.
    pub client_requests: u16,
    /// Whether a batch of messages may become fewer packets than messages.
    pub coalesces: bool,
    /// The largest packet that the protocol allows, in bytes. A listener may allow less. If `None`,
    /// the listener decides.
    pub max_packet: Option<u32>,
}

impl Description {
    /// Returns the layout of packets on a carrier for a codec with these abilities, or `None` if
    /// transports with that carrier are refused.
    pub fn layout(&self, abilities: Abilities, carrier: Carrier) -> Option<Layout> {
        let by_framing = |layout: fn(Framing) -> Layout, whole_messages| {
            if abilities.framer {
                Some(Layout::Framer { whole_messages })
            } else {
                self.framing.clone().map(layout)
            }
        };
        match (carrier, self.messages) {
            (Carrier::Bytes, _) => by_framing(Layout::Stream, false),
            (_, None) => None,
            (_, Some(MessageFraming::One)) => Some(Layout::One),
            (_, Some(MessageFraming::Framed)) => by_framing(Layout::Framed, true),
            // A datagram may be lost, so that no packet may run across datagrams.
            (Carrier::Datagrams, Some(MessageFraming::Continuous)) => None,
            (Carrier::Messages, Some(MessageFraming::Continuous)) => by_framing(Layout::Continuous, false),
        }
    }

    /// Returns the payload of packets on a carrier. Only messages that carry one packet each have
    /// tags.
    pub fn payload_on(&self, carrier: Carrier) -> Payload {
        match (self.payload, carrier) {
            (Payload::Tagged, Carrier::Bytes | Carrier::Datagrams) => Payload::Binary,
            (payload, _) => payload,
        }
    }

    /// Returns the largest packet, in bytes, on a listener that allows `max_packet` bytes.
    pub fn max_packet(&self, max_packet: usize) -> usize {
        match self.max_packet {
            Some(own) => max_packet.min(own as usize),
            None => max_packet,
        }
    }
}

/// The optional abilities of a codec. Each is an interface of `wit/codec.wit`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Abilities {
    /// Decodes or encodes many packets or messages in one call.
    pub batch: bool,
    /// Cuts streams itself, and decodes their packets in the same call.
    pub framer: bool,
    /// Lets TLS begin in the middle of a stream.
    pub tls_upgrade: bool,
    /// Passes a client's hello to the application, which answers it.
    pub handshake: bool,
    /// Learns that the runtime gave up on a request to the client.
    pub requests: bool,
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
        let Abilities {
            batch,
            framer,
            tls_upgrade,
            handshake,
            requests,
            clock,
            farewell,
            broadcast,
            handoff,
        } = *self;
        [
            ("batch", batch),
            ("framer", framer),
            ("tls-upgrade", tls_upgrade),
            ("handshake", handshake),
            ("requests", requests),
            ("clock", clock),
            ("farewell", farewell),
            ("broadcast", broadcast),
            ("handoff", handoff),
        ]
        .into_iter()
        .filter_map(|(name, has)| has.then_some(name))
    }
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
