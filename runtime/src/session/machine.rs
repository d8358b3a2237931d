//! The session's state machine: packets in, actions and packets out.
//!
//! Takes bytes and a time; never touches a socket, a timer or a task. Every rule about order stands here:
//! - A packet takes its place in the output when the codec makes it, and is never dropped or moved after
//!   that.
//! - Messages wait unencoded in the outbox, in the order of the calls; a reply overtakes them.
//! - Before the session is established nothing of the outbox is encoded.
//! - What follows the first close is ignored.
//!
//! Longer than other files: a rule about order is seen to hold only where all of them stand together.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::acks::Acks;
use super::broadcast::{Shared, Sharing};
use super::recent::RecentRoutes;
use super::{CloseReason, Message, Output, Session, Tally};
use crate::codec::shadow::{Attended, Shadow};
use crate::codec::{
    Abilities, Codec, CodecError, CodecSession, CpuTime, Encoded, Event, Events, MessageRef, Messages,
    Reason, Secrets, Violation, batch_bytes,
};
use crate::framing::{Joiner, Layout, Packets, Split, SplitError, Splitter};
use wireplug_base::limited;

/// What the connection has to do for the session.
#[derive(Debug)]
pub(crate) enum Action {
    /// Ask the application about the client's hello, then call [`Machine::answer`].
    Hello(Bytes),
    /// The session is in its working state.
    Established,
    /// Hand a message to the application.
    Message { id: Option<u64>, route: Arc<str>, body: Bytes },
}

/// How a session talks to its wire.
pub(crate) struct Wire {
    splitter: Splitter,
    joiner: Joiner,
    output: Output,
    /// The largest packet, in bytes.
    max_packet: usize,
    /// The bytes of a batch.
    max_batch: usize,
}

impl Wire {
    /// For packets of at most `max_packet` bytes that lie on the socket so.
    pub(crate) fn new(layout: Layout, text: bool, max_packet: usize, output: Output) -> Self {
        let max_batch = batch_bytes(max_packet);
        Self {
            splitter: Splitter::new(layout.clone(), text, max_packet, max_batch),
            joiner: Joiner::new(layout, text, max_packet),
            output,
            max_packet,
            max_batch,
        }
    }
}

/// What the codec may still be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// Everything.
    Working,
    /// It has ended the session: only to encode the responses to what came before.
    Ended,
    /// It has failed, or said its farewell: nothing.
    Over,
}

/// One session at work.
pub(crate) struct Machine {
    codec: Attended,
    abilities: Abilities,
    /// What the codec's reasons must not repeat.
    secrets: Secrets,
    handshake: bool,
    routes: RecentRoutes,
    wire: Wire,
    session: Session,
    established: bool,
    closed: Option<CloseReason>,
    /// How the codec failed, if it did: also where the session was over already.
    fault: Option<CodecError>,
    progress: Progress,
    wake_at: Option<u64>,
    /// The packets or messages that the codec is asked about at a time.
    batch: usize,
    /// What broke the framing behind the packets that are not decoded yet.
    broken: Option<SplitError>,
    /// The least interval of the codec's timer, in milliseconds.
    min_timer: u64,
    actions: VecDeque<Action>,
    acks: Acks,
    tally: Tally,
    // Filled and cleared again and again.
    packets: Arc<Packets>,
    /// How many of those were decoded already, and the next few.
    decoded: usize,
    some: Arc<Packets>,
    events: Events,
    messages: Arc<Messages>,
    encoded: Encoded,
}

