//! What an upgrade of the server needs of a running server: its listeners, one by one, and the
//! moments at which it stops and goes on.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use tracing::{error, info};

use super::RunningServer;
use super::listeners::{Listening, Order};
use super::running::Running;
use crate::session::{Session, Sessions};
use crate::upgrade::{Upgrade, UpgradeError, UpgradeReport, Upgrader, give};
use wireplug_base::Chain;

/// How often the number of open connections is looked at while they end.
const LOOK: Duration = Duration::from_millis(100);

/// A listener of the old process or of the new one.
#[derive(Clone)]
pub(crate) struct HandedListener(pub(super) Listening);

impl HandedListener {
    /// Returns the URL as it was asked for, by which the two processes know the listener.
    pub(crate) fn asked(&self) -> String {
        self.0.asked.clone()
    }

    /// Returns whether the service manager keeps the sockets.
    pub(crate) fn stays(&self) -> bool {
        self.0.stays
    }

    pub(crate) fn url(&self) -> String {
        self.0.url.clone()
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0.context, &other.0.context)
    }

    /// Returns whether a session came to this listener.
    pub(crate) fn has(&self, session: &Session) -> bool {
        session.vitals().is_of(&self.0.context.origin)
    }

    /// Returns whether the sessions share one socket, from which one process must read at a time.
    pub(crate) fn shares_socket(&self) -> bool {
        self.0.context.max_datagram.is_some()
    }

    /// Returns duplicates of the listening sockets, or none if they cannot be passed on.
    pub(crate) async fn sockets(&self) -> io::Result<Vec<OwnedFd>> {
        self.0.order(Order::Sockets).await.unwrap_or_else(|| Ok(Vec::new()))
    }

    /// Accepts nobody from now on. Clients wait in the queue of the system.
    pub(crate) async fn hold(&self) {
        self.0.order(Order::Hold).await;
    }

    /// Stops reading a socket that sessions share. Returns what a process must know to go on
    /// reading it, if there is such a socket.
    pub(crate) async fn pause(&self) -> Option<Vec<u8>> {
        self.0.order(Order::Pause).await.flatten()
    }

    /// Accepts clients, and reads a socket that sessions share, with the state of the process that
    /// read it before.
    pub(crate) async fn go_on(&self, state: Option<Vec<u8>>) {
        self.0.go_on(state).await;
    }

    /// Leaves the address to the other process. [`HandedListener::go_on`] takes it again.
    pub(crate) async fn leave(&self) {
        self.0.order(Order::Leave).await;
    }

    /// Notes that no other process has the address any more.
    pub(crate) async fn own(&self) {
        self.0.order(Order::Own).await;
    }
}

impl Running {
    /// Begins an upgrade. Until the guard is dropped, no other one begins, and no reload changes
    /// the server.
    pub(crate) fn begin_upgrade(&self) -> Result<impl Sized, UpgradeError> {
        let turn = self.reloading.try_lock().map_err(|_| UpgradeError::Busy)?;
        if self.moved_away.is_cancelled() {
            return Err(UpgradeError::Busy);
        }
        if self.drains.is_cancelled() {
            return Err(UpgradeError::Draining);
        }
        if self.state.sessions.has_relay() {
            return Err(UpgradeError::Unfinished);
        }
        Ok(turn)
    }

    /// Waits until the server drains or stops. Then no upgrade goes on.
    pub(crate) async fn drains(&self) {
        self.drains.cancelled().await;
    }

    pub(crate) fn handed_listeners(&self) -> Vec<HandedListener> {
        self.listeners.all().into_iter().map(HandedListener).collect()
    }

    pub(crate) fn sessions(&self) -> &Sessions {
        &self.state.sessions
    }

    /// Returns how many clients are opening that were accepted before, and have no session yet.
    pub(crate) fn opening(&self) -> u64 {
        self.state.opening.load(Ordering::Relaxed)
    }

    /// Returns the number of the next session.
    pub(crate) fn next_id(&self) -> u64 {
        self.state.next_id.load(Ordering::Relaxed)
    }

    /// Asks the application for what it keeps beside its sessions. Its background work has stopped
    /// when this returns.
    pub(crate) async fn save_app(&self) -> Option<Vec<u8>> {
        Some(self.state.carried.save.as_ref()?().await)
    }

    /// Gives the application what it has saved, here or in the old process.
    pub(crate) async fn restore_app(&self, saved: Option<Vec<u8>>) {
        if let (Some(restore), Some(saved)) = (&self.state.carried.restore, saved) {
            restore(saved).await;
        }
    }

    /// Notes that the server takes no new clients any more, and only serves those that stayed.
    pub(crate) fn set_draining(&self) {
        self.health.set_draining();
    }

