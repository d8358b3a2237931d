//! Shadows: a candidate gets the same calls as a session's codec, and its answers are compared and
//! thrown away.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Cause, CodecError, CodecSession, CpuTime, Encoded, EventHead, Events, Frames, Instant, Kind, MessageRef,
    Messages, Next, Reason, Role, Secrets,
};
use wireplug_core::framing::Packets;

/// The most differences that are kept. Further ones are only counted.
const KEPT: usize = 16;

/// The most bytes of a packet that a kept difference shows.
const SHOWN: usize = 256;

/// How a candidate's answers compare with those of the codec at work.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    compared: AtomicU64,
    differences: AtomicU64,
    not_mirrored: AtomicU64,
    kept: Mutex<Vec<Difference>>,
    /// The secrets that are removed from the texts of answers.
    secrets: Secrets,
}

/// The result of a comparison so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Compared {
    /// Packets, messages and other calls whose answers were compared.
    pub compared: u64,
    /// Answers that differed.
    pub differences: u64,
    /// Sessions that should have been mirrored and were not, because there was no room for another
    /// sandbox or the candidate did not open.
    pub not_mirrored: u64,
    /// The first differences, at most 16.
    pub first: Vec<Difference>,
}

/// One answer that differed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Difference {
    /// The function that was called, as `wit/codec.wit` names it.
    pub call: String,
    /// The input of the call: the packet in hexadecimal digits, or the message. A long input is cut
    /// off.
    pub input: String,
    /// The answer of the codec at work.
    pub current: String,
    /// The answer of the candidate.
    pub candidate: String,
}

impl Comparison {
    /// Creates the comparison of two codecs whose options have these secrets.
    pub(crate) fn new(secrets: Secrets) -> Self {
        Self { secrets, ..Self::default() }
    }

