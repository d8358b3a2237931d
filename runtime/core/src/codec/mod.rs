//! Codecs: they turn packets into events, and messages into packets.
//!
//! Native codecs and WebAssembly components implement the same traits, [`Codec`] and
//! [`CodecSession`]. A codec does no I/O: it takes bytes and a time, and returns bytes and events.
//! `wit/codec.wit` is the full contract; the names here follow it.

pub mod cpu;
mod description;
mod digest;
pub mod driver;
mod ending;
mod error;
mod events;
mod failure;
mod frames;
#[cfg(fuzzing)]
pub mod fuzzing;
mod instant;
mod limits;
mod messages;
pub mod overrides;
mod peer;
mod saved;
mod secret_reference;
mod secrets;
#[cfg(test)]
pub(crate) mod tests;

use std::any::Any;
use std::sync::Arc;

pub use cpu::{CpuAccount, CpuStatus, CpuTime};
pub use description::{Abilities, Description, Sharing};
pub use digest::{BadDigest, Digest};
pub use ending::Cause;
pub(crate) use ending::is_close_code;
pub use error::{CodecError, Reason};
pub use events::{Event, EventHead, EventReader, Events, Kind, Level, Role, Violation};
pub use failure::Failure;
pub use frames::{Frames, Next};
pub use instant::Instant;
pub use limits::CodecLimits;
pub use messages::{Encoded, MessageHead, MessageRef, Messages, Refusal};
pub use peer::{Carrier, Peer};
pub use saved::{SavedState, SavedStates};
pub use secret_reference::{SecretReference, member_place};
pub use secrets::{ResolvedOptions, Secrets};

use crate::framing::{Layout, Packets};

/// Returns the largest size in bytes of a batch of packets or messages, for packets of at most
/// `max_packet` bytes. A batch that holds a single packet or message may be larger.
///
/// The result is at least 32 KiB. That is large enough to spread the cost of a call, and small
/// enough that a batch and its answer fit into a sandbox's memory.
pub fn batch_bytes(max_packet: usize) -> usize {
    max_packet.max(32 << 10)
}

/// One version of a protocol, ready to open sessions.
pub trait Codec: Send + Sync + 'static {
    /// Returns the codec's description of itself.
    fn description(&self) -> &Description;

    /// Returns the codec's abilities beyond `decode` and `encode`. The default is none.
    fn abilities(&self) -> Abilities {
        Abilities::default()
    }

    /// Returns the layout of packets on a carrier, or `None` if the codec refuses transports with
    /// that carrier.
    fn layout(&self, carrier: Carrier) -> Option<Layout> {
        self.description().layout(self.abilities(), carrier)
    }

    /// Returns the secrets among the codec's options. The runtime removes them from all text of the
    /// codec before that text is shown or logged. The default is none.
    fn secrets(&self) -> Secrets {
        Secrets::default()
    }

    /// Opens a session for a client that has connected. Session time begins at 0.
    ///
    /// # Errors
    /// Returns [`CodecError::Refused`] if the codec refuses this client, and any other error if the
    /// codec fails.
    fn open(&self, peer: Peer, now: Instant) -> Result<Box<dyn CodecSession>, CodecError>;

    /// Opens a session with the state that a session of this version or of another version has
    /// [saved](CodecSession::save). Session time goes on from where it was. Called only if the
    /// codec has [`Abilities::handoff`].
    ///
    /// # Errors
    /// Returns [`CodecError::Refused`] if the codec does not accept this state, and any other error
    /// if the codec fails. In both cases the session that was saved is unchanged and continues.
    fn restore(&self, peer: Peer, state: &[u8], now: Instant) -> Result<Box<dyn CodecSession>, CodecError> {
        let _ = (peer, state, now);
        Err(CodecError::Refused(Reason::new("this codec takes no session over")))
    }

    /// Charges the saved state of a session that sleeps to the memory of the codec, in bytes. The
    /// sandbox of the session, which had the state in its memory, is released next. So the codec
    /// cannot exceed its limit by this. The default charges nothing.
    fn charge_state(&self, bytes: usize) {
        let _ = bytes;
    }

    /// Releases a state that was [charged](Self::charge_state), because its session woke or ended.
    fn release_state(&self, bytes: usize) {
        let _ = bytes;
    }

    /// Returns the packets for a push to all sessions of a class, exactly as
    /// [`encode`](CodecSession::encode) gives them for each session. They depend only on the
    /// arguments. Called only if the codec has [`Abilities::broadcast`].
    ///
    /// # Errors
    /// Returns [`CodecError::Refused`] if this push cannot be encoded, and any other error if the
    /// codec fails.
    fn encode_shared(&self, class: u32, message: MessageRef<'_>) -> Result<Packets, CodecError> {
        let _ = (class, message);
        Err(CodecError::Refused(Reason::new("this codec shares nothing")))
    }

    /// Returns the account of the CPU time of the codec's sandboxes, or `None` if the codec has no
    /// sandboxes.
    fn cpu_account(&self) -> Option<&Arc<CpuAccount>> {
        None
    }

    /// Returns the largest number of sessions at a time for which there are sandboxes, or `None` if
    /// only the server's own limit applies.
    fn max_sessions(&self) -> Option<usize> {
        None
    }

    /// Returns from how many receivers on [`Codec::encode_shared`] is used, and for how many
    /// classes of one push. Called only if the codec has [`Abilities::broadcast`].
    fn sharing(&self) -> Sharing {
        Sharing::default()
    }
}

