//! A codec that does what its packets say and records its calls, and a session of this codec.
//!
//! A packet is a line of commands: `reply pong; message 7 a.b.c body; close done`.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use crate::codec::shadow::ShadowedSession;
use crate::codec::{
    Abilities, Codec, CodecError, CodecSession, CpuAccount, Description, Encoded, Events, Kind, Messages,
    Peer, Reason, Refusal,
};
use crate::config::Overflow;
use crate::session::{
    Action, ClientInfo, CloseReason, Machine, Message, Outbox, Output, Session, SessionId, Sessions, Wire,
};
use wireplug_core::codec::cpu::Ticks;
use wireplug_core::framing::{Delimiter, Framing, Layout, Packets};

/// The settings of the codec and its wire, for a test.
pub(super) struct Setup {
    pub(super) handshake: bool,
    pub(super) abilities: Abilities,
    /// The script of each tick; the first one runs at open.
    pub(super) ticks: &'static [&'static str],
    /// The script of an answer to a hello.
    pub(super) answer: &'static str,
    pub(super) messages: bool,
    pub(super) text: bool,
    pub(super) max_packet: usize,
    pub(super) min_timer: u64,
    /// Whether the codec has a CPU account, as a codec in a sandbox has.
    pub(super) sandboxed: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            handshake: false,
            abilities: Abilities {
                batch: true,
                handshake: true,
                clock: true,
                farewell: true,
                handoff: true,
                ..Abilities::default()
            },
            ticks: &[],
            answer: "established",
            messages: false,
            text: false,
            max_packet: 100,
            min_timer: 0,
            sandboxed: false,
        }
    }
}

/// A machine and the application's handle of its session.
pub(super) struct Rig {
    pub(super) machine: Machine,
    pub(super) session: Session,
    calls: Calls,
}

/// The calls that the codec got.
type Calls = Arc<Mutex<Vec<String>>>;

impl Rig {
    pub(super) fn new(setup: Setup) -> Self {
        let framing = Framing::Delimiter(Delimiter::new(b"\n").unwrap());
        let (layout, output) = if setup.messages {
            (Layout::Framed(framing), Output::messages(setup.text))
        } else {
            (Layout::Stream(framing), Output::stream())
        };
        let wire = Wire::new(layout, setup.text, setup.max_packet, output);
        let outbox = Outbox::new(1 << 20, Overflow::DropNewest);
        let session = Session::new(SessionId(1), ClientInfo::default(), outbox.clone(), Sessions::default());
        let calls = Calls::default();
        let scripted = ScriptedSession {
            ticks: setup.ticks.iter().copied().collect(),
            answer: setup.answer,
            calls: Arc::clone(&calls),
        };
        let codec = ScriptedCodec::new(&setup);
        let machine =
            Machine::new(&codec, ShadowedSession::new(Box::new(scripted)), wire, outbox, setup.min_timer);
        Self { machine, session, calls }
    }

    /// Continues with another codec, whose calls are recorded separately.
    pub(super) fn replace_codec(&mut self, setup: Setup) {
        let calls = Calls::default();
        let scripted = ScriptedSession {
            ticks: setup.ticks.iter().copied().collect(),
            answer: setup.answer,
            calls: Arc::clone(&calls),
        };
        self.machine.replace_codec(&ScriptedCodec::new(&setup), Box::new(scripted), 0);
        self.calls = calls;
    }

    /// Returns an established session, whose codec has all abilities.
    pub(super) fn established() -> Self {
        let mut rig = Self::new(Setup::default());
        rig.actions();
        rig.calls();
        rig
    }

    /// Receives and decodes these packets at once, at time 0.
    pub(super) fn receive(&mut self, packets: &[&str]) {
        self.receive_bytes((packets.join("\n") + "\n").as_bytes());
    }

    pub(super) fn receive_bytes(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        loop {
            self.machine.receive(&mut rest, 0);
            if rest.is_empty() {
                break;
            }
        }
        self.machine.decode(0);
    }

    pub(super) fn push(&self, body: &'static str) {
        self.session.send(Message::push("on", body)).unwrap();
    }

    pub(super) fn respond(&self, id: u64, body: &'static str) {
        self.session.respond(Message { id: Some(id), ..Message::push("route", body) });
    }

    /// Encodes the messages that wait, as far as this is allowed.
    pub(super) fn flush(&mut self) {
        self.machine.encode_waiting(usize::MAX, 0, || true);
    }

    /// Returns the calls of the codec since the last time.
    pub(super) fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }

    /// Returns the packets that were to be written since the last time.
    pub(super) fn written(&mut self) -> Vec<String> {
        let mut bytes = Vec::new();
        match self.machine.output() {
            Output::Stream(output) => {
                bytes.extend_from_slice(output.front());
                output.advance(bytes.len());
            }
            Output::Messages(output) => {
                std::iter::from_fn(|| output.pop())
                    .for_each(|next| bytes.extend(next.message.unwrap_or_default()));
            }
        }
        String::from_utf8(bytes).unwrap().split_terminator('\n').map(str::to_owned).collect()
    }

    /// Returns the actions for the application since the last time.
    pub(super) fn actions(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.machine.next_action())
            .map(|action| match action {
                Action::Hello(body) => format!("hello {}", body.escape_ascii()),
                Action::Established => "established".to_owned(),
                Action::Message { id: Some(id), route, body } => {
                    format!("message {id} {route} {}", body.escape_ascii())
                }
                Action::Message { id: None, route, body } => {
                    format!("message - {route} {}", body.escape_ascii())
                }
            })
            .collect()
    }

    pub(super) fn closed(&self) -> Option<CloseReason> {
        self.machine.closed().cloned()
    }
}