impl Machine {
    /// A session whose codec has opened, and is called by its timer every `min_timer` milliseconds at most.
    pub(crate) fn new(
        codec: &dyn Codec,
        codec_session: Attended,
        wire: Wire,
        session: Session,
        min_timer: u64,
    ) -> Self {
        let mut machine = Self {
            codec: codec_session,
            abilities: codec.abilities(),
            secrets: codec.secrets(),
            handshake: codec.description().handshake,
            routes: RecentRoutes::default(),
            wire,
            session,
            established: false,
            closed: None,
            fault: None,
            progress: Progress::Working,
            wake_at: None,
            batch: batch_of(codec),
            broken: None,
            min_timer,
            actions: VecDeque::new(),
            acks: Acks::default(),
            tally: Tally::default(),
            packets: Arc::default(),
            decoded: 0,
            some: Arc::default(),
            events: Events::new(),
            messages: Arc::default(),
            encoded: Encoded::default(),
        };
        if !machine.handshake {
            machine.establish();
        }
        if machine.abilities.clock {
            // A server may speak first.
            machine.tick(0);
        }
        machine
    }

    // === in ===

    /// Takes what came from the client, a piece of a stream or one message of a message transport, off the
    /// front of `input`. Packets gather until [`Machine::decode`]. When a batch is full it is decoded, and
    /// what is left of the input waits for the next call: so nobody decodes without end what may be no good
    /// to anybody any more.
    pub(crate) fn receive(&mut self, input: &mut &[u8], now_ms: u64) {
        if self.has_undecoded() {
            return;
        }
        if self.closed.is_none() && self.is_working() {
            match self.wire.splitter.split(input, Arc::make_mut(&mut self.packets)) {
                Ok(Split::Done) => return,
                Ok(Split::Full) => return self.decode(now_ms),
                Err(error) => {
                    // What came whole before is still valid.
                    self.broken = Some(error);
                    self.decode(now_ms);
                }
            }
        }
        *input = &[];
    }

    /// Takes note that the client wants the message acknowledged that is received next, and decoded by itself: with the
    /// response, where it is a request; else as soon as it is decoded.
    pub(crate) fn want_ack(&mut self, ack: u64) {
        self.acks.want(ack);
    }

    /// Decodes the packets that have gathered; where the codec is called for each of them, only a few, and the next
    /// call decodes the next few.
    pub(crate) fn decode(&mut self, now_ms: u64) {
        if !self.packets.is_empty() && self.is_working() {
            if self.decoded > 0 || self.packets.len() > self.batch {
                self.decode_some(now_ms);
            } else {
                let decoded = self.codec.decode(&self.packets, now_ms, &mut self.events);
                let count = self.packets.len();
                self.forget_packets();
                self.take_decoded(decoded, count, now_ms);
            }
        }
        if self.has_undecoded() {
            return;
        }
        if let Some(ack) = self.acks.take_current() {
            self.acknowledge(ack);
        }
        if let Some(error) = self.broken.take() {
            self.close(error.into());
        }
    }

    /// Whether packets wait for the next call of [`Machine::decode`], before which nothing is received.
    pub(crate) fn has_undecoded(&self) -> bool {
        self.decoded > 0 && self.is_working()
    }

    fn decode_some(&mut self, now_ms: u64) {
        let some = Arc::make_mut(&mut self.some);
        some.clear();
        self.packets.iter().skip(self.decoded).take(self.batch).for_each(|packet| some.push(packet));
        self.decoded += some.len();
        if self.decoded == self.packets.len() {
            self.forget_packets();
        }
        let decoded = self.codec.decode(&self.some, now_ms, &mut self.events);
        let count = self.some.len();
        Arc::make_mut(&mut self.some).shrink_to(KEPT);
        self.take_decoded(decoded, count, now_ms);
    }

    fn forget_packets(&mut self) {
        let batch = Arc::make_mut(&mut self.packets);
        batch.clear();
        batch.shrink_to(KEPT);
        self.decoded = 0;
    }

    fn take_decoded(&mut self, decoded: Result<(), CodecError>, count: usize, now_ms: u64) {
        self.tally.packets_in += count as u64;
        self.take_events(decoded, count, now_ms);
    }

    /// Hands on the application's word on a hello.
    pub(crate) fn answer(&mut self, status: u16, body: &[u8], now_ms: u64) {
        if self.is_working() {
            let answered = self.codec.answer(status, body, now_ms, &mut self.events);
            self.take_events(answered, 1, now_ms);
        }
    }

