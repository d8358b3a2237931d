//! Codec overrides: native functions for one direction of a codec. An override replaces that
//! direction of another codec. Overrides for both directions together make a codec.
//!
//! An override is a pure function of one packet or message and knows no session. So it cannot
//! finish a handshake or answer a heartbeat: a protocol with state needs a [`Codec`].

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::{
    Abilities, Cause, Codec, CodecError, CodecSession, CpuAccount, CpuTime, Description, Encoded, Events,
    Frames, Instant, Kind, MessageRef, Messages, Peer, Reason, Refusal, Secrets, Sharing,
};
use crate::framing::{Framing, MessageFraming, Packets, Payload};

/// A native function that decodes packets.
pub trait Decode: Send + Sync + 'static {
    /// Returns the message in a packet.
    ///
    /// # Errors
    /// Returns an error if the packet is no message. The error says why, and whether the connection
    /// ends.
    fn decode<'a>(&self, packet: &'a [u8]) -> Result<Decoded<'a>, DecodeError>;

    /// Returns how packets are framed in a stream, for a listener without a codec. `None` is for a
    /// message transport, in which each message is one packet.
    fn framing(&self) -> Option<Framing> {
        None
    }
}

/// A message for the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded<'a> {
    /// The request's id, or `None` for a notification.
    pub id: Option<u64>,
    /// The route.
    pub route: Cow<'a, str>,
    /// The payload.
    pub body: Cow<'a, [u8]>,
}

/// The reason why a packet is no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The packet is dropped and counted. The connection stays open.
    #[error("the packet is dropped: {0}")]
    Rejected(String),
    /// The connection ends.
    #[error("the packet ends the connection: {0}")]
    Fatal(String),
}

/// A native function that encodes messages.
pub trait Encode: Send + Sync + 'static {
    /// Appends the packet of a message to `packet`, which is empty before the call. The message is
    /// a response or a notice.
    ///
    /// # Errors
    /// Returns an error, which says why, if the message has no packet. A push is then dropped and
    /// counted. For a response, the function is called once more, with status 500 and no body.
    fn encode(&self, message: MessageRef<'_>, packet: &mut Vec<u8>) -> Result<(), String>;

    /// Returns whether packets in both directions are text or binary, for a listener without a
    /// codec.
    fn payload(&self) -> Payload {
        Payload::Binary
    }
}

/// The overrides of one codec, which replace its directions.
#[derive(Clone, Default)]
pub struct Overrides {
    /// What decodes in place of the codec.
    pub decode: Option<Arc<dyn Decode>>,
    /// What encodes in place of the codec.
    pub encode: Option<Arc<dyn Encode>>,
}

impl Overrides {
    /// Returns whether no direction is replaced.
    pub fn is_empty(&self) -> bool {
        self.decode.is_none() && self.encode.is_none()
    }

    /// Returns a codec with its directions replaced by the overrides.
    ///
    /// # Errors
    /// Returns an error if there is a decode override and the codec has a handshake or a clock.
    /// Such a codec needs the client's packets.
    pub fn over(&self, base: Arc<dyn Codec>) -> Result<Arc<dyn Codec>, CodecError> {
        if self.is_empty() {
            return Ok(base);
        }
        let description = base.description().clone();
        if self.decode.is_some() && (description.handshake || base.abilities().clock) {
            let what = if description.handshake { "a handshake" } else { "a clock" };
            return Err(CodecError::Refused(Reason::new(format!(
                "{} has {what}, which a decode override leaves without the client's packets: \
                 give the listener a whole codec instead",
                description.name
            ))));
        }
        let mut abilities = base.abilities();
        // An override knows messages without roles, so that no request can reach the client or be
        // answered.
        let mut description = description;
        (description.client_requests, abilities.requests) = (0, false);
        if abilities.framer {
            return Err(CodecError::Refused(Reason::new(format!(
                "{} cuts its stream itself, so no override can replace one of its directions: give the listener a whole \
                 codec instead",
                description.name
            ))));
        }
        if self.encode.is_some() {
            // An encode override knows no session, so all sessions get the same bytes.
            abilities.broadcast = true;
        }
        Ok(Arc::new(Composed { description, abilities, overrides: self.clone(), base: Some(base) }))
    }

