//! Encoding: which messages the codec is called for, and which packet belongs to which message.

use std::ops::Range;
use std::sync::Arc;

use super::{Call, CallEnd, CallError, NotAllowed, ObservedCall, SessionDriver, SessionPhase};
use crate::codec::{CodecError, CodecSession, Encoded, Instant, MessageRef, Messages, Role};
use wireplug_base::reused::Reused;

/// What the driver does with a message before it calls the codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// The codec encodes the message.
    Encode,
    /// The body is larger than the largest packet, so no packet can hold it. The codec does not get
    /// this body, because an answer of that size could end the session. It encodes the response as
    /// failed.
    EncodeAsFailed,
    /// The body of a push or a request is larger than the largest packet. The message is dropped.
    DropTooLarge,
    /// The codec takes no requests to the client. The request is dropped.
    DropUnsupported,
    /// The codec has ended the session, so the push or request is dropped: it is of no use to the
    /// client any more. Responses to earlier requests are still encoded.
    DropEnded,
}

/// The reason of a request that has no packet, although its codec did not refuse it.
const NO_FORM: &[u8] = b"the protocol has no form for this request";

/// Receives the packets of a batch of messages.
pub trait PacketSink {
    /// Takes the packets that carry the messages with these indexes: usually one packet of one
    /// message. Returns false if one of the packets cannot be sent; then the sink must have taken
    /// none of them.
    fn packets<'a>(
        &mut self,
        messages: Range<usize>,
        packets: impl ExactSizeIterator<Item = &'a [u8]> + Clone,
    ) -> bool;

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
            if message.role == Role::Response {
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
    /// Returns whether the codec may encode: the session is established and not over. A session
    /// that sleeps must be woken before.
    pub fn can_encode(&self) -> bool {
        self.permit(Call::Encode).is_ok()
    }

    /// Returns what to do with a message of this role and with a body of this size in bytes. The
    /// largest packet has `max_packet` bytes.
    pub fn disposition(&self, role: Role, body: usize, max_packet: usize) -> Disposition {
        match role {
            Role::Notice | Role::Request if self.phase != SessionPhase::Working => Disposition::DropEnded,
            Role::Request if !self.client_requests => Disposition::DropUnsupported,
            Role::Notice | Role::Request if body > max_packet => Disposition::DropTooLarge,
            Role::Response if body > max_packet => Disposition::EncodeAsFailed,
            _ => Disposition::Encode,
        }
    }

    /// Encodes a batch of messages. Returns the responses that the codec refused, or whose packets
    /// cannot be framed, for [`SessionDriver::encode_failed`].
    ///
    /// # Errors
    /// Returns an error if the session is not established or over, a push or request follows the
    /// end of the session, a request goes to a codec that takes none, or the codec fails.
    pub fn encode(
        &mut self,
        messages: &Arc<Messages>,
        now: Instant,
        sink: &mut impl PacketSink,
    ) -> Result<Option<FailedResponses>, CallError> {
        let failed = self.encode_once(messages, now, sink)?;
        Ok(FailedResponses::among(messages, &failed))
    }

    /// Encodes responses once more, as failed. A response that fails again is dropped.
    ///
    /// # Errors
    /// Returns an error if the session is over, or the codec fails.
    pub fn encode_failed(
        &mut self,
        responses: &FailedResponses,
        now: Instant,
        sink: &mut impl PacketSink,
    ) -> Result<(), CallError> {
        self.encode_once(&responses.0, now, sink).map(drop)
    }

    /// Returns the indexes of the messages that are known to have no packet, in order.
    fn encode_once(
        &mut self,
        messages: &Arc<Messages>,
        now: Instant,
        sink: &mut impl PacketSink,
    ) -> Result<Vec<usize>, CallError> {
        self.allow(Call::Encode)?;
        for message in &messages.heads {
            match message.role {
                Role::Response => {}
                Role::Notice | Role::Request if self.phase == SessionPhase::Ended => {
                    return Err(NotAllowed::Ended.into());
                }
                Role::Request if !self.client_requests => return Err(NotAllowed::ClientRequests.into()),
                Role::Notice | Role::Request => {}
            }
        }
        let mut encoded = Reused::<Encoded>::new();
        let encoded = encoded.get_mut();
        self.observe(ObservedCall::Encode(messages, self.coalesces), now);
        let called = self.callee.call().encode(messages, now, encoded);
        self.observe_returned();
        let checked = called.and_then(|()| Ok(encoded.check(messages.len())?));
        self.observe_encoded(encoded, &checked);
        checked.map_err(|error| self.failed(error))?;

        let Encoded { packets, sources, refused } = &*encoded;
        let mut failed: Vec<usize> = Vec::new();
        for refusal in refused {
            let message = refusal.message as usize;
            sink.refused(message, refusal.reason.as_bytes());
            failed.push(message);
        }
        if !self.coalesces {
            for (index, head) in messages.heads.iter().enumerate() {
                let has_packet = sources.binary_search(&(index as u32)).is_ok();
                if head.role == Role::Request && !has_packet && failed.binary_search(&index).is_err() {
                    sink.refused(index, NO_FORM);
                    self.observe_refused(index, NO_FORM);
                }
            }
        }
        // The packets of one message follow each other, and are sent together or not at all.
        let (mut first, mut carried) = (0, 0);
        for same in sources.chunk_by(|one, next| one == next) {
            let source = same[0] as usize;
            let messages = if self.coalesces { carried..source + 1 } else { source..source + 1 };
            carried = messages.end;
            if !sink.packets(messages.clone(), packets.range(first..first + same.len())) {
                failed.extend(messages);
            }
            first += same.len();
        }
        if self.coalesces {
            for (index, head) in messages.heads.iter().enumerate().skip(carried) {
                if head.role == Role::Request && !failed.contains(&index) {
                    sink.refused(index, b"the codec has made no packet for this request");
                }
            }
        }
        failed.sort_unstable();
        failed.dedup();
        self.observe_end(Ok(failed))
    }

    /// Reports the packets and refusals of a batch to the observer, or that the call has failed.
    fn observe_encoded(&mut self, encoded: &Encoded, checked: &Result<(), CodecError>) {
        let Some(observer) = &mut self.observer else { return };
        if let Err(error) = checked {
            return observer.end(CallEnd::Failed(error));
        }
        for (packet, source) in encoded.packets.iter().zip(&encoded.sources) {
            observer.packet(*source as usize, packet);
        }
        for refusal in &encoded.refused {
            observer.refused(refusal.message as usize, refusal.reason.as_bytes());
        }
    }

    fn observe_refused(&mut self, message: usize, reason: &[u8]) {
        if let Some(observer) = &mut self.observer {
            observer.refused(message, reason);
        }
    }
}
