//! Rollouts: a version of a codec goes to all nodes in steps. It becomes current on all of them, or
//! on none.
//!
//! The state of a rollout is a [`Rollout`] in a store that all nodes share, so it outlives each
//! node. No node leads. Each node makes its slot what the state wants (`node`), and reports how
//! its slot is. Each node also reads the reports of all nodes, and moves the state on if they allow
//! it (`verdict`). If several nodes do so at the same time, the store accepts one of them.
//!
//! | file | its job |
//! |---|---|
//! | `plan` | which plans make sense |
//! | `verdict` | from the reports of all nodes to the next state |
//! | `heard` | which nodes were heard of lately |
//! | `action` | from the state and a slot to what the node has to do |
//! | `node` | does it, and reports |

mod action;
mod error;
mod heard;
mod node;
mod plan;
mod verdict;

use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::codec::Digest;
use crate::slot::Trial;

pub use self::error::RolloutError;
pub(crate) use self::node::Rollouts;

/// A rollout of a version of a codec over all nodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Rollout {
    /// A random text, which no other rollout has.
    pub id: String,
    /// The name of the codec's slot.
    pub codec: String,
    /// Where each node gets the component.
    pub file: String,
    /// The SHA-256 of the component that is replaced. A node whose slot has another one fails.
    pub from: Digest,
    /// The SHA-256 of the new component.
    pub to: Digest,
    /// The steps, in their order. The last one makes the new component current.
    pub steps: Vec<Step>,
    /// How long each step lasts after the last node has made it, in milliseconds.
    pub hold_ms: u64,
    /// The number of faults of the new component, on all nodes together, at which the rollout is
    /// taken back. 0: only each node's own limit counts, `faults.rollback` of the codec.
    pub max_faults: u64,
    /// Who began it.
    pub begun_by: String,
    /// When it was begun, in milliseconds since 1970.
    pub begun_at: u64,
    /// The step that the nodes make, or have made: an index into `steps`.
    pub step: usize,
    /// How far the rollout is.
    pub stage: Stage,
    /// Why it was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A step of a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// The new component mirrors this share of the sessions of each node, above 0 and at most 1.
    Shadow(f64),
    /// This share of the new sessions of each node opens on the new component, above 0 and at most
    /// 1.
    Canary(f64),
    /// The new component is current on all nodes.
    Current,
}

impl Step {
    /// Returns the trial of the step with its share, or `None` for [`Step::Current`].
    pub(crate) fn trial(self) -> Option<(Trial, f64)> {
        match self {
            Self::Shadow(share) => Some((Trial::Shadow, share)),
            Self::Canary(share) => Some((Trial::Canary, share)),
            Self::Current => None,
        }
    }
}

/// How far a rollout is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The nodes make one step after the other.
    Running,
    /// The last step was made, and held. Nodes that start later make it too.
    Done,
    /// The component that was to be replaced is current again on all nodes.
    TakenBack,
}

/// What is to be rolled out, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RolloutPlan {
    /// Where each node gets the component.
    pub file: String,
    /// The steps before the component becomes current on all nodes.
    pub steps: Vec<Step>,
    /// How long each step is held, in milliseconds.
    pub hold_ms: u64,
    /// The number of faults of the new component, on all nodes together, at which the rollout is
    /// taken back. 0: only each node's own limit counts, `faults.rollback` of the codec.
    pub max_faults: u64,
}

/// What a node reports about a rollout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct RolloutReport {
    /// The rollout.
    pub id: String,
    /// The name of the codec's slot.
    pub codec: String,
    /// The step that the node has made, and when, in milliseconds since 1970. `None` while it has
    /// not made the first one.
    pub made: Option<(usize, u64)>,
    /// Why the node cannot go on.
    pub failed: Option<String>,
    /// Sessions that are on the new component.
    pub sessions: usize,
    /// Faults of the new component on this node.
    pub faults: u64,
    /// Answers of the new component in the shadow that differed.
    pub differences: u64,
}

/// The store of the rollouts, which all nodes share. There is at most one rollout of a codec.
pub(crate) trait RolloutStore: Send + Sync {
    /// Returns the last rollout of a codec, with its revision.
    fn get<'a>(&'a self, codec: &'a str) -> BoxFuture<'a, anyhow::Result<Option<(Rollout, u64)>>>;

    /// Writes a rollout, if its codec still has the revision `after`, or none. Returns false if
    /// another node was faster.
    fn put<'a>(&'a self, rollout: &'a Rollout, after: Option<u64>) -> BoxFuture<'a, anyhow::Result<bool>>;
}

/// Returns the time, in milliseconds since 1970.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
