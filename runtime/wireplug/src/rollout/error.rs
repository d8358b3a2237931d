//! Why a rollout was not begun or not taken back.

use wireplug_base::BoxError;

use crate::slot::SwapError;

/// The reason why a rollout was not begun or not taken back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RolloutError {
    /// This server shares no state with other nodes.
    #[error(
        "a rollout needs NATS, which keeps its state: configure [nats], with a server that has JetStream"
    )]
    Alone,
    /// There is no slot of this name.
    #[error("there is no codec {0:?}")]
    NoCodec(String),
    /// The plan makes no sense.
    #[error("{0}")]
    Plan(String),
    /// The state of the slot or of another rollout does not allow it.
    #[error("{0}")]
    Conflict(String),
    /// The component cannot be read.
    #[error(transparent)]
    Source(SwapError),
    /// The state cannot be read or written.
    #[error("the state of rollouts in NATS cannot be read or written")]
    Store(#[source] BoxError),
}
