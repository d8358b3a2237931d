//! A running server, and how the program that started it uses and stops it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{Mutex, OnceCell};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

#[cfg(feature = "control")]
use super::command_counts::CommandCounts;
use super::connection::CLOSE_TIMEOUT;
use super::draining::DrainReport;
use super::listeners::Listeners;
use super::reload::Reloading;
use super::slots::SlotList;
use super::{Nodes, ServerState};
#[cfg(feature = "control")]
use crate::admin::Access;
use crate::audit::AuditLog;
#[cfg(feature = "control")]
use crate::events::Events;
use crate::session::{CloseReason, Sessions};
use crate::slot::Slot;
use crate::stats::Stats;
use crate::upgrade::Upgrader;
use wireplug_connectors::Health;
use wireplug_wasm::Compiler;

/// A running server. Dropping this value does not stop the server; [`RunningServer::shutdown`]
/// does.
///
/// ```
/// # use wireplug::{App, CodecSource, Server};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let pomelo = CodecSource::pomelo(serde_json::json!({}));
/// # let server = Server::new(App::new()).listen("memory://running", pomelo).start().await?;
/// let slot = server.slot("pomelo").expect("a listener speaks Pomelo");
/// let quicker = CodecSource::pomelo(serde_json::json!({ "heartbeat": 5 }));
/// let report = slot.swap(&quicker, None).await?;
/// assert_eq!((report.from, report.to), (1, 2));
///
/// let stats = server.shutdown().await;
/// assert_eq!(stats.connections_open, 0);
/// # Ok(())
/// # }
/// ```
pub struct RunningServer(pub(super) Arc<Running>);

/// The parts of a running server, which the control API uses too.
pub(crate) struct Running {
    pub(crate) health: Health,
    pub(super) state: Arc<ServerState>,
    pub(super) listeners: Listeners,
    pub(crate) slots: Arc<SlotList>,
    pub(crate) nodes: Nodes,
    pub(super) compiler: Compiler,
    pub(super) stop: CancellationToken,
    /// Cancelled once every session has to end. What looks after them runs until then.
    pub(super) ended: CancellationToken,
    /// Cancelled once all sessions are closed, at the end of a drain or of the server.
    pub(crate) closed: CancellationToken,
    pub(super) tasks: TaskTracker,
    pub(crate) audit: Arc<AuditLog>,
    #[cfg(feature = "control")]
    pub(crate) events: Events,
    /// Who may use the control API, once it serves.
    #[cfg(feature = "control")]
    pub(crate) control: OnceLock<Arc<Access>>,
    #[cfg(feature = "control")]
    pub(crate) client_commands: CommandCounts,
    /// Locked while the configuration changes.
    pub(super) reloading: Mutex<Reloading>,
    /// Cancelled once the server drains or stops, so that no upgrade goes on.
    pub(super) drains: CancellationToken,
    /// Cancelled once all sessions of the process before have come, if there is one.
    pub(super) settled: CancellationToken,
    /// Cancelled when another process has taken over.
    pub(crate) moved_away: CancellationToken,
    /// How the program starts its next version.
    pub(super) upgrader: OnceLock<Arc<dyn Upgrader>>,
    /// Set at the end of a drain.
    pub(super) drained: OnceCell<DrainReport>,
}

impl RunningServer {
    /// Returns the URL of each listener, in the order in which the listeners were added, with the
    /// ports that were actually bound.
    pub fn urls(&self) -> Vec<String> {
        self.0.listeners.all().into_iter().map(|listener| listener.url).collect()
    }

    /// Returns all sessions that are established.
    pub fn sessions(&self) -> &Sessions {
        &self.0.state.sessions
    }

    /// Returns the codec slots, each with its generations, in the order in which listeners named
    /// them first. A slot that a reload has removed is among them while it has sessions.
    pub fn slots(&self) -> Vec<Slot> {
        self.0.slots.all()
    }

    /// Returns the slot with this name, if there is one.
    pub fn slot(&self, name: &str) -> Option<Slot> {
        self.slots().into_iter().find(|slot| slot.name() == name)
    }

    /// Returns this server and the nodes that serve together with it.
    pub fn nodes(&self) -> &Nodes {
        &self.0.nodes
    }

    /// Returns the counts since the start.
    pub fn stats(&self) -> Stats {
        self.0.state.counters.snapshot()
    }

    #[cfg(feature = "control")]
    pub(crate) fn parts(&self) -> &Arc<Running> {
        &self.0
    }

    /// Stops the server and returns the last counts.
    ///
    /// The server accepts no more clients and cancels loads that compile in a worker or wait for
    /// one. It closes its sessions, over the time of [`ServerConfig::drain_spread`]: it answers the
    /// requests in flight, sends each client the farewell of its codec, and closes. Connections
    /// that have not ended after [`ServerConfig::drain_timeout`] are cut off.
    ///
    /// [`ServerConfig::drain_spread`]: crate::config::ServerConfig::drain_spread
    /// [`ServerConfig::drain_timeout`]: crate::config::ServerConfig::drain_timeout
    pub async fn shutdown(self) -> Stats {
        let Running { health, state, nodes, compiler, drains, stop, ended, closed, tasks, .. } = &*self.0;
        health.set_stopping();
        drains.cancel();
        stop.cancel();
        compiler.stop();
        let spread = state.config.get().drain_spread;
        state.sessions.close_over(spread, &CloseReason::Shutdown).await;
        ended.cancel();
        closed.cancel();
        tasks.close();
        // Each connection enforces these limits itself. The extra second is for connections that
        // are just ending.
        let limit = state.config.get().drain_timeout + CLOSE_TIMEOUT + Duration::from_secs(1);
        if timeout(limit, tasks.wait()).await.is_err() {
            warn!(connections = tasks.len(), "not all connections ended in time");
        }
        if timeout(CLOSE_TIMEOUT, state.sessions.relayed_all()).await.is_err() {
            debug!("the other process of the upgrade did not take the last words in time");
        }
        let left = async {
            if timeout(CLOSE_TIMEOUT, nodes.leave()).await.is_err() {
                debug!("NATS did not take the last words in time");
            }
        };
        tokio::join!(left, nodes.services().finish_events());
        #[cfg(feature = "control")]
        self.0.audit.written().await;
        self.stats()
    }
}
