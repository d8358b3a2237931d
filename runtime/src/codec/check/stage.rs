//! Plays a walk, and asks only what the runtime may ask.
//!
//! The rules are those of the session's state machine: nothing is encoded before the session is established, a hello has one answer,
//! a response has a request, a wake comes when it is due, what has ended is asked for the responses it owes, and packets are those that the
//! codec's own framing can carry. What breaks them is left out.

use std::sync::Arc;

use super::said::{Cause, Fault, Said, What};
use super::stateless::SharedCall;
use super::walk::{Ask, Message, Step, Walk};
use super::wire::joiner;
use crate::codec::{
    Abilities, Codec, CodecError, CodecSession, Encoded, Event, Events, Messages, Peer, Violation,
    batch_bytes,
};
use crate::framing::{JoinError, Joiner, Packets};

/// How a walk is played.
#[derive(Clone, Copy)]
pub(super) struct Play<'a> {
    pub(super) codec: &'a dyn Codec,
    /// The largest packet, in bytes.
    pub(super) max_packet: usize,
    pub(super) handoffs: Handoffs,
    /// Messages are encoded one by one, and each push is also encoded for the session's class.
    pub(super) share: bool,
}

/// What becomes of a handoff.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handoffs {
    LeftOut,
    /// The session is saved, and goes on where it is.
    Saved,
    /// The session is saved, and goes on where it is restored.
    Carried,
}

/// What was really asked, and answered.
#[derive(Clone, Debug)]
pub(super) struct Played {
    pub(super) peer: Peer,
    /// The answers to the opening.
    pub(super) opening: Vec<Said>,
    pub(super) steps: Vec<PlayedStep>,
    /// How the last step failed, if it did.
    pub(super) fault: Option<Fault>,
    /// The class that the session shares encodings with, if it was asked for.
    pub(super) class: Option<u32>,
    /// The pushes that were encoded both for the session and for its class.
    pub(super) shared: Vec<SharedCall>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PlayedStep {
    pub(super) at: u64,
    pub(super) ask: Ask,
    pub(super) said: Vec<Said>,
}

/// What the session may still be asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    Working,
    /// The codec has ended it: only to encode responses.
    Ended,
    Over,
}

/// A session that is being played.
pub(super) struct Stage<'a> {
    play: Play<'a>,
    abilities: Abilities,
    joiner: Joiner,
    session: Box<dyn CodecSession>,
    peer: Peer,
    now_ms: u64,
    progress: Progress,
    established: bool,
    /// Hellos that have no answer yet.
    hellos: usize,
    /// Requests that have no response yet: id and route.
    requests: Vec<(u64, String)>,
    wake_at: Option<u64>,
    /// The class that the session shares encodings with, once it was asked for.
    class: Option<Option<u32>>,
    shared: Vec<SharedCall>,
    opening: Vec<Said>,
    /// The answers to the step at hand.
    said: Vec<Said>,
    steps: Vec<PlayedStep>,
    fault: Option<Fault>,
}

impl<'a> Play<'a> {
    pub(super) fn walk(self, walk: &Walk) -> Played {
        match self.open(walk) {
            Ok(mut stage) => {
                stage.play(&walk.steps);
                stage.told()
            }
            Err(played) => *played,
        }
    }

    /// A session of a walk's client, before its steps; or what it has come to, if there is none.
    pub(super) fn open(self, walk: &Walk) -> Result<Stage<'a>, Box<Played>> {
        let unopened = |opening, fault| {
            let (peer, steps) = (walk.peer.clone(), Vec::new());
            Box::new(Played { peer, opening, steps, fault, class: None, shared: Vec::new() })
        };
        let session = match self.codec.open(walk.peer.clone()) {
            Ok(session) => session,
            Err(CodecError::Refused(reason)) => {
                let refused = Said { of: None, what: What::Refused(reason.to_string()) };
                return Err(unopened(vec![refused], None));
            }
            Err(error) => return Err(unopened(Vec::new(), Some(error.into()))),
        };
        let description = self.codec.description();
        let mut stage = Stage {
            play: self,
            abilities: self.codec.abilities(),
            joiner: joiner(self.codec, &walk.peer, self.max_packet),
            session,
            peer: walk.peer.clone(),
            now_ms: 0,
            progress: Progress::Working,
            established: !description.handshake,
            hellos: 0,
            requests: Vec::new(),
            wake_at: None,
            class: None,
            shared: Vec::new(),
            opening: Vec::new(),
            said: Vec::new(),
            steps: Vec::new(),
            fault: None,
        };
        stage.fault = stage.opened().err();
        stage.opening = std::mem::take(&mut stage.said);
        Ok(stage)
    }
}

