//! A session of a scripted codec, and its application.

use std::sync::{Arc, Mutex};

use super::script::{ScriptedCodec, ScriptedSession};
use crate::codec::shadow::ShadowedSession;
use crate::codec::{Abilities, Cause, Instant, Reason, SavedStates};
use crate::config::{Overflow, SessionsPerUser};
use crate::session::{
    Action, ClientInfo, CloseReason, Machine, Message, Output, Session, SessionId, Sessions, Wire,
};
use wireplug_connectors::running_time::RunningTime;
use wireplug_core::framing::{Delimiter, Framing, Layout, Payload};

/// The settings of the codec and its wire, for a test.
pub(super) struct Setup {
    pub(super) handshake: bool,
    pub(super) abilities: Abilities,
    /// The script of each tick; the first one runs at open.
    pub(super) ticks: &'static [&'static str],
    /// The script of an answer to a hello.
    pub(super) answer: &'static str,
    pub(super) messages: bool,
    pub(super) payload: Payload,
    /// The largest packet that the listener allows.
    pub(super) max_packet: usize,
    /// The largest packet of the codec's description.
    pub(super) codec_max_packet: Option<u32>,
    pub(super) min_timer: u64,
    pub(super) client_requests: u16,
    pub(super) coalesces: bool,
    /// A secret among the codec's options.
    pub(super) secret: Option<&'static str>,
    /// Whether the codec has a CPU account, as a codec in a sandbox has.
    pub(super) sandboxed: bool,
    /// The clock by which requests to the client time out.
    pub(super) time: RunningTime,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            handshake: false,
            abilities: Abilities {
                batch: true,
                handshake: true,
                requests: true,
                clock: true,
                farewell: true,
                handoff: true,
                ..Abilities::default()
            },
            ticks: &[],
            answer: "established",
            messages: false,
            payload: Payload::Binary,
            max_packet: 100,
            codec_max_packet: None,
            min_timer: 0,
            client_requests: 0,
            coalesces: false,
            secret: None,
            sandboxed: false,
            time: RunningTime::default(),
        }
    }
}

impl Setup {
    /// Returns the settings of a codec that cuts its stream itself: a packet is a line with its
    /// end.
    pub(super) fn framer() -> Self {
        let setup = Self::default();
        let abilities = Abilities { framer: true, tls_upgrade: true, ..setup.abilities };
        Self { abilities, ..setup }
    }

    /// Returns the settings of a codec in a sandbox that is called for each packet.
    pub(super) fn called_singly() -> Self {
        let setup = Self::default();
        let abilities = Abilities { batch: false, ..setup.abilities };
        Self { abilities, sandboxed: true, ..setup }
    }

    fn layout(&self) -> Layout {
        let framing = Framing::Delimiter(Delimiter::new(b"\n").unwrap());
        match (self.messages, self.payload) {
            (whole_messages, _) if self.abilities.framer => Layout::Framer { whole_messages },
            (true, Payload::Tagged) => Layout::One,
            (true, _) => Layout::Framed(framing),
            (false, _) => Layout::Stream(framing),
        }
    }
}

/// Returns the time of a call.
pub(super) fn at(session_ms: u64) -> Instant {
    Instant::for_test(session_ms)
}

/// A machine and the application's handle of its session.
pub(super) struct Rig {
    pub(super) machine: Machine,
    pub(super) session: Session,
    calls: Calls,
}

/// The calls that the codec got.
pub(super) type Calls = Arc<Mutex<Vec<String>>>;

impl Rig {
    pub(super) fn new(setup: Setup) -> Self {
        let output = if setup.messages { Output::messages() } else { Output::stream() };
        let wire = Wire {
            layout: setup.layout(),
            payload: setup.payload,
            max_packet: setup.max_packet,
            may_start_tls: true,
            output,
        };
        let outbox = super::outbox(1 << 20, Overflow::DropNewest);
        let sessions =
            Sessions::new(SessionsPerUser::default(), Vec::new(), None, Vec::new(), setup.time.clone());
        let session = Session::new(SessionId(1), ClientInfo::default(), outbox.clone(), sessions);
        let calls = Calls::default();
        let scripted = ShadowedSession::new(Box::new(ScriptedSession::new(&setup, &calls)));
        let machine =
            Machine::new(&ScriptedCodec::new(&setup), scripted, wire, outbox, setup.min_timer, at(0), None);
        Self { machine, session, calls }
    }

    /// Continues with another codec, whose calls are recorded separately.
    pub(super) fn replace_codec(&mut self, setup: Setup) {
        let calls = Calls::default();
        let scripted = Box::new(ScriptedSession::new(&setup, &calls));
        self.machine.replace_codec(&ScriptedCodec::new(&setup), scripted, at(0));
        self.calls = calls;
    }

    /// Puts the session to sleep.
    pub(super) fn sleep(&mut self) {
        assert!(self.machine.may_sleep());
        self.machine.sleep(&SavedStates::default()).unwrap();
    }

    /// Wakes the session. The calls of its codec are recorded separately from then on.
    pub(super) fn wake(&mut self, setup: Setup) {
        assert!(self.machine.saved().is_some());
        let calls = Calls::default();
        self.machine.wake(Box::new(ScriptedSession::new(&setup, &calls)));
        self.calls = calls;
    }

    /// Returns an established session, whose codec has all abilities.
    pub(super) fn established() -> Self {
        Self::established_with(Setup::default())
    }

    pub(super) fn established_with(setup: Setup) -> Self {
        let mut rig = Self::new(setup);
        rig.actions();
        rig.calls();
        rig
    }

    /// Receives and decodes these packets at once, at time 0.
    pub(super) fn receive(&mut self, packets: &[&str]) {
        self.receive_bytes((packets.join("\n") + "\n").as_bytes());
    }

    /// Receives and decodes bytes at time 0, as far as the session takes them. Returns the others.
    pub(super) fn receive_bytes<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let mut rest = bytes;
        loop {
            self.machine.receive(&mut rest, false, at(0));
            let waits =
                self.machine.hello_is_open() || self.machine.is_in_batch() || self.machine.tls_begins();
            if rest.is_empty() || waits {
                break;
            }
        }
        // A connection wakes the session first.
        if !self.machine.is_asleep() {
            self.machine.decode(at(0));
        }
        rest
    }

    pub(super) fn push(&self, body: &'static str) {
        self.session.send(Message::push("on", body)).unwrap();
    }

    pub(super) fn respond(&self, id: u64, body: &'static str) {
        self.respond_on("route", id, body);
    }

    pub(super) fn respond_on(&self, route: &str, id: u64, body: &'static str) {
        self.session.respond(Message::response(id, route.into(), 200, body.into()));
    }

    /// Encodes the messages that wait, as far as this is allowed.
    pub(super) fn flush(&mut self) {
        self.machine.encode_waiting(usize::MAX, at(0), || true);
    }

    /// Lets the codec say farewell, because the application threw the client out.
    pub(super) fn farewell(&mut self, reason: &str) {
        self.machine.farewell(Cause::Kicked, reason, at(0));
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
                Action::StartTls => "start-tls".to_owned(),
                Action::Message { id: Some(id), route, body } => {
                    format!("request {id} {route} {}", body.escape_ascii())
                }
                Action::Message { id: None, route, body } => {
                    format!("notice {route} {}", body.escape_ascii())
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