    /// Does what is due at this time. False: nothing was.
    pub(crate) fn on_time(&mut self, now_ms: u64) -> bool {
        let due = self.deadline().is_some_and(|at| at <= now_ms);
        if due {
            self.wake_at = None;
            self.tick(now_ms);
        }
        due
    }

    /// When [`Machine::on_time`] has something to do, in milliseconds of session time.
    pub(crate) fn deadline(&self) -> Option<u64> {
        self.wake_at.filter(|_| self.closed.is_none() && self.is_working())
    }

    fn tick(&mut self, now_ms: u64) {
        let ticked = self.codec.tick(now_ms, &mut self.events);
        self.take_events(ticked, 1, now_ms);
    }

    /// Carries out the events of a call with so many packets.
    fn take_events(&mut self, called: Result<(), CodecError>, packets: usize, now_ms: u64) {
        let mut events = self.events.read(packets);
        let mut fault = called.err();
        while fault.is_none()
            && let Some(event) = events.next_event()
        {
            fault = event.and_then(|event| self.take_event(event, now_ms)).err().map(CodecError::from);
        }
        if let Some(error) = fault {
            self.fail(error);
        }
    }

    fn take_event(&mut self, event: Event<'_>, now_ms: u64) -> Result<(), Violation> {
        match event {
            Event::Hello(_) if !self.abilities.handshake => {
                return Err(Violation::MissingAbility("hello"));
            }
            Event::Hello(body) => self.actions.push_back(Action::Hello(body)),
            Event::Established if self.established => return Err(Violation::StrayEstablished),
            Event::Established => self.establish(),
            Event::Message { .. } if !self.established => return Err(Violation::EarlyMessage),
            Event::Message { id, route, body } => {
                self.tally.messages_in += 1;
                if let Some(id) = id {
                    self.acks.requested(id);
                }
                let route = self.routes.get(route);
                self.actions.push_back(Action::Message { id, route, body });
            }
            Event::Reply(packet) => self.put(packet),
            Event::Wake(_) if !self.abilities.clock => {
                return Err(Violation::MissingAbility("wake"));
            }
            Event::Wake(ms) => {
                self.wake_at = Some(now_ms.saturating_add(u64::from(ms).max(self.min_timer).max(1)));
            }
            Event::Rejected(reason) => {
                self.tally.rejected += 1;
                limited!(DEBUG, reason = %self.reason(reason), "the codec dropped a packet");
            }
            Event::Close(reason) | Event::Fatal(reason) => {
                self.progress = Progress::Ended;
                self.close(CloseReason::Protocol(self.reason(reason)));
            }
        }
        Ok(())
    }

    /// What the codec gives as a reason, fit for the log.
    fn reason(&self, text: &[u8]) -> Reason {
        Reason::new(self.secrets.redact(text))
    }

    fn establish(&mut self) {
        self.established = true;
        self.actions.push_back(Action::Established);
    }

    // === out ===

    /// Encodes what waits in the outbox, until that is empty, so many bytes wait to be written, or after a
    /// call of the codec `goes_on` says no.
    pub(crate) fn flush(&mut self, high_water: usize, now_ms: u64, goes_on: impl Fn() -> bool) {
        while self.can_encode() && self.wire.output.len() < high_water {
            if self.gather() {
                self.encode(now_ms);
            } else if !self.put_shared(now_ms) {
                return;
            }
            if !goes_on() {
                return;
            }
        }
    }

