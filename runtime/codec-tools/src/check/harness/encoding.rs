//! Encodes messages: in batches, as failed responses, and for the session's class.

use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use super::{Driver, Harness, Stop, cannot_carry};
use crate::check::case::{Ask, Message};
use crate::check::observed::{Fault, FaultKind, Observed, What};
use crate::check::stateless::{SharedCall, lines};
use crate::check::wire::Wire;
use wireplug_core::codec::driver::{CallError, Disposition, FailedResponses, PacketSink};
use wireplug_core::codec::{CodecError, Instant, MessageRef, Messages, Role, batch_bytes};
use wireplug_core::framing::JoinError;

/// The statuses that a response may have.
const STATUSES: RangeInclusive<u16> = 100..=599;

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
            if !batch.has_room_for(message.route.len() + message.body.len(), batch_bytes(max_packet)) {
                break;
            }
            if message.role == Role::Request && !self.may_ask(&due) {
                continue;
            }
            let Some(mut message) = self.fair(message) else { continue };
            match self.driver.disposition(message.role, message.body.len(), max_packet) {
                Disposition::Encode => {}
                Disposition::EncodeAsFailed => message = message.as_ref().as_failed().into(),
                Disposition::DropTooLarge | Disposition::DropUnsupported | Disposition::DropEnded => continue,
            }
            batch.push(message.as_ref());
            due.push(message);
        }
        due
    }

    /// Returns whether the protocol allows a further request to the client, behind those that wait
    /// for a response and those in the batch.
    fn may_ask(&self, batch: &[Message]) -> bool {
        let in_batch = batch.iter().filter(|message| message.role == Role::Request).count();
        self.sent.len() + in_batch < usize::from(self.run.codec.description().client_requests)
    }

    /// Returns the message as the runtime could send it, or `None` if the runtime would send none
    /// like it.
    fn fair(&mut self, message: &Message) -> Option<Message> {
        let Message { role, mut id, mut route, mut status, body } = message.clone();
        match role {
            Role::Notice => (id, status) = (0, MessageRef::OK),
            Role::Request => {
                // The ids of requests go up, and fit 32 bits.
                let is_next = self.last_request < id && id <= u64::from(u32::MAX);
                self.last_request = if is_next { id } else { self.last_request + 1 };
                (id, status) = (self.last_request, MessageRef::OK);
            }
            Role::Response => {
                (id, route) = self.take_request(id)?;
                status = status.clamp(*STATUSES.start(), *STATUSES.end());
            }
        }
        Some(Message { role, id, route, status, body })
    }

    /// Takes the open request with this id, or any other.
    fn take_request(&mut self, id: u64) -> Option<(u64, String)> {
        let exact = self.requests.iter().position(|(request, _)| *request == id);
        let any = || (id % (self.requests.len().max(1) as u64)) as usize;
        let index = exact.unwrap_or_else(any);
        (index < self.requests.len()).then(|| self.requests.remove(index))
    }

    /// Takes the open request to the client with this id, or any other.
    pub(super) fn take_sent(&mut self, id: u64) -> Option<u64> {
        let exact = self.sent.iter().position(|sent| *sent == id);
        let any = || (id % (self.sent.len().max(1) as u64)) as usize;
        let index = exact.unwrap_or_else(any);
        (index < self.sent.len()).then(|| self.sent.remove(index))
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
            failed = harness.encode(&due, |driver, now, sink| driver.encode(&messages, now, sink))?;
            match &due[..] {
                [push] if harness.run.share && push.role == Role::Notice => harness.compare_shared(push),
                _ => Ok(()),
            }
        })?;
        let Some(failed) = failed else { return Ok(()) };
        let again: Vec<Message> = failed.messages().map(Message::from).collect();
        self.observe(Ask::Messages(again.clone()), |harness| {
            // A response that fails again is dropped.
            harness
                .encode(&again, |driver, now, sink| driver.encode_failed(&failed, now, sink).map(|()| None))
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
            Instant,
            &mut ObservedPackets<'_>,
        ) -> Result<Option<FailedResponses>, CallError>,
    ) -> Result<Option<FailedResponses>, Stop> {
        let now = self.now();
        let Self { driver, wire, observed, .. } = self;
        let answered = vec![false; due.len()];
        let mut sink = ObservedPackets { wire, due, observed, answered, sent: Vec::new(), unframed: None };
        let called = call(driver, now, &mut sink);
        let ObservedPackets { answered, sent, unframed, .. } = sink;
        self.sent.extend(sent);
        if let Some(fault) = unframed {
            return Err(fault.into());
        }
        if let Err(CallError::Failed(CodecError::Refused(reason))) = &called {
            self.note(None, What::Fatal(reason.as_str().into()));
            return Ok(None);
        }
        let failed = called?;
        for (message, is_answered) in answered.into_iter().enumerate() {
            if !is_answered {
                self.note(Some(message), What::None);
            }
        }
        Ok(failed)
    }

    /// Compares the session's answer to a push with the encoding for its class.
    fn compare_shared(&mut self, push: &Message) -> Result<(), Stop> {
        let Some(class) = self.class.flatten() else { return Ok(()) };
        let shared = match self.run.codec.encode_shared(class, push.as_ref()) {
            Ok(packets) => What::packets(&packets),
            Err(CodecError::Refused(reason)) => vec![What::Refused(reason.to_string())],
            Err(error) => {
                let fault = Fault::from(error);
                let kind = if fault.is_certain() { FaultKind::Sharing } else { fault.kind };
                return Err(Fault { kind, text: format!("`encode-shared`: {}", fault.text) }.into());
            }
        };
        let (step, observed) = (self.steps.len(), shared.clone());
        self.shared.push(SharedCall { step, class, push: push.clone(), observed });
        let own: Vec<_> = self.observed.iter().map(|observed| &observed.what).collect();
        let agree = match (&own[..], &shared[..]) {
            ([What::Rejected(_) | What::Fatal(_)], [What::Refused(_)]) => true,
            (own, shared) => own.iter().copied().eq(shared),
        };
        if agree {
            return Ok(());
        }
        let text = format!("`encode-shared`: {}", lines(&shared));
        Err(Fault { kind: FaultKind::Sharing, text }.into())
    }
}

