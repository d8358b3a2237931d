//! The traits that a codec implements.

use crate::{Cut, Description, Encoded, Events, Fault, Instant, Message, Packets, Peer};

/// A wire protocol with its options.
pub trait Codec: Sized + 'static {
    /// The state of one connection.
    type Session: Session;

    /// Describes this codec. Must not depend on anything.
    fn describe() -> Description;

    /// Returns the codec with these options, a JSON object that [`options`](crate::options) reads.
    ///
    /// Called once, before any session opens. Many sessions may share the result, so what is
    /// computed here costs nothing when a session opens.
    ///
    /// # Errors
    /// Returns an error if the options are wrong. It says what is wrong and what is allowed, and is
    /// shown to the person who wrote the options.
    fn configure(options: &str) -> Result<Self, String>;

    /// Opens the session of a new connection.
    ///
    /// # Errors
    /// Returns an error to refuse the client.
    fn open(&self, peer: Peer, now: Instant) -> Result<Self::Session, String>;
}

/// A [`Codec`] that has no options, and whose sessions all begin in the same state.
pub trait Simple: Session + Default {
    /// Describes this codec. Must not depend on anything.
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

    fn open(&self, _peer: Peer, _now: Instant) -> Result<S, String> {
        Ok(S::default())
    }
}

/// The protocol state of one connection.
pub trait Session: 'static {
    /// Says what one packet means: any number of events, in order. The packet is whole, and no
    /// longer than the listener allows.
    ///
    /// # Errors
    /// Returns [`Fault::Rejected`] to drop the packet, or [`Fault::Fatal`] to end the connection.
    /// In both cases the events that the packet has added are dropped.
    fn decode(&mut self, packet: &[u8], now: Instant, events: &mut Events) -> Result<(), Fault>;

    /// Writes the packets for a message: usually one, or none if the message has no form in this
    /// protocol. The runtime adds the framing, except where the codec is a [`Framer`].
    ///
    /// # Errors
    /// Returns [`Fault::Rejected`] to drop the message, or [`Fault::Fatal`] to end the connection.
    /// In both cases the packets that were written for the message are dropped. The runtime asks
    /// once more for a response that was rejected, with status 500 and an empty body. A request to
    /// the client that is rejected fails at once.
    fn encode(&mut self, message: &Message<'_>, now: Instant, packets: &mut Packets<'_>)
    -> Result<(), Fault>;

    /// Writes the packets for a batch of at most 256 messages. Only a codec whose description says
    /// `coalesces` implements this method. It names the source of each packet and refuses messages
    /// by their index in the batch.
    ///
    /// # Errors
    /// Returns an error to end the connection.
    fn encode_batch<'a>(
        &mut self,
        messages: impl Iterator<Item = Message<'a>>,
        now: Instant,
        encoded: &mut Encoded,
    ) -> Result<(), String> {
        for (index, message) in (0..).zip(messages) {
            encoded.add(index, |packets| self.encode(&message, now, packets))?;
        }
        Ok(())
    }
}

/// Cuts packets from a stream, for framings that a [`Framing`](crate::Framing) cannot express:
/// lengths in digits, heads of several kinds, or a framing that changes.
///
/// The description then has no `framing`. `decode` gets each packet with its framing, and the
/// packets and replies that the session writes are complete: the runtime writes them as they are.
/// Where `messages` is [`One`](crate::MessageFraming::One), packets in messages and datagrams are
/// bare, and `cut` is not called for them. The module [`cut`](crate::cut) has functions for the
/// usual kinds of packets.
pub trait Framer: Session {
    /// Says what stands at the front of `bytes`, the part of the stream that is not decoded yet. It
    /// begins at the start of a packet and may be empty.
    ///
    /// The answer may depend on the state of the session, because each packet is decoded before the
    /// next one is cut. It may not depend on how the stream was divided into reads. `cut` may
    /// remember in a `Cell` how many bytes it has searched, if that does not change its answers;
    /// [`Handoff::save`] leaves such a number out.
    ///
    /// # Errors
    /// Returns an error if `bytes` can never become a packet. Every [`Fault`] ends the connection
    /// here, because nobody knows where the next packet begins. To send a last packet, such as an
    /// error message, return the bytes up to the mistake as a packet instead, and let `decode`
    /// reply and fail.
    fn cut(&self, bytes: &[u8]) -> Result<Cut, Fault>;
}

