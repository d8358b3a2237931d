//! Asks a codec what the vectors say, as a session's state machine would.

use std::sync::Arc;

use super::answer::Answer;
use super::{Call, Step};
use crate::codec::{
    Abilities, Codec, CodecError, CodecSession, Encoded, Event, Events, MessageRef, Messages, Peer, Violation,
};
use crate::framing::Packets;

/// What a step came to.
pub(super) struct Played {
    pub(super) answers: Vec<String>,
    pub(super) fault: Option<String>,
}

/// Plays the steps of one session after the other.
pub(super) struct Player<'a> {
    codec: &'a dyn Codec,
    abilities: Abilities,
    session: Option<Box<dyn CodecSession>>,
    peer: Peer,
    established: bool,
    progress: Progress,
    answers: Vec<String>,
    /// One of the answers says that the codec is wrong itself.
    is_bug: bool,
}

/// What a session may still be asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    Working,
    /// The codec has ended it: only to encode.
    Ended,
    /// It has said farewell, or could not go on encoding: nothing.
    Over,
    /// A call has failed: the steps that are left are skipped.
    Failed,
}

/// Why a step could not be played, for people.
type Fault = String;

impl<'a> Player<'a> {
    pub(super) fn new(codec: &'a dyn Codec) -> Self {
        let peer = Peer {
            transport: String::new(),
            address: String::new(),
            entropy: [0; 32],
            attributes: Vec::new(),
        };
        Self {
            codec,
            abilities: codec.abilities(),
            session: None,
            peer,
            established: false,
            progress: Progress::Failed,
            answers: Vec::new(),
            is_bug: false,
        }
    }

    /// Plays a step; none where it is skipped.
    pub(super) fn play(&mut self, step: &Step) -> Option<Played> {
        if self.progress == Progress::Failed && !matches!(step.call, Call::Session(_)) {
            return None;
        }
        let bug = |is_bug: bool| is_bug.then(|| "the codec says that it is wrong itself".to_owned());
        let fault = self.call(&step.call, step.now_ms).err().or_else(|| bug(self.is_bug));
        self.is_bug = false;
        if fault.is_some() {
            self.progress = Progress::Failed;
        }
        Some(Played { answers: std::mem::take(&mut self.answers), fault })
    }

    /// The session as it is now; none if it is at its end.
    pub(super) fn into_working(self) -> Option<Box<dyn CodecSession>> {
        self.session.filter(|_| self.progress == Progress::Working)
    }

    fn call(&mut self, call: &Call, now_ms: u64) -> Result<(), Fault> {
        match call {
            Call::Session(peer) => self.open(peer),
            Call::In(packet) => {
                let packets = Arc::new(Packets::from_iter([&packet[..]]));
                self.events(|session, events| session.decode(&packets, now_ms, events))
            }
            Call::Answer { status, body } => {
                needs(self.abilities.handshake, "handshake")?;
                self.events(|session, events| session.answer(*status, body, now_ms, events))
            }
            Call::Tick => {
                needs(self.abilities.clock, "clock")?;
                self.events(|session, events| session.tick(now_ms, events))
            }
            Call::Out { id, route, status, body } => {
                self.encode(MessageRef { id: *id, route, status: *status, body }, now_ms)
            }
            Call::Farewell(reason) => {
                needs(self.abilities.farewell, "farewell")?;
                let packet = self.working()?.farewell(reason, now_ms).map_err(fault)?;
                self.progress = Progress::Over;
                self.packet(packet.as_deref());
                Ok(())
            }
            Call::Handoff => {
                needs(self.abilities.handoff, "handoff")?;
                let (codec, peer) = (self.codec, self.peer.clone());
                let saved = self.working()?.save();
                if let Some(session) =
                    self.unless_refused(saved.and_then(|state| codec.restore(peer, &state, now_ms)))?
                {
                    self.session = Some(session);
                }
                Ok(())
            }
            Call::Class => {
                needs(self.abilities.broadcast, "broadcast")?;
                let class = self.working()?.share_class().map_err(fault)?;
                self.put(Answer::Class(class));
                Ok(())
            }
            Call::Share { class, route, body } => {
                needs(self.abilities.broadcast, "broadcast")?;
                let message = MessageRef { id: None, route, body, status: 200 };
                let shared = self.codec.encode_shared(*class, message);
                if let Some(packet) = self.unless_refused(shared)? {
                    self.packet(packet.as_deref());
                }
                Ok(())
            }
        }
    }

