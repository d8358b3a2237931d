//! Encodes messages: in batches, as failed responses, and for the session's class.

use std::sync::Arc;

use super::{Driver, Harness, Stop, carried};
use crate::check::case::{Ask, Message};
use crate::check::observed::{Cause, Fault, Observed, What};
use crate::check::stateless::SharedCall;
use wireplug_core::codec::driver::{CallError, Disposition, FailedResponses, PacketSink};
use wireplug_core::codec::{CodecError, MessageRef, Messages, batch_bytes};
use wireplug_core::framing::Joiner;

impl Harness<'_> {
    /// Returns those messages that may be encoded now, as one batch. A response takes a request
    /// that has no response yet.
    pub(super) fn due(&mut self, messages: &[Message]) -> Vec<Message> {
        let mut due: Vec<Message> = Vec::new();
        if !self.driver.can_encode() {
            return due;
        }
        let max_packet = self.run.max_packet;
        let mut batch = Messages::new();
        for message in messages {
            let mut message = message.clone();
            if !batch.has_room_for(message.route.len() + message.body.len(), batch_bytes(max_packet)) {
                break;
            }
            match message.id {
                Some(id) => {
                    let Some((id, route)) = self.request(id) else { continue };
                    (message.id, message.route) = (Some(id), route);
                }
                None => message.status = 200,
            }
            match self.driver.disposition(message.id, message.body.len(), max_packet) {
                Disposition::Encode => {}
                Disposition::EncodeAsFailed => message = message.as_ref().as_failed().into(),
                Disposition::DropTooLarge | Disposition::DropEnded => continue,
            }
            batch.push(message.as_ref());
            due.push(message);
        }
        due
    }

    /// Takes the open request with this id, or any other.
    fn request(&mut self, id: u64) -> Option<(u64, String)> {
        let exact = self.requests.iter().position(|(request, _)| *request == id);
        let any = || (id % (self.requests.len().max(1) as u64)) as usize;
        let index = exact.unwrap_or_else(any);
        (index < self.requests.len()).then(|| self.requests.remove(index))
    }

    /// Encodes messages as one batch. Responses that have no packet are encoded once more, as
    /// failed.
    pub(super) fn messages(&mut self, due: Vec<Message>) -> Result<(), Fault> {
        if due.is_empty() {
            return Ok(());
        }
        let mut failed = None;
        self.observe(Ask::Messages(due.clone()), |harness| {
            let mut messages = Messages::new();
            due.iter().for_each(|message| messages.push(message.as_ref()));
            let messages = Arc::new(messages);
            failed = harness.encode(&due, |driver, now_ms, sink| driver.encode(&messages, now_ms, sink))?;
            match &due[..] {
                [push] if harness.run.share && push.id.is_none() => harness.compare_shared(push),
                _ => Ok(()),
            }
        })?;
        let Some(failed) = failed else { return Ok(()) };
        let again: Vec<Message> = failed.messages().map(Message::from).collect();
        self.observe(Ask::Messages(again.clone()), |harness| {
            // A response that fails again is dropped.
            harness
                .encode(&again, |driver, now_ms, sink| {
                    driver.encode_failed(&failed, now_ms, sink).map(|()| None)
                })
                .map(drop)
        })
    }

    /// Makes a call that encodes these messages. Stops at the first packet that the framing cannot
    /// carry.
    fn encode(
        &mut self,
        due: &[Message],
        call: impl FnOnce(
            &mut Driver,
            u64,
            &mut ObservedPackets<'_>,
        ) -> Result<Option<FailedResponses>, CallError>,
    ) -> Result<Option<FailedResponses>, Stop> {
        let Self { driver, joiner, observed, now_ms, .. } = self;
        let mut sink = ObservedPackets { joiner, due, observed, unframed: None };
        let called = call(driver, *now_ms, &mut sink);
        if let Some(fault) = sink.unframed {
            return Err(fault.into());
        }
        let failed = match called {
            Err(CallError::Failed(CodecError::Refused(reason))) => {
                self.note(None, What::Fatal(reason.as_str().into()));
                None
            }
            called => called?,
        };
        if due.len() == 1 && self.observed.is_empty() {
            self.note(Some(0), What::None);
        }
        Ok(failed)
    }

    /// Compares the session's answer to a push with the encoding for its class.
    fn compare_shared(&mut self, push: &Message) -> Result<(), Stop> {
        let Some(class) = self.class.flatten() else { return Ok(()) };
        let shared = match self.run.codec.encode_shared(class, push.as_ref()) {
            Ok(packet) => What::packet(packet.as_deref()),
            Err(CodecError::Refused(reason)) => What::Refused(reason.to_string()),
            Err(error) => {
                let fault = Fault::from(error);
                let cause = if fault.is_certain() { Cause::Sharing } else { fault.cause };
                return Err(Fault { cause, text: format!("`encode-shared`: {}", fault.text) }.into());
            }
        };
        let (step, observed) = (self.steps.len(), shared.clone());
        self.shared.push(SharedCall { step, class, push: push.clone(), observed });
        let own = self.observed.last().map(|observed| &observed.what);
        let agree = match (own, &shared) {
            (Some(What::Rejected(_) | What::Fatal(_)), What::Refused(_)) => true,
            (own, shared) => own == Some(shared),
        };
        if agree {
            return Ok(());
        }
        Err(Fault { cause: Cause::Sharing, text: format!("`encode-shared`: {}", shared.line()) }.into())
    }
}

/// Records the answers to a batch of messages. Stops at a packet that the framing cannot carry.
struct ObservedPackets<'a> {
    joiner: &'a Joiner,
    due: &'a [Message],
    observed: &'a mut Vec<Observed>,
    /// The fault of a packet that the framing cannot carry.
    unframed: Option<Fault>,
}

impl PacketSink for ObservedPackets<'_> {
    fn packet(&mut self, message: Option<usize>, packet: &[u8]) -> bool {
        if self.unframed.is_some() {
            return false;
        }
        // If the message itself has bytes that the framing cannot carry, the runtime refuses the
        // packet, and the codec is not at fault.
        let brought = message.map_or(self.due, |index| &self.due[index..=index]);
        let can_carry = |bytes: &[u8]| carried(self.joiner, bytes).is_ok();
        if brought.iter().all(|message| can_carry(message.route.as_bytes()) && can_carry(&message.body)) {
            self.unframed = carried(self.joiner, packet).err();
            if self.unframed.is_some() {
                return false;
            }
        }
        self.observed.push(Observed { of: message, what: What::Packet(packet.to_vec()) });
        self.joiner.join(packet, &mut Vec::new()).is_ok()
    }

    fn refused(&mut self, message: usize, reason: &[u8]) {
        self.observed.push(Observed { of: Some(message), what: What::Rejected(reason.to_vec()) });
    }
}

impl From<MessageRef<'_>> for Message {
    fn from(MessageRef { id, route, body, status }: MessageRef<'_>) -> Self {
        Self { id, route: route.to_owned(), status, body: body.to_vec() }
    }
}
