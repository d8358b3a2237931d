//! The codec: turns packets into events and messages into packets.
//!
//! Native or Wasm, one trait. Pure: a codec takes bytes and a time and gives back bytes and events.
//! `wit/codec.wit` is the contract in full; the names here are its names.

pub mod cpu;
mod description;
mod digest;
pub mod driver;
mod error;
mod events;
#[cfg(fuzzing)]
pub mod fuzzing;
mod limits;
mod messages;
mod secret_reference;
mod secrets;
#[cfg(test)]
pub(crate) mod tests;

use std::any::Any;
use std::sync::Arc;

pub use cpu::{CpuAccount, CpuStatus, CpuTime};
pub use description::{Abilities, Description, Peer, Sharing};
pub use digest::{BadDigest, Digest};
pub use error::{CodecError, Reason};
pub use events::{Event, EventHead, EventReader, Events, Kind, Violation};
pub use limits::CodecLimits;
pub use messages::{Encoded, MessageHead, MessageRef, Messages, Refusal};
pub use secret_reference::{SecretReference, member_place};
pub use secrets::{ResolvedOptions, Secrets};

use crate::framing::Packets;

/// The bytes that a batch of packets or messages may hold, but for a single one that is longer,
/// where packets have at most `max_packet` bytes.
///
/// At least 32 KiB: enough to spread the cost of a call, little enough that a batch and its answer
/// fit a sandbox's memory.
pub fn batch_bytes(max_packet: usize) -> usize {
    max_packet.max(32 << 10)
}

/// One version of a protocol, ready to open sessions.
pub trait Codec: Send + Sync + 'static {
    /// What it says of itself.
    fn description(&self) -> &Description;

    /// What it can do beside `decode` and `encode`: nothing, unless it says so.
    fn abilities(&self) -> Abilities {
        Abilities::default()
    }

    /// The secrets among its options, which are taken out of what it says before people or logs see
    /// it: none, unless it was loaded with some.
    fn secrets(&self) -> Secrets {
        Secrets::default()
    }

    /// A client has connected.
    ///
    /// # Errors
    /// [`CodecError::Refused`] where the codec refuses this client; any other where it failed.
    fn open(&self, peer: Peer) -> Result<Box<dyn CodecSession>, CodecError>;

    /// Goes on with a session that another version, or this one, has [saved](CodecSession::save).
    /// Only called with [`Abilities::handoff`].
    ///
    /// # Errors
    /// [`CodecError::Refused`] where the codec does not take this state; any other where it failed.
    /// Either way the session is still where it was.
    fn restore(&self, peer: Peer, state: &[u8], now_ms: u64) -> Result<Box<dyn CodecSession>, CodecError> {
        let _ = (peer, state, now_ms);
        Err(CodecError::Refused(Reason::new("this codec takes no session over")))
    }

    /// The packet for a push to all sessions of a class; none if the message has no form on the
    /// wire. It depends on nothing but the arguments. Only called with [`Abilities::broadcast`].
    ///
    /// # Errors
    /// [`CodecError::Refused`] where this push cannot be encoded; any other where the codec failed.
    fn encode_shared(&self, class: u32, message: MessageRef<'_>) -> Result<Option<Vec<u8>>, CodecError> {
        let _ = (class, message);
        Err(CodecError::Refused(Reason::new("this codec shares nothing")))
    }

    /// The account of the CPU time of its sandboxes; none where it has no sandbox.
    fn cpu_account(&self) -> Option<&Arc<CpuAccount>> {
        None
    }

    /// The most sessions that its sandboxes have room for at a time; none where only the server's
    /// own limit counts.
    fn max_sessions(&self) -> Option<usize> {
        None
    }

    /// When [`Codec::encode_shared`] is worth its cost. Only asked with [`Abilities::broadcast`].
    fn sharing(&self) -> Sharing {
        Sharing::default()
    }
}