    fn open(&mut self, peer: &Peer) -> Result<(), Fault> {
        self.peer = peer.clone();
        self.established = !self.codec.description().handshake;
        self.progress = Progress::Working;
        // Dropped before the next one opens, so that there is never more than one.
        self.session = None;
        let opened = self.codec.open(peer.clone());
        self.session = self.unless_refused(opened)?;
        if self.session.is_some() && self.abilities.clock {
            self.events(|session, events| session.tick(0, events))?;
        }
        Ok(())
    }

    /// A call that is answered with events, each checked as a session's state machine does.
    fn events(
        &mut self,
        call: impl FnOnce(&mut dyn CodecSession, &mut Events) -> Result<(), CodecError>,
    ) -> Result<(), Fault> {
        let mut events = Events::new();
        call(self.working()?, &mut events).map_err(fault)?;
        let mut events = events.read(1);
        while let Some(event) = events.next_event() {
            let event = event.and_then(|event| self.check(event)).map_err(fault)?;
            if matches!(event, Event::Close(_) | Event::Fatal(_)) {
                self.progress = Progress::Ended;
            }
            self.put(Answer::Event(event));
        }
        Ok(())
    }

    fn check<'e>(&mut self, event: Event<'e>) -> Result<Event<'e>, Violation> {
        match event {
            Event::Hello(_) if !self.abilities.handshake => Err(Violation::MissingAbility("hello")),
            Event::Wake(_) if !self.abilities.clock => Err(Violation::MissingAbility("wake")),
            Event::Message { .. } if !self.established => Err(Violation::EarlyMessage),
            Event::Established if self.established => Err(Violation::StrayEstablished),
            Event::Established => {
                self.established = true;
                Ok(event)
            }
            _ => Ok(event),
        }
    }

    fn encode(&mut self, message: MessageRef<'_>, now_ms: u64) -> Result<(), Fault> {
        let mut messages = Messages::new();
        messages.push(message);
        let mut encoded = Encoded::default();
        match self.session()?.encode(&Arc::new(messages), now_ms, &mut encoded) {
            Err(CodecError::Refused(reason)) => {
                self.progress = Progress::Over;
                self.put(Answer::Event(Event::Fatal(reason.as_str().as_bytes())));
                return Ok(());
            }
            encoded => encoded.map_err(fault)?,
        }
        encoded.check(1).map_err(fault)?;
        match encoded.refused.first() {
            Some(refusal) => self.put(Answer::Event(Event::Rejected(refusal.reason.as_bytes()))),
            None => self.packet(encoded.packets.iter().next()),
        }
        Ok(())
    }

    /// The session, if it may be asked to encode.
    fn session(&mut self) -> Result<&mut dyn CodecSession, Fault> {
        if self.progress == Progress::Over {
            return Err("the session is over: nothing may follow but another `session`".into());
        }
        match &mut self.session {
            Some(session) => Ok(&mut **session),
            None => Err("there is no session: the codec refused it".into()),
        }
    }

    /// The session, if it may be asked anything.
    fn working(&mut self) -> Result<&mut dyn CodecSession, Fault> {
        if self.progress == Progress::Ended {
            return Err(
                "the codec has ended the session: nothing may follow but `out`, or another `session`".into(),
            );
        }
        self.session()
    }

    /// Notes a refusal, which is an answer as any other.
    fn unless_refused<T>(&mut self, result: Result<T, CodecError>) -> Result<Option<T>, Fault> {
        match result {
            Err(CodecError::Refused(reason)) => {
                self.put(Answer::Refused(reason.as_str().as_bytes()));
                Ok(None)
            }
            other => other.map(Some).map_err(fault),
        }
    }

    fn packet(&mut self, packet: Option<&[u8]>) {
        self.put(packet.map_or(Answer::None, Answer::Packet));
    }

    fn put(&mut self, answer: Answer<'_>) {
        self.is_bug |= answer.is_bug();
        self.answers.push(answer.to_string());
    }
}

fn needs(is_there: bool, interface: &str) -> Result<(), Fault> {
    if is_there { Ok(()) } else { Err(format!("this codec does not export `{interface}`")) }
}

fn fault(error: impl Into<CodecError>) -> Fault {
    error.into().to_string()
}