    /// Puts the push to many that is next in the outbox into the output. False: there is none.
    fn put_shared(&mut self, now_ms: u64) -> bool {
        let Some((push, sharing)) = self.session.take_shared() else { return false };
        let Message { body, route, .. } = &push.message;
        if self.progress == Progress::Ended {
            self.tally.unsent += 1;
            return true;
        }
        if body.len() > self.wire.max_packet {
            self.tally.refused += 1;
            limited!(DEBUG, route = %Reason::new(&**route), bytes = body.len(), "a message is larger than the largest packet");
            return true;
        }
        let shared = match sharing {
            Sharing::Class(index) => push.encoded(index),
            Sharing::Apart => Shared::Apart,
        };
        match shared {
            Shared::Packet(packet) => match self.wire.output.push(&packet, &self.wire.joiner) {
                Ok(()) => {
                    self.tally.packets_out += 1;
                    self.tally.messages_out += 1;
                }
                Err(error) => {
                    self.tally.refused += 1;
                    limited!(DEBUG, %error, "a shared packet cannot be framed");
                }
            },
            Shared::Nothing => {}
            Shared::Apart => {
                let batch = Arc::make_mut(&mut self.messages);
                batch.clear();
                batch.push((&push.message).into());
                self.encode(now_ms);
            }
        }
        true
    }

    /// Whether [`Machine::flush`] would encode what is in the outbox.
    pub(crate) fn can_encode(&self) -> bool {
        self.established && self.progress != Progress::Over
    }

    /// Whether [`Machine::farewell`] would ask the codec.
    pub(crate) fn has_farewell(&self) -> bool {
        self.is_working() && self.abilities.farewell
    }

    /// Puts the codec's last packet into the output, if it has one.
    pub(crate) fn farewell(&mut self, reason: &str, now_ms: u64) {
        if !self.has_farewell() {
            return;
        }
        self.progress = Progress::Over;
        match self.codec.farewell(reason, now_ms) {
            Ok(packet) => packet.iter().for_each(|packet| self.put(packet)),
            Err(error) => self.fail(error),
        }
    }

    /// Fills a batch from the outbox. False if there is nothing to encode.
    fn gather(&mut self) -> bool {
        let batch = Arc::make_mut(&mut self.messages);
        batch.clear();
        batch.shrink_to(KEPT);
        let (max_batch, max_packet) = (self.wire.max_batch, self.wire.max_packet);
        let max_messages = self.batch.min(Messages::MAX);
        // What the client asked before the end is still answered; nothing else is of use to it.
        let ended = self.progress == Progress::Ended;
        let fits = |batch: &Messages, Message { route, body, .. }: &Message| {
            let fits = batch.is_empty() || batch.byte_len() + route.len() + body.len() <= max_batch;
            fits && batch.len() < max_messages
        };
        // A response that is an acknowledgement is encoded by itself, so that its packet is known.
        let (acks, has_ack) = (&self.acks, Cell::new(false));
        let fits = |batch: &Messages, message: &Message| {
            let alone = has_ack.get() || acks.wants_response(message.id);
            fits(batch, message) && (batch.is_empty() || !alone)
        };
        let tally = &mut self.tally;
        self.session.take_messages(batch, fits, |batch, mut message| {
            if ended && message.id.is_none() {
                tally.unsent += 1;
                return;
            }
            if message.body.len() > max_packet {
                // No packet can hold it, so the codec is not even asked: an answer of that size could
                // cost the session.
                tally.refused += 1;
                limited!(DEBUG, route = %Reason::new(&*message.route), bytes = message.body.len(), "a message is larger than the largest packet");
                if message.id.is_none() {
                    return;
                }
                (message.status, message.body) = (FAILED, Bytes::new());
            }
            has_ack.set(acks.wants_response(message.id));
            batch.push((&message).into());
        });
        !batch.is_empty()
    }

    /// Encodes the batch. Responses that are refused are asked for once more, as failed.
    fn encode(&mut self, now_ms: u64) {
        let only = self.messages.iter().next().filter(|_| self.messages.len() == 1);
        let mut ack = only.and_then(|message| self.acks.take_response(message.id));
        self.encode_or_fail(&mut ack, now_ms);
        // The response has no form.
        if let Some(ack) = ack {
            self.acknowledge(ack);
        }
    }

