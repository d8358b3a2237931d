//! A codec session in its sandbox.

use std::sync::Arc;

use super::input;
use super::sandbox::Sandbox;
use super::types::{Close, Event, Fault, LogEntry, Message};
use wireplug_core::codec::{
    Abilities, Cause, CodecError, CodecSession, CpuTime, Encoded, EventHead, Events, Frames, Instant, Kind,
    MessageRef, Messages, Reason, Refusal, Violation,
};
use wireplug_core::framing::Packets;

pub(super) struct WasmSession {
    pub(super) sandbox: Sandbox,
    pub(super) abilities: Abilities,
    /// Whether packets are decoded by `decode-batch`, and not one by one.
    pub(super) decodes_batches: bool,
    /// Whether messages are encoded by `encode-batch`, and not one by one.
    pub(super) encodes_batches: bool,
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
        if self.decodes_batches {
            let input = |at| input::packets(packets, at);
            *events =
                self.sandbox.call_with(input, |guest, store| guest.decode_batch(store, packets, now))?;
            return Ok(());
        }
        for (i, packet) in packets.iter().enumerate() {
            let input = |_| input::packets(packets, Some(i));
            match self.sandbox.call_with(input, |guest, store| guest.decode(store, packet, now))? {
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
        if !self.abilities.framer {
            return Err(Violation::MissingAbility("framer").into());
        }
        let input = |at| input::stream(bytes, at);
        *frames = self.sandbox.call_with(input, |guest, store| guest.decode_stream(store, bytes, now))?;
        Ok(())
    }

    fn secured(
        &mut self,
        attributes: &[(String, String)],
        now: Instant,
        events: &mut Events,
    ) -> Result<(), CodecError> {
        if self.abilities.tls_upgrade {
            let given = self.sandbox.call(|guest, store| guest.secured(store, attributes, now))?;
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
        if self.encodes_batches {
            let input = |at| input::messages(messages, at);
            *encoded = self
                .sandbox
                .call_with(input, |guest, store| guest.encode_batch(store, messages, now))?
                .map_err(|reason| self.sandbox.refused(&reason))?;
            return Ok(encoded.check(messages.len())?);
        }
        for (i, message) in messages.iter().enumerate() {
            let input = |_| input::messages(messages, Some(i));
            match self.sandbox.call_with(input, |guest, store| guest.encode(store, message, now))? {
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
        if !self.abilities.handshake {
            return Err(Violation::MissingAbility("hello").into());
        }
        let input = |_| input::answer(status, body);
        let answered =
            self.sandbox.call_with(input, |guest, store| guest.answer(store, status, body, now))?;
        flatten(answered, 0, events);
        Ok(())
    }

    fn abandoned(&mut self, id: u64, now: Instant, events: &mut Events) -> Result<(), CodecError> {
        if self.abilities.requests {
            let given = self.sandbox.call(|guest, store| guest.abandoned(store, id, now))?;
            flatten(given, 0, events);
        }
        Ok(())
    }

    fn tick(&mut self, now: Instant, events: &mut Events) -> Result<(), CodecError> {
        if !self.abilities.clock {
            return Err(Violation::MissingAbility("timer").into());
        }
        let ticked = self.sandbox.call(|guest, store| guest.tick(store, now))?;
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
        if self.abilities.farewell {
            let last = self.sandbox.call(|guest, store| guest.farewell(store, cause, reason, now))?;
            flatten(last, 0, events);
        }
        Ok(())
    }

    fn broadcast_class(&mut self) -> Result<Option<u32>, CodecError> {
        if !self.abilities.broadcast {
            return Ok(None);
        }
        self.sandbox.call(|guest, store| guest.broadcast_class(store))
    }

    fn save(&mut self) -> Result<Vec<u8>, CodecError> {
        if !self.abilities.handoff {
            return Err(CodecError::Refused(Reason::new("it does not export `handoff`")));
        }
        let saved = self.sandbox.call(|guest, store| guest.save(store))?;
        saved.map_err(|reason| self.sandbox.refused(&reason))
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
