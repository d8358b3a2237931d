//! The status of a slot, for people and programs.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::UNIX_EPOCH;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::assignments::{self, Leave, Listed, RunningTrial};
use super::sync::lock;
use super::{Generation, RemoteStatus, SleepStatus, Slot};
use crate::codec::shadow::Compared;
use crate::codec::{Codec as _, CpuStatus, Digest};
use wireplug_wasm::CONTRACT_VERSION;

/// The status of a slot.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct SlotStatus {
    /// The slot's name.
    pub name: String,
    /// The number of the generation on which new sessions open.
    pub current: u64,
    /// Whether no session opens for a while, because the codec failed too often.
    pub suspended: bool,
    /// The number of client addresses that are refused for a while, because the codec failed too
    /// often for them.
    pub refused_addresses: usize,
    /// The state of the codec's budget of CPU time.
    pub cpu: CpuStatus,
    /// All generations that are held, the oldest first: those with sessions, the current one, the
    /// one before it, and a candidate.
    pub generations: Vec<GenerationStatus>,
    /// The comparison with the candidate in the shadow, or with the last one.
    pub shadow: Option<Compared>,
    /// Components that were rolled back, and are refused with the same options.
    pub rolled_back: Vec<Digest>,
    /// The state of the registry that the codec comes from. `None` if it comes from elsewhere.
    #[serde(default)]
    pub remote: Option<RemoteStatus>,
}

/// The status of a generation.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct GenerationStatus {
    /// The generation's number in its slot, from 1.
    pub number: u64,
    /// The role of the generation.
    pub role: Role,
    /// The name that the codec gives itself.
    pub name: String,
    /// The version that the codec gives itself.
    pub version: String,
    /// The version of the contract with the component, or `None` if the codec is native.
    pub contract: Option<String>,
    /// The SHA-256 of the component, or `None` if the codec is native.
    pub sha256: Option<Digest>,
    /// The names of the trusted keys that had signed the component when it was loaded. Signatures
    /// of other keys follow, as `unknown:` and the id that they give their key. Empty for native
    /// and built-in codecs, which are part of the program.
    pub signed_by: Vec<String>,
    /// The size of the component, in bytes, or `None` if the codec is native.
    pub size: Option<usize>,
    /// Where the codec came from: the path of a file, a reference with a digest for a component
    /// that was fetched, `memory` or `native`.
    pub origin: String,
    /// Whether it is the last good version, from the cache: when the server started, the file was
    /// refused, or the registry did not answer.
    #[serde(default)]
    pub from_cache: bool,
    /// The optional interfaces that the codec exports.
    pub abilities: Vec<String>,
    /// The options as they were given, without the application's routes. A secret is shown as a
    /// reference.
    pub options: Value,
    /// When the codec was loaded, in seconds since 1970.
    pub loaded_at: u64,
    /// How long loading took, in milliseconds.
    pub load_ms: u64,
    /// Sessions that are on the generation.
    pub sessions: usize,
    /// Sessions that opened on the generation.
    pub opened: u64,
    /// Sessions that moved to the generation.
    pub moved_in: u64,
    /// How often a session got a new sandbox, because most of the memory of its old one was used
    /// up.
    pub renewed: u64,
    /// Sessions that sleep, and how often sessions fell asleep and woke.
    pub sleep: SleepStatus,
    /// Packets that the codec decoded. A connection adds its packets once in each turn.
    pub packets_in: u64,
    /// Packets that the codec encoded.
    pub packets_out: u64,
    /// Shared encodings: calls of the codec that encode a push for all sessions of a class.
    pub shared: u64,
    /// How often the codec failed, by cause.
    pub faults: BTreeMap<String, u64>,
}

/// The role of a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "GenerationRole")]
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
    /// Returns the status of the slot.
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
            remote: self.0.remote_status(),
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
            signed_by: generation.signers.names(),
            size: generation.component.map(|component| component.size),
            origin: generation.origin.clone(),
            from_cache: generation.is_kept,
            abilities: generation.abilities().names().map(str::to_owned).collect(),
            options: generation.options.given.value().clone(),
            loaded_at: generation.loaded_at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
            load_ms: u64::try_from(generation.took.as_millis()).unwrap_or(u64::MAX),
            sessions: *sessions,
            opened: counts.opened.load(Ordering::Relaxed),
            moved_in: counts.moved_in.load(Ordering::Relaxed),
            renewed: counts.renewed.load(Ordering::Relaxed),
            sleep: counts.sleep.status(),
            packets_in: counts.packets.sum(|packets| packets.taken.load(Ordering::Relaxed)),
            packets_out: counts.packets.sum(|packets| packets.given.load(Ordering::Relaxed)),
            shared: counts.shared.load(Ordering::Relaxed),
            faults: lock(&counts.faults).iter().map(|(cause, count)| ((*cause).to_owned(), *count)).collect(),
        }
    }
}
