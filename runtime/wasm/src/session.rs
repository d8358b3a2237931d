//! A codec session in its sandbox.

use std::sync::Arc;

use wasmtime::component::ResourceAny;

use super::bindings::{Close, Event, Fault, Functions, LogEntry, Message};
use super::input;
use super::sandbox::Sandbox;
use wireplug_core::codec::{
    Cause, CodecError, CodecSession, CpuTime, Encoded, EventHead, Events, Frames, Instant, Kind, MessageRef,
    Messages, Reason, Refusal, Violation,
};
use wireplug_core::framing::Packets;

pub(super) struct WasmSession {
    pub(super) sandbox: Sandbox,
    pub(super) functions: Functions,
    pub(super) session: ResourceAny,
    /// The limit of the answers to all calls of one batch together, in bytes. It is the same as the
    /// limit of one call of `batch`.
    pub(super) max_answer: usize,
}

impl CodecSession for WasmSession {
    fn decode(
        &mut self,
        packets: &Arc<Packets>,
        now: Instant,
        events: &mut Events,
    ) -> Result<(), CodecError> {
        if let Some(decode_batch) = &self.functions.decode_batch {
            let params = (self.session, packets.clone(), now);
            *events = self.sandbox.call_with(decode_batch, params, |at| input::packets(packets, at))?;
            return Ok(());
        }
        for (i, packet) in packets.iter().enumerate() {
            let params = (self.session, packet.to_vec(), now);
            let input = |_| input::packets(packets, Some(i));
            match self.sandbox.call_with(&self.functions.decode, params, input)? {
                Ok(decoded) => flatten(decoded, i as u32, events),
                Err(Fault::Rejected(reason)) => events.push(i as u32, Kind::Rejected, reason.as_bytes()),
                Err(Fault::Fatal(reason)) => events.push(i as u32, Kind::Fatal, reason.as_bytes()),
            }
            self.check_answer(events.bytes.len() + events.heads.len() * size_of::<EventHead>())?;
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
        let decode_stream =
            self.functions.decode_stream.as_ref().ok_or(Violation::MissingAbility("framer"))?;
        let params = (self.session, Arc::clone(bytes), now);
        *frames = self.sandbox.call_with(decode_stream, params, |at| input::stream(bytes, at))?;
        Ok(())
    }

    fn secured(
        &mut self,
        attributes: &[(String, String)],
        now: Instant,
        events: &mut Events,
    ) -> Result<(), CodecError> {
        if let Some(secured) = &self.functions.secured {
            let given = self.sandbox.call(secured, (self.session, attributes.to_vec(), now))?;
            flatten(given, 0, events);
        }
        Ok(())
    }

    fn encode(
        &mut self,
        messages: &Arc<Messages>,
        now: Instant,
        encoded: &mut Encoded,
    ) -> Result<(), CodecError> {
        if let Some(encode_batch) = &self.functions.encode_batch {
            let params = (self.session, messages.clone(), now);
            *encoded = self
                .sandbox
                .call_with(encode_batch, params, |at| input::messages(messages, at))?
                .map_err(|reason| self.sandbox.refused(&reason))?;
            return Ok(encoded.check(messages.len())?);
        }
        for (i, message) in messages.iter().enumerate() {
            let params = (self.session, message.into(), now);
            let input = |_| input::messages(messages, Some(i));
            match self.sandbox.call_with(&self.functions.encode, params, input)? {
                Ok(packets) => packets.iter().for_each(|packet| encoded.push(i as u32, packet)),
                Err(Fault::Rejected(reason)) => encoded.refused.push(Refusal { message: i as u32, reason }),
                Err(Fault::Fatal(reason)) => return Err(self.sandbox.refused(&reason)),
            }
            let ends = encoded.sources.len() * 2 * size_of::<u32>();
            self.check_answer(encoded.packets.byte_len() + ends)?;
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
        let answer = self.functions.answer.as_ref().ok_or(Violation::MissingAbility("hello"))?;
        let params = (self.session, status, body.to_vec(), now);
        let answered = self.sandbox.call_with(answer, params, |_| input::answer(status, body))?;
        flatten(answered, 0, events);
        Ok(())
    }

    fn abandoned(&mut self, id: u64, now: Instant, events: &mut Events) -> Result<(), CodecError> {
        if let Some(abandoned) = &self.functions.abandoned {
            let given = self.sandbox.call(abandoned, (self.session, id, now))?;
            flatten(given, 0, events);
        }
        Ok(())
    }

    fn tick(&mut self, now: Instant, events: &mut Events) -> Result<(), CodecError> {
        let tick = self.functions.tick.as_ref().ok_or(Violation::MissingAbility("timer"))?;
        let ticked = self.sandbox.call(tick, (self.session, now))?;
        flatten(ticked, 0, events);
        Ok(())
    }

    fn farewell(
        &mut self,
        cause: Cause,
        reason: &str,
        now: Instant,
        events: &mut Events,
    ) -> Result<(), CodecError> {
        if let Some(farewell) = &self.functions.farewell {
            let last = self.sandbox.call(farewell, (self.session, cause, reason.to_owned(), now))?;
            flatten(last, 0, events);
        }
        Ok(())
    }

    fn broadcast_class(&mut self) -> Result<Option<u32>, CodecError> {
        match &self.functions.broadcast_class {
            Some(broadcast_class) => self.sandbox.call(broadcast_class, (self.session,)),
            None => Ok(None),
        }
    }

    fn save(&mut self) -> Result<Vec<u8>, CodecError> {
        match &self.functions.save {
            Some(save) => {
                let saved = self.sandbox.call(save, (self.session,))?;
                saved.map_err(|reason| self.sandbox.refused(&reason))
            }
            None => Err(CodecError::Refused(Reason::new("it does not export `handoff`"))),
        }
    }

    fn wants_renewal(&mut self) -> bool {
        self.sandbox.is_nearly_full()
    }

    fn take_cpu_time(&mut self, measures: bool) -> CpuTime {
        self.sandbox.take_cpu_time(measures)
    }
}

impl WasmSession {
    /// Checks that the answers to the calls of a batch are within their common limit.
    fn check_answer(&self, bytes: usize) -> Result<(), CodecError> {
        if bytes > self.max_answer {
            return Err(CodecError::Oversized(Reason::new("more than the calls of a batch may hand back")));
        }
        Ok(())
    }
}

/// Appends events that came one by one to a flat buffer.
fn flatten(decoded: Vec<Event>, packet: u32, events: &mut Events) {
    for event in decoded {
        match event {
            Event::Hello(body) => events.push(packet, Kind::Hello, &body),
            Event::Established => events.push(packet, Kind::Established, &[]),
            Event::Message(Message { role, id, route, body, status }) => {
                events.push_message(packet, MessageRef { role, id, route: &route, body: &body, status });
            }
            Event::Reply(reply) => events.push(packet, Kind::Reply, &reply),
            Event::Timer(ms) => events.push_timer(packet, ms),
            Event::AddressVerified => events.push(packet, Kind::AddressVerified, &[]),
            Event::Log(LogEntry { level, text }) => events.push_log(packet, level, &text),
            Event::Close(Close { code, reason }) => events.push_close(packet, code, &reason),
        }
    }
}