/// Learns that TLS has begun in the middle of the stream. For a [`Framer`] that returns
/// [`Cut::StartTls`].
pub trait TlsUpgrade: Session {
    /// Takes the attributes that TLS added to the peer: `tls-version`, `tls-sni`, `tls-alpn`,
    /// `tls-client-subject` and `tls-client-sha256`, those that apply. The session gets no call
    /// between `StartTls` and this one.
    fn secured(&mut self, attributes: &[(String, String)], now: Instant, events: &mut Events);
}

/// Learns that a request to the client needs no response any more. For codecs whose description
/// says `client_requests`.
pub trait Requests: Session {
    /// Called when the request with this id has timed out or its sender is gone. The runtime drops
    /// a response that still comes.
    fn abandoned(&mut self, id: u64, now: Instant, events: &mut Events);
}

/// Lets the application decide about a client that introduces itself.
pub trait Handshake: Session {
    /// Takes the application's answer to [`Events::hello`]: 200, or the status with which the
    /// application refuses the client, and a body for the client. The body may be empty.
    fn answer(&mut self, status: u16, body: &[u8], now: Instant, events: &mut Events);
}

/// Heartbeats and time-outs.
pub trait Clock: Session {
    /// Called once right after the session opened, so that a server may speak first, and each time
    /// the timer of [`Events::timer`] fires. Not called after [`Handoff::restore`].
    fn tick(&mut self, now: Instant, events: &mut Events);
}

/// Last packets when the runtime ends the connection.
pub trait Farewell: Session {
    /// Adds the last events of the session: only [`Events::reply`], [`Events::log`] and
    /// [`Events::close`]. The connection closes behind them.
    fn farewell(&mut self, cause: Cause, reason: &str, now: Instant, events: &mut Events);
}

/// Why the runtime ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The application threw the client out.
    Kicked,
    /// The user has a newer session.
    Displaced,
    /// The codec was swapped and this session did not move.
    Replaced,
    /// The server stops or drains.
    Shutdown,
}

/// One encoding for many sessions, so that a push to many costs one call.
pub trait Broadcast: Codec {
    /// Returns the class of a session. Sessions of one class get the same bytes for the same push.
    /// `None`: this session never shares. Asked when the session is established and after it was
    /// restored; may not change between.
    fn broadcast_class(session: &Self::Session) -> Option<u32>;

    /// Writes the packets for a push to every session of a class, exactly as [`Session::encode`]
    /// writes them for each.
    ///
    /// # Errors
    /// Returns an error to drop the push. The packets that were written for it are dropped too.
    fn encode_shared(
        &self,
        class: u32,
        message: &Message<'_>,
        packets: &mut Packets<'_>,
    ) -> Result<(), String>;
}

/// Moves a live session to another instance: of a new version, of the same version after a sleep,
/// or in a new server process.
pub trait Handoff: Codec {
    /// Returns everything that the session knows. Begins with a format number, because the state
    /// may be restored by another version. Does not change the session.
    ///
    /// # Errors
    /// Returns an error if this session cannot move.
    fn save(session: &Self::Session) -> Result<Vec<u8>, String>;

    /// Returns the session that was saved. The state may come from an older or a newer version.
    ///
    /// # Errors
    /// Returns an error to refuse the state. The session then stays where it was, or ends if it
    /// slept.
    fn restore(&self, peer: Peer, state: &[u8], now: Instant) -> Result<Self::Session, String>;
}