    fn encode_or_fail(&mut self, ack: &mut Option<u64>, now_ms: u64) {
        let failed = self.encode_once(ack, now_ms);
        if failed.is_empty() || !self.can_encode() {
            return;
        }
        let mut again = Messages::new();
        for message in failed
            .iter()
            .filter_map(|&index| self.messages.iter().nth(index))
            .filter(|message| message.id.is_some())
        {
            again.push(MessageRef { body: &[], status: FAILED, ..message });
        }
        if !again.is_empty() {
            *Arc::make_mut(&mut self.messages) = again;
            self.encode_once(ack, now_ms);
        }
    }

    /// Encodes the batch, of which the first packet is the acknowledgement if there is one, and returns the indexes of the messages that
    /// have no packet because they were refused.
    fn encode_once(&mut self, ack: &mut Option<u64>, now_ms: u64) -> Vec<usize> {
        self.encoded.clear();
        let count = self.messages.len();
        if let Err(error) = self.codec.encode(&self.messages, now_ms, &mut self.encoded) {
            self.fail(error);
            return Vec::new();
        }
        let encoded = std::mem::take(&mut self.encoded);
        let mut failed: Vec<usize> = Vec::new();
        for refusal in &encoded.refused {
            limited!(DEBUG, reason = %self.reason(refusal.reason.as_bytes()), "the codec refused a message");
            failed.push(refusal.message as usize);
        }
        // Only where each message has a packet or a refusal is it known which message a packet belongs to.
        let one_to_one = encoded.packets.len() + encoded.refused.len() == count;
        let mut message = 0;
        for packet in encoded.packets.iter() {
            while failed.binary_search(&message).is_ok() {
                message += 1;
            }
            let Wire { output, joiner, .. } = &mut self.wire;
            let pushed = match *ack {
                Some(ack) => output.acknowledge(ack, Some(packet), joiner),
                None => output.push(packet, joiner),
            };
            match pushed {
                Ok(()) => {
                    *ack = None;
                    self.tally.packets_out += 1;
                    self.tally.messages_out += 1;
                }
                Err(error) if one_to_one => {
                    limited!(DEBUG, %error, "a packet cannot be framed");
                    let at = failed.partition_point(|&index| index < message);
                    failed.insert(at, message);
                }
                Err(error) => {
                    limited!(DEBUG, %error, "a packet cannot be framed, and whose it is is not known");
                    self.tally.refused += 1;
                }
            }
            message += 1;
        }
        self.tally.refused += failed.len() as u64;
        self.encoded = encoded;
        self.encoded.packets.shrink_to(KEPT);
        failed
    }

    /// Puts an acknowledgement without a packet into the output.
    fn acknowledge(&mut self, ack: u64) {
        self.wire.output.acknowledge(ack, None, &self.wire.joiner).expect("there is no packet to be framed");
    }

    /// Puts a packet that the codec made into the output.
    fn put(&mut self, packet: &[u8]) {
        match self.wire.output.push(packet, &self.wire.joiner) {
            Ok(()) => self.tally.packets_out += 1,
            Err(error) => {
                self.tally.refused += 1;
                limited!(DEBUG, %error, "a reply cannot be framed");
            }
        }
    }

    // === a swap ===

    /// Whether another codec can go on with the session: it is at work.
    pub(crate) fn is_movable(&self) -> bool {
        self.closed.is_none() && self.is_working()
    }

    /// What the codec knows of the session, so that another can go on with it, or mirror it.
    ///
    /// # Errors
    /// Why it cannot be carried over. Where the codec did not merely refuse, the session is over.
    pub(crate) fn save(&mut self) -> Result<Vec<u8>, CodecError> {
        let saved = self.codec.save();
        if let Err(error) = &saved
            && !matches!(error, CodecError::Refused(_))
        {
            self.fail(error.clone());
        }
        saved
    }

