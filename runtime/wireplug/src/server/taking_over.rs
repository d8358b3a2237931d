//! What a start does differently if it takes over from another process.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use tracing::{error, warn};

use super::handing::HandedListener;
use super::listener::Resolved;
use super::listeners::{Bound, Common};
use super::running::Running;
use super::{Nodes, ServerState, StartError};
use crate::config::ServerConfig;
use crate::slot::Slot;
use crate::upgrade::{Answers, Begun, Takeover, connect};
use wireplug_base::Chain;

/// How long a process that takes over waits until it reaches the other nodes and services.
const NODES_TIMEOUT: Duration = Duration::from_secs(10);

/// A listener at the start.
pub(super) enum Prepared {
    /// It has its address. The number is the one that it has in the old process.
    Bound(Option<usize>, Box<Bound>),
    /// The old process has the address, and cannot pass its sockets on. It is bound when that
    /// process has left it.
    Later(usize, Box<(Resolved, Slot)>),
}

impl Prepared {
    /// Starts a listener over the sockets that it has inherited, or binds its address.
    pub(super) async fn bind(
        listener: Resolved,
        slot: Slot,
        config: &ServerConfig,
        common: &Common,
        takeover: Option<&Takeover>,
    ) -> Result<Self, StartError> {
        let number = match takeover.and_then(|takeover| takeover.take_listener(&listener.asked)) {
            Some((number, false)) => return Ok(Self::Later(number, Box::new((listener, slot)))),
            Some((number, true)) => Some(number),
            None => None,
        };
        let bound = Bound::bind(listener, slot, config, common).await?;
        Ok(Self::Bound(number, Box::new(bound)))
    }

    /// Returns the listener with its number, once the old process has left the addresses. A
    /// listener that cannot be bound now is missing: it is too late to give up.
    pub(super) async fn bound(
        self,
        config: &ServerConfig,
        common: &Common,
    ) -> (Option<usize>, Option<Bound>) {
        match self {
            Self::Bound(number, bound) => (number, Some(*bound)),
            Self::Later(number, later) => {
                let (listener, slot) = *later;
                let bound = Bound::bind(listener, slot, config, common).await;
                let bound = bound.inspect_err(|error| {
                    let error = Chain::of(error).to_string();
                    error!(error, "A LISTENER IS MISSING after the upgrade: reload, or restart");
                });
                (Some(number), bound.ok())
            }
        }
    }
}

/// Waits until the other nodes and the services are reached, and until the old process accepts
/// nobody any more. Then goes on with the numbers of its sessions, with what its application has
/// saved, and with its users and groups. Returns `None` if the old process has ended before.
pub(super) async fn begin(takeover: &Takeover, nodes: &Nodes, state: &ServerState) -> Option<Answers> {
    let connected = async {
        while nodes.problem().is_some() {
            sleep(Duration::from_millis(50)).await;
        }
    };
    if timeout(NODES_TIMEOUT, connected).await.is_err() {
        let problem = nodes.problem();
        warn!(problem, "takes over although it does not reach the other nodes");
    }
    let Some(Begun { next_id, app }) = takeover.begin().await else {
        error!("the old process ended before it gave its sessions: this one serves alone");
        return None;
    };
    state.next_id.store(next_id, Ordering::Relaxed);
    if let (Some(restore), Some(saved)) = (&state.carried.restore, app) {
        restore(saved).await;
    }
    Some(connect(&state.sessions))
}

/// Takes the sessions of the old process, in a task.
pub(super) fn go_on(
    takeover: Takeover,
    answers: Answers,
    running: &Arc<Running>,
    listeners: Vec<Option<HandedListener>>,
) {
    tokio::spawn(takeover.run(answers, Arc::clone(running), listeners));
}
