//! `wireplug reload` and `wireplug config diff`, and what a running server does at SIGHUP.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use bytes::Bytes;
use hyper::Method;
use tokio::signal::unix::Signal;
use tracing::{error, info, warn};
use wireplug::config::{Effect, NatsConfig, Problems};
use wireplug::slot::{SwapError, SwapReport};
use wireplug::{Config, ConfigFile, ReloadError, ReloadReport, RunningServer};

use super::control::{Ask, Control};
use super::log::LogControl;
use super::serve::directory;
use super::systemd::Notifier;

/// Makes a running server read its configuration file again and apply it, as SIGHUP does: all of
/// it or nothing.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Apply nothing: only tell what would change.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    control: Control,
}

/// Tells what a reload with another file would change in a running server.
#[derive(clap::Args)]
pub(super) struct Diff {
    /// The file: a new version of the configuration file of the server. Its relative paths are
    /// relative to the folder of that one.
    file: PathBuf,
    #[command(flatten)]
    control: Control,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let dry_run = args.dry_run.to_string();
    let query = [("dry-run", &*dry_run)];
    let ask = Ask { method: Method::POST, path: &["reload"], query: &query, body: Bytes::new() };
    args.control.print(ask, |report: &ReloadReport| lines(report, !args.dry_run).join("\n")).await?;
    Ok(())
}

pub(super) async fn diff(args: Diff) -> anyhow::Result<()> {
    let file = args.file.display();
    let text = fs::read(&args.file).with_context(|| format!("{file}: it cannot be read"))?;
    // Without a text, the server would read its own file.
    anyhow::ensure!(!text.is_empty(), "{file}: it is empty");
    let query = [("dry-run", "true")];
    let ask = Ask { method: Method::POST, path: &["reload"], query: &query, body: text.into() };
    args.control.print(ask, |report: &ReloadReport| lines(report, false).join("\n")).await?;
    Ok(())
}

/// Returns what a reload has changed, or would change if it was not `made`.
fn lines(report: &ReloadReport, made: bool) -> Vec<String> {
    let mut lines: Vec<String> = report.changes.iter().map(ToString::to_string).collect();
    lines.extend(report.swaps.iter().map(|SwapReport { slot, from, to, moved, staying, .. }| {
        format!(
            "codec {slot}: generation {from} -> {to}; {moved} sessions moved, {staying} stay on older ones"
        )
    }));
    lines.extend(report.kept.iter().map(|(codec, why)| format!("codec {codec}: it stays as it was: {why}")));
    let differs = !lines.is_empty();
    let restart: Vec<&str> = report
        .changes
        .iter()
        .filter(|change| change.effect == Effect::Restart)
        .map(|change| &*change.key)
        .collect();
    if !differs {
        lines.push("nothing differs from the configuration of the server".to_owned());
    } else if !restart.is_empty() {
        lines.push(format!("keys that need a restart, and are not applied: {}", restart.join(", ")));
    }
    match (differs, made, report.kept.is_empty()) {
        (false, ..) => {}
        (true, true, true) => lines.push("applied".to_owned()),
        (true, true, false) => lines.push("applied, except for the codecs that stay as they were".to_owned()),
        (true, false, _) => lines.push("a reload would apply this".to_owned()),
    }
    lines
}

/// The configuration file with which `wireplug serve` was started.
pub(super) struct ServedFile {
    pub(super) file: PathBuf,
    pub(super) log: LogControl,
}

impl ConfigFile for ServedFile {
    fn directory(&self) -> &Path {
        directory(&self.file)
    }

    fn read(&self, text: Option<&str>) -> Result<Config, Problems> {
        match text {
            Some(text) => Config::parse_standalone(text, &self.file),
            None => Config::load_standalone(&self.file),
        }
    }

    fn applied(&self, config: &Config) {
        self.log.set(&config.log);
    }
}

/// At each signal, reads the configuration file again and applies it. Without a configuration file,
/// reads each codec's own file again. Never returns.
pub(super) async fn at_hangup(
    mut hangup: Signal,
    server: &RunningServer,
    config: Option<&Config>,
    notifier: &Notifier,
) {
    loop {
        hangup.recv().await;
        notifier.reloading().await;
        match config {
            Some(started_with) => configuration(server, started_with).await,
            None => {
                let done = server.reload_codecs().await;
                done.into_iter().for_each(|(slot, reloaded)| log(&slot, reloaded));
            }
        }
        notifier.ready().await;
    }
}

async fn configuration(server: &RunningServer, started_with: &Config) {
    let report = match server.reload_file().await {
        Ok(report) => report,
        Err(ReloadError::Config(problems)) => {
            return error!("nothing is reloaded, all goes on as before:\n{problems}");
        }
        Err(error) => {
            let error = format!("{:#}", anyhow::Error::from(error));
            return error!(error, "nothing is reloaded, all goes on as before");
        }
    };
    for SwapReport { slot, from, to, .. } in &report.swaps {
        info!(slot, from, to, "reloaded");
    }
    for (slot, why) in &report.kept {
        error!(slot, error = why, "it cannot be reloaded, and goes on as before");
    }
    for change in &report.changes {
        match change.effect {
            Effect::Restart => warn!(key = change.key, "this has changed, and needs a restart"),
            _ => info!(key = change.key, "{change}"),
        }
    }
    if let Some(files) = read_elsewhere(started_with) {
        info!("{files}");
    }
    if report.changes.is_empty() && report.swaps.is_empty() && report.kept.is_empty() {
        info!("reloaded: nothing differs from the configuration of the server");
    }
}

/// Returns a note about the files that a reload does not read, and when they are read instead.
fn read_elsewhere(config: &Config) -> Option<String> {
    let tls = config.listeners.iter().any(|listener| listener.tls.is_some());
    let tls = tls.then_some("those of TLS are looked at all the time");
    let nats = config.nats.as_ref().is_some_and(NatsConfig::has_files);
    let nats = nats.then_some("those of [nats] are read at each connect, and the connection stays as it is");
    let parts: Vec<_> = [tls, nats].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| format!("files that a reload does not read: {}", parts.join("; ")))
}

fn log(slot: &str, reloaded: Result<Option<SwapReport>, SwapError>) {
    match reloaded {
        Ok(Some(report)) => info!(slot, from = report.from, to = report.to, "reloaded"),
        Ok(None) => info!(slot, "reloaded: nothing has changed of the codec"),
        Err(error) => {
            let error = format!("{:#}", anyhow::Error::from(error));
            error!(slot, error, "it cannot be reloaded, and goes on as before");
        }
    }
}
