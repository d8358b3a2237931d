//! A client for the tests of a codec. The tests run natively, without a component and a server.

mod stream;

pub use self::stream::Received;
#[doc(hidden)]
pub use self::stream::unflattened;
use self::stream::{Stream, events};
use crate::packets::write;
use crate::{
    Broadcast, Cause, Clock, Codec, Event, Farewell, Fault, Handoff, Handshake, Instant, Message, Packets,
    Peer, Requests, Session, TlsUpgrade,
};

/// The session of one client.
#[derive(Debug)]
pub struct Client<C: Codec> {
    codec: C,
    peer: Peer,
    stream: Stream,
    /// The state of the session, for tests that look into it.
    pub session: C::Session,
    /// The time of the next call. Both clocks begin at 0.
    pub now: Instant,
}

impl<C: Codec> Client<C> {
    /// Configures a codec and opens a session over TCP, with a largest packet of 64 KiB.
    ///
    /// # Errors
    /// Returns an error if the codec refuses its options or the client.
    pub fn open(options: &str) -> Result<Self, String> {
        let peer = Peer { transport: "tcp".to_owned(), max_packet: 64 << 10, ..Peer::default() };
        Self::connect(options, peer)
    }

    /// Configures a codec and opens a session for this peer.
    ///
    /// # Errors
    /// Returns an error if the codec refuses its options or the client.
    pub fn connect(options: &str, peer: Peer) -> Result<Self, String> {
        let codec = C::configure(options)?;
        let now = Instant::default();
        let session = codec.open(peer.clone(), now)?;
        Ok(Self { codec, peer, stream: Stream::default(), session, now })
    }

    /// Returns the events of a packet.
    ///
    /// # Errors
    /// Returns the fault if the codec refuses the packet.
    pub fn decode(&mut self, packet: &[u8]) -> Result<Vec<Event>, Fault> {
        let mut decoded = Ok(());
        let events = events(|events| decoded = self.session.decode(packet, self.now, events));
        decoded.map(|()| events)
    }

    /// Returns the packets for a message.
    ///
    /// # Errors
    /// Returns the fault if the codec refuses the message.
    pub fn encode(&mut self, message: Message<'_>) -> Result<Vec<Vec<u8>>, Fault> {
        packets(|packets| self.session.encode(&message, self.now, packets))
    }
}

impl<C: Codec<Session: Handshake>> Client<C> {
    /// Passes the application's answer to a hello.
    pub fn answer(&mut self, status: u16, body: &[u8]) -> Vec<Event> {
        self.stream.answered();
        events(|events| self.session.answer(status, body, self.now, events))
    }
}

impl<C: Codec<Session: TlsUpgrade>> Client<C> {
    /// Completes TLS, which adds these attributes.
    pub fn secured(&mut self, attributes: &[(&str, &str)]) -> Vec<Event> {
        self.stream.secured();
        let attributes: Vec<_> =
            attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        events(|events| self.session.secured(&attributes, self.now, events))
    }
}

impl<C: Codec<Session: Requests>> Client<C> {
    /// Gives up on a request to the client.
    pub fn abandon(&mut self, id: u64) -> Vec<Event> {
        events(|events| self.session.abandoned(id, self.now, events))
    }
}

impl<C: Codec<Session: Clock>> Client<C> {
    /// Ticks. The runtime does so first right after the session opened.
    pub fn tick(&mut self) -> Vec<Event> {
        events(|events| self.session.tick(self.now, events))
    }
}

impl<C: Codec<Session: Farewell>> Client<C> {
    /// Ends the session.
    pub fn farewell(&mut self, cause: Cause, reason: &str) -> Vec<Event> {
        events(|events| self.session.farewell(cause, reason, self.now, events))
    }
}

impl<C: Broadcast> Client<C> {
    /// Returns the packets for a push to all sessions of this session's class, or `None` if the
    /// session has no class.
    ///
    /// # Errors
    /// Returns an error if the codec refuses the push.
    pub fn encode_shared(&mut self, message: Message<'_>) -> Result<Option<Vec<Vec<u8>>>, String> {
        let Some(class) = C::broadcast_class(&self.session) else { return Ok(None) };
        packets(|packets| self.codec.encode_shared(class, &message, packets)).map(Some)
    }
}

impl<C: Handoff> Client<C> {
    /// Saves the session and continues with the session that is restored from it.
    ///
    /// # Errors
    /// Returns an error if the codec does not save the session, or refuses the saved state.
    pub fn hand_over(&mut self) -> Result<(), String> {
        let state = C::save(&self.session)?;
        self.session = self.codec.restore(self.peer.clone(), &state, self.now)?;
        Ok(())
    }
}

/// Returns the packets that `call` adds.
fn packets<E>(call: impl FnOnce(&mut Packets<'_>) -> Result<(), E>) -> Result<Vec<Vec<u8>>, E> {
    let (mut bytes, mut ends) = (Vec::new(), Vec::new());
    write(&mut bytes, &mut ends, call)?;
    let mut start = 0;
    let packet = |end| {
        let packet = bytes[start..end as usize].to_vec();
        start = end as usize;
        packet
    };
    Ok(ends.into_iter().map(packet).collect())
}