    /// Returns the result so far.
    pub(crate) fn snapshot(&self) -> Compared {
        Compared {
            compared: self.compared.load(Ordering::Relaxed),
            differences: self.differences.load(Ordering::Relaxed),
            not_mirrored: self.not_mirrored.load(Ordering::Relaxed),
            first: self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    /// Counts a session that should have been mirrored and was not.
    pub(crate) fn not_mirrored(&self) {
        self.not_mirrored.fetch_add(1, Ordering::Relaxed);
    }

    fn count(&self, compared: usize) {
        self.compared.fetch_add(compared as u64, Ordering::Relaxed);
    }

    /// Counts a difference, and keeps it if it is one of the first.
    fn differs(&self, difference: impl FnOnce() -> Difference) {
        if self.differences.fetch_add(1, Ordering::Relaxed) < KEPT as u64 {
            self.kept.lock().unwrap_or_else(PoisonError::into_inner).push(difference());
        }
    }
}

/// A function that is called with the fault of a candidate.
pub(crate) type OnFault = Box<dyn Fn(&CodecError) + Send>;

/// A candidate's session that mirrors another session.
pub(crate) struct Shadow {
    session: Box<dyn CodecSession>,
    comparison: Arc<Comparison>,
    /// Called when the candidate fails. It also owns what must live as long as the shadow, such as
    /// the shadow's place among the sandboxes.
    on_fault: OnFault,
    // The buffers are reused.
    events: Events,
    encoded: Encoded,
    frames: Frames,
    /// Whether the candidate cannot follow the stream any further.
    is_lost: bool,
}

impl Shadow {
    pub(crate) fn new(
        session: Box<dyn CodecSession>,
        comparison: Arc<Comparison>,
        on_fault: OnFault,
    ) -> Self {
        Self {
            session,
            comparison,
            on_fault,
            events: Events::new(),
            encoded: Encoded::default(),
            frames: Frames::default(),
            is_lost: false,
        }
    }

    /// Makes the same call of the candidate, and compares the events for each packet. `packets` is
    /// `None` for a call without packets.
    fn mirror(
        &mut self,
        call: &'static str,
        packets: Option<&Packets>,
        events: &Events,
        answer: impl FnOnce(&mut dyn CodecSession, &mut Events) -> Result<(), CodecError>,
    ) -> Result<(), CodecError> {
        self.events.clear();
        answer(&mut *self.session, &mut self.events)?;
        let count = packets.map_or(1, Packets::len);
        self.comparison.count(count);
        if *events == self.events {
            return Ok(());
        }
        let [current, candidate] = [events, &self.events].map(|events| by_packet(events, count));
        for (packet, (current, candidate)) in current.iter().zip(&candidate).enumerate() {
            if current != candidate {
                self.comparison.differs(|| Difference {
                    call: call.to_owned(),
                    input: packets
                        .and_then(|packets| packets.iter().nth(packet))
                        .map_or_else(String::new, hex),
                    current: show_events(current, &self.comparison.secrets),
                    candidate: show_events(candidate, &self.comparison.secrets),
                });
            }
        }
        Ok(())
    }

    /// Makes the same call of the candidate with a stream, and compares what it cuts. A candidate
    /// that cuts other packets cannot follow the stream any further.
    fn mirror_stream(
        &mut self,
        bytes: &Arc<Vec<u8>>,
        now: Instant,
        frames: &Frames,
    ) -> Result<(), CodecError> {
        self.frames.clear();
        self.session.decode_stream(bytes, now, &mut self.frames)?;
        let count = frames.ends.len();
        self.comparison.count(count.max(1));
        let starts_tls = |frames: &Frames| frames.next == Next::StartTls;
        if frames.ends != self.frames.ends || starts_tls(frames) != starts_tls(&self.frames) {
            let show = |frames: &Frames| {
                let shown = &frames.ends[..frames.ends.len().min(KEPT)];
                let more = if shown.len() < frames.ends.len() { " and more" } else { "" };
                let tls = if starts_tls(frames) { "; TLS begins" } else { "" };
                format!("packets that end at {shown:?}{more}{tls}")
            };
            self.comparison.differs(|| Difference {
                call: "decode-stream".to_owned(),
                input: hex(bytes),
                current: show(frames),
                candidate: show(&self.frames),
            });
            self.is_lost = true;
            return Ok(());
        }
        let [current, candidate] =
            [&frames.events, &self.frames.events].map(|events| by_packet(events, count + 1));
        let mut start = 0;
        for (packet, (current, candidate)) in current.iter().zip(&candidate).enumerate() {
            let end = frames.ends.get(packet).map_or(bytes.len(), |&end| end as usize);
            if current != candidate {
                self.comparison.differs(|| Difference {
                    call: "decode-stream".to_owned(),
                    input: bytes.get(start..end).map_or_else(String::new, hex),
                    current: show_events(current, &self.comparison.secrets),
                    candidate: show_events(candidate, &self.comparison.secrets),
                });
            }
            start = end;
        }
        Ok(())
    }

    fn mirror_encode(
        &mut self,
        messages: &Arc<Messages>,
        now: Instant,
        encoded: &Encoded,
    ) -> Result<(), CodecError> {
        self.encoded.clear();
        self.session.encode(messages, now, &mut self.encoded)?;
        self.comparison.count(messages.len());
        let [current, candidate] =
            [encoded, &self.encoded].map(|encoded| by_message(encoded, messages.len()));
        for (message, (current, candidate)) in messages.iter().zip(current.iter().zip(&candidate)) {
            if current != candidate {
                self.comparison.differs(|| Difference {
                    call: "encode".to_owned(),
                    input: show_message(message),
                    current: show_packets(current, &self.comparison.secrets),
                    candidate: show_packets(candidate, &self.comparison.secrets),
                });
            }
        }
        Ok(())
    }
}

/// A session of a codec, with a shadow if there is one. The shadow never changes an answer, and is
/// dropped at its first fault.
pub(crate) struct ShadowedSession {
    session: Box<dyn CodecSession>,
    shadow: Option<Box<Shadow>>,
}

impl ShadowedSession {
    pub(crate) fn new(session: Box<dyn CodecSession>) -> Self {
        Self { session, shadow: None }
    }

    /// Continues with a session in another sandbox. The shadow stays.
    pub(crate) fn renew(&mut self, session: Box<dyn CodecSession>) {
        self.session = session;
    }

    /// Returns whether there is a shadow.
    pub(crate) fn has_shadow(&self) -> bool {
        self.shadow.is_some()
    }

    /// Sets the shadow, or removes it.
    pub(crate) fn set_shadow(&mut self, shadow: Option<Shadow>) {
        self.shadow = shadow.map(Box::new);
    }

    fn with_shadow(&mut self, mirror: impl FnOnce(&mut Shadow) -> Result<(), CodecError>) {
        if let Some(shadow) = &mut self.shadow
            && let Err(error) = mirror(shadow)
        {
            (shadow.on_fault)(&error);
            self.shadow = None;
        }
        if self.shadow.as_ref().is_some_and(|shadow| shadow.is_lost) {
            self.shadow = None;
        }
    }
}

impl CodecSession for ShadowedSession {
    fn decode(
        &mut self,
        packets: &Arc<Packets>,
        now: Instant,
        events: &mut Events,
    ) -> Result<(), CodecError> {
        self.session.decode(packets, now, events)?;
        self.with_shadow(|shadow| {
            shadow.mirror("decode", Some(packets), events, |session, events| {
                session.decode(packets, now, events)
            })
        });
        Ok(())
    }

    fn decode_stream(
        &mut self,
        bytes: &Arc<Vec<u8>>,
        now: Instant,
        frames: &mut Frames,
    ) -> Result<(), CodecError> {
        self.session.decode_stream(bytes, now, frames)?;
        self.with_shadow(|shadow| shadow.mirror_stream(bytes, now, frames));
        Ok(())
    }

    fn secured(
        &mut self,
        attributes: &[(String, String)],
        now: Instant,
        events: &mut Events,
    ) -> Result<(), CodecError> {
        self.session.secured(attributes, now, events)?;
        self.with_shadow(|shadow| {
            shadow.mirror("secured", None, events, |session, events| session.secured(attributes, now, events))
        });
        Ok(())
    }

    fn encode(
        &mut self,
        messages: &Arc<Messages>,
        now: Instant,
        encoded: &mut Encoded,
    ) -> Result<(), CodecError> {
        self.session.encode(messages, now, encoded)?;
        self.with_shadow(|shadow| shadow.mirror_encode(messages, now, encoded));
        Ok(())
    }

    fn answer(
        &mut self,
        status: u16,
        body: &[u8],
        now: Instant,
        events: &mut Events,
    ) -> Result<(), CodecError> {
        self.session.answer(status, body, now, events)?;
        self.with_shadow(|shadow| {
            shadow.mirror("answer", None, events, |session, events| session.answer(status, body, now, events))
        });
        Ok(())
    }

    fn abandoned(&mut self, id: u64, now: Instant, events: &mut Events) -> Result<(), CodecError> {
        self.session.abandoned(id, now, events)?;
        self.with_shadow(|shadow| {
            shadow.mirror("abandoned", None, events, |session, events| session.abandoned(id, now, events))
        });
        Ok(())
    }

    fn tick(&mut self, now: Instant, events: &mut Events) -> Result<(), CodecError> {
        self.session.tick(now, events)?;
        self.with_shadow(|shadow| {
            shadow.mirror("tick", None, events, |session, events| session.tick(now, events))
        });
        Ok(())
    }

    fn farewell(
        &mut self,
        cause: Cause,
        reason: &str,
        now: Instant,
        events: &mut Events,
    ) -> Result<(), CodecError> {
        // The shadow is not called, because the session ends after its farewell.
        self.session.farewell(cause, reason, now, events)
    }

    fn broadcast_class(&mut self) -> Result<Option<u32>, CodecError> {
        self.session.broadcast_class()
    }

    fn save(&mut self) -> Result<Vec<u8>, CodecError> {
        self.session.save()
    }

    fn wants_renewal(&mut self) -> bool {
        self.session.wants_renewal()
    }

    /// Returns only the session's own CPU time. The time of the shadow's calls is charged to the
    /// codec alone, because the session did not ask for them.
    fn take_cpu_time(&mut self, measures: bool) -> CpuTime {
        self.session.take_cpu_time(measures)
    }
}

/// One event as it was answered, unchecked.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Shown<'a> {
    kind: Kind,
    role: Role,
    id: u64,
    status: u16,
    route: &'a [u8],
    body: &'a [u8],
}

/// Returns the events of each packet. The answer is unchecked: a route or body that lies outside of
/// it is empty here, and an event of a packet that does not exist is left out.
fn by_packet(events: &Events, count: usize) -> Vec<Vec<Shown<'_>>> {
    let bytes = |from: u32, to: u32| events.bytes.get(from as usize..to as usize).unwrap_or_default();
    let mut start = 0;
    let mut shown = vec![Vec::new(); count];
    for EventHead { kind, packet, role, id, status, route_end, body_end } in events.heads.iter().copied() {
        if let Some(of_packet) = shown.get_mut(packet as usize) {
            let (route, body) = (bytes(start, route_end), bytes(route_end, body_end));
            of_packet.push(Shown { kind, role, id, status, route, body });
        }
        start = body_end;
    }
    shown
}

