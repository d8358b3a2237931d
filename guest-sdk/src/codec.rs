//! The traits that a codec implements.

use crate::{Description, Events, Fault, Packet, Packets};

/// A wire protocol with its options.
pub trait Codec: Sized + 'static {
    /// What it knows of one client.
    type Session: Session;

    /// What this codec is. Must not depend on anything.
    fn describe() -> Description;

    /// The codec with these options, a JSON object: [`options`](crate::options) reads it. Called before anything else, and for many
    /// sessions at once, so what is made of the options here costs no session anything.
    ///
    /// # Errors
    /// For the person who wrote the options: what is wrong and what is allowed.
    fn configure(options: &str) -> Result<Self, String>;

    /// A client has connected.
    ///
    /// # Errors
    /// Refuses the client.
    fn open(&self, peer: Peer, now_ms: u64) -> Result<Self::Session, String>;
}

/// A [`Codec`] without options, all of whose sessions begin with the same state, is this instead.
pub trait Simple: Session + Default {
    /// What this codec is. Must not depend on anything.
    fn describe() -> Description;
}

impl<S: Simple> Codec for S {
    type Session = S;

    fn describe() -> Description {
        S::describe()
    }

    fn configure(options: &str) -> Result<Self, String> {
        crate::no_options(options).map(|()| S::default())
    }

    fn open(&self, _peer: Peer, _now_ms: u64) -> Result<S, String> {
        Ok(S::default())
    }
}

/// The protocol's state of one client connection.
pub trait Session: 'static {
    /// What a packet means: any number of events, in order. The packet is whole, and no longer than the listener's maximum.
    ///
    /// # Errors
    /// [`Fault::Rejected`] drops the packet, [`Fault::Fatal`] ends the connection. Either way the events that were put before stay
    /// out: a packet counts whole or not at all.
    fn decode(&mut self, packet: &[u8], now_ms: u64, events: &mut Events) -> Result<(), Fault>;

    /// Writes the packet for a message, framing left out.
    ///
    /// # Errors
    /// [`Fault::Rejected`] drops the message; a response is then asked for once more, with status 500 and an empty body.
    /// [`Fault::Fatal`] ends the connection. What was written is thrown away.
    fn encode(
        &mut self,
        message: &Message<'_>,
        now_ms: u64,
        packet: &mut Packet<'_>,
    ) -> Result<Encoded, Fault>;

    /// Writes the packets for a batch of messages, at most 256. Only a codec whose description says `merges` writes this
    /// itself; what it refuses it names by its index.
    ///
    /// # Errors
    /// Ends the connection.
    fn encode_batch<'a>(
        &mut self,
        messages: impl Iterator<Item = Message<'a>>,
        now_ms: u64,
        packets: &mut Packets,
    ) -> Result<(), String> {
        for (index, message) in (0..).zip(messages) {
            packets.push(index, |packet| self.encode(&message, now_ms, packet))?;
        }
        Ok(())
    }
}

/// The application has a word on a client's hello: [`Events::hello`] asks for it.
pub trait Handshake: Session {
    /// The application's answer: 200, or the status with which it refuses, and a body for the client, which may be
    /// empty. Without a hook in the application it is 200 and empty.
    fn answer(&mut self, status: u16, body: &[u8], now_ms: u64, events: &mut Events);
}

/// Heartbeats and time-outs: [`Events::wake`] asks for a tick.
pub trait Clock: Session {
    /// Called once right after the session opened, so that a server may speak first, and at each wake.
    fn tick(&mut self, now_ms: u64, events: &mut Events);
}

/// A last packet when the runtime ends the connection.
pub trait Farewell: Session {
    /// Writes the packet that tells the client why: the application throws it out, or the server stops.
    fn farewell(&mut self, reason: &str, now_ms: u64, packet: &mut Packet<'_>) -> Encoded;
}

/// One encoding for all sessions of a class, so that a push to many costs one call.
pub trait Broadcast: Codec {
    /// Sessions of one class get the same bytes for the same push. None: this session never shares. Asked when the session is established
    /// and when it was handed over, and must not change between.
    fn share_class(session: &Self::Session) -> Option<u32>;

    /// Writes the packet for a push to all sessions of a class, exactly as [`Session::encode`] would.
    ///
    /// # Errors
    /// Drops the push.
    fn encode_shared(
        &self,
        class: u32,
        message: &Message<'_>,
        packet: &mut Packet<'_>,
    ) -> Result<Encoded, String>;
}

/// Carries a live session over to another version of the codec, or to the same with other options.
pub trait Handoff: Codec {
    /// All that the session knows. It outlives versions, so it begins with a number for its format.
    ///
    /// # Errors
    /// This session cannot be carried over, and stays where it is.
    fn save(session: &Self::Session) -> Result<Vec<u8>, String>;

    /// The session that was saved. The client notices nothing.
    ///
    /// # Errors
    /// This state is none that this version knows; the session stays where it is.
    fn restore(&self, peer: Peer, state: &[u8], now_ms: u64) -> Result<Self::Session, String>;
}

/// One message of the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// The request that this is the response to; none: it is a push.
    pub id: Option<u64>,
    /// `on<Event>` in a push, the request's own route in its response.
    pub route: &'a str,
    /// The payload as the application wrote it; JSON where the description says so.
    pub body: &'a [u8],
    /// What became of the request, as in HTTP: 200 unless it failed. Failures of the runtime itself, such as 404 for an unknown route, have
    /// an empty body.
    pub status: u16,
}

impl<'a> Message<'a> {
    /// The body, or `null` where it is empty, for a protocol whose bodies are JSON.
    pub fn json(&self) -> &'a [u8] {
        if self.body.is_empty() { b"null" } else { self.body }
    }
}

/// Whether a message has a form on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoded {
    /// What was written is its packet.
    Packet,
    /// It has none, which is no failure; what was written is thrown away.
    Nothing,
}

/// The connection as the runtime sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// The listener's transport: `tcp`, `ws`.
    pub transport: String,
    /// `ip:port` or `[v6]:port`, or empty where the transport has none.
    pub address: String,
    /// From the operating system, new for each session: the codec's only source of randomness.
    pub entropy: [u8; 32],
    /// What the transport knows besides. WebSocket: `path`, `query`, `host`, `origin`, each only if the client sent it.
    pub attributes: Vec<(String, String)>,
}