/// Records the answers to a batch of messages. Stops at a packet that the framing cannot carry.
struct ObservedPackets<'a> {
    wire: &'a Wire,
    due: &'a [Message],
    observed: &'a mut Vec<Observed>,
    /// Whether each message was refused, or has packets.
    answered: Vec<bool>,
    /// The ids of the requests whose packets can be sent.
    sent: Vec<u64>,
    /// The fault of a packet that the framing cannot carry.
    unframed: Option<Fault>,
}

impl ObservedPackets<'_> {
    /// Returns whether the codec is at fault for this error. It is not if a message itself has
    /// bytes that the framing cannot carry, because the runtime refuses the packet then. But the
    /// tag of a packet never comes from a message.
    fn is_at_fault(&self, error: &JoinError, messages: Range<usize>) -> bool {
        let is_unfit = |message: &Message| {
            self.wire.is_unfit(message.route.as_bytes()) || self.wire.is_unfit(&message.body)
        };
        *error == JoinError::Untagged || !self.due[messages].iter().any(is_unfit)
    }
}

impl PacketSink for ObservedPackets<'_> {
    fn packets<'a>(
        &mut self,
        messages: Range<usize>,
        packets: impl ExactSizeIterator<Item = &'a [u8]> + Clone,
    ) -> bool {
        if self.unframed.is_some() {
            return false;
        }
        self.answered[messages.clone()].fill(true);
        let of = (messages.len() == 1).then_some(messages.start);
        let mut can_send = true;
        for packet in packets {
            if let Err(error) = self.wire.check(packet)
                && self.is_at_fault(&error, messages.clone())
            {
                self.unframed = Some(cannot_carry(&error, packet));
                return false;
            }
            self.observed.push(Observed { of, what: What::Packet(packet.to_vec()) });
            can_send &= self.wire.can_send(packet);
        }
        if can_send {
            let requests = self.due[messages].iter().filter(|message| message.role == Role::Request);
            self.sent.extend(requests.map(|request| request.id));
        }
        can_send
    }

    fn refused(&mut self, message: usize, reason: &[u8]) {
        self.answered[message] = true;
        self.observed.push(Observed { of: Some(message), what: What::Rejected(reason.to_vec()) });
    }
}
