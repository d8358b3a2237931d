//! Draining: a running server that takes no clients any more, and closes those that it has.

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::{sleep, timeout};

use super::RunningServer;
use super::connection::CLOSE_TIMEOUT;
use super::running::Running;
use crate::session::CloseReason;

/// How often the number of open connections is looked at while they end.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What a drain has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct DrainReport {
    /// The number of sessions that were open when the server began to close them.
    pub sessions: usize,
    /// The number of connections that had not ended after `server.drain-timeout`.
    pub connections_left: u64,
}

impl RunningServer {
    /// Drains the server: its health is red at once, and after the time `wait` it accepts no more
    /// clients and closes its sessions as [`RunningServer::shutdown`] does. In the time `wait`,
    /// load balancers can notice that no more clients are wanted.
    ///
    /// An upgrade that is under way breaks off, and none can begin any more.
    ///
    /// Returns when the connections have ended. Everything else goes on, such as the control API,
    /// until `shutdown`. A second call waits for the first one, and returns the same report. If the
    /// future is dropped, the drain still runs to its end.
    pub async fn drain(&self, wait: Duration) -> DrainReport {
        let running = Arc::clone(&self.0);
        tokio::spawn(async move { running.drain(wait).await }).await.expect("a drain does not panic")
    }
}

impl Running {
    /// Does what [`RunningServer::drain`] does, unless the future is dropped.
    pub(crate) async fn drain(&self, wait: Duration) -> DrainReport {
        *self.drained.get_or_init(|| self.drain_once(wait)).await
    }

    async fn drain_once(&self, wait: Duration) -> DrainReport {
        let Self { health, state, drains, stop, closed, .. } = self;
        health.set_draining();
        drains.cancel();
        sleep(wait).await;
        stop.cancel();
        let spread = state.config.get().drain_spread;
        let sessions = state.sessions.close_over(spread, &CloseReason::Shutdown).await;
        let open = || state.counters.snapshot().connections_open;
        let ended = async {
            while open() > 0 {
                sleep(LOOK_EVERY).await;
            }
        };
        // Each connection enforces the limit itself. The extra second is for connections that are
        // just ending.
        let limit = state.config.get().drain_timeout + CLOSE_TIMEOUT + Duration::from_secs(1);
        let _ = timeout(limit, ended).await;
        closed.cancel();
        DrainReport { sessions, connections_left: open() }
    }
}
