//! A generation: one loaded version of a slot's codec, with its counts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant, SystemTime};

use super::health::{FaultCount, Health};
use super::load::{Component, LoadOptions, Loaded};
use super::sleeping::SleepCounts;
use super::sync::lock;
use super::{SlotState, WireFormat};
use crate::codec::{
    self, Abilities, Codec, CodecError, CodecSession, CpuAccount, Description, Digest, MessageRef, Peer,
    Secrets, Sharing,
};
use crate::config::FaultLimits;
use crate::stats::{Histogram, Sharded};
use crate::trust::Signers;
use crate::upgrade::SavedCodec;
use wireplug_core::framing;

/// One loaded version of a slot's codec. It implements [`Codec`], counts, and reports faults to its
/// slot.
pub(crate) struct Generation {
    pub(super) number: u64,
    pub(super) codec: Arc<dyn Codec>,
    pub(super) component: Option<Component>,
    /// Who vouched for the codec when it was loaded.
    pub(super) signers: Signers,
    /// Where the codec came from, as a text for people.
    pub(super) origin: String,
    /// Whether it is the last good version, which was kept.
    pub(super) is_kept: bool,
    pub(super) options: LoadOptions,
    pub(super) loaded_at: SystemTime,
    pub(super) took: Duration,
    pub(super) counts: Counts,
    /// The value of `left` in the assignments for which a drain deadline was set last. One deadline
    /// is set each time the generation is left.
    pub(super) drains: AtomicU64,
    /// What another process of an upgrade has to know of it. Written at the first upgrade.
    pub(super) saved: OnceLock<Arc<SavedCodec>>,
    health: Mutex<Health>,
    limits: FaultLimits,
    slot: Weak<SlotState>,
}

/// The counts of a generation.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) opened: AtomicU64,
    pub(super) moved_in: AtomicU64,
    /// The longest pause of a session that moved here, in microseconds.
    pub(super) longest_move: AtomicU64,
    /// Sessions that got a new sandbox because theirs was nearly full.
    pub(super) renewed: AtomicU64,
    pub(super) sleep: SleepCounts,
    pub(super) packets: Sharded<Packets>,
    /// The times of decoding and encoding. Only some steps are timed.
    pub(super) steps: Sharded<Mutex<[Histogram; 2]>>,
    pub(super) shared: AtomicU64,
    pub(super) faults: Mutex<BTreeMap<&'static str, u64>>,
    /// Why sessions could not move here, and how many for each reason.
    pub(super) stayed: Mutex<BTreeMap<String, u64>>,
}

/// Packets that were decoded (`taken`) and encoded (`given`).
#[derive(Debug, Default)]
pub(super) struct Packets {
    pub(super) taken: AtomicU64,
    pub(super) given: AtomicU64,
}

/// A part of a connection's turn in which the codec works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Packets are decoded: one batch, or up to four packets if the codec takes them one by one.
    Decode,
    /// Messages are encoded: those that wait, up to the high-water mark.
    Encode,
}

/// The most different reasons that are remembered, because a codec may give a new one each time.
const MAX_REASONS: usize = 16;

impl Generation {
    pub(super) fn new(number: u64, loaded: Loaded, limits: FaultLimits, slot: Weak<SlotState>) -> Self {
        Self {
            number,
            codec: loaded.codec,
            component: loaded.component,
            signers: loaded.signers,
            origin: loaded.origin,
            is_kept: loaded.is_kept,
            options: loaded.options,
            loaded_at: SystemTime::now(),
            took: loaded.took,
            counts: Counts::default(),
            drains: AtomicU64::new(0),
            saved: OnceLock::new(),
            health: Mutex::new(Health::new()),
            limits,
            slot,
        }
    }

    /// Returns the generation's number in its slot, from 1.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Returns the name, version and digest of the codec, for the log.
    pub(super) fn codec(&self) -> String {
        let Description { name, version, .. } = self.description();
        let digest =
            self.component.map_or_else(|| "native".to_owned(), |component| component.digest.to_string());
        format!("{name} {version} {digest}")
    }

    /// Whether the generation is made of this component with these options.
    pub(super) fn is_made_of(&self, digest: Option<Digest>, options: &LoadOptions) -> bool {
        self.component.map(|component| component.digest) == digest && self.options == *options
    }

    /// Counts a fault of a session of this generation, and lets the slot react to it. A refusal is
    /// not a fault, and a lack of room is not the codec's fault: neither is counted.
    pub(crate) fn fault(&self, error: &CodecError) {
        self.take_fault(error, None, SlotState::on_fault);
    }

    /// Does the same as [`Generation::fault`], for a fault that the client may have caused.
    /// `address` is `IP:PORT`, or anything else if the transport has no IP addresses.
    pub(crate) fn client_fault(&self, error: &CodecError, address: &str) {
        self.take_fault(error, Some(address), SlotState::on_fault);
    }

    /// Counts the fault of a session that did not survive `save` when it was to move to another
    /// generation. It is a fault like any other, except that the other sessions stay if there is no
    /// generation to go back to.
    pub(crate) fn leave_fault(&self, error: &CodecError) {
        self.take_fault(error, None, SlotState::on_failed_leave);
    }

    /// Counts the fault of a session that could not move here because the codec failed. It is a
    /// fault like any other, except that no more sessions move if there is no generation to go back
    /// to. This generation is not suspended then: the states come from another version, and
    /// sessions that open here may work well.
    fn move_fault(&self, error: &CodecError) {
        self.take_fault(error, None, SlotState::on_failed_move);
    }

