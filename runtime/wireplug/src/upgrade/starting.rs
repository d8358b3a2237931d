//! The old process of an upgrade: starts the new one, and waits until it is ready.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::link::Link;
use super::message::{PassedSocket, Sockets, ToNew, ToOld};
use super::report::{Upgrade, UpgradeError};
use crate::server::{HandedListener, InheritedSocket};
use wireplug_connectors::HANDOVER_PROTOCOL;

/// The variables with which a service manager gives something to one process.
const NOT_FOR_ANOTHER: [&str; 4] = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID"];

/// How long a process that has said that it cannot serve may take to end by itself.
const EXIT_TIMEOUT: Duration = Duration::from_secs(1);

/// A process that is to take over. Dropping it ends the process, unless that has taken over.
pub(super) struct NewProcess {
    child: Child,
    has_taken_over: bool,
}

/// A new process that is ready to take over.
pub(super) struct Ready {
    pub(super) process: NewProcess,
    pub(super) link: Arc<Link>,
    pub(super) version: String,
    /// The listeners whose sockets cannot be passed on.
    pub(super) without_sockets: Vec<HandedListener>,
}

impl NewProcess {
    pub(super) fn id(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    /// Lets the process live on when this one ends.
    pub(super) fn set_taken_over(&mut self) {
        self.has_taken_over = true;
    }

    /// Ends the process, and waits until it has ended. Two processes must not serve the same
    /// sessions.
    pub(super) async fn end(&mut self) {
        let _ = self.child.start_kill();
        let _ = self.child.wait().await;
    }

    /// Returns the exit status of a process that ends by itself, and ends it otherwise.
    async fn exit_status(&mut self) -> Option<String> {
        match timeout(EXIT_TIMEOUT, self.child.wait()).await {
            Ok(Ok(status)) => Some(status.to_string()),
            _ => {
                self.end().await;
                None
            }
        }
    }
}

impl Drop for NewProcess {
    fn drop(&mut self) {
        if !self.has_taken_over {
            // It may have ended.
            let _ = self.child.start_kill();
        }
    }
}

/// Starts the new process and waits until it is ready.
pub(super) async fn start(listeners: &[HandedListener], upgrade: Upgrade) -> Result<Ready, UpgradeError> {
    let Upgrade { program, arguments, start_timeout, others, .. } = upgrade;
    let (sockets, descriptors, without_sockets) = passed(listeners, others).await?;
    let cannot_start = |source| UpgradeError::Start { program: program.clone(), source };
    let (ours, theirs) = UnixStream::pair().map_err(cannot_start)?;
    let link = Arc::new(Link::new(ours.into()).map_err(cannot_start)?);
    let mut command = Command::new(&program);
    command.args(&arguments).stdin(Stdio::from(OwnedFd::from(theirs)));
    for variable in NOT_FOR_ANOTHER {
        command.env_remove(variable);
    }
    let child = command.spawn().map_err(cannot_start)?;
    // The other end of the pair is only in the new process from here on.
    drop(command);
    let mut process = NewProcess { child, has_taken_over: false };
    let ready = timeout(start_timeout, until_ready(&link, sockets, descriptors)).await;
    match ready.unwrap_or(Err(UpgradeError::TimedOut(start_timeout))) {
        Ok(version) => Ok(Ready { process, link, version, without_sockets }),
        // Its exit status says more than that it has gone.
        Err(UpgradeError::Ended(why)) => Err(UpgradeError::Ended(process.exit_status().await.unwrap_or(why))),
        Err(error) => {
            process.exit_status().await;
            Err(error)
        }
    }
}

/// Returns the sockets that the new process takes over, their descriptors, and the listeners that
/// have none to pass.
async fn passed(
    listeners: &[HandedListener],
    others: Vec<InheritedSocket>,
) -> Result<(Sockets, Vec<OwnedFd>, Vec<HandedListener>), UpgradeError> {
    let (mut sockets, mut descriptors, mut without_sockets) = (Sockets::default(), Vec::new(), Vec::new());
    for listener in listeners {
        let cannot_pass = |source| UpgradeError::Sockets { url: listener.url(), source };
        let passed = listener.sockets().await.map_err(cannot_pass)?;
        if passed.is_empty() {
            without_sockets.push(listener.clone());
        }
        let (key, count) = (listener.asked(), passed.len() as u8);
        sockets.listeners.push(PassedSocket { key, descriptors: count, stays: listener.stays() });
        descriptors.extend(passed);
    }
    for InheritedSocket { key, descriptors: passed, stays } in others {
        let (key, count) = (key.unwrap_or_default(), passed.len() as u8);
        sockets.others.push(PassedSocket { key, descriptors: count, stays });
        descriptors.extend(passed);
    }
    Ok((sockets, descriptors, without_sockets))
}

/// Gives the new process the listening sockets, and waits until it has started. Returns its
/// version.
async fn until_ready(
    link: &Link,
    sockets: Sockets,
    descriptors: Vec<OwnedFd>,
) -> Result<String, UpgradeError> {
    let hello = receive(link).await?;
    let ToOld::Hello { protocol: theirs, version } = hello else { return Err(out_of_turn()) };
    if theirs != HANDOVER_PROTOCOL {
        return Err(UpgradeError::Protocol { version, theirs, ours: HANDOVER_PROTOCOL });
    }
    link.send(&ToNew::Sockets(sockets), &descriptors).await.map_err(UpgradeError::Link)?;
    match receive(link).await? {
        ToOld::Ready => Ok(version),
        ToOld::Failed(why) => Err(UpgradeError::Refused(why)),
        _ => Err(out_of_turn()),
    }
}

async fn receive(link: &Link) -> Result<ToOld, UpgradeError> {
    let gone = || UpgradeError::Ended("it closed the hand-over socket".to_owned());
    let (message, _) = link.receive().await.map_err(UpgradeError::Link)?.ok_or_else(gone)?;
    Ok(message)
}

fn out_of_turn() -> UpgradeError {
    UpgradeError::Link(io::Error::new(io::ErrorKind::InvalidData, "the new process speaks out of turn"))
}
