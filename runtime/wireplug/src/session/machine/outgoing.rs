//! The output of a session: messages from the outbox, and the farewell.

use std::cell::Cell;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::Machine;
use super::effects::Effects;
use crate::codec::{Cause, Instant, MessageRef, Messages, Reason, Role};
use crate::session::acks::Acks;
use crate::session::broadcast::{Shared, Sharing};
use crate::session::{Message, RequestError};
use wireplug_base::limited;
use wireplug_core::codec::batch_bytes;
use wireplug_core::codec::driver::{Disposition, PacketSink};
use wireplug_core::framing::Packets;

impl Machine {
    /// Encodes the messages that wait in the outbox. Stops when the outbox is empty, when
    /// `high_water` bytes wait to be written, or when `goes_on` returns false after a call of the
    /// codec.
    pub(crate) fn encode_waiting(&mut self, high_water: usize, now: Instant, goes_on: impl Fn() -> bool) {
        while self.can_encode() && self.effects.output.len() < high_water {
            if self.gather() {
                self.encode(now);
            } else if !self.put_shared(now) {
                return;
            }
            if !goes_on() {
                return;
            }
        }
    }

    /// Whether [`Machine::encode_waiting`] would encode messages of the outbox.
    pub(crate) fn can_encode(&self) -> bool {
        self.driver.can_encode()
    }

    /// Whether [`Machine::farewell`] would call the codec.
    pub(crate) fn has_farewell(&self) -> bool {
        self.driver.has_farewell()
    }

    /// Lets the codec say farewell, and puts its last packets into the output.
    pub(crate) fn farewell(&mut self, cause: Cause, reason: &str, now: Instant) {
        let said = self.driver.farewell(cause, reason, now, |event| self.effects.take(event));
        self.settle(said);
    }

    /// Puts the push to many that is next in the outbox into the output. Returns false if there is
    /// none.
    fn put_shared(&mut self, now: Instant) -> bool {
        let Some((push, sharing)) = self.effects.outbox.take_shared() else { return false };
        if self.drops_push(&push.message) {
            return true;
        }
        let shared = match sharing {
            Sharing::Class(index) => push.encoded(index),
            Sharing::Apart => Shared::Apart,
        };
        match shared {
            Shared::Packets(packets) => {
                self.put_packets(&packets);
                self.report_shared(&push.message.route, &packets);
            }
            Shared::Apart => {
                let batch = Arc::make_mut(self.messages.get_mut());
                batch.clear();
                batch.push((&push.message).into());
                self.encode(now);
            }
        }
        true
    }

    /// Drops and counts a push to many that the client cannot get. Returns whether it did.
    pub(super) fn drops_push(&mut self, push: &Message) -> bool {
        let tally = &mut self.effects.tally;
        match self.driver.disposition(push.role, push.body.len(), self.max_packet) {
            Disposition::Encode => return false,
            Disposition::DropEnded => tally.unsent += 1,
            // A push to many is a notice.
            Disposition::DropTooLarge | Disposition::EncodeAsFailed | Disposition::DropUnsupported => {
                tally.refused += 1;
                log_too_large(&push.route, &push.body);
            }
        }
        true
    }

    /// Puts the packets of a push to many, which were encoded for the session's class, into the
    /// output.
    pub(super) fn put_packets(&mut self, packets: &Packets) {
        if packets.is_empty() {
            return;
        }
        let Effects { output, joiner, tally, .. } = &mut self.effects;
        match output.push_all(packets.range(0..packets.len()), None, joiner) {
            Ok(()) => {
                tally.packets_out += packets.len() as u64;
                tally.messages_out += 1;
            }
            Err(error) => {
                tally.refused += 1;
                // No session has changed its state for this push, so that a stream of complete
                // packets still makes sense without it.
                limited!(DEBUG, %error, "a shared packet cannot be framed");
            }
        }
    }

    /// Fills a batch from the outbox. Returns false if there is nothing to encode.
    fn gather(&mut self) -> bool {
        let batch = Arc::make_mut(self.messages.get_mut());
        batch.clear();
        let (driver, max_packet, max_messages) = (&self.driver, self.max_packet, self.batch);
        let Effects { acks, tally, outbox, .. } = &mut self.effects;
        let acks = &*acks;
        // Requests that are not sent. The outbox is locked while messages are taken out of it.
        let mut unsent = Vec::new();
        // A response that is an acknowledgement is encoded by itself, so that its packet is known.
        let has_ack = Cell::new(false);
        let fits = |batch: &Messages, message: &Message| {
            let alone = has_ack.get() || wants_ack(acks, message.role, message.id);
            let bytes = message.route.len() + message.body.len();
            batch.len() < max_messages
                && batch.has_room_for(bytes, batch_bytes(max_packet))
                && (batch.is_empty() || !alone)
        };
        outbox.take_messages(batch, fits, |batch, mut message| {
            match driver.disposition(message.role, message.body.len(), max_packet) {
                Disposition::Encode => {}
                Disposition::DropEnded => {
                    tally.unsent += 1;
                    unsent.push((message.id, RequestError::Closed));
                    return;
                }
                Disposition::DropUnsupported => {
                    tally.refused += 1;
                    unsent.push((message.id, RequestError::Unsupported));
                    return;
                }
                Disposition::DropTooLarge => {
                    tally.refused += 1;
                    log_too_large(&message.route, &message.body);
                    let why = Reason::new("the body is larger than the largest packet");
                    unsent.push((message.id, RequestError::Refused(why)));
                    return;
                }
                Disposition::EncodeAsFailed => {
                    tally.refused += 1;
                    log_too_large(&message.route, &message.body);
                    (message.status, message.body) = (MessageRef::FAILED, Bytes::new());
                }
            }
            has_ack.set(wants_ack(acks, message.role, message.id));
            batch.push((&message).into());
        });
        // The id of a notice is 0, and no request has this id.
        unsent.into_iter().for_each(|(id, error)| outbox.fail_request(id, error));
        let gathered = !batch.is_empty();
        if !gathered {
            self.messages.release();
        }
        gathered
    }

