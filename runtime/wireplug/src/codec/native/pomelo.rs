//! The Pomelo protocol without a sandbox, by the library of which the component is made.
//!
//! The component is tested and measured against this codec. A server that does not need the
//! isolation of a sandbox may use it too.

use std::sync::Arc;

use wireplug_pomelo::{Fault, Message, Options, Session, Sink};

use crate::codec::{
    Abilities, Codec, CodecError, CodecSession, Description, Encoded, Events, Kind, MessageRef, Messages,
    Peer, Reason, Refusal,
};
use wireplug_core::framing::{Framing, LengthField, MessageUnit, Packets};

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
            message: Some(MessageUnit::Framed),
            text: false,
            json: true,
            handshake: true,
            merges: false,
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
        }
    }

    fn open(&self, _peer: Peer) -> Result<Box<dyn CodecSession>, CodecError> {
        Ok(Box::new(PomeloSession(Session::open(Arc::clone(&self.options)))))
    }

    fn restore(&self, _peer: Peer, state: &[u8], now_ms: u64) -> Result<Box<dyn CodecSession>, CodecError> {
        let session = Session::restore(Arc::clone(&self.options), state, now_ms).map_err(refused)?;
        Ok(Box::new(PomeloSession(session)))
    }

    fn encode_shared(&self, class: u32, message: MessageRef<'_>) -> Result<Option<Vec<u8>>, CodecError> {
        let mut packet = Vec::new();
        self.options.encode_shared(class, &translated(message), &mut packet).map_err(refused)?;
        Ok(Some(packet))
    }
}

fn refused(reason: impl AsRef<[u8]>) -> CodecError {
    CodecError::Refused(Reason::new(reason))
}

fn translated(message: MessageRef<'_>) -> Message<'_> {
    Message { id: message.id, route: message.route, body: message.body, status: message.status }
}

struct PomeloSession(Session);

impl CodecSession for PomeloSession {
    fn decode(&mut self, packets: &Arc<Packets>, now_ms: u64, events: &mut Events) -> Result<(), CodecError> {
        // The events are hardly longer than the packets, unless routes were compressed.
        events.reserve(packets.byte_len(), packets.len());
        for (i, packet) in packets.iter().enumerate() {
            let packet_index = i as u32;
            let decoded = self.0.decode(packet, now_ms, &mut EventSink { packet: packet_index, events });
            match decoded {
                Ok(()) => {}
                Err(Fault::Rejected(reason)) => events.push(packet_index, Kind::Rejected, reason.as_bytes()),
                Err(Fault::Fatal(reason)) => events.push(packet_index, Kind::Fatal, reason.as_bytes()),
            }
            if events.ends_session() {
                break;
            }
        }
        Ok(())
    }

    fn encode(
        &mut self,
        messages: &Arc<Messages>,
        _now_ms: u64,
        encoded: &mut Encoded,
    ) -> Result<(), CodecError> {
        for (i, message) in messages.iter().enumerate() {
            let packets = &mut encoded.packets;
            match self.0.encode(&translated(message), &mut packets.bytes) {
                Ok(true) => packets.ends.push(packets.bytes.len() as u32),
                Ok(false) => {}
                Err(Fault::Rejected(reason)) => {
                    encoded.refused.push(Refusal { message: i as u32, reason: reason.into_owned() });
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
        now_ms: u64,
        events: &mut Events,
    ) -> Result<(), CodecError> {
        self.0.answer(status, body, now_ms, &mut EventSink { packet: 0, events });
        Ok(())
    }

    fn tick(&mut self, now_ms: u64, events: &mut Events) -> Result<(), CodecError> {
        self.0.tick(now_ms, &mut EventSink { packet: 0, events });
        Ok(())
    }

    fn farewell(&mut self, reason: &str, _now_ms: u64) -> Result<Option<Vec<u8>>, CodecError> {
        let mut packet = Vec::new();
        Ok(self.0.farewell(reason, &mut packet).then_some(packet))
    }

    fn share_class(&mut self) -> Result<Option<u32>, CodecError> {
        Ok(self.0.share_class())
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

    fn message(&mut self, id: Option<u64>, route: &str, body: &[u8]) {
        self.events.push_message(self.packet, id, route, body);
    }

    fn reply(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.events.push_with(self.packet, Kind::Reply, write);
    }

    fn wake(&mut self, ms: u32) {
        self.events.push_wake(self.packet, ms);
    }

    fn close(&mut self, reason: &str) {
        self.events.push(self.packet, Kind::Close, reason.as_bytes());
    }
}
