//! A tap: turns the calls of a session into the records of a trace.

use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;

use super::Trace;
use super::record::{Record, Shown};
use crate::codec::{Event, Secrets};
use crate::session::SessionId;
use wireplug_core::codec::driver::{CallEnd, ObservedCall};

/// A packet, a message or a call, and what it became.
struct Part {
    direction: &'static str,
    bytes: Vec<u8>,
    became: Vec<Value>,
    note: Option<String>,
}

/// Delivers the calls of one session to one trace.
pub(crate) struct Tap {
    pub(super) trace: Arc<Trace>,
    session: SessionId,
    secrets: Secrets,
    parts: Vec<Part>,
    /// Replies of the codec, which are packets to the client.
    replies: Vec<Vec<u8>>,
    /// The packets that the messages of the call became: the index of the message, and the packet.
    packets: Vec<(usize, Vec<u8>)>,
    stream: Vec<u8>,
    /// The events of a stream with the indexes of their packets.
    events: Vec<(usize, Value)>,
    is_encoding: bool,
    begun: Instant,
    codec_us: u64,
}

impl Tap {
    pub(crate) fn new(trace: Arc<Trace>, session: SessionId, secrets: Secrets) -> Self {
        Self {
            trace,
            session,
            secrets,
            parts: Vec::new(),
            replies: Vec::new(),
            packets: Vec::new(),
            stream: Vec::new(),
            events: Vec::new(),
            is_encoding: false,
            begun: Instant::now(),
            codec_us: 0,
        }
    }

    /// Delivers a note about the session.
    pub(crate) fn note(&self, note: &str) {
        if self.trace.admits() {
            self.trace.deliver(self.session, Record::new(self.session, "log").noted(note).line());
        }
    }

    /// Delivers a packet that was encoded for several sessions.
    pub(super) fn shared(&self, route: &str, packet: &[u8]) {
        self.deliver("out", packet, Vec::new(), Some(format!("shared with others: a push to {route}")), None);
    }