    /// Encodes the batch. Responses that the codec refused, or whose packets cannot be framed, are
    /// encoded once more, as failed.
    fn encode(&mut self, now: Instant) {
        let batch = &*self.messages.get_mut();
        let ack = match &batch.heads[..] {
            [only] if only.role == Role::Response => self.effects.acks.take_response(only.id),
            _ => None,
        };
        let (effects, messages) = (&mut self.effects, &**batch);
        let mut packets = PacketOutput { effects, messages, ack, refused: Vec::new() };
        let encoded = self.driver.encode(batch, now, &mut packets);
        let encoded = match encoded {
            Ok(Some(_)) if packets.effects.unsendable.is_some() => Ok(()),
            Ok(Some(failed)) => {
                packets.messages = &NO_MESSAGES;
                packets.refused.clear();
                self.driver.encode_failed(&failed, now, &mut packets)
            }
            encoded => encoded.map(drop),
        };
        // The response has no form on the wire.
        let unused = packets.ack;
        self.messages.release();
        self.settle(encoded);
        self.end_if_unsendable();
        if let Some(ack) = unused {
            self.effects.acknowledge(ack);
        }
    }
}

/// The messages of a batch without requests.
static NO_MESSAGES: Messages = Messages { bytes: Vec::new(), heads: Vec::new() };

/// Puts the packets of messages into the output.
struct PacketOutput<'a> {
    effects: &'a mut Effects,
    /// The messages of the batch.
    messages: &'a Messages,
    /// The acknowledgement that is sent with the first packet, if there is one.
    ack: Option<u64>,
    /// The messages that were refused. No packet carries them, although they may lie among the
    /// messages of a coalesced packet.
    refused: Vec<usize>,
}

impl PacketSink for PacketOutput<'_> {
    fn packets<'a>(
        &mut self,
        messages: Range<usize>,
        packets: impl ExactSizeIterator<Item = &'a [u8]> + Clone,
    ) -> bool {
        if self.effects.unsendable.is_some() {
            // A packet is missing, so that the rest of the stream makes no sense.
            return true;
        }
        let Effects { output, joiner, tally, .. } = &mut *self.effects;
        let count = packets.len();
        let carried = messages.clone().filter(|message| !self.refused.contains(message)).count() as u64;
        let pushed = output.push_all(packets, self.ack, joiner);
        match &pushed {
            Ok(()) => {
                self.ack = None;
                tally.packets_out += count as u64;
                tally.messages_out += carried;
            }
            Err(error) => {
                tally.refused += carried;
                limited!(DEBUG, %error, "a message is not sent, because a packet of it cannot be framed");
            }
        }
        match pushed {
            Ok(()) => true,
            Err(error) => {
                self.fail_requests(messages, &Reason::new(error.to_string()));
                self.effects.note_unsendable(error);
                false
            }
        }
    }

    fn refused(&mut self, message: usize, reason: &[u8]) {
        self.refused.push(message);
        self.effects.tally.refused += 1;
        let reason = self.effects.reason(reason);
        limited!(DEBUG, %reason, "the codec refused a message");
        self.fail_requests(message..message + 1, &reason);
    }
}

impl PacketOutput<'_> {
    /// Ends the requests among the messages with these indexes, because they are not sent.
    fn fail_requests(&self, messages: Range<usize>, why: &Reason) {
        // While failed responses are encoded once more, there are no requests in the batch.
        let heads = self.messages.heads.get(messages).unwrap_or_default();
        for request in heads.iter().filter(|head| head.role == Role::Request) {
            self.effects.outbox.fail_request(request.id, RequestError::Refused(why.clone()));
        }
    }
}

/// Whether a message is the response that acknowledges its request.
fn wants_ack(acks: &Acks, role: Role, id: u64) -> bool {
    role == Role::Response && acks.wants_response(id)
}

fn log_too_large(route: &str, body: &[u8]) {
    limited!(
        DEBUG,
        route = %Reason::new(route),
        bytes = body.len(),
        "a message is larger than the largest packet"
    );
}
