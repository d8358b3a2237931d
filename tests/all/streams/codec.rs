//! A native codec that cuts its stream itself.
//!
//! ```text
//! server:  +OK ready\r\n          the greeting
//! client:  7 5 echo\nhello        request 7 on the route echo, with a body of 5 bytes
//! client:  R1 2 200\nok           the response to request 1 of the server, with its status
//! client:  STLS\r\n               TLS begins behind the reply, if the listener offers it
//! server:  7 5 200\nhello         the response to request 7
//! server:  - 2 onChat\nhi         a push
//! server:  ?1 2 update\nup        request 1 of the server
//! server:  !1 0 gone\n            the server gave up on request 1
//! ```

use std::sync::Arc;

use wireplug_core::codec::{
    Abilities, Carrier, Codec, CodecError, CodecSession, Description, Encoded, Events, Frames, Instant, Kind,
    MessageRef, Messages, Next, Peer, Role,
};
use wireplug_core::framing::{MessageFraming, Packets, Payload};

/// The longest head of a packet, in bytes.
const HEAD: usize = 64;

pub struct Digits(Description);

impl Digits {
    pub fn new() -> Self {
        Self(Description {
            name: "digits".into(),
            version: "1".into(),
            framing: None,
            messages: Some(MessageFraming::Continuous),
            payload: Payload::Binary,
            json: false,
            handshake: false,
            client_requests: 1000,
            coalesces: false,
            max_packet: Some(4096),
        })
    }

    fn session(peer: &Peer, secured: bool) -> Box<dyn CodecSession> {
        assert!(peer.carrier != Carrier::Datagrams, "no packet may run across datagrams");
        let offers_tls = peer.attributes.iter().any(|(name, _)| name == "starttls");
        Box::new(Session { offers_tls, secured })
    }
}

impl Codec for Digits {
    fn description(&self) -> &Description {
        &self.0
    }

    fn abilities(&self) -> Abilities {
        Abilities {
            framer: true,
            tls_upgrade: true,
            requests: true,
            clock: true,
            handoff: true,
            ..Abilities::default()
        }
    }

    fn open(&self, peer: Peer, _: Instant) -> Result<Box<dyn CodecSession>, CodecError> {
        Ok(Self::session(&peer, false))
    }

    fn restore(&self, peer: Peer, state: &[u8], _: Instant) -> Result<Box<dyn CodecSession>, CodecError> {
        Ok(Self::session(&peer, state == [1]))
    }
}

struct Session {
    offers_tls: bool,
    secured: bool,
}

/// A packet at the front of a stream.
enum Cut<'a> {
    Need(usize),
    Bad(&'static str),
    Tls(usize),
    Packet { length: usize, head: [&'a str; 3], body: &'a [u8] },
}

fn cut(bytes: &[u8]) -> Cut<'_> {
    let Some(end) = bytes.iter().take(HEAD).position(|byte| *byte == b'\n') else {
        return if bytes.len() < HEAD {
            Cut::Need(bytes.len() + 1)
        } else {
            Cut::Bad("the head is too long")
        };
    };
    if &bytes[..end] == b"STLS\r" {
        return Cut::Tls(end + 1);
    }
    let head = std::str::from_utf8(&bytes[..end]).unwrap_or_default();
    let mut words = head.split(' ');
    let (Some(id), Some(digits), Some(last), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Cut::Bad("the head has three words");
    };
    let Ok(body) = digits.parse::<u16>() else { return Cut::Bad("the length is no number") };
    let length = end + 1 + usize::from(body);
    match bytes.get(end + 1..length) {
        Some(body) => Cut::Packet { length, head: [id, digits, last], body },
        None => Cut::Need(length),
    }
}

impl Session {
    fn decode_packet(packet: u32, [id, _, last]: [&str; 3], body: &[u8], events: &mut Events) {
        if let Some(id) = id.strip_prefix('R') {
            let (id, status) = (id.parse().unwrap_or(0), last.parse().unwrap_or(0));
            events.push_message(packet, MessageRef::response(id, "", status, body));
        } else {
            events.push_message(packet, MessageRef::request(id.parse().unwrap_or(0), last, body));
        }
    }
}

impl CodecSession for Session {
    fn decode(&mut self, _: &Arc<Packets>, _: Instant, _: &mut Events) -> Result<(), CodecError> {
        unreachable!("its streams are cut by itself")
    }

    fn decode_stream(
        &mut self,
        bytes: &Arc<Vec<u8>>,
        _: Instant,
        frames: &mut Frames,
    ) -> Result<(), CodecError> {
        let mut start = 0;
        while frames.ends.len() < Packets::MAX {
            let packet = frames.ends.len() as u32;
            match cut(&bytes[start..]) {
                Cut::Need(need) => {
                    frames.next = Next::Need(need as u32);
                    return Ok(());
                }
                Cut::Bad(why) => {
                    frames.events.push(packet, Kind::Fatal, why.as_bytes());
                    return Ok(());
                }
                Cut::Tls(length) if self.offers_tls && !self.secured => {
                    frames.ends.push((start + length) as u32);
                    frames.events.push(packet, Kind::Reply, b"+OK begin\r\n");
                    frames.next = Next::StartTls;
                    return Ok(());
                }
                Cut::Tls(length) => {
                    start += length;
                    frames.ends.push(start as u32);
                    frames.events.push(packet, Kind::Reply, b"-ERR no TLS\r\n");
                }
                Cut::Packet { length, head, body } => {
                    start += length;
                    frames.ends.push(start as u32);
                    Self::decode_packet(packet, head, body, &mut frames.events);
                }
            }
        }
        frames.next = Next::Full;
        Ok(())
    }

    fn secured(
        &mut self,
        attributes: &[(String, String)],
        _: Instant,
        events: &mut Events,
    ) -> Result<(), CodecError> {
        self.secured = true;
        let version = attributes.iter().find(|(name, _)| name == "tls-version");
        let version = version.map_or("none", |(_, version)| version.as_str());
        events.push(0, Kind::Reply, format!("+OK TLS {version}\r\n").as_bytes());
        Ok(())
    }

    fn encode(
        &mut self,
        messages: &Arc<Messages>,
        _: Instant,
        encoded: &mut Encoded,
    ) -> Result<(), CodecError> {
        for (index, MessageRef { role, id, route, body, status }) in messages.iter().enumerate() {
            let length = body.len();
            let head = match role {
                Role::Response => format!("{id} {length} {status}\n"),
                Role::Notice => format!("- {length} {route}\n"),
                Role::Request => format!("?{id} {length} {route}\n"),
            };
            encoded.push_with(index as u32, |packet| {
                packet.extend_from_slice(head.as_bytes());
                packet.extend_from_slice(body);
            });
        }
        Ok(())
    }

    fn tick(&mut self, _: Instant, events: &mut Events) -> Result<(), CodecError> {
        events.push(0, Kind::Reply, b"+OK ready\r\n");
        Ok(())
    }

    fn abandoned(&mut self, id: u64, _: Instant, events: &mut Events) -> Result<(), CodecError> {
        events.push(0, Kind::Reply, format!("!{id} 0 gone\n").as_bytes());
        Ok(())
    }

    fn save(&mut self) -> Result<Vec<u8>, CodecError> {
        Ok(vec![u8::from(self.secured)])
    }
}
