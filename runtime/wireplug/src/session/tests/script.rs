//! A codec that does what its packets say and records its calls.
//!
//! A packet is a line of commands: `reply pong; request 7 a.b.c body; close 4000 done`.

use std::collections::VecDeque;
use std::sync::Arc;

use super::rig::{Calls, Setup};
use crate::codec::{
    Abilities, Cause, Codec, CodecError, CodecSession, CpuAccount, Description, Encoded, Events, Frames,
    Instant, Kind, Level, MessageRef, Messages, Next, Peer, Reason, Refusal, Role, Secrets,
};
use wireplug_core::codec::cpu::Ticks;
use wireplug_core::framing::{Packets, Payload};

/// The fault of the command `trap`.
pub(super) fn trap() -> CodecError {
    CodecError::Trap(Reason::new("scripted").into())
}

pub(super) struct ScriptedCodec {
    description: Description,
    abilities: Abilities,
    secrets: Secrets,
    account: Option<Arc<CpuAccount>>,
}

impl ScriptedCodec {
    pub(super) fn new(setup: &Setup) -> Self {
        let description = Description {
            name: "script".into(),
            version: String::new(),
            framing: None,
            messages: None,
            payload: setup.payload,
            json: false,
            handshake: setup.handshake,
            client_requests: setup.client_requests,
            coalesces: setup.coalesces,
            max_packet: setup.codec_max_packet,
        };
        let account = setup.sandboxed.then(|| Arc::new(CpuAccount::unlimited(Ticks::default())));
        let secrets = Secrets::new(setup.secret.map(|secret| (secret, "{\"env\":\"SECRET\"}")));
        Self { description, abilities: setup.abilities, secrets, account }
    }
}

impl Codec for ScriptedCodec {
    fn description(&self) -> &Description {
        &self.description
    }

    fn abilities(&self) -> Abilities {
        self.abilities
    }

    fn secrets(&self) -> Secrets {
        self.secrets.clone()
    }

    fn open(&self, _peer: Peer, _now: Instant) -> Result<Box<dyn CodecSession>, CodecError> {
        unreachable!("the rig opens sessions itself")
    }

    fn cpu_account(&self) -> Option<&Arc<CpuAccount>> {
        self.account.as_ref()
    }
}

pub(super) struct ScriptedSession {
    ticks: VecDeque<&'static str>,
    answer: &'static str,
    coalesces: bool,
    /// Whether packets are lines with their ends.
    is_framer: bool,
    /// The tag of the packet that came last, if packets have tags. Packets get the same tag.
    tag: Option<u8>,
    calls: Calls,
}

impl ScriptedSession {
    pub(super) fn new(setup: &Setup, calls: &Calls) -> Self {
        Self {
            ticks: setup.ticks.iter().copied().collect(),
            answer: setup.answer,
            coalesces: setup.coalesces,
            is_framer: setup.abilities.framer,
            tag: (setup.payload == Payload::Tagged).then_some(Payload::TEXT_TAG),
            calls: Arc::clone(calls),
        }
    }
}

impl CodecSession for ScriptedSession {
    fn decode(
        &mut self,
        packets: &Arc<Packets>,
        now: Instant,
        events: &mut Events,
    ) -> Result<(), CodecError> {
        self.note(format!("decode {} at {}", packets.len(), now.session_ms));
        for (index, packet) in (0..).zip(packets.iter()) {
            let packet = if self.tag.is_some() {
                let (tag, packet) = packet.split_first().expect("each packet has a tag");
                self.tag = Some(*tag);
                packet
            } else {
                packet
            };
            self.perform(std::str::from_utf8(packet).expect("a script"), index, events)?;
            if events.heads.last().is_some_and(|head| head.kind == Kind::Hello) {
                break;
            }
        }
        Ok(())
    }

    /// Cuts lines. The lines `need NUMBER` and `start-tls` end the answer.
    fn decode_stream(
        &mut self,
        bytes: &Arc<Vec<u8>>,
        now: Instant,
        frames: &mut Frames,
    ) -> Result<(), CodecError> {
        self.note(format!("cut {} bytes at {}", bytes.len(), now.session_ms));
        let mut rest = &bytes[..];
        while frames.next == Next::Full && frames.ends.len() < Packets::MAX && !frames.events.ends_call() {
            let Some(length) = rest.iter().position(|byte| *byte == b'\n') else {
                frames.next = Next::Need(rest.len() as u32 + 1);
                break;
            };
            let line = std::str::from_utf8(&rest[..length]).expect("a script");
            rest = &rest[length + 1..];
            let index = frames.ends.len() as u32;
            frames.ends.push((bytes.len() - rest.len()) as u32);
            match line.strip_prefix("need ") {
                Some(need) => frames.next = Next::Need(need.parse().unwrap()),
                None if line == "start-tls" => frames.next = Next::StartTls,
                None => self.perform(line, index, &mut frames.events)?,
            }
        }
        Ok(())
    }

    fn secured(
        &mut self,
        attributes: &[(String, String)],
        now: Instant,
        events: &mut Events,
    ) -> Result<(), CodecError> {
        self.note(format!("secured {attributes:?} at {}", now.session_ms));
        self.perform("reply secured", 0, events)
    }

