//! The output of a session: messages from the outbox, and the farewell.

use std::cell::Cell;
use std::sync::Arc;

use bytes::Bytes;

use super::effects::Effects;
use super::{KEPT, Machine};
use crate::codec::{MessageRef, Messages, Reason};
use crate::session::Message;
use crate::session::broadcast::{Shared, Sharing};
use wireplug_base::limited;
use wireplug_core::codec::batch_bytes;
use wireplug_core::codec::driver::{Disposition, PacketSink};

impl Machine {
    /// Encodes the messages that wait in the outbox. Stops when the outbox is empty, when
    /// `high_water` bytes wait to be written, or when `goes_on` returns false after a call of the
    /// codec.
    pub(crate) fn encode_waiting(&mut self, high_water: usize, now_ms: u64, goes_on: impl Fn() -> bool) {
        while self.can_encode() && self.effects.output.len() < high_water {
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

    /// Whether [`Machine::encode_waiting`] would encode messages of the outbox.
    pub(crate) fn can_encode(&self) -> bool {
        self.driver.can_encode()
    }

    /// Whether [`Machine::farewell`] would call the codec.
    pub(crate) fn has_farewell(&self) -> bool {
        self.driver.has_farewell()
    }

    /// Puts the codec's last packet into the output, if it has one.
    pub(crate) fn farewell(&mut self, reason: &str, now_ms: u64) {
        let packet = self.driver.farewell(reason, now_ms);
        if let Some(Some(packet)) = self.settle(packet) {
            self.effects.put(&packet);
        }
    }

    /// Puts the push to many that is next in the outbox into the output. Returns false if there is
    /// none.
    fn put_shared(&mut self, now_ms: u64) -> bool {
        let Some((push, sharing)) = self.outbox.take_shared() else { return false };
        let Message { id, body, route, .. } = &push.message;
        let Effects { output, joiner, tally, .. } = &mut self.effects;
        match self.driver.disposition(*id, body.len(), self.max_packet) {
            Disposition::Encode => {}
            Disposition::DropEnded => {
                tally.unsent += 1;
                return true;
            }
            Disposition::DropTooLarge | Disposition::EncodeAsFailed => {
                tally.refused += 1;
                log_too_large(route, body);
                return true;
            }
        }
        let shared = match sharing {
            Sharing::Class(index) => push.encoded(index),
            Sharing::Apart => Shared::Apart,
        };
        match shared {
            Shared::Packet(packet) => match output.push(&packet, joiner) {
                Ok(()) => {
                    tally.packets_out += 1;
                    tally.messages_out += 1;
                }
                Err(error) => {
                    tally.refused += 1;
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

    /// Fills a batch from the outbox. Returns false if there is nothing to encode.
    fn gather(&mut self) -> bool {
        let batch = Arc::make_mut(&mut self.messages);
        batch.clear();
        batch.shrink_to(KEPT);
        let (driver, max_packet, max_messages) = (&self.driver, self.max_packet, self.batch);
        let Effects { acks, tally, .. } = &mut self.effects;
        let acks = &*acks;
        // A response that is an acknowledgement is encoded by itself, so that its packet is known.
        let has_ack = Cell::new(false);
        let fits = |batch: &Messages, message: &Message| {
            let alone = has_ack.get() || acks.wants_response(message.id);
            let bytes = message.route.len() + message.body.len();
            batch.len() < max_messages
                && batch.has_room_for(bytes, batch_bytes(max_packet))
                && (batch.is_empty() || !alone)
        };
        self.outbox.take_messages(batch, fits, |batch, mut message| {
            match driver.disposition(message.id, message.body.len(), max_packet) {
                Disposition::Encode => {}
                Disposition::DropEnded => {
                    tally.unsent += 1;
                    return;
                }
                Disposition::DropTooLarge => {
                    tally.refused += 1;
                    log_too_large(&message.route, &message.body);
                    return;
                }
                Disposition::EncodeAsFailed => {
                    tally.refused += 1;
                    log_too_large(&message.route, &message.body);
                    (message.status, message.body) = (MessageRef::FAILED, Bytes::new());
                }
            }
            has_ack.set(acks.wants_response(message.id));
            batch.push((&message).into());
        });
        !batch.is_empty()
    }

    /// Encodes the batch. Responses that the codec refused, or whose packets cannot be framed, are
    /// encoded once more, as failed.
    fn encode(&mut self, now_ms: u64) {
        let only = self.messages.iter().next().filter(|_| self.messages.len() == 1);
        let ack = only.and_then(|message| self.effects.acks.take_response(message.id));
        let mut packets = PacketOutput { effects: &mut self.effects, ack };
        let encoded = self.driver.encode(&self.messages, now_ms, &mut packets);
        let encoded = match encoded {
            Ok(Some(failed)) => self.driver.encode_failed(&failed, now_ms, &mut packets),
            encoded => encoded.map(drop),
        };
        // The response has no form on the wire.
        let unused = packets.ack;
        self.settle(encoded);
        if let Some(ack) = unused {
            self.effects.acknowledge(ack);
        }
    }
}

/// Puts the packets of messages into the output.
struct PacketOutput<'a> {
    effects: &'a mut Effects,
    /// The acknowledgement that is sent with the first packet, if there is one.
    ack: Option<u64>,
}

impl PacketSink for PacketOutput<'_> {
    fn packet(&mut self, message: Option<usize>, packet: &[u8]) -> bool {
        let Effects { output, joiner, tally, .. } = &mut *self.effects;
        let pushed = match self.ack {
            Some(ack) => output.acknowledge(ack, Some(packet), joiner),
            None => output.push(packet, joiner),
        };
        match &pushed {
            Ok(()) => {
                self.ack = None;
                tally.packets_out += 1;
                tally.messages_out += 1;
            }
            Err(error) => {
                tally.refused += 1;
                let message_is_known = message.is_some();
                limited!(DEBUG, %error, message_is_known, "a packet cannot be framed");
            }
        }
        pushed.is_ok()
    }

    fn refused(&mut self, _message: usize, reason: &[u8]) {
        self.effects.tally.refused += 1;
        limited!(DEBUG, reason = %self.effects.reason(reason), "the codec refused a message");
    }
}

fn log_too_large(route: &str, body: &[u8]) {
    limited!(
        DEBUG,
        route = %Reason::new(route),
        bytes = body.len(),
        "a message is larger than the largest packet"
    );
}
