//! A codec that executes the commands in its packets.
//!
//! A packet is a line of commands: `reply pong; request 7 a.b.c body; close 4000 done`.

use std::sync::Arc;

use crate::codec::{
    Abilities, Cause, Codec, CodecError, CodecSession, Description, Encoded, Events, Frames, Instant, Kind,
    Level, MessageRef, Messages, Next, Peer, Reason, Refusal, Role,
};
use crate::framing::{MessageFraming, Packets, Payload};

pub(crate) struct Script {
    pub(crate) description: Description,
    pub(crate) abilities: Abilities,
}

impl Default for Script {
    fn default() -> Self {
        let description = Description {
            name: "script".into(),
            version: String::new(),
            framing: None,
            messages: None,
            payload: Payload::Binary,
            json: false,
            handshake: true,
            client_requests: 0,
            coalesces: false,
            max_packet: None,
        };
        let abilities = Abilities {
            batch: true,
            framer: false,
            tls_upgrade: false,
            handshake: true,
            requests: true,
            clock: true,
            farewell: true,
            broadcast: true,
            handoff: true,
        };
        Self { description, abilities }
    }
}

impl Script {
    /// Creates a codec whose `client-requests` is above 0.
    pub(crate) fn with_client_requests() -> Self {
        let mut script = Self::default();
        script.description.client_requests = 8;
        script
    }

    /// Creates a codec that joins the packets of messages. See [`coalesced`].
    pub(crate) fn coalescing() -> Self {
        let mut script = Self::default();
        script.description.coalesces = true;
        script
    }

    /// Creates a codec that cuts its stream itself: a packet is a line with its end.
    pub(crate) fn framer() -> Self {
        let mut script = Self::default();
        (script.abilities.framer, script.abilities.tls_upgrade) = (true, true);
        script.description.messages = Some(MessageFraming::Framed);
        script
    }

    fn session(&self, peer: Peer, packets: u8) -> Box<dyn CodecSession> {
        let coalesces = self.description.coalesces;
        Box::new(ScriptSession { peer, packets, coalesces, tick: "time".into(), frames: Changes::default() })
    }
}

fn refused(reason: &str) -> CodecError {
    CodecError::Refused(Reason::new(reason))
}

fn trap() -> CodecError {
    CodecError::Trap(Reason::new("scripted").into())
}

impl Codec for Script {
    fn description(&self) -> &Description {
        &self.description
    }

    fn abilities(&self) -> Abilities {
        self.abilities
    }

    fn open(&self, peer: Peer, now: Instant) -> Result<Box<dyn CodecSession>, CodecError> {
        assert_eq!(now.session_ms, 0);
        match &*peer.transport {
            "banned" => Err(refused("no such clients")),
            "trap" => Err(trap()),
            _ => Ok(self.session(peer, 0)),
        }
    }

    /// The state is the number of packets so far. The codec refuses a state of 13 packets.
    fn restore(&self, peer: Peer, state: &[u8], _now: Instant) -> Result<Box<dyn CodecSession>, CodecError> {
        match state {
            [13] => Err(refused("an unlucky state")),
            [99] => Err(trap()),
            state => Ok(self.session(peer, state[0])),
        }
    }

    fn encode_shared(&self, class: u32, message: MessageRef<'_>) -> Result<Packets, CodecError> {
        assert_eq!((message.role, message.id, message.status), (Role::Notice, 0, 200));
        let mut packets = Packets::new();
        match message.body {
            b"formless" => {}
            b"refuse" => return Err(refused("not this")),
            b"trap" => return Err(trap()),
            body => {
                for piece in pieces(body) {
                    packets.push(&[format!("{class} {} ", message.route).as_bytes(), piece].concat());
                }
            }
        }
        Ok(packets)
    }
}

struct ScriptSession {
    peer: Peer,
    /// The number of packets that were decoded.
    packets: u8,
    coalesces: bool,
    /// The commands that each tick executes.
    tick: String,
    frames: Changes,
}

/// How commands change the answer to a stream.
#[derive(Default)]
struct Changes {
    next: Option<Next>,
    /// The commands whose events are about the rest.
    about_rest: Option<String>,
    /// An end beside those of the packets.
    end: Option<u32>,
    /// Whether the codec cuts nothing any more.
    is_stuck: bool,
}