/// Returns the packets of each message, or `None` for a message that was refused. The answer is
/// unchecked: a packet that lies outside of it is empty here, and a packet of a message that does
/// not exist is left out.
fn by_message(encoded: &Encoded, count: usize) -> Vec<Option<Vec<&[u8]>>> {
    let mut start = 0;
    let mut shown = vec![Some(Vec::new()); count];
    for refusal in &encoded.refused {
        if let Some(of_message) = shown.get_mut(refusal.message as usize) {
            *of_message = None;
        }
    }
    for (&source, &end) in encoded.sources.iter().zip(&encoded.packets.ends) {
        if let Some(Some(of_message)) = shown.get_mut(source as usize) {
            of_message.push(encoded.packets.bytes.get(start as usize..end as usize).unwrap_or_default());
        }
        start = end;
    }
    shown
}

fn show_events(events: &[Shown<'_>], secrets: &Secrets) -> String {
    let show = |&Shown { kind, role, id, status, route, body }: &Shown<'_>| {
        let mut shown = match kind {
            Kind::Message => format!("{role:?}").to_lowercase(),
            kind => format!("{kind:?}").to_lowercase(),
        };
        // Writing to a string cannot fail.
        if id != 0 || role != Role::Notice {
            let _ = write!(shown, " {id}");
        }
        if status != MessageRef::OK {
            let _ = write!(shown, " {status}");
        }
        for part in [route, body].into_iter().filter(|part| !part.is_empty()) {
            let _ = write!(shown, " {}", text(&secrets.redact(part)));
        }
        shown
    };
    if events.is_empty() {
        "nothing".to_owned()
    } else {
        events.iter().map(show).collect::<Vec<_>>().join("; ")
    }
}

fn show_message(message: MessageRef<'_>) -> String {
    let MessageRef { role, id, route, body, status } = message;
    let role = format!("{role:?}").to_lowercase();
    format!("{role} {id} {route} {status} {}", text(body))
}

fn show_packets(packets: &Option<Vec<&[u8]>>, secrets: &Secrets) -> String {
    match packets.as_deref() {
        None => "refused".to_owned(),
        Some([]) => "no packet".to_owned(),
        Some(packets) => {
            let packets: Vec<_> = packets.iter().map(|packet| hex(&secrets.redact(packet))).collect();
            packets.join("; ")
        }
    }
}

fn text(bytes: &[u8]) -> String {
    Reason::new(bytes).to_string()
}

fn hex(bytes: &[u8]) -> String {
    let mut digits = String::with_capacity(2 * bytes.len().min(SHOWN) + 3);
    for byte in bytes.iter().take(SHOWN) {
        let _ = write!(digits, "{byte:02x}");
    }
    if bytes.len() > SHOWN {
        digits.push('…');
    }
    digits
}
