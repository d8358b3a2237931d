//! What people and programs see of a slot.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::assignments::{self, Leave, Listed, RunningTrial};
use super::sync::lock;
use super::{Generation, Slot};
use crate::codec::shadow::Compared;
use crate::codec::{Codec as _, CpuStatus, Digest};
use wireplug_wasm::CONTRACT_VERSION;

/// A slot as it stands.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SlotStatus {
    /// The slot's name.
    pub name: String,
    /// The number of the generation on which new sessions open.
    pub current: u64,
    /// Its codec fails so often that no session is opened for a while.
    pub suspended: bool,
    /// Client addresses that are refused for a while, because the codec failed too often for them.
    pub refused_addresses: usize,
    /// How it stands with its budget of CPU time.
    pub cpu: CpuStatus,
    /// All generations that are held, the oldest first: those with sessions, the current one, the
    /// one before it, and a candidate.
    pub generations: Vec<GenerationStatus>,
    /// How the candidate in the shadow compares, or how the last one did.
    pub shadow: Option<Compared>,
    /// Components that were rolled back, and are not taken again.
    pub rolled_back: Vec<Digest>,
}

/// A generation as it stands.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct GenerationStatus {
    /// Its number in its slot, from 1.
    pub number: u64,
    /// What it is there for.
    pub role: Role,
    /// What it calls itself.
    pub name: String,
    /// Its own version.
    pub version: String,
    /// The version of the contract that it was written to; none: it is native.
    pub contract: Option<String>,
    /// The SHA-256 of its component; none: it is native.
    pub sha256: Option<Digest>,
    /// The bytes of its component.
    pub size: Option<usize>,
    /// Where it came from.
    pub origin: String,
    /// The optional interfaces that it exports.
    pub abilities: Vec<String>,
    /// Its options as they were given, without the application's routes: a secret is a reference.
    pub options: Value,
    /// When it was loaded, in seconds since 1970.
    pub loaded_at: u64,
    /// How long that took, in milliseconds.
    pub load_ms: u64,
    /// Sessions that are on it.
    pub sessions: usize,
    /// Sessions that opened on it.
    pub opened: u64,
    /// Sessions that moved to it.
    pub moved_in: u64,
    /// How often a session got a new sandbox, since most of the memory of the one it had was used
    /// up.
    pub renewed: u64,
    /// Packets that it decoded, once a turn of a connection.
    pub packets_in: u64,
    /// Packets that it encoded.
    pub packets_out: u64,
    /// Encodings for all sessions of a class.
    pub shared: u64,
    /// How often it failed, by cause.
    pub faults: BTreeMap<String, u64>,
}

/// What a generation is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// New sessions open on it.
    Current,
    /// It mirrors a share of the sessions.
    Shadow,
    /// A share of the new sessions opens on it.
    Canary,
    /// It is held for a rollback; sessions that are still on it are leaving.
    Previous,
    /// Its sessions move away, drain or are closed.
    Leaving,
}

impl Slot {
    /// How the slot stands.
    pub fn status(&self) -> SlotStatus {
        let current = self.current();
        SlotStatus {
            name: self.name().to_owned(),
            current: current.number(),
            suspended: current.is_suspended(),
            refused_addresses: self.refused_addresses(),
            cpu: self.cpu().status(),
            generations: self.0.assignments.list().iter().map(GenerationStatus::of).collect(),
            shadow: lock(&self.0.comparison).as_ref().map(|comparison| comparison.snapshot()),
            rolled_back: lock(&self.0.rejected).iter().map(|(digest, _)| *digest).collect(),
        }
    }
}

impl GenerationStatus {
    fn of(listed: &Listed<Generation>) -> Self {
        let Listed { generation, role, is_previous, sessions, .. } = listed;
        let counts = &generation.counts;
        let description = generation.description();
        Self {
            number: generation.number,
            role: match role {
                assignments::Role::Current => Role::Current,
                assignments::Role::Trial(RunningTrial::Shadow(_)) => Role::Shadow,
                assignments::Role::Trial(RunningTrial::Canary(_)) => Role::Canary,
                assignments::Role::Leaving(_) if *is_previous => Role::Previous,
                assignments::Role::Leaving(Leave::Handoff | Leave::Drain | Leave::Close) => Role::Leaving,
            },
            name: description.name.clone(),
            version: description.version.clone(),
            contract: generation.component.map(|_| CONTRACT_VERSION.to_owned()),
            sha256: generation.component.map(|component| component.digest),
            size: generation.component.map(|component| component.size),
            origin: generation.origin.clone(),
            abilities: generation.abilities().names().map(str::to_owned).collect(),
            options: generation.options.given.value().clone(),
            loaded_at: generation.loaded_at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
            load_ms: u64::try_from(generation.took.as_millis()).unwrap_or(u64::MAX),
            sessions: *sessions,
            opened: counts.opened.load(Ordering::Relaxed),
            moved_in: counts.moved_in.load(Ordering::Relaxed),
            renewed: counts.renewed.load(Ordering::Relaxed),
            packets_in: counts.packets.sum(|packets| packets.taken.load(Ordering::Relaxed)),
            packets_out: counts.packets.sum(|packets| packets.given.load(Ordering::Relaxed)),
            shared: counts.shared.load(Ordering::Relaxed),
            faults: lock(&counts.faults).iter().map(|(cause, count)| ((*cause).to_owned(), *count)).collect(),
        }
    }
}