    /// Goes on with another codec, which has taken over what the one before it knew. All else stays as it is: what
    /// was read, what waits, the codec's wake.
    pub(crate) fn replace_codec(
        &mut self,
        codec: &dyn Codec,
        codec_session: Box<dyn CodecSession>,
        now_ms: u64,
    ) {
        let had_clock = std::mem::replace(&mut self.abilities, codec.abilities()).clock;
        self.secrets = codec.secrets();
        self.codec = Attended::new(codec_session);
        self.batch = batch_of(codec);
        match (had_clock, self.abilities.clock) {
            (_, false) => self.wake_at = None,
            // Nobody has asked for a wake, so that its time would never begin.
            (false, true) => self.tick(now_ms),
            (true, true) => {}
        }
    }

    /// Whether the codec is nearly out of memory, and the session could go on in a new sandbox. Says so once.
    pub(crate) fn wants_renewal(&mut self) -> bool {
        self.abilities.handoff && self.is_movable() && self.codec.wants_renewal()
    }

    /// Goes on with the same codec, which has taken over what it knew in a new sandbox. Its shadow goes on too.
    pub(crate) fn renew(&mut self, codec_session: Box<dyn CodecSession>) {
        self.codec.renew(codec_session);
    }

    /// Has a candidate mirror the session, or none.
    pub(crate) fn set_shadow(&mut self, shadow: Option<Shadow>) {
        self.codec.set_shadow(shadow);
    }

    /// The class of sessions with which it shares encodings.
    pub(crate) fn share_class(&mut self) -> Option<u32> {
        if !self.abilities.broadcast || !self.established || !self.is_working() {
            return None;
        }
        self.codec.share_class().unwrap_or_else(|error| {
            self.fail(error);
            None
        })
    }

    // === what the connection asks ===

    pub(crate) fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    pub(crate) fn has_actions(&self) -> bool {
        !self.actions.is_empty()
    }

    pub(crate) fn is_established(&self) -> bool {
        self.established
    }

    /// Why the session is over, if it is. Actions that are left came before that.
    pub(crate) fn closed(&self) -> Option<&CloseReason> {
        self.closed.as_ref()
    }

    pub(crate) fn output(&mut self) -> &mut Output {
        &mut self.wire.output
    }

    /// Whether the beginning of a packet waits for the rest.
    pub(crate) fn is_partial(&self) -> bool {
        self.wire.splitter.is_partial()
    }

    /// What was counted since the last call.
    pub(crate) fn take_tally(&mut self) -> Tally {
        self.tally.overflowed += self.session.take_overflowed();
        std::mem::take(&mut self.tally)
    }

    /// How the codec failed, if it did.
    pub(crate) fn fault(&self) -> Option<&CodecError> {
        self.fault.as_ref()
    }

    /// The CPU time that the codec's calls took since the last time; from now on they are measured or not.
    pub(crate) fn take_cpu_time(&mut self, measures: bool) -> CpuTime {
        self.codec.take_cpu_time(measures)
    }

    /// Ends the session by a fault of the codec.
    pub(crate) fn fail(&mut self, error: CodecError) {
        self.progress = Progress::Over;
        self.fault = Some(error.clone());
        self.close(CloseReason::CodecFault(error));
    }

    fn is_working(&self) -> bool {
        self.progress == Progress::Working
    }

    fn close(&mut self, reason: CloseReason) {
        self.closed.get_or_insert(reason);
    }
}

/// The packets or messages that a codec is asked about at a time. One that has no call for a batch is asked about one:
/// others have the thread as soon as a call has lasted. What is not sandboxed is trusted.
fn batch_of(codec: &dyn Codec) -> usize {
    if codec.abilities().batch || codec.cpu_account().is_none() { Packets::MAX } else { 1 }
}

/// Batches keep so many bytes of room for the next: enough for most, and little for a connection that is
/// idle.
const KEPT: usize = 8 << 10;

/// The status of a response that could not be encoded.
const FAILED: u16 = 500;
