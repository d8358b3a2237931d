//! A running server, and how the program that started it uses and stops it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::connection::CLOSE_TIMEOUT;
use super::{Nodes, ServerState};
use crate::session::{CloseReason, Sessions};
use crate::slot::Slot;
use crate::stats::Stats;
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
pub struct RunningServer {
    pub(super) state: Arc<ServerState>,
    pub(super) slots: Vec<Slot>,
    pub(super) urls: Vec<String>,
    pub(super) nodes: Nodes,
    pub(super) compiler: Compiler,
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
}

impl RunningServer {
    /// Returns the URL of each listener, in the order in which the listeners were added, with the
    /// ports that were actually bound.
    pub fn urls(&self) -> &[String] {
        &self.urls
    }

    /// Returns all sessions that are established.
    pub fn sessions(&self) -> &Sessions {
        &self.state.sessions
    }

    /// Returns the codec slots, each with its generations, in the order in which listeners named
    /// them first.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// Returns the slot with this name, if there is one.
    pub fn slot(&self, name: &str) -> Option<&Slot> {
        self.slots.iter().find(|slot| slot.name() == name)
    }

    /// Returns this server and the nodes that serve together with it.
    pub fn nodes(&self) -> &Nodes {
        &self.nodes
    }

    /// Returns the counts since the start.
    pub fn stats(&self) -> Stats {
        self.state.counters.snapshot()
    }

    /// Stops the server and returns the last counts.
    ///
    /// The server accepts no more clients and cancels loads that compile in a worker or wait for
    /// one. It answers the requests in flight, sends each client the farewell of its codec, and
    /// closes. Connections that have not ended after [`ServerConfig::drain_timeout`] are cut off.
    ///
    /// [`ServerConfig::drain_timeout`]: crate::config::ServerConfig::drain_timeout
    pub async fn shutdown(self) -> Stats {
        self.stop.cancel();
        self.compiler.stop();
        self.state.sessions.close_all(&CloseReason::Shutdown);
        self.tasks.close();
        // Each connection enforces these limits itself. The extra second is for connections that
        // are just ending.
        let limit = self.state.config.drain_timeout + CLOSE_TIMEOUT + Duration::from_secs(1);
        if timeout(limit, self.tasks.wait()).await.is_err() {
            warn!(connections = self.tasks.len(), "not all connections ended in time");
        }
        if timeout(CLOSE_TIMEOUT, self.nodes.leave()).await.is_err() {
            debug!("NATS did not take the last words in time");
        }
        #[cfg(feature = "control")]
        if let Some(slot) = self.slots.first() {
            slot.audit_log().written().await;
        }
        self.stats()
    }
}