    /// Notes that the other process has taken over. To be called before another change can begin.
    pub(crate) fn set_moved_away(&self) {
        self.moved_away.cancel();
    }

    /// Returns whether the server stops.
    pub(crate) fn has_ended(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Notes that no session of another process comes any more.
    pub(crate) fn set_settled(&self) {
        self.settled.cancel();
    }
}

impl RunningServer {
    /// Upgrades the server under its live sessions: starts a new process, which takes over the
    /// listening sockets, and moves the sessions to it. No client is refused, and those whose
    /// sessions move notice nothing.
    ///
    /// A session moves when it is quiet: when its requests in flight are answered, and what has
    /// come in part is whole. It keeps its number, its user, groups and settings, the messages that
    /// wait, and the state of its codec, which must export `handoff`. Sessions that cannot move
    /// stay here: those over TLS, Socket.IO, pipes and shared memory, those whose codec has no
    /// `handoff` or refuses, and those that a candidate mirrors. The report counts them by the
    /// reason.
    ///
    /// Pushes to users and groups reach each receiver once during the upgrade, whichever process
    /// has it.
    ///
    /// After an upgrade the server still serves the sessions that stayed, and accepts nobody. Its
    /// program then calls [`RunningServer::drain_rest`] and [`RunningServer::shutdown`], and ends.
    ///
    /// If the future is dropped, the upgrade still runs to its end.
    ///
    /// # Errors
    /// Returns an error if the new process cannot take over. The server goes on as before.
    pub async fn upgrade(&self, upgrade: Upgrade) -> Result<UpgradeReport, UpgradeError> {
        let running = Arc::clone(&self.0);
        tokio::spawn(async move { running.upgrade(upgrade).await }).await.expect("an upgrade does not panic")
    }

    /// Sets how this program starts its next version, for `POST /upgrade` of the control API and
    /// for [`RunningServer::upgrade_program`]. Only the first call has an effect.
    pub fn set_upgrader(&self, upgrader: impl Upgrader) {
        let _ = self.0.upgrader.set(Arc::new(upgrader));
    }

    /// Upgrades the server as [`RunningServer::upgrade`] does: to `program`, or if it is `None` to
    /// the program that is installed where this one was.
    ///
    /// # Errors
    /// Returns the errors of [`RunningServer::upgrade`], and [`UpgradeError::NoUpgrader`] if the
    /// program has set none.
    pub async fn upgrade_program(&self, program: Option<&Path>) -> Result<UpgradeReport, UpgradeError> {
        let (running, program) = (Arc::clone(&self.0), program.map(Path::to_owned));
        let upgraded = tokio::spawn(async move { running.upgrade_program(program).await });
        upgraded.await.expect("an upgrade does not panic")
    }

    /// Waits until the sessions of another process have come, if this server
    /// [takes over](crate::Server::taking_over) from one. Until then the other process can take
    /// them back, so this one should not be reported as the one that serves.
    pub async fn taken_over(&self) {
        self.0.settled.cancelled().await;
    }

    /// Returns whether another process has taken over.
    pub fn is_upgraded(&self) -> bool {
        self.0.moved_away.is_cancelled()
    }

    /// Waits until another process has taken over.
    pub async fn upgraded(&self) {
        self.0.moved_away.cancelled().await;
    }

    /// Waits until all connections have ended that stayed after an upgrade, or until
    /// [`ServerConfig::upgrade_timeout`](crate::config::ServerConfig::upgrade_timeout) is over.
    pub async fn drain_rest(&self) {
        let limit = self.0.state.config.get().upgrade_timeout;
        let ended = async {
            while self.stats().connections_open > 0 {
                sleep(LOOK).await;
            }
        };
        let _ = timeout(limit, ended).await;
    }
}

impl Running {
    async fn upgrade(self: &Arc<Self>, upgrade: Upgrade) -> Result<UpgradeReport, UpgradeError> {
        let upgraded = give(self, upgrade).await;
        match &upgraded {
            Ok(report) => {
                let UpgradeReport { pid, version, moved, stayed, took_ms } = report;
                let stay: u64 = stayed.values().sum();
                info!(pid, version, moved, stay, took_ms, "another process has taken over");
                for (why, sessions) in stayed {
                    info!(sessions, why, "these sessions stay in this process until they end");
                }
            }
            Err(error) => error!(error = %Chain::of(error), "the server was not upgraded"),
        }
        upgraded
    }

    /// Does what [`RunningServer::upgrade_program`] does, unless the future is dropped.
    pub(crate) async fn upgrade_program(
        self: &Arc<Self>,
        program: Option<PathBuf>,
    ) -> Result<UpgradeReport, UpgradeError> {
        let upgrader = self.upgrader.get().ok_or(UpgradeError::NoUpgrader)?;
        self.upgrade(upgrader.upgrade(program).await).await
    }
}