/// The protocol state of one client connection.
///
/// `now_ms` is the time in milliseconds since the session opened, and never goes back. After an
/// error no further call is made, save that of `save`. Batches come in an [`Arc`] so that a sandbox
/// can be lent the buffers without a copy.
pub trait CodecSession: Any + Send {
    /// What packets mean: appended to `events`, which comes empty. A packet that is refused is an
    /// event too.
    fn decode(&mut self, packets: &Arc<Packets>, now_ms: u64, events: &mut Events) -> Result<(), CodecError>;

    /// The packets of messages: appended to `encoded`, which comes empty.
    fn encode(
        &mut self,
        messages: &Arc<Messages>,
        now_ms: u64,
        encoded: &mut Encoded,
    ) -> Result<(), CodecError>;

    /// The application's answer to a hello. Only called with [`Abilities::handshake`].
    fn answer(
        &mut self,
        status: u16,
        body: &[u8],
        now_ms: u64,
        events: &mut Events,
    ) -> Result<(), CodecError> {
        let _ = (status, body, now_ms, events);
        Ok(())
    }

    /// Called when the session has opened and at each wake. Only called with [`Abilities::clock`].
    fn tick(&mut self, now_ms: u64, events: &mut Events) -> Result<(), CodecError> {
        let _ = (now_ms, events);
        Ok(())
    }

    /// The last packet, if the protocol has one. Only called with [`Abilities::farewell`].
    fn farewell(&mut self, reason: &str, now_ms: u64) -> Result<Option<Vec<u8>>, CodecError> {
        let _ = (reason, now_ms);
        Ok(None)
    }

    /// The class of sessions that get the same bytes for the same push, if there is one. Asked when
    /// the session is established or was handed over. Only called with [`Abilities::broadcast`].
    fn share_class(&mut self) -> Result<Option<u32>, CodecError> {
        Ok(None)
    }

    /// All that the session knows, for [`Codec::restore`]. Changes nothing: the session goes on.
    /// Only called with [`Abilities::handoff`].
    ///
    /// # Errors
    /// [`CodecError::Refused`] where this session cannot be carried over, which harms it in no way;
    /// unlike any other.
    fn save(&mut self) -> Result<Vec<u8>, CodecError> {
        Err(CodecError::Refused(Reason::new("this codec hands no session over")))
    }

    /// Whether what it lives in is nearly used up, so that the session had better be
    /// [saved](Self::save) and [restored](Codec::restore) elsewhere. Says so once at most. Only
    /// called with [`Abilities::handoff`].
    fn wants_renewal(&mut self) -> bool {
        false
    }

    /// The CPU time that calls of this session took since this was called last. From now on they
    /// are measured by the thread's CPU clock if `measures` is true, and estimated if not. A native
    /// codec is trusted, and says nothing.
    fn take_cpu_time(&mut self, measures: bool) -> CpuTime {
        let _ = measures;
        CpuTime::default()
    }
}

/// A boxed session is a session, so that a driver can own one of any codec.
impl<S: CodecSession + ?Sized> CodecSession for Box<S> {
    fn decode(&mut self, packets: &Arc<Packets>, now_ms: u64, events: &mut Events) -> Result<(), CodecError> {
        (**self).decode(packets, now_ms, events)
    }

    fn encode(
        &mut self,
        messages: &Arc<Messages>,
        now_ms: u64,
        encoded: &mut Encoded,
    ) -> Result<(), CodecError> {
        (**self).encode(messages, now_ms, encoded)
    }

    fn answer(
        &mut self,
        status: u16,
        body: &[u8],
        now_ms: u64,
        events: &mut Events,
    ) -> Result<(), CodecError> {
        (**self).answer(status, body, now_ms, events)
    }

    fn tick(&mut self, now_ms: u64, events: &mut Events) -> Result<(), CodecError> {
        (**self).tick(now_ms, events)
    }

    fn farewell(&mut self, reason: &str, now_ms: u64) -> Result<Option<Vec<u8>>, CodecError> {
        (**self).farewell(reason, now_ms)
    }

    fn share_class(&mut self) -> Result<Option<u32>, CodecError> {
        (**self).share_class()
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