    /// Returns the codec that both overrides make together, if both are there.
    pub fn alone(&self) -> Option<Arc<dyn Codec>> {
        let (decode, encode) = (self.decode.as_ref()?, self.encode.as_ref()?);
        let framing = decode.framing();
        let description = Description {
            name: "native".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            messages: Some(if framing.is_some() { MessageFraming::Framed } else { MessageFraming::One }),
            framing,
            payload: encode.payload(),
            json: false,
            handshake: false,
            client_requests: 0,
            coalesces: false,
            max_packet: None,
        };
        let abilities = Abilities { broadcast: true, handoff: true, ..Abilities::default() };
        Some(Arc::new(Composed { description, abilities, overrides: self.clone(), base: None }))
    }
}

impl fmt::Debug for Overrides {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Overrides")
            .field("decode", &self.decode.is_some())
            .field("encode", &self.encode.is_some())
            .finish()
    }
}

struct Composed {
    description: Description,
    abilities: Abilities,
    overrides: Overrides,
    base: Option<Arc<dyn Codec>>,
}

/// The broadcast class of all sessions of an encode override.
const ALL: u32 = 0;

impl Composed {
    fn session(&self, base: Option<Box<dyn CodecSession>>) -> Box<dyn CodecSession> {
        Box::new(ComposedSession { overrides: self.overrides.clone(), base, packet: Vec::new() })
    }
}

impl Codec for Composed {
    fn description(&self) -> &Description {
        &self.description
    }

    fn abilities(&self) -> Abilities {
        self.abilities
    }

    fn secrets(&self) -> Secrets {
        self.base.as_ref().map(|base| base.secrets()).unwrap_or_default()
    }

    fn open(&self, peer: Peer, now: Instant) -> Result<Box<dyn CodecSession>, CodecError> {
        let base = self.base.as_ref().map(|base| base.open(peer, now)).transpose()?;
        Ok(self.session(base))
    }

    fn restore(&self, peer: Peer, state: &[u8], now: Instant) -> Result<Box<dyn CodecSession>, CodecError> {
        let base = self.base.as_ref().map(|base| base.restore(peer, state, now)).transpose()?;
        Ok(self.session(base))
    }

    fn charge_state(&self, bytes: usize) {
        if let Some(base) = &self.base {
            base.charge_state(bytes);
        }
    }

    fn release_state(&self, bytes: usize) {
        if let Some(base) = &self.base {
            base.release_state(bytes);
        }
    }

    fn encode_shared(&self, class: u32, message: MessageRef<'_>) -> Result<Packets, CodecError> {
        match (&self.overrides.encode, &self.base) {
            (Some(encode), _) => {
                let mut packet = Vec::new();
                encode.encode(message, &mut packet).map_err(refused)?;
                Ok(Packets::from_iter([&packet[..]]))
            }
            (None, Some(base)) => base.encode_shared(class, message),
            (None, None) => unreachable!("alone there are both overrides"),
        }
    }

    fn cpu_account(&self) -> Option<&Arc<CpuAccount>> {
        self.base.as_ref()?.cpu_account()
    }

    fn max_sessions(&self) -> Option<usize> {
        self.base.as_ref()?.max_sessions()
    }

    fn sharing(&self) -> Sharing {
        match (&self.overrides.encode, &self.base) {
            (None, Some(base)) => base.sharing(),
            _ => Sharing::default(),
        }
    }
}

fn refused(reason: impl AsRef<[u8]>) -> CodecError {
    CodecError::Refused(Reason::new(reason))
}