/// The protocol state of one client connection.
///
/// After a method has returned an error, the runtime makes no further call to the session. The only
/// exception is [`CodecError::Refused`] from [`save`](Self::save). Batches are passed in an
/// [`Arc`], so that the runtime can lend their buffers to a sandbox without a copy.
pub trait CodecSession: Any + Send {
    /// Decodes a batch of packets and appends their events to `events`, which is empty at the call.
    /// A packet that the codec rejects is an event too. A hello is the last event of a call: the
    /// runtime passes the packets behind it again after [`answer`](Self::answer).
    ///
    /// # Errors
    /// Returns an error if the codec fails. The error ends the session.
    fn decode(&mut self, packets: &Arc<Packets>, now: Instant, events: &mut Events)
    -> Result<(), CodecError>;

    /// Cuts packets from the front of a stream and decodes them. `frames` is empty at the call.
    /// Called in place of [`decode`](Self::decode) where the layout of packets is
    /// [`Layout::Framer`]. Called only if the codec has [`Abilities::framer`].
    ///
    /// # Errors
    /// Returns an error if the codec fails. The error ends the session.
    fn decode_stream(
        &mut self,
        bytes: &Arc<Vec<u8>>,
        now: Instant,
        frames: &mut Frames,
    ) -> Result<(), CodecError> {
        let _ = (bytes, now, frames);
        Err(Violation::MissingAbility("framer").into())
    }

    /// Tells the codec that TLS has begun in the middle of the stream, with the attributes that TLS
    /// added, and appends the resulting events to `events`, which is empty at the call. Called only
    /// if the codec has [`Abilities::tls_upgrade`].
    ///
    /// # Errors
    /// Returns an error if the codec fails. The error ends the session.
    fn secured(
        &mut self,
        attributes: &[(String, String)],
        now: Instant,
        events: &mut Events,
    ) -> Result<(), CodecError> {
        let _ = (attributes, now, events);
        Ok(())
    }

    /// Encodes a batch of messages and appends their packets to `encoded`, which is empty at the
    /// call. A message may have no packet, one or several. A message that the codec rejects is
    /// appended to [`Encoded::refused`].
    ///
    /// # Errors
    /// Returns an error if the codec fails. The error ends the session.
    fn encode(
        &mut self,
        messages: &Arc<Messages>,
        now: Instant,
        encoded: &mut Encoded,
    ) -> Result<(), CodecError>;

    /// Passes the application's answer to the hello, and appends the resulting events to `events`,
    /// which is empty at the call. `status` is as in HTTP: 200 accepts the client. Called only if
    /// the codec has [`Abilities::handshake`].
    ///
    /// # Errors
    /// Returns an error if the codec fails. The error ends the session.
    fn answer(
        &mut self,
        status: u16,
        body: &[u8],
        now: Instant,
        events: &mut Events,
    ) -> Result<(), CodecError> {
        let _ = (status, body, now, events);
        Ok(())
    }

    /// Tells the codec that the runtime gave up on a request to the client: it has timed out, or
    /// its sender is gone. Appends the resulting events to `events`, which is empty at the call.
    /// Called only if the codec has [`Abilities::requests`].
    ///
    /// # Errors
    /// Returns an error if the codec fails. The error ends the session.
    fn abandoned(&mut self, id: u64, now: Instant, events: &mut Events) -> Result<(), CodecError> {
        let _ = (id, now, events);
        Ok(())
    }

    /// Lets the codec act at a point in time, and appends the resulting events to `events`, which
    /// is empty at the call. Called after the session has opened, each time the codec's timer is
    /// due, and when the session has moved here from a codec without a clock. Called only if the
    /// codec has [`Abilities::clock`].
    ///
    /// # Errors
    /// Returns an error if the codec fails. The error ends the session.
    fn tick(&mut self, now: Instant, events: &mut Events) -> Result<(), CodecError> {
        let _ = (now, events);
        Ok(())
    }

