//! Encoding: which messages the codec is called for, and which packet belongs to which message.

use std::sync::Arc;

use super::{Call, CallError, NotAllowed, SessionDriver, SessionPhase};
use crate::codec::{CodecSession, Encoded, MessageRef, Messages};

/// The capacity that an empty batch of packets keeps for the next batch, in bytes. It is enough for
/// most batches, and small for an idle connection.
const KEPT: usize = 8 << 10;

/// What the driver does with a message before it calls the codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// The codec encodes the message.
    Encode,
    /// The body is larger than the largest packet, so no packet can hold it. The codec does not get
    /// this body, because an answer of that size could end the session. It encodes the response as
    /// failed.
    EncodeAsFailed,
    /// The body of a push is larger than the largest packet. The push is dropped.
    DropTooLarge,
    /// The codec has ended the session, so the push is dropped: it is of no use to the client any
    /// more. Responses to earlier requests are still encoded.
    DropEnded,
}

/// Receives the packets of a batch of messages.
pub trait PacketSink {
    /// Takes the packet of the message with this index. The index is `None` if it is unknown to
    /// which message the packet belongs, because some messages have no packet. Returns false if the
    /// packet cannot be framed.
    fn packet(&mut self, message: Option<usize>, packet: &[u8]) -> bool;

    /// Takes the codec's refusal of the message with this index.
    fn refused(&mut self, message: usize, reason: &[u8]);
}

/// Responses that have no packet. The codec encodes them once more as failed, because the client
/// waits for an answer.
#[derive(Debug)]
pub struct FailedResponses(Arc<Messages>);

impl FailedResponses {
    /// Returns the responses among the messages with these indexes, or `None` if there are none.
    fn among(messages: &Messages, failed: &[usize]) -> Option<Self> {
        let mut responses = Messages::new();
        for message in failed.iter().filter_map(|&index| messages.iter().nth(index)) {
            if message.id.is_some() {
                responses.push(message.as_failed());
            }
        }
        (!responses.is_empty()).then(|| Self(Arc::new(responses)))
    }

    /// Returns the responses as they are encoded the second time.
    pub fn messages(&self) -> impl Iterator<Item = MessageRef<'_>> {
        self.0.iter()
    }
}

impl<S: CodecSession> SessionDriver<S> {
    /// Returns whether the codec may encode: the session is established and not over.
    pub fn can_encode(&self) -> bool {
        self.allow(Call::Encode).is_ok()
    }

    /// Returns what to do with a message with this id and a body of this size in bytes. The largest
    /// packet has `max_packet` bytes.
    pub fn disposition(&self, id: Option<u64>, body: usize, max_packet: usize) -> Disposition {
        match id {
            None if self.phase != SessionPhase::Working => Disposition::DropEnded,
            None if body > max_packet => Disposition::DropTooLarge,
            Some(_) if body > max_packet => Disposition::EncodeAsFailed,
            _ => Disposition::Encode,
        }
    }

    /// Encodes a batch of messages. Returns the responses that the codec refused, or whose packets
    /// cannot be framed, for [`SessionDriver::encode_failed`].
    ///
    /// # Errors
    /// Returns an error if the session is not established or over, a push follows the end of the
    /// session, or the codec fails.
    pub fn encode(
        &mut self,
        messages: &Arc<Messages>,
        now_ms: u64,
        sink: &mut impl PacketSink,
    ) -> Result<Option<FailedResponses>, CallError> {
        let failed = self.encode_once(messages, now_ms, sink)?;
        Ok(FailedResponses::among(messages, &failed))
    }

    /// Encodes responses once more, as failed. A response that fails again is dropped.
    ///
    /// # Errors
    /// Returns an error if the session is over, or the codec fails.
    pub fn encode_failed(
        &mut self,
        responses: &FailedResponses,
        now_ms: u64,
        sink: &mut impl PacketSink,
    ) -> Result<(), CallError> {
        self.encode_once(&responses.0, now_ms, sink).map(drop)
    }

    /// Returns the indexes of the messages that are known to have no packet, in order.
    fn encode_once(
        &mut self,
        messages: &Arc<Messages>,
        now_ms: u64,
        sink: &mut impl PacketSink,
    ) -> Result<Vec<usize>, CallError> {
        self.allow(Call::Encode)?;
        if self.phase == SessionPhase::Ended && messages.iter().any(|message| message.id.is_none()) {
            return Err(NotAllowed::Ended.into());
        }
        self.encoded.clear();
        let called = self.session.encode(messages, now_ms, &mut self.encoded);
        let checked = called.and_then(|()| Ok(self.encoded.check(messages.len())?));
        checked.map_err(|error| self.failed(error))?;

        let Encoded { packets, refused } = &mut self.encoded;
        let mut failed: Vec<usize> = Vec::new();
        for refusal in &*refused {
            let message = refusal.message as usize;
            sink.refused(message, refusal.reason.as_bytes());
            failed.push(message);
        }
        // It is only known which message a packet belongs to if each message has either a packet or
        // a refusal.
        let one_to_one = packets.len() + refused.len() == messages.len();
        let mut message = 0;
        for packet in packets.iter() {
            while failed.binary_search(&message).is_ok() {
                message += 1;
            }
            let owner = one_to_one.then_some(message);
            if !sink.packet(owner, packet)
                && let Some(owner) = owner
            {
                failed.insert(failed.partition_point(|&index| index < owner), owner);
            }
            message += 1;
        }
        packets.shrink_to(KEPT);
        Ok(failed)
    }
}