impl CodecSession for ScriptSession {
    fn decode(
        &mut self,
        packets: &Arc<Packets>,
        now: Instant,
        events: &mut Events,
    ) -> Result<(), CodecError> {
        for (index, packet) in (0..).zip(packets.iter()) {
            self.packets += 1;
            self.perform_all(str::from_utf8(packet).unwrap(), index, now, events)?;
            if events.ends_call() {
                break;
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
        let mut rest = &bytes[..];
        while !self.frames.is_stuck
            && self.frames.next.is_none()
            && frames.ends.len() < Packets::MAX
            && !frames.events.ends_call()
            && let Some(length) = rest.iter().position(|byte| *byte == b'\n')
        {
            let (line, index) = (String::from_utf8_lossy(&rest[..length]), frames.ends.len() as u32);
            rest = &rest[length + 1..];
            frames.ends.push((bytes.len() - rest.len()) as u32);
            self.packets += 1;
            self.perform_all(&line, index, now, &mut frames.events)?;
        }
        let is_full = frames.events.ends_call() || frames.ends.len() == Packets::MAX || self.frames.is_stuck;
        let need = Next::Need(rest.len() as u32 + 1);
        frames.next = self.frames.next.take().unwrap_or(if is_full { Next::Full } else { need });
        frames.ends.extend(self.frames.end.take());
        if let Some(commands) = self.frames.about_rest.take() {
            self.perform_all(&commands, frames.ends.len() as u32, now, &mut frames.events)?;
        }
        Ok(())
    }

    fn secured(
        &mut self,
        attributes: &[(String, String)],
        _now: Instant,
        events: &mut Events,
    ) -> Result<(), CodecError> {
        events.push(0, Kind::Reply, format!("secured {attributes:?}").as_bytes());
        Ok(())
    }

    fn abandoned(&mut self, id: u64, _now: Instant, events: &mut Events) -> Result<(), CodecError> {
        events.push(0, Kind::Reply, format!("abandoned {id}").as_bytes());
        Ok(())
    }

    /// Makes packets that show all parts of their messages. Some bodies have another effect.
    fn encode(
        &mut self,
        messages: &Arc<Messages>,
        now: Instant,
        encoded: &mut Encoded,
    ) -> Result<(), CodecError> {
        for (index, message) in (0..).zip(messages.iter()) {
            match message.body {
                b"formless" => {}
                b"refuse" => encoded.refused.push(Refusal { message: index, reason: "not this".into() }),
                b"die" => return Err(refused("cannot go on")),
                b"trap" => return Err(trap()),
                // An answer that breaks the contract: a packet without a source.
                b"unsourced" => encoded.packets.push(b"whose?"),
                body => {
                    for piece in pieces(body) {
                        encoded.push(index, &packet(message, piece, now));
                    }
                }
            }
        }
        if self.coalesces {
            *encoded = coalesced(encoded);
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
        events.push(0, Kind::Reply, &[status.to_string().as_bytes(), body].concat());
        events.push(0, Kind::Established, b"");
        Ok(())
    }

    fn tick(&mut self, now: Instant, events: &mut Events) -> Result<(), CodecError> {
        let commands = self.tick.clone();
        self.perform_all(&commands, 0, now, events)
    }

    /// Executes the commands behind `do`, or says goodbye with the cause and the reason.
    fn farewell(
        &mut self,
        cause: Cause,
        reason: &str,
        now: Instant,
        events: &mut Events,
    ) -> Result<(), CodecError> {
        match (reason, reason.strip_prefix("do ")) {
            ("silent", _) => Ok(()),
            (_, Some(commands)) => self.perform_all(commands, 0, now, events),
            _ => {
                events.push(0, Kind::Reply, format!("bye {} {reason}", cause.name()).as_bytes());
                Ok(())
            }
        }
    }

    fn broadcast_class(&mut self) -> Result<Option<u32>, CodecError> {
        Ok((self.packets > 0).then_some(self.packets.into()))
    }

    fn save(&mut self) -> Result<Vec<u8>, CodecError> {
        match self.packets {
            12 => Err(refused("in the middle of it")),
            packets => Ok(vec![packets]),
        }
    }
}

impl ScriptSession {
    fn perform_all(
        &mut self,
        commands: &str,
        packet: u32,
        now: Instant,
        events: &mut Events,
    ) -> Result<(), CodecError> {
        commands.split(';').try_for_each(|command| self.perform(command.trim(), packet, now, events))
    }

    fn perform(
        &mut self,
        command: &str,
        packet: u32,
        now: Instant,
        events: &mut Events,
    ) -> Result<(), CodecError> {
        let (verb, rest) = command.split_once(' ').unwrap_or((command, ""));
        let mut words = rest.split(' ');
        match verb {
            "hello" => events.push(packet, Kind::Hello, rest.as_bytes()),
            "established" => events.push(packet, Kind::Established, b""),
            "notice" => {
                let (route, body) = (words.next().unwrap(), words.next().unwrap_or_default());
                events.push_message(packet, MessageRef::notice(route, body.as_bytes()));
            }
            "request" => {
                let (id, route) = (words.next().unwrap(), words.next().unwrap());
                let body = words.next().unwrap_or_default();
                let request = MessageRef::request(id.parse().unwrap(), route, body.as_bytes());
                events.push_message(packet, request);
            }
            "response" => {
                let (id, status) = (words.next().unwrap(), words.next().unwrap());
                let body = words.next().unwrap_or_default();
                let (id, status) = (id.parse().unwrap(), status.parse().unwrap());
                events.push_message(packet, MessageRef::response(id, "", status, body.as_bytes()));
            }
            "reply" => events.push(packet, Kind::Reply, rest.as_bytes()),
            "timer" => events.push_timer(packet, rest.parse().unwrap()),
            "address-verified" => events.push(packet, Kind::AddressVerified, b""),
            "log" => {
                let (level, text) = rest.split_once(' ').unwrap();
                events.push_log(packet, Level::from_name(level).unwrap(), text);
            }
            "close" => {
                let (code, reason) = rest.split_once(' ').unwrap();
                events.push_close(packet, code.parse().unwrap(), reason);
            }
            "rejected" => events.push(packet, Kind::Rejected, rest.as_bytes()),
            "fatal" => events.push(packet, Kind::Fatal, rest.as_bytes()),
            "time" => events.push(packet, Kind::Reply, now.session_ms.to_string().as_bytes()),
            "unix" => events.push(packet, Kind::Reply, now.unix_ms.to_string().as_bytes()),
            "peer" => events.push(packet, Kind::Reply, format!("{:?}", self.peer).as_bytes()),
            "packets" => events.push(packet, Kind::Reply, &[self.packets]),
            "set" => self.packets = rest.parse().unwrap(),
            // A semicolon would end this command, so commas separate the commands of a tick.
            "at-tick" => self.tick = rest.replace(',', ";"),
            "wrong" => events.push(packet + 1, Kind::Reply, b""),
            "start-tls" => self.frames.next = Some(Next::StartTls),
            "need" => self.frames.next = Some(Next::Need(rest.parse().unwrap())),
            "full" => self.frames.next = Some(Next::Full),
            "rest" => self.frames.about_rest = Some(rest.replace(',', ";")),
            "end" => self.frames.end = Some(rest.parse().unwrap()),
            "stuck" => self.frames.is_stuck = true,
            "trap" => return Err(trap()),
            _ => panic!("no such command: {command}"),
        }
        Ok(())
    }
}

/// Returns the pieces of a body. Each is the body of a packet of its own.
fn pieces(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    body.split(|byte| *byte == b'|')
}

/// Returns the packet for a piece of a message.
fn packet(message: MessageRef<'_>, piece: &[u8], now: Instant) -> Vec<u8> {
    let MessageRef { role, id, route, status, .. } = message;
    let role = match role {
        Role::Notice => "notice",
        Role::Request => "request",
        Role::Response => "response",
    };
    [format!("{role} {id} {route} {status} at {}: ", now.session_ms).as_bytes(), piece].concat()
}

/// Joins packets. A packet that ends with `;` is the last part of a joined packet, and so is the
/// last packet of the batch.
fn coalesced(encoded: &Encoded) -> Encoded {
    let mut joined = Encoded { refused: encoded.refused.clone(), ..Encoded::default() };
    let mut parts = Vec::new();
    for (index, (part, &source)) in (1..).zip(encoded.packets.iter().zip(&encoded.sources)) {
        parts.push(part);
        if part.ends_with(b";") || index == encoded.sources.len() {
            joined.push(source, &parts.join(&b" + "[..]));
            parts.clear();
        }
    }
    joined
}
