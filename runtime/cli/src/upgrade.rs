//! `wireplug upgrade`, and what a running server does at SIGUSR2.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::Context as _;
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use hyper::Method;
use tokio::signal::unix::Signal;
use tracing::{info, warn};
use wireplug::admin::ControlHandle;
use wireplug::upgrade::{Upgrade, UpgradeReport, Upgrader};
use wireplug::{InheritedSocket, RunningServer};

use super::control::{Ask, Control};

/// The hidden option of `wireplug serve` with which a process takes over.
pub(super) const TAKE_OVER: &str = "take-over";

/// Upgrades a running server to another version, as SIGUSR2 does: a new process takes over its
/// sockets and its sessions, and no client notices. It has the arguments of the old one, and reads
/// the configuration file again.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The new program. Unless it is given, the one that is installed where the server's own was.
    /// Only the user of the server and root may name one, over the Unix socket of the control API.
    program: Option<PathBuf>,
    #[command(flatten)]
    control: Control,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let program = match &args.program {
        // The server has another working directory.
        Some(program) => {
            let path = fs::canonicalize(program).with_context(|| format!("{}", program.display()))?;
            Some(path.to_str().context("the path of the program is not UTF-8")?.to_owned())
        }
        None => None,
    };
    let query: Vec<_> = program.as_deref().map(|program| ("program", program)).into_iter().collect();
    let ask = Ask { method: Method::POST, path: &["upgrade"], query: &query, body: Bytes::new() };
    args.control.print(ask, show).await?;
    Ok(())
}

fn show(report: &UpgradeReport) -> String {
    let UpgradeReport { pid, version, moved, stayed, took_ms, .. } = report;
    let plural = |count: u64| if count == 1 { "" } else { "s" };
    let moved = format!("{moved} session{} moved in {took_ms} ms", plural(*moved));
    let mut lines = vec![format!("process {pid}, wireplug {version}, has taken over: {moved}")];
    lines.extend(stayed.iter().map(|(why, count)| {
        format!(
            "{count} session{} stay{} in the old process until they end: {why}",
            plural(*count),
            if *count == 1 { "s" } else { "" }
        )
    }));
    lines.join("\n")
}

/// This program, as it starts its next version.
pub(super) struct Program {
    /// Where this program was installed when the process began.
    path: PathBuf,
    arguments: Vec<OsString>,
    control: Option<ControlHandle>,
    health: Option<InheritedSocket>,
}

impl Program {
    /// Notes where this program is, and what else it listens at: the control API, and the port for
    /// health checks.
    ///
    /// # Errors
    /// Returns an error if the system does not tell.
    pub(super) fn this(
        control: Option<ControlHandle>,
        health: Option<InheritedSocket>,
    ) -> anyhow::Result<Self> {
        let running = env::current_exe().context("the path of this program is not known")?;
        let path = called_path(&running).unwrap_or(running);
        let take_over = format!("--{TAKE_OVER}");
        let mut arguments: Vec<OsString> =
            env::args_os().skip(1).filter(|argument| *argument != *take_over).collect();
        if arguments.is_empty() {
            // The command that runs without a name.
            arguments.push("serve".into());
        }
        arguments.push(take_over.into());
        Ok(Self { path, arguments, control, health })
    }
}

/// Returns the path by which this program was called, if it leads to the program `running`. The
/// path of a running program has no symbolic links any more, and one that leads from a fixed name
/// to the version of the day is to be followed again.
fn called_path(running: &Path) -> Option<PathBuf> {
    let called = PathBuf::from(env::args_os().next()?);
    let leads_here = |path: &PathBuf| fs::canonicalize(path).is_ok_and(|found| found == running);
    if called.components().count() > 1 {
        return std::path::absolute(called).ok().filter(leads_here);
    }
    let search = env::var_os("PATH")?;
    env::split_paths(&search).map(|folder| folder.join(&called)).find(leads_here)
}

impl Upgrader for Program {
    fn upgrade(&self, program: Option<PathBuf>) -> BoxFuture<'_, Upgrade> {
        async move {
            let program = program.unwrap_or_else(|| self.path.clone());
            info!(program = %program.display(), "a new process is to take over");
            let upgrade = self
                .arguments
                .iter()
                .fold(Upgrade::to(program), |upgrade, argument| upgrade.argument(argument));
            let control = match &self.control {
                Some(control) => control.socket().await.map(Some),
                None => Ok(None),
            };
            let health = self.health.as_ref().map(InheritedSocket::duplicate).transpose();
            [("the control API", control), ("the port for health checks", health)].into_iter().fold(
                upgrade,
                |upgrade, (what, socket)| match socket {
                    Ok(Some(socket)) => upgrade.pass(socket),
                    Ok(None) => upgrade,
                    Err(error) => {
                        warn!(%error, "the socket of {what} cannot be passed on");
                        upgrade
                    }
                },
            )
        }
        .boxed()
    }
}

/// Upgrades the server at each `signal`, until that succeeds.
pub(super) async fn at_signal(mut signal: Signal, server: &RunningServer) {
    loop {
        signal.recv().await;
        // The server logs how it went.
        if server.upgrade_program(None).await.is_ok() {
            return;
        }
    }
}