/// The reason of a close event.
pub(super) fn protocol(reason: &str) -> Option<CloseReason> {
    Some(CloseReason::Protocol(Reason::new(reason)))
}

/// The fault of the command `trap`.
pub(super) fn trap() -> CodecError {
    CodecError::Trap(Reason::new("scripted"))
}

struct ScriptedCodec {
    description: Description,
    abilities: Abilities,
    account: Option<Arc<CpuAccount>>,
}

impl ScriptedCodec {
    fn new(setup: &Setup) -> Self {
        let description = Description {
            name: "script".into(),
            version: String::new(),
            framing: None,
            message: None,
            text: setup.text,
            json: false,
            handshake: setup.handshake,
            merges: false,
        };
        let account = setup.sandboxed.then(|| Arc::new(CpuAccount::unlimited(Ticks::default())));
        Self { description, abilities: setup.abilities, account }
    }
}

impl Codec for ScriptedCodec {
    fn description(&self) -> &Description {
        &self.description
    }

    fn abilities(&self) -> Abilities {
        self.abilities
    }

    fn open(&self, _peer: Peer) -> Result<Box<dyn CodecSession>, CodecError> {
        unreachable!("the rig opens sessions itself")
    }

    fn cpu_account(&self) -> Option<&Arc<CpuAccount>> {
        self.account.as_ref()
    }
}

struct ScriptedSession {
    ticks: VecDeque<&'static str>,
    answer: &'static str,
    calls: Calls,
}

impl ScriptedSession {
    fn note(&self, call: String) {
        self.calls.lock().unwrap().push(call);
    }
}

impl CodecSession for ScriptedSession {
    fn decode(&mut self, packets: &Arc<Packets>, now_ms: u64, events: &mut Events) -> Result<(), CodecError> {
        self.note(format!("decode {} at {now_ms}", packets.len()));
        packets.iter().enumerate().try_for_each(|(i, packet)| {
            perform(std::str::from_utf8(packet).expect("a script"), i as u32, events)
        })
    }

    /// Makes packets that show all parts of their messages. Some bodies and routes have no packet,
    /// or make the call fail.
    fn encode(
        &mut self,
        messages: &Arc<Messages>,
        _now_ms: u64,
        encoded: &mut Encoded,
    ) -> Result<(), CodecError> {
        self.note(format!("encode {}", messages.len()));
        for (i, message) in messages.iter().enumerate() {
            let id = message.id.map_or("-".to_owned(), |id| id.to_string());
            let body = std::str::from_utf8(message.body).unwrap();
            match (message.route, body) {
                (_, "trap") => return Err(trap()),
                (_, "formless") => {}
                ("never", _) | (_, "refuse") => {
                    encoded.refused.push(Refusal { message: i as u32, reason: "scripted".into() });
                }
                (route, _) => {
                    let packet = format!("{id} {route} {} {body}", message.status);
                    encoded.packets.push(packet.trim_end_matches(' ').as_bytes());
                }
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
        self.note(format!("answer {status} {} at {now_ms}", body.escape_ascii()));
        perform(self.answer, 0, events)
    }

    fn tick(&mut self, now_ms: u64, events: &mut Events) -> Result<(), CodecError> {
        self.note(format!("tick at {now_ms}"));
        perform(self.ticks.pop_front().unwrap_or_default(), 0, events)
    }

    fn save(&mut self) -> Result<Vec<u8>, CodecError> {
        self.note("save".to_owned());
        match self.answer {
            "cannot be saved" => Err(CodecError::Refused(Reason::new("scripted"))),
            "trap" => Err(trap()),
            answer => Ok(answer.into()),
        }
    }

    fn farewell(&mut self, reason: &str, now_ms: u64) -> Result<Option<Vec<u8>>, CodecError> {
        self.note(format!("farewell {reason} at {now_ms}"));
        match reason {
            "trap" => Err(trap()),
            "silent" => Ok(None),
            _ => Ok(Some(format!("bye {reason}").into_bytes())),
        }
    }
}

/// Makes the events that a script asks for.
fn perform(script: &str, packet: u32, events: &mut Events) -> Result<(), CodecError> {
    for command in script.split(';').map(str::trim).filter(|command| !command.is_empty()) {
        let (verb, rest) = command.split_once(' ').unwrap_or((command, ""));
        match verb {
            "hello" => events.push(packet, Kind::Hello, rest.as_bytes()),
            "established" => events.push(packet, Kind::Established, b""),
            "message" => {
                let mut words = rest.splitn(3, ' ');
                let mut word = || words.next().unwrap_or_default();
                let (id, route, body) = (word().parse().ok(), word(), word());
                events.push_message(packet, id, route, body.as_bytes());
            }
            "reply" => events.push(packet, Kind::Reply, rest.replace('|', "\n").as_bytes()),
            "wake" => events.push_wake(packet, rest.parse().unwrap()),
            "close" => events.push(packet, Kind::Close, rest.as_bytes()),
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