    fn shown(&self) -> Shown<'_> {
        Shown { mask: &self.trace.mask, secrets: &self.secrets }
    }

    pub(super) fn begin(&mut self, call: ObservedCall<'_>) {
        let part = |direction, bytes: &[u8], note: Option<String>| Part {
            direction,
            bytes: bytes.to_vec(),
            became: Vec::new(),
            note,
        };
        let called = |bytes, note: String| vec![part("call", bytes, Some(note))];
        self.is_encoding = false;
        self.parts = match call {
            ObservedCall::Open => called(b"", "the session opens".into()),
            ObservedCall::Decode(packets) => packets.iter().map(|packet| part("in", packet, None)).collect(),
            ObservedCall::Stream(bytes) => {
                self.stream = bytes.to_vec();
                Vec::new()
            }
            ObservedCall::Secured(_) => called(b"", "TLS has begun".into()),
            ObservedCall::Answer(status, body) => {
                called(body, format!("the application answers the hello with status {status}"))
            }
            ObservedCall::Abandoned(id) => called(b"", format!("request {id} to the client is given up")),
            ObservedCall::Tick => called(b"", "the timer is due".into()),
            ObservedCall::Encode(messages, _) => {
                self.is_encoding = true;
                let shown = Shown { mask: &self.trace.mask, secrets: &self.secrets };
                let parts = messages.iter().map(|message| Part {
                    direction: "out",
                    bytes: Vec::new(),
                    became: vec![shown.message(message)],
                    note: None,
                });
                parts.collect()
            }
            ObservedCall::Farewell(cause, reason) => {
                called(reason.as_bytes(), format!("the session ends: {}", cause.name()))
            }
            ObservedCall::Class => called(b"", "the broadcast class is wanted".into()),
            ObservedCall::Restored(_) => called(b"", "the session continues in another sandbox".into()),
        };
        self.begun = Instant::now();
    }

    pub(super) fn returned(&mut self) {
        self.codec_us = self.begun.elapsed().as_micros() as u64;
    }

    pub(super) fn event(&mut self, packet: usize, event: &Event<'_>) {
        if let Event::Reply(reply) = event {
            self.replies.push(reply.to_vec());
        }
        let shown = self.shown().event(event);
        if !self.stream.is_empty() {
            self.events.push((packet, shown));
        } else if let Some(part) = self.parts.get_mut(packet) {
            part.became.push(shown);
        }
    }

    pub(super) fn packet(&mut self, message: usize, packet: &[u8]) {
        self.packets.push((message, packet.to_vec()));
    }

    pub(super) fn refused(&mut self, message: usize, reason: &[u8]) {
        if let Some(part) = self.parts.get_mut(message) {
            part.note = Some(format!("refused: {}", String::from_utf8_lossy(reason)));
        }
    }

    pub(super) fn end(&mut self, end: CallEnd<'_>) {
        let mut parts = std::mem::take(&mut self.parts);
        let stream = std::mem::take(&mut self.stream);
        let events = std::mem::take(&mut self.events);
        match end {
            CallEnd::Cut(cut, ends) => {
                let mut start = 0;
                for (index, &end) in ends.iter().enumerate() {
                    let bytes = stream[start..end as usize].to_vec();
                    let became = of_packet(&events, index).collect();
                    parts.push(Part { direction: "in", bytes, became, note: None });
                    start = end as usize;
                }
                let about_rest: Vec<Value> = of_packet(&events, ends.len()).collect();
                if !about_rest.is_empty() {
                    let bytes = stream[start..].to_vec();
                    parts.push(Part { direction: "in", bytes, became: about_rest, note: None });
                }
                if let Err(error) = &cut.next {
                    let note = Some(format!("the client broke the framing: {error}"));
                    parts.push(Part { direction: "log", bytes: Vec::new(), became: Vec::new(), note });
                }
            }
            CallEnd::Class(Some(class)) => {
                parts.iter_mut().for_each(|part| part.note = Some(format!("the broadcast class is {class}")));
            }
            CallEnd::Failed(error) => {
                if !stream.is_empty() {
                    parts.push(Part { direction: "in", bytes: stream, became: Vec::new(), note: None });
                }
                let why = format!("codec fault: {error}");
                parts.iter_mut().for_each(|part| part.note = Some(why.clone()));
            }
            CallEnd::Class(None) | CallEnd::Done => {}
        }
        let batch = (parts.len() > 1).then_some(parts.len());
        let packets = std::mem::take(&mut self.packets);
        for (index, part) in parts.into_iter().enumerate() {
            let mut own = packets.iter().filter(|(message, _)| *message == index).peekable();
            if self.is_encoding && own.peek().is_some() {
                for (_, packet) in own {
                    self.deliver(part.direction, packet, part.became.clone(), part.note.clone(), batch);
                }
                continue;
            }
            let note = part.note.or_else(|| self.is_encoding.then(|| "no packet of its own".to_owned()));
            self.deliver(part.direction, &part.bytes, part.became, note, batch);
        }
        for reply in std::mem::take(&mut self.replies) {
            self.deliver("out", &reply, Vec::new(), Some("a reply of the codec".to_owned()), None);
        }
    }

    fn deliver(
        &self,
        direction: &'static str,
        bytes: &[u8],
        became: Vec<Value>,
        note: Option<String>,
        batch: Option<usize>,
    ) {
        if !self.trace.admits() {
            return;
        }
        let record = Record::new(self.session, direction).showing(bytes, &self.shown());
        let record = Record { became, codec_us: Some(self.codec_us), note, batch, ..record };
        self.trace.deliver(self.session, record.line());
    }
}

fn of_packet(events: &[(usize, Value)], index: usize) -> impl Iterator<Item = Value> + '_ {
    events.iter().filter(move |(packet, _)| *packet == index).map(|(_, event)| event.clone())
}
