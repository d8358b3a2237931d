//! The functions of one instance of a codec, as `wit/codec.wit` has them.

use std::sync::Arc;

use wasmtime::component::Instance;
use wasmtime::{Error, Result, Store};

use super::sandbox::State;
use super::types::{Description, Event, Fault};
use wireplug_core::codec::{Cause, Encoded, Events, Frames, Instant, MessageRef, Messages, Peer};
use wireplug_core::framing::Packets;

/// One instance of a codec, with the session that it has opened. A sandbox has one.
///
/// The functions of the contract are called [through the component API](super::component) or
/// [directly](super::direct). Both give the same answers.
///
/// The outer error of each method is a trap, or an answer that breaks the canonical ABI; the store
/// must be dropped after it. Calling a function that the component does not export is such an error
/// too; the caller knows the codec's abilities.
pub(super) trait Guest: Send {
    fn describe(&self, store: &mut Store<State>) -> Result<Description>;

    fn configure(&self, store: &mut Store<State>, options: &str) -> Result<Result<(), String>>;

    /// Opens the session on which the other methods then act.
    fn open(&mut self, store: &mut Store<State>, peer: Peer, now: Instant) -> Result<Opened>;

    /// Opens the session with this saved state.
    fn restore(&mut self, store: &mut Store<State>, peer: Peer, state: &[u8], now: Instant)
    -> Result<Opened>;

    fn decode(
        &self,
        store: &mut Store<State>,
        packet: &[u8],
        now: Instant,
    ) -> Result<Result<Vec<Event>, Fault>>;

    fn encode(
        &self,
        store: &mut Store<State>,
        message: MessageRef<'_>,
        now: Instant,
    ) -> Result<Result<Vec<Vec<u8>>, Fault>>;

    fn decode_batch(&self, store: &mut Store<State>, packets: &Arc<Packets>, now: Instant) -> Result<Events>;

    fn encode_batch(
        &self,
        store: &mut Store<State>,
        messages: &Arc<Messages>,
        now: Instant,
    ) -> Result<Result<Encoded, String>>;

    fn decode_stream(&self, store: &mut Store<State>, bytes: &Arc<Vec<u8>>, now: Instant) -> Result<Frames>;

    fn secured(
        &self,
        store: &mut Store<State>,
        attributes: &[(String, String)],
        now: Instant,
    ) -> Result<Vec<Event>>;

    fn answer(&self, store: &mut Store<State>, status: u16, body: &[u8], now: Instant) -> Result<Vec<Event>>;

    fn abandoned(&self, store: &mut Store<State>, id: u64, now: Instant) -> Result<Vec<Event>>;

    fn tick(&self, store: &mut Store<State>, now: Instant) -> Result<Vec<Event>>;

    fn farewell(
        &self,
        store: &mut Store<State>,
        cause: Cause,
        reason: &str,
        now: Instant,
    ) -> Result<Vec<Event>>;

    fn broadcast_class(&self, store: &mut Store<State>) -> Result<Option<u32>>;

    /// Encodes a push for a class of sessions, in an instance that has no session.
    fn encode_shared(
        &self,
        store: &mut Store<State>,
        class: u32,
        message: MessageRef<'_>,
    ) -> Result<Result<Vec<Vec<u8>>, String>>;

    fn save(&self, store: &mut Store<State>) -> Result<Result<Vec<u8>, String>>;

    /// Returns the component's instance, whose memory can be read out. `None` if there is only an
    /// instance of its core module.
    fn component(&self) -> Option<Instance> {
        None
    }
}

/// The outcome of opening a session: opened, or refused for this reason.
pub(super) type Opened = Result<(), String>;

/// Returns the error for a call of a function that the component does not export.
pub(super) fn not_exported(name: &str) -> Error {
    Error::msg(format!("the component does not export {name}"))
}

/// Returns the error for a call that needs a session where none is open.
pub(super) fn no_session() -> Error {
    Error::msg("no session is open in this instance")
}