impl Stage<'_> {
    /// Goes on with these steps, unless one has failed.
    pub(super) fn play(&mut self, steps: &[Step]) {
        for step in steps {
            if self.fault.is_some() {
                return;
            }
            self.now_ms = self.now_ms.max(step.at);
            self.fault = self.step(&step.ask).err();
        }
    }

    /// What it has come to.
    pub(super) fn told(self) -> Played {
        let Self { peer, opening, steps, fault, class, shared, .. } = self;
        Played { peer, opening, steps, fault, class: class.flatten(), shared }
    }

    /// The steps that were played since this was asked last.
    pub(super) fn take_steps(&mut self) -> Vec<PlayedStep> {
        std::mem::take(&mut self.steps)
    }

    /// How the last step failed, if it did.
    pub(super) fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    pub(super) fn has_ended(&self) -> bool {
        self.progress != Progress::Working
    }

    /// How many requests have no response yet.
    pub(super) fn open_requests(&self) -> usize {
        self.requests.len()
    }

    fn opened(&mut self) -> Result<(), Fault> {
        if self.abilities.clock {
            self.events(1, |session, now_ms, events| session.tick(now_ms, events))?;
        }
        self.ask_class()
    }

    fn step(&mut self, ask: &Ask) -> Result<(), Fault> {
        let working = self.progress == Progress::Working;
        match ask {
            Ask::Packets(packets) if working => self.packets(packets),
            Ask::Answer { status, body } if working && self.hellos > 0 => {
                self.hellos -= 1;
                self.played(ask.clone(), |stage| {
                    stage.events(1, |session, now_ms, events| session.answer(*status, body, now_ms, events))
                })
            }
            Ask::Tick if working => {
                let Some(wake_at) = self.wake_at.take() else { return Ok(()) };
                self.now_ms = self.now_ms.max(wake_at);
                self.played(Ask::Tick, |stage| {
                    stage.events(1, |session, now_ms, events| session.tick(now_ms, events))
                })
            }
            Ask::Messages(messages) => {
                let due = self.due(messages);
                if self.play.share {
                    return due.into_iter().try_for_each(|message| self.messages(vec![message]));
                }
                self.messages(due)
            }
            Ask::Farewell(reason) if working && self.abilities.farewell => {
                self.played(ask.clone(), |stage| {
                    stage.progress = Progress::Over;
                    let packet = stage.session.farewell(reason, stage.now_ms)?;
                    stage.carried(packet.as_deref())?;
                    stage.say(None, What::packet(packet.as_deref()));
                    Ok(())
                })
            }
            Ask::Handoff if working && self.abilities.handoff && self.play.handoffs != Handoffs::LeftOut => {
                self.played(Ask::Handoff, Self::hand_over)
            }
            _ => Ok(()),
        }
    }

    /// Plays a step that the runtime may ask for, and notes what was said.
    fn played(&mut self, ask: Ask, play: impl FnOnce(&mut Self) -> Result<(), Fault>) -> Result<(), Fault> {
        let at = self.now_ms;
        let played = play(self);
        let said = std::mem::take(&mut self.said);
        let bug = said.iter().find(|said| said.what.is_bug()).map(|said| said.what.line());
        self.steps.push(PlayedStep { at, ask, said });
        played?;
        if let Some(bug) = bug {
            return Err(Fault { cause: Cause::Bug, text: format!("it says that it is wrong itself: {bug}") });
        }
        self.ask_class()
    }

    fn say(&mut self, of: Option<usize>, what: What) {
        self.said.push(Said { of, what });
    }

    // === in ===

    fn packets(&mut self, packets: &[Vec<u8>]) -> Result<(), Fault> {
        let max_batch = batch_bytes(self.play.max_packet);
        let mut framed = Vec::new();
        let mut batch = Packets::new();
        let mut asked = Vec::new();
        for packet in packets {
            framed.clear();
            let fits = batch.is_empty() || batch.byte_len() + packet.len() <= max_batch;
            if fits && batch.len() < Packets::MAX && self.joiner.join(packet, &mut framed).is_ok() {
                batch.push(packet);
                asked.push(packet.clone());
            }
        }
        if batch.is_empty() {
            return Ok(());
        }
        let batch = Arc::new(batch);
        self.played(Ask::Packets(asked), |stage| {
            stage.events(batch.len(), |session, now_ms, events| session.decode(&batch, now_ms, events))
        })
    }

    /// A call that is answered with events, each checked as the session's state machine does.
    fn events(
        &mut self,
        packets: usize,
        call: impl FnOnce(&mut dyn CodecSession, u64, &mut Events) -> Result<(), CodecError>,
    ) -> Result<(), Fault> {
        let mut events = Events::new();
        call(&mut *self.session, self.now_ms, &mut events)?;
        let mut events = events.read(packets);
        while let Some(event) = events.next_event() {
            let what = event.and_then(|event| self.take(event)).map_err(CodecError::from)?;
            if let What::Reply(packet) = &what {
                self.carried(Some(packet))?;
            }
            self.said.push(Said { of: Some(events.packet()), what });
        }
        Ok(())
    }

    fn take(&mut self, event: Event<'_>) -> Result<What, Violation> {
        match &event {
            Event::Hello(_) if !self.abilities.handshake => return Err(Violation::MissingAbility("hello")),
            Event::Hello(_) => self.hellos += 1,
            Event::Established if self.established => return Err(Violation::StrayEstablished),
            Event::Established => self.established = true,
            Event::Message { .. } if !self.established => return Err(Violation::EarlyMessage),
            Event::Message { id: Some(id), route, .. } => self.requests.push((*id, (*route).to_owned())),
            Event::Wake(_) if !self.abilities.clock => return Err(Violation::MissingAbility("wake")),
            Event::Wake(ms) => self.wake_at = Some(self.now_ms.saturating_add(u64::from(*ms).max(1))),
            Event::Close(_) | Event::Fatal(_) => self.progress = Progress::Ended,
            Event::Message { id: None, .. } | Event::Reply(_) | Event::Rejected(_) => {}
        }
        Ok(event.into())
    }

    // === out ===

    /// Those messages that may be encoded now, as one batch.
    fn due(&mut self, messages: &[Message]) -> Vec<Message> {
        let mut due: Vec<Message> = Vec::new();
        if !self.established || self.progress == Progress::Over {
            return due;
        }
        let (max_packet, max_batch) = (self.play.max_packet, batch_bytes(self.play.max_packet));
        let mut bytes = 0;
        for message in messages {
            let mut message = message.clone();
            let size = message.route.len() + message.body.len();
            if due.len() == Messages::MAX || !due.is_empty() && bytes + size > max_batch {
                break;
            }
            let is_too_long = message.body.len() > max_packet;
            if let Some(id) = message.id {
                let Some((id, route)) = self.request(id) else { continue };
                (message.id, message.route) = (Some(id), route);
                if is_too_long {
                    (message.status, message.body) = (FAILED, Vec::new());
                }
            } else if is_too_long || self.progress == Progress::Ended {
                continue;
            } else {
                message.status = 200;
            }
            bytes += size;
            due.push(message);
        }
        due
    }

    /// Takes the request of this id, or any other.
    fn request(&mut self, id: u64) -> Option<(u64, String)> {
        let exact = self.requests.iter().position(|(request, _)| *request == id);
        let any = || (id % (self.requests.len().max(1) as u64)) as usize;
        let index = exact.unwrap_or_else(any);
        (index < self.requests.len()).then(|| self.requests.remove(index))
    }

    fn messages(&mut self, due: Vec<Message>) -> Result<(), Fault> {
        if due.is_empty() {
            return Ok(());
        }
        let mut failed = Vec::new();
        self.played(Ask::Messages(due.clone()), |stage| {
            failed = stage.encode(&due)?;
            match &due[..] {
                [push] if stage.play.share && push.id.is_none() => stage.compare_shared(push),
                _ => Ok(()),
            }
        })?;
        // A response that is refused is asked for once more, as failed.
        let again: Vec<Message> = failed
            .into_iter()
            .filter_map(|index| due.get(index))
            .filter(|message| message.id.is_some())
            .map(|message| Message { status: FAILED, body: Vec::new(), ..message.clone() })
            .collect();
        if again.is_empty() || self.progress == Progress::Over {
            return Ok(());
        }
        self.played(Ask::Messages(again.clone()), |stage| stage.encode(&again).map(drop))
    }

    /// Encodes a batch, and returns the indexes of the messages that were refused.
    fn encode(&mut self, due: &[Message]) -> Result<Vec<usize>, Fault> {
        let mut messages = Messages::new();
        due.iter().for_each(|message| messages.push(message.as_ref()));
        let mut encoded = Encoded::default();
        match self.session.encode(&Arc::new(messages), self.now_ms, &mut encoded) {
            Err(CodecError::Refused(reason)) => {
                self.progress = Progress::Over;
                self.say(None, What::Fatal(reason.as_str().into()));
                return Ok(Vec::new());
            }
            other => other?,
        }
        encoded.check(due.len()).map_err(CodecError::from)?;
        let refused: Vec<usize> = encoded.refused.iter().map(|refusal| refusal.message as usize).collect();
        for refusal in &encoded.refused {
            self.say(Some(refusal.message as usize), What::Rejected(refusal.reason.as_bytes().to_vec()));
        }
        // Only where each message has a packet or a refusal is it known which one a packet belongs to.
        let one_to_one = encoded.packets.len() + refused.len() == due.len();
        let mut owners = (0..due.len()).filter(|index| !refused.contains(index));
        for packet in encoded.packets.iter() {
            let of = owners.next().filter(|_| one_to_one);
            // What a message brings along itself is refused with it by the runtime.
            let brought = of.map_or(due, |index| &due[index..=index]);
            if brought.iter().all(|message| self.can_carry(message)) {
                self.carried(Some(packet))?;
            }
            self.say(of, What::Packet(packet.to_vec()));
        }
        if due.len() == 1 && self.said.is_empty() {
            self.say(Some(0), What::None);
        }
        Ok(refused)
    }

    /// Whether the packet can be put on this client's wire. One that is too long can't, which the runtime sees to: how long a packet may
    /// be the codec does not know.
    fn carried(&self, packet: Option<&[u8]>) -> Result<(), Fault> {
        let Some(packet) = packet else { return Ok(()) };
        match self.joiner.join(packet, &mut Vec::new()) {
            Ok(()) | Err(JoinError::TooLong { .. } | JoinError::LengthOverflow { .. }) => Ok(()),
            Err(error) => {
                let line = What::Packet(packet.to_vec()).line();
                Err(Fault {
                    cause: Cause::Framing,
                    text: format!("its framing cannot carry what it made: {error}: {line}"),
                })
            }
        }
    }

    fn can_carry(&self, message: &Message) -> bool {
        [message.route.as_bytes(), &message.body].into_iter().all(|bytes| self.carried(Some(bytes)).is_ok())
    }

    // === sharing ===

    /// Asks for the session's class when it is due: where the session is established, and again where it was handed over.
    fn ask_class(&mut self) -> Result<(), Fault> {
        let due = self.play.share
            && self.abilities.broadcast
            && self.established
            && self.progress == Progress::Working
            && self.class.is_none();
        if due {
            self.class = Some(self.session.share_class()?);
        }
        Ok(())
    }

    /// Compares what the session has just answered to a push with the encoding for its class.
    fn compare_shared(&mut self, push: &Message) -> Result<(), Fault> {
        let Some(class) = self.class.flatten() else { return Ok(()) };
        let shared = match self.play.codec.encode_shared(class, push.as_ref()) {
            Ok(packet) => What::packet(packet.as_deref()),
            Err(CodecError::Refused(reason)) => What::Refused(reason.to_string()),
            Err(error) => {
                let fault = Fault::from(error);
                let cause = if fault.is_certain() { Cause::Sharing } else { fault.cause };
                return Err(Fault { cause, text: format!("`encode-shared`: {}", fault.text) });
            }
        };
        let said = shared.clone();
        self.shared.push(SharedCall { step: self.steps.len(), class, push: push.clone(), said });
        let own = self.said.last().map(|said| &said.what);
        let agree = match (own, &shared) {
            (Some(What::Rejected(_) | What::Fatal(_)), What::Refused(_)) => true,
            (own, shared) => own == Some(shared),
        };
        if agree {
            return Ok(());
        }
        Err(Fault { cause: Cause::Sharing, text: format!("`encode-shared`: {}", shared.line()) })
    }

    // === handoff ===

    fn hand_over(&mut self) -> Result<(), Fault> {
        let saved = self.session.save();
        let restored = match self.play.handoffs {
            Handoffs::Carried => saved
                .and_then(|state| self.play.codec.restore(self.peer.clone(), &state, self.now_ms).map(Some)),
            _ => saved.map(|_| None),
        };
        match restored {
            Ok(session) => {
                if let Some(session) = session {
                    self.session = session;
                    self.class = None;
                }
            }
            Err(CodecError::Refused(reason)) => self.say(None, What::Refused(reason.to_string())),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

/// The status of a response that could not be encoded.
const FAILED: u16 = 500;