    /// Makes packets that show all parts of their messages. Some bodies and routes have no packet,
    /// or make the call fail.
    fn encode(
        &mut self,
        messages: &Arc<Messages>,
        _now: Instant,
        encoded: &mut Encoded,
    ) -> Result<(), CodecError> {
        self.note(format!("encode {}", messages.len()));
        for (index, message) in (0..).zip(messages.iter()) {
            match (message.route, std::str::from_utf8(message.body).unwrap()) {
                (_, "trap") => return Err(trap()),
                (_, "formless") => {}
                ("never", _) | (_, "refuse") => {
                    encoded.refused.push(Refusal { message: index, reason: "scripted".into() });
                }
                (_, body) => {
                    for piece in body.split('|') {
                        encoded.push(index, &self.packet(&shown(message, piece)));
                    }
                }
            }
        }
        // All messages of the batch become one packet.
        if self.coalesces
            && let Some(&source) = encoded.sources.last()
        {
            let packet = encoded.packets.iter().collect::<Vec<_>>().join(&b" + "[..]);
            encoded.packets.clear();
            encoded.sources.clear();
            encoded.push(source, &packet);
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
        self.note(format!("answer {status} {} at {}", body.escape_ascii(), now.session_ms));
        self.perform(self.answer, 0, events)
    }

    fn abandoned(&mut self, id: u64, now: Instant, events: &mut Events) -> Result<(), CodecError> {
        self.note(format!("abandoned {id} at {}", now.session_ms));
        self.perform("reply never mind", 0, events)
    }

    fn tick(&mut self, now: Instant, events: &mut Events) -> Result<(), CodecError> {
        self.note(format!("tick at {}", now.session_ms));
        let script = self.ticks.pop_front().unwrap_or_default();
        self.perform(script, 0, events)
    }

    fn save(&mut self) -> Result<Vec<u8>, CodecError> {
        self.note("save".to_owned());
        match self.answer {
            "cannot be saved" => Err(CodecError::Refused(Reason::new("scripted"))),
            "trap" => Err(trap()),
            answer => Ok(answer.into()),
        }
    }

    /// Executes the commands behind `do`, or says goodbye.
    fn farewell(
        &mut self,
        cause: Cause,
        reason: &str,
        now: Instant,
        events: &mut Events,
    ) -> Result<(), CodecError> {
        self.note(format!("farewell {} {reason} at {}", cause.name(), now.session_ms));
        match (reason, reason.strip_prefix("do ")) {
            ("silent", _) => Ok(()),
            (_, Some(script)) => self.perform(script, 0, events),
            _ => self.perform(&format!("reply bye {reason}"), 0, events),
        }
    }
}

impl ScriptedSession {
    fn note(&self, call: String) {
        self.calls.lock().unwrap().push(call);
    }

    /// Returns the packet that carries a text.
    fn packet(&self, text: &str) -> Vec<u8> {
        let end = if self.is_framer { "\n" } else { "" };
        self.tag.into_iter().chain(text.bytes()).chain(end.bytes()).collect()
    }

    /// Makes the events that a script asks for.
    fn perform(&self, script: &str, packet: u32, events: &mut Events) -> Result<(), CodecError> {
        for command in script.split(';').map(str::trim).filter(|command| !command.is_empty()) {
            let (verb, rest) = command.split_once(' ').unwrap_or((command, ""));
            let mut words = rest.splitn(3, ' ');
            let mut word = || words.next().unwrap_or_default();
            match verb {
                "hello" => events.push(packet, Kind::Hello, rest.as_bytes()),
                "established" => events.push(packet, Kind::Established, b""),
                "notice" => {
                    let (route, body) = (word(), word());
                    events.push_message(packet, MessageRef::notice(route, body.as_bytes()));
                }
                "request" => {
                    let (id, route, body) = (word().parse().unwrap(), word(), word());
                    events.push_message(packet, MessageRef::request(id, route, body.as_bytes()));
                }
                "response" => {
                    let (id, status, body) = (word().parse().unwrap(), word().parse().unwrap(), word());
                    events.push_message(packet, MessageRef::response(id, "", status, body.as_bytes()));
                }
                "reply" => events.push(packet, Kind::Reply, &self.packet(&rest.replace('|', "\n"))),
                // A packet without its tag or its end.
                "bare" => events.push(packet, Kind::Reply, rest.as_bytes()),
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
                // An answer that breaks the contract: a packet that was not in the batch.
                "wrong" => events.push(u32::MAX, Kind::Reply, b""),
                "trap" => return Err(trap()),
                _ => panic!("no such command: {command}"),
            }
        }
        Ok(())
    }
}

/// Returns the text of a piece of a message: its id with its role, its route, its status, its body.
fn shown(message: MessageRef<'_>, piece: &str) -> String {
    let MessageRef { role, id, route, status, .. } = message;
    let id = match role {
        Role::Notice => "-".to_owned(),
        Role::Request => format!("?{id}"),
        Role::Response => id.to_string(),
    };
    format!("{id} {route} {status} {piece}").trim_end_matches(' ').to_owned()
}
