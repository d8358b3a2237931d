//! The Pomelo protocol without a sandbox, by the library from which the component is made.
//!
//! The component is tested and measured against this codec. A server that does not need the
//! isolation of a sandbox may use it too.

use std::sync::Arc;

use wireplug_pomelo::package::MAX_PACKET;
use wireplug_pomelo::{Fault, Message, Options, Role as PomeloRole, Session, Sink};

use crate::codec::{
    Abilities, Cause, Codec, CodecError, CodecSession, Description, Encoded, Events, Instant, Kind,
    MessageRef, Messages, Peer, Reason, Refusal, Role,
};
use wireplug_core::framing::{Framing, LengthField, MessageFraming, Packets, Payload};

/// The Pomelo codec as a native codec.
pub struct NativePomelo {
    description: Description,
    options: Arc<Options>,
}

impl NativePomelo {
    /// Creates the codec. `options` is a JSON object with the options of the component, including
    /// the routes.
    ///
    /// # Errors
    /// Returns an error if the options are wrong. The error says what is allowed.
    pub fn new(options: &str) -> Result<Self, CodecError> {
        let options = Options::parse(options).map_err(refused)?;
        let field = LengthField::new(1, 3, false, 0).expect("3 bytes are a valid width");
        let description = Description {
            name: "pomelo".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            framing: Some(Framing::Length(field)),
            messages: Some(MessageFraming::Framed),
            payload: Payload::Binary,
            json: true,
            handshake: true,
            client_requests: 0,
            coalesces: false,
            max_packet: Some(MAX_PACKET as u32),
        };
        Ok(Self { description, options: Arc::new(options) })
    }
}

impl Codec for NativePomelo {
    fn description(&self) -> &Description {
        &self.description
    }

    fn abilities(&self) -> Abilities {
        Abilities {
            batch: true,
            handshake: true,
            clock: true,
            farewell: true,
            broadcast: true,
            handoff: true,
            ..Abilities::default()
        }
    }

    fn open(&self, peer: Peer, _now: Instant) -> Result<Box<dyn CodecSession>, CodecError> {
        Ok(Box::new(PomeloSession(Session::open(Arc::clone(&self.options), peer.max_packet))))
    }

    fn restore(&self, peer: Peer, state: &[u8], now: Instant) -> Result<Box<dyn CodecSession>, CodecError> {
        let options = Arc::clone(&self.options);
        let session = Session::restore(options, peer.max_packet, state, now.session_ms).map_err(refused)?;
        Ok(Box::new(PomeloSession(session)))
    }

    fn encode_shared(&self, class: u32, message: MessageRef<'_>) -> Result<Packets, CodecError> {
        let mut packet = Vec::new();
        self.options.encode_shared(class, &translated(message), &mut packet).map_err(refused)?;
        Ok(Packets { ends: vec![packet.len() as u32], bytes: packet })
    }
}

fn refused(reason: impl AsRef<[u8]>) -> CodecError {
    CodecError::Refused(Reason::new(reason))
}

fn translated(message: MessageRef<'_>) -> Message<'_> {
    let MessageRef { role, id, route, body, status } = message;
    let role = match role {
        Role::Notice => PomeloRole::Notice,
        Role::Request => PomeloRole::Request,
        Role::Response => PomeloRole::Response,
    };
    Message { role, id, route, body, status }
}

struct PomeloSession(Session);

impl CodecSession for PomeloSession {
    fn decode(
        &mut self,
        packets: &Arc<Packets>,
        now: Instant,
        events: &mut Events,
    ) -> Result<(), CodecError> {
        // The events are hardly longer than the packets, unless routes were compressed.
        events.reserve(packets.byte_len(), packets.len());
        for (index, packet) in (0..).zip(packets.iter()) {
            let decoded = self.0.decode(packet, now.session_ms, &mut EventSink { packet: index, events });
            match decoded {
                Ok(()) => {}
                Err(Fault::Rejected(reason)) => events.push(index, Kind::Rejected, reason.as_bytes()),
                Err(Fault::Fatal(reason)) => events.push(index, Kind::Fatal, reason.as_bytes()),
            }
            if events.ends_call() {
                break;
            }
        }
        Ok(())
    }

    fn encode(
        &mut self,
        messages: &Arc<Messages>,
        _now: Instant,
        encoded: &mut Encoded,
    ) -> Result<(), CodecError> {
        for (index, message) in (0..).zip(messages.iter()) {
            match self.0.encode(&translated(message), &mut encoded.packets.bytes) {
                // The packet is in the buffer already. This call adds only its end and its source.
                Ok(()) => encoded.push_with(index, |_| ()),
                Err(Fault::Rejected(reason)) => {
                    encoded.refused.push(Refusal { message: index, reason: reason.into_owned() });
                }
                Err(Fault::Fatal(reason)) => return Err(refused(&*reason)),
            }
        }
        Ok(())
    }

    fn answer(
        &mut self,
        status: u16,
        body: &[u8],
        _now: Instant,
        events: &mut Events,
    ) -> Result<(), CodecError> {
        self.0.answer(status, body, &mut EventSink { packet: 0, events });
        Ok(())
    }

    fn tick(&mut self, now: Instant, events: &mut Events) -> Result<(), CodecError> {
        self.0.tick(now.session_ms, &mut EventSink { packet: 0, events });
        Ok(())
    }

    fn farewell(
        &mut self,
        _cause: Cause,
        reason: &str,
        _now: Instant,
        events: &mut Events,
    ) -> Result<(), CodecError> {
        self.0.farewell(reason, &mut EventSink { packet: 0, events });
        Ok(())
    }

    fn broadcast_class(&mut self) -> Result<Option<u32>, CodecError> {
        Ok(self.0.broadcast_class())
    }

    fn save(&mut self) -> Result<Vec<u8>, CodecError> {
        Ok(self.0.save())
    }
}

/// Puts a session's events into the flat buffer.
struct EventSink<'a> {
    packet: u32,
    events: &'a mut Events,
}

impl Sink for EventSink<'_> {
    fn hello(&mut self, body: &[u8]) {
        self.events.push(self.packet, Kind::Hello, body);
    }

    fn established(&mut self) {
        self.events.push(self.packet, Kind::Established, &[]);
    }

    fn notice(&mut self, route: &str, body: &[u8]) {
        self.events.push_message(self.packet, MessageRef::notice(route, body));
    }

    fn request(&mut self, id: u64, route: &str, body: &[u8]) {
        self.events.push_message(self.packet, MessageRef::request(id, route, body));
    }

    fn reply(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.events.push_with(self.packet, Kind::Reply, write);
    }

    fn timer(&mut self, ms: u32) {
        self.events.push_timer(self.packet, ms);
    }

    fn close(&mut self, reason: &str) {
        self.events.push(self.packet, Kind::Close, reason.as_bytes());
    }

    fn written(&self) -> usize {
        self.events.bytes.len()
    }
}