    /// Appends the last events before the runtime closes the connection to `events`, which is empty
    /// at the call: replies, lines for the log, and a close. No call follows. Called only if the
    /// codec has [`Abilities::farewell`].
    ///
    /// # Errors
    /// Returns an error if the codec fails.
    fn farewell(
        &mut self,
        cause: Cause,
        reason: &str,
        now: Instant,
        events: &mut Events,
    ) -> Result<(), CodecError> {
        let _ = (cause, reason, now, events);
        Ok(())
    }

    /// Returns the class of sessions that get the same bytes for the same push, or `None` if this
    /// session shares no encodings. Called when the session is established, and when it has moved
    /// to another generation. Called only if the codec has [`Abilities::broadcast`].
    ///
    /// # Errors
    /// Returns an error if the codec fails. The error ends the session.
    fn broadcast_class(&mut self) -> Result<Option<u32>, CodecError> {
        Ok(None)
    }

    /// Returns the whole state of the session, for [`Codec::restore`]. The call changes nothing,
    /// and the session can continue. Called only if the codec has [`Abilities::handoff`].
    ///
    /// # Errors
    /// Returns [`CodecError::Refused`] if this session cannot be handed over; the session continues
    /// unchanged. Returns any other error if the codec fails; that error ends the session.
    fn save(&mut self) -> Result<Vec<u8>, CodecError> {
        Err(CodecError::Refused(Reason::new("this codec hands no session over")))
    }

    /// Returns whether the session's sandbox is nearly full, so that the session should be
    /// [saved](Self::save) and [restored](Codec::restore) in a new sandbox. Returns `true` at most
    /// once. Called only if the codec has [`Abilities::handoff`].
    fn wants_renewal(&mut self) -> bool {
        false
    }

    /// Returns the CPU time of this session's calls since the last call of this method. From now
    /// on, the time of calls is measured with the thread's CPU clock if `measures` is true, and is
    /// estimated otherwise. A native codec is trusted and returns no time.
    fn take_cpu_time(&mut self, measures: bool) -> CpuTime {
        let _ = measures;
        CpuTime::default()
    }
}

/// Makes a boxed session a session, so that a driver can own a session of any codec.
impl<S: CodecSession + ?Sized> CodecSession for Box<S> {
    fn decode(
        &mut self,
        packets: &Arc<Packets>,
        now: Instant,
        events: &mut Events,
    ) -> Result<(), CodecError> {
        (**self).decode(packets, now, events)
    }

    fn decode_stream(
        &mut self,
        bytes: &Arc<Vec<u8>>,
        now: Instant,
        frames: &mut Frames,
    ) -> Result<(), CodecError> {
        (**self).decode_stream(bytes, now, frames)
    }

    fn secured(
        &mut self,
        attributes: &[(String, String)],
        now: Instant,
        events: &mut Events,
    ) -> Result<(), CodecError> {
        (**self).secured(attributes, now, events)
    }

    fn encode(
        &mut self,
        messages: &Arc<Messages>,
        now: Instant,
        encoded: &mut Encoded,
    ) -> Result<(), CodecError> {
        (**self).encode(messages, now, encoded)
    }

    fn answer(
        &mut self,
        status: u16,
        body: &[u8],
        now: Instant,
        events: &mut Events,
    ) -> Result<(), CodecError> {
        (**self).answer(status, body, now, events)
    }

    fn abandoned(&mut self, id: u64, now: Instant, events: &mut Events) -> Result<(), CodecError> {
        (**self).abandoned(id, now, events)
    }

    fn tick(&mut self, now: Instant, events: &mut Events) -> Result<(), CodecError> {
        (**self).tick(now, events)
    }

    fn farewell(
        &mut self,
        cause: Cause,
        reason: &str,
        now: Instant,
        events: &mut Events,
    ) -> Result<(), CodecError> {
        (**self).farewell(cause, reason, now, events)
    }

    fn broadcast_class(&mut self) -> Result<Option<u32>, CodecError> {
        (**self).broadcast_class()
    }

    fn save(&mut self) -> Result<Vec<u8>, CodecError> {
        (**self).save()
    }

    fn wants_renewal(&mut self) -> bool {
        (**self).wants_renewal()
    }

    fn take_cpu_time(&mut self, measures: bool) -> CpuTime {
        (**self).take_cpu_time(measures)
    }
}
