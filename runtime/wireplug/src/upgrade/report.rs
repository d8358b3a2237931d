//! What an upgrade is to do, what it has done, and why one was not made.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::server::InheritedSocket;

/// The program that takes over, for [`RunningServer::upgrade`](crate::RunningServer::upgrade).
#[must_use]
pub struct Upgrade {
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<OsString>,
    pub(super) start_timeout: Duration,
    pub(super) move_timeout: Duration,
    pub(super) others: Vec<InheritedSocket>,
}

impl Upgrade {
    /// The program at this path, without arguments. It must call
    /// [`Takeover::from_stdin`](super::Takeover::from_stdin).
    pub fn to(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            start_timeout: Duration::from_secs(300),
            move_timeout: Duration::from_secs(10),
            others: Vec::new(),
        }
    }

    /// Adds an argument of the program.
    pub fn argument(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Sets how long the program may take until it is ready. It may have to compile codecs; the
    /// default is five minutes. If it takes longer, it is killed, and nothing has changed.
    pub fn start_timeout(mut self, timeout: Duration) -> Self {
        self.start_timeout = timeout;
        self
    }

    /// Sets how long a session may take until it is quiet: until its requests in flight are
    /// answered, and a message that has come in part is whole. The default is ten seconds. A
    /// session that takes longer stays.
    pub fn move_timeout(mut self, timeout: Duration) -> Self {
        self.move_timeout = timeout;
        self
    }

    /// Passes on a socket at which the program itself listens. The new process finds it by its key
    /// among [`Takeover::sockets`](super::Takeover::sockets).
    pub fn pass(mut self, socket: InheritedSocket) -> Self {
        self.others.push(socket);
        self
    }
}

/// How a program starts its next version.
pub trait Upgrader: Send + Sync + 'static {
    /// Returns what is to be started: `program`, or if it is `None` the program that is installed
    /// where this one was.
    fn upgrade(&self, program: Option<PathBuf>) -> BoxFuture<'_, Upgrade>;
}

impl fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgrade").field("program", &self.program).finish_non_exhaustive()
    }
}

/// What an upgrade has done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct UpgradeReport {
    /// The process that serves from now on.
    pub pid: u32,
    /// Its version of wireplug.
    pub version: String,
    /// Sessions that moved.
    pub moved: u64,
    /// Sessions that stay in the old process until they end, by the reason.
    pub stayed: BTreeMap<String, u64>,
    /// How long it took from the moment at which the old process accepted nobody any more, in
    /// milliseconds.
    pub took_ms: u64,
}

/// Why an upgrade was not made, or broke off. The server goes on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpgradeError {
    /// Another upgrade or a reload is under way, or another process has taken over.
    #[error("another upgrade or a reload is under way, or another process has taken over")]
    Busy,
    /// The server drains or stops.
    #[error("the server drains or stops: it takes no clients any more")]
    Draining,
    /// The process from which this one has taken over still serves sessions that could not move.
    #[error(
        "the process before this one still serves sessions that could not move: wait until they have ended, at most \
         `server.upgrade-timeout`, or end that process"
    )]
    Unfinished,
    /// The program has not said how its next version is started
    /// ([`RunningServer::set_upgrader`](crate::RunningServer::set_upgrader)).
    #[error("this program does not say how its next version is started")]
    NoUpgrader,
    /// The process is the first one of a container, which ends with it.
    #[error(
        "this process is the first of its container, which ends with it and takes the new process along: replace the \
         container instead"
    )]
    FirstProcess,
    /// The sockets of a listener cannot be passed on.
    #[error("{url}: its sockets cannot be passed on")]
    Sockets {
        /// The URL of the listener.
        url: String,
        /// Why not.
        source: io::Error,
    },
    /// The program cannot be started.
    #[error("{} cannot be started", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The new process cannot serve. The text is its own.
    #[error("the new process cannot serve: {0}")]
    Refused(String),
    /// The new process speaks another version of the protocol between the two.
    #[error(
        "the new process is wireplug {version}, which takes over by version {theirs} of the hand-over protocol, and \
         this one is at version {ours}: restart instead"
    )]
    Protocol {
        /// The version of wireplug.
        version: String,
        /// The version of its protocol.
        theirs: u32,
        /// The version of the protocol of this process.
        ours: u32,
    },
    /// The processes do not understand each other.
    #[error("the new process cannot be talked to")]
    Link(#[source] io::Error),
    /// The new process was not ready in time.
    #[error("the new process was not ready within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// The new process ended before it was ready. It may be a program that cannot take over.
    #[error("the new process ended before it was ready ({0}); its own output may say why")]
    Ended(String),
    /// The new process ended while sessions moved.
    #[error(
        "the new process ended while sessions moved: {lost} that it served are lost, and the others go on here"
    )]
    Died {
        /// The sessions that it served.
        lost: u64,
    },
    /// The new process did not answer while sessions moved, and was ended.
    #[error(
        "the new process did not answer while sessions moved, and was ended: {lost} that it served are lost, and the \
         others go on here"
    )]
    Silent {
        /// The sessions that it served.
        lost: u64,
    },
}