    fn take_fault(
        &self,
        error: &CodecError,
        address: Option<&str>,
        react: fn(&Arc<SlotState>, u64, FaultCount, &CodecError),
    ) {
        if matches!(error, CodecError::Refused(_) | CodecError::Exhausted(_)) {
            return;
        }
        *lock(&self.counts.faults).entry(error.cause()).or_default() += 1;
        let (slot, now) = (self.slot.upgrade(), Instant::now());
        let of_address = slot.as_ref().zip(address);
        let of_address =
            of_address.and_then(|(slot, address)| slot.count_by_address(self.number, address, error, now));
        let count = lock(&self.health).fault(now, of_address, &self.limits);
        if let Some(slot) = slot {
            react(&slot, self.number, count, error);
        }
    }

    pub(super) fn admits(&self) -> bool {
        lock(&self.health).admits(Instant::now(), &self.limits)
    }

    pub(super) fn is_suspended(&self) -> bool {
        lock(&self.health).is_suspended(Instant::now())
    }

    pub(super) fn suspend(&self) -> bool {
        lock(&self.health).suspend(Instant::now(), &self.limits)
    }

    /// Restores a session of this generation in a new sandbox, and counts the renewal.
    pub(crate) fn renew(
        &self,
        peer: Peer,
        state: &[u8],
        now: codec::Instant,
    ) -> Result<Box<dyn CodecSession>, CodecError> {
        let address = peer.address.clone();
        let renewed =
            self.codec.restore(peer, state, now).inspect_err(|error| self.client_fault(error, &address))?;
        self.counts.renewed.fetch_add(1, Ordering::Relaxed);
        Ok(renewed)
    }

    /// Restores a session of this generation that slept. The session reports a fault.
    pub(crate) fn wake(
        &self,
        peer: Peer,
        state: &[u8],
        now: codec::Instant,
    ) -> Result<Box<dyn CodecSession>, CodecError> {
        self.codec.restore(peer, state, now)
    }

    /// Counts the packets that a session decoded and encoded since the last time.
    pub(crate) fn count(&self, packets_in: u64, packets_out: u64) {
        let packets = self.counts.packets.mine();
        let counts = [(&packets.taken, packets_in), (&packets.given, packets_out)];
        for (counter, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
            counter.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// Adds how long a step of a connection's turn took.
    pub(crate) fn note_step(&self, step: Step, took: Duration) {
        lock(self.counts.steps.mine())[step as usize].record(took);
    }

    /// Returns how long the timed steps took.
    #[cfg(feature = "metrics")]
    pub(crate) fn steps(&self, step: Step) -> Histogram {
        let mut sum = Histogram::default();
        self.counts.steps.all().for_each(|steps| sum.add(&lock(steps)[step as usize]));
        sum
    }

    /// Counts a session that moved here, and how long the session stood still for that.
    pub(crate) fn moved_in(&self, pause: Duration) {
        self.counts.moved_in.fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(pause.as_micros()).unwrap_or(u64::MAX);
        self.counts.longest_move.fetch_max(micros, Ordering::Relaxed);
    }

    /// Counts a session that could not move here.
    pub(crate) fn not_moved(&self, reason: String) {
        let mut stayed = lock(&self.counts.stayed);
        if stayed.len() < MAX_REASONS || stayed.contains_key(&reason) {
            *stayed.entry(reason).or_default() += 1;
        }
    }

    /// Checks whether this generation can take over sessions of another one.
    ///
    /// # Errors
    /// Returns the reason if it cannot.
    pub(crate) fn takes_over_from(&self, other: &Generation) -> Result<(), String> {
        self.wire_format().takes_over_from(&other.wire_format())
    }

    /// Returns what a live client would notice of another codec.
    pub(crate) fn wire_format(&self) -> WireFormat {
        WireFormat::of(self.description(), self.abilities())
    }
}

impl Codec for Generation {
    fn description(&self) -> &Description {
        self.codec.description()
    }

    fn abilities(&self) -> Abilities {
        self.codec.abilities()
    }

    fn secrets(&self) -> Secrets {
        self.codec.secrets()
    }

    fn open(&self, peer: Peer, now: codec::Instant) -> Result<Box<dyn CodecSession>, CodecError> {
        let address = peer.address.clone();
        let opened = self.codec.open(peer, now).inspect_err(|error| self.client_fault(error, &address))?;
        self.counts.opened.fetch_add(1, Ordering::Relaxed);
        Ok(opened)
    }

    fn restore(
        &self,
        peer: Peer,
        state: &[u8],
        now: codec::Instant,
    ) -> Result<Box<dyn CodecSession>, CodecError> {
        self.codec.restore(peer, state, now).inspect_err(|error| self.move_fault(error))
    }

    fn charge_state(&self, bytes: usize) {
        self.codec.charge_state(bytes);
    }

    fn release_state(&self, bytes: usize) {
        self.codec.release_state(bytes);
    }

    fn encode_shared(&self, class: u32, message: MessageRef<'_>) -> Result<framing::Packets, CodecError> {
        self.counts.shared.fetch_add(1, Ordering::Relaxed);
        self.codec.encode_shared(class, message).inspect_err(|error| self.fault(error))
    }

    fn cpu_account(&self) -> Option<&Arc<CpuAccount>> {
        self.codec.cpu_account()
    }

    fn max_sessions(&self) -> Option<usize> {
        self.codec.max_sessions()
    }

    fn sharing(&self) -> Sharing {
        self.codec.sharing()
    }
}
