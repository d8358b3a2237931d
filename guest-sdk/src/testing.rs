//! A client for a codec's tests, which run natively: no component is built, no server started.

use std::convert::Infallible;

use crate::exported::{list, packet};
use crate::{Broadcast, Clock, Codec, Event, Farewell, Fault, Handoff, Handshake, Message, Peer, Session};

/// One client's session with a codec.
#[derive(Debug)]
pub struct Client<C: Codec> {
    codec: C,
    /// What the codec knows of it, for what is not asked by a method here.
    pub session: C::Session,
    /// The time in milliseconds since the session opened: 0 at first.
    pub now_ms: u64,
}

impl<C: Codec> Client<C> {
    /// Configures a codec and opens a session, for a peer without address and attributes.
    ///
    /// # Errors
    /// Where the codec refuses its options or the client.
    pub fn open(options: &str) -> Result<Self, String> {
        Self::connect(options, Peer { transport: "tcp".to_owned(), ..Peer::default() })
    }

    /// The same for any peer.
    ///
    /// # Errors
    /// Where the codec refuses its options or the client.
    pub fn connect(options: &str, peer: Peer) -> Result<Self, String> {
        let codec = C::configure(options)?;
        let session = codec.open(peer, 0)?;
        Ok(Self { codec, session, now_ms: 0 })
    }

    /// What a packet means.
    ///
    /// # Errors
    /// Where the codec refuses it.
    pub fn decode(&mut self, packet: &[u8]) -> Result<Vec<Event>, Fault> {
        let mut decoded = Ok(());
        let events = list(|events| decoded = self.session.decode(packet, self.now_ms, events));
        decoded.map(|()| events)
    }

    /// The packet for a message, if it has one.
    ///
    /// # Errors
    /// Where the codec refuses it.
    pub fn encode(&mut self, message: Message<'_>) -> Result<Option<Vec<u8>>, Fault> {
        packet(|packet| self.session.encode(&message, self.now_ms, packet))
    }

    /// The packet for the answer to a request that went well.
    ///
    /// # Errors
    /// Where the codec refuses it.
    pub fn respond(&mut self, id: u64, route: &str, body: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        self.encode(Message { id: Some(id), route, body, status: 200 })
    }

    /// The packet for a push.
    ///
    /// # Errors
    /// Where the codec refuses it.
    pub fn push(&mut self, route: &str, body: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        self.encode(Message { id: None, route, body, status: 200 })
    }
}

impl<C: Codec<Session: Handshake>> Client<C> {
    /// The application's answer to a hello.
    pub fn answer(&mut self, status: u16, body: &[u8]) -> Vec<Event> {
        list(|events| self.session.answer(status, body, self.now_ms, events))
    }
}

impl<C: Codec<Session: Clock>> Client<C> {
    /// A tick; the runtime calls the first right after the session opened.
    pub fn tick(&mut self) -> Vec<Event> {
        list(|events| self.session.tick(self.now_ms, events))
    }
}

impl<C: Codec<Session: Farewell>> Client<C> {
    /// The last packet, if there is one.
    pub fn farewell(&mut self, reason: &str) -> Option<Vec<u8>> {
        let written = packet(|packet| Ok(self.session.farewell(reason, self.now_ms, packet)));
        let Ok::<_, Infallible>(packet) = written;
        packet
    }
}

impl<C: Broadcast> Client<C> {
    /// The packet for a push to all sessions of this one's class; none where it has no class or the push no form.
    ///
    /// # Errors
    /// Where the codec refuses the push.
    pub fn push_shared(&mut self, route: &str, body: &[u8]) -> Result<Option<Vec<u8>>, String> {
        let Some(class) = C::share_class(&self.session) else { return Ok(None) };
        let message = Message { id: None, route, body, status: 200 };
        packet(|packet| self.codec.encode_shared(class, &message, packet))
    }
}

impl<C: Handoff> Client<C> {
    /// Saves the session and goes on with one that was restored from it.
    ///
    /// # Errors
    /// Where the codec does not save it, or does not take it back.
    pub fn hand_over(&mut self) -> Result<(), String> {
        let state = C::save(&self.session)?;
        self.session = self.codec.restore(Peer::default(), &state, self.now_ms)?;
        Ok(())
    }
}