struct ComposedSession {
    overrides: Overrides,
    /// The session of the codec below, or `None` if both overrides make the codec.
    base: Option<Box<dyn CodecSession>>,
    /// The buffer for an encode override, which must not see earlier packets.
    packet: Vec<u8>,
}

impl ComposedSession {
    fn base(&mut self) -> &mut dyn CodecSession {
        &mut **self
            .base
            .as_mut()
            .expect("only the abilities of a base lead here, and overrides that it lacks")
    }
}

impl CodecSession for ComposedSession {
    fn decode(
        &mut self,
        packets: &Arc<Packets>,
        now: Instant,
        events: &mut Events,
    ) -> Result<(), CodecError> {
        let Some(decode) = &self.overrides.decode else { return self.base().decode(packets, now, events) };
        for (i, packet) in packets.iter().enumerate() {
            let i = i as u32;
            match decode.decode(packet) {
                Ok(Decoded { id, route, body }) => events.push_message(
                    i,
                    match id {
                        Some(id) => MessageRef::request(id, &route, &body),
                        None => MessageRef::notice(&route, &body),
                    },
                ),
                Err(DecodeError::Rejected(reason)) => events.push(i, Kind::Rejected, reason.as_bytes()),
                Err(DecodeError::Fatal(reason)) => {
                    events.push(i, Kind::Fatal, reason.as_bytes());
                    break;
                }
            }
        }
        Ok(())
    }

    fn decode_stream(
        &mut self,
        bytes: &Arc<Vec<u8>>,
        now: Instant,
        frames: &mut Frames,
    ) -> Result<(), CodecError> {
        self.base().decode_stream(bytes, now, frames)
    }

    fn secured(
        &mut self,
        attributes: &[(String, String)],
        now: Instant,
        events: &mut Events,
    ) -> Result<(), CodecError> {
        self.base().secured(attributes, now, events)
    }

    fn encode(
        &mut self,
        messages: &Arc<Messages>,
        now: Instant,
        encoded: &mut Encoded,
    ) -> Result<(), CodecError> {
        let Some(encode) = &self.overrides.encode else {
            return self.base().encode(messages, now, encoded);
        };
        for (i, message) in messages.iter().enumerate() {
            self.packet.clear();
            match encode.encode(message, &mut self.packet) {
                Ok(()) => encoded.push(i as u32, &self.packet),
                Err(reason) => encoded.refused.push(Refusal { message: i as u32, reason }),
            }
        }
        Ok(())
    }

    fn answer(
        &mut self,
        status: u16,
        body: &[u8],
        now: Instant,
        events: &mut Events,
    ) -> Result<(), CodecError> {
        self.base().answer(status, body, now, events)
    }

    fn abandoned(&mut self, id: u64, now: Instant, events: &mut Events) -> Result<(), CodecError> {
        self.base().abandoned(id, now, events)
    }

    fn tick(&mut self, now: Instant, events: &mut Events) -> Result<(), CodecError> {
        self.base().tick(now, events)
    }

    fn farewell(
        &mut self,
        cause: Cause,
        reason: &str,
        now: Instant,
        events: &mut Events,
    ) -> Result<(), CodecError> {
        self.base().farewell(cause, reason, now, events)
    }

    fn broadcast_class(&mut self) -> Result<Option<u32>, CodecError> {
        if self.overrides.encode.is_some() { Ok(Some(ALL)) } else { self.base().broadcast_class() }
    }

    fn save(&mut self) -> Result<Vec<u8>, CodecError> {
        // Overrides without a codec below have no state of a session.
        self.base.as_mut().map_or(Ok(Vec::new()), |base| base.save())
    }

    fn wants_renewal(&mut self) -> bool {
        self.base.as_mut().is_some_and(|base| base.wants_renewal())
    }

    fn take_cpu_time(&mut self, measures: bool) -> CpuTime {
        self.base.as_mut().map_or_else(CpuTime::default, |base| base.take_cpu_time(measures))
    }
}
