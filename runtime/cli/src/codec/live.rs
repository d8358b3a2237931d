//! `wireplug codec list`, `swap`, `reload`, `try`, `promote`, `rollback` and `end-trial`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use clap::ValueEnum;
use hyper::Method;
use wireplug::admin::Candidate;
use wireplug::slot::{SlotStatus, SwapReport};

use super::registry::{self, Reach};
use super::show;
use crate::control::{Ask, Control};

#[derive(clap::Args)]
pub(super) struct List {
    /// A repository, oci://REGISTRY/REPOSITORY, whose tags are listed instead; or a bucket,
    /// nats://BUCKET, whose objects are.
    place: Option<String>,
    #[command(flatten)]
    reach: Reach,
    #[command(flatten)]
    control: Control,
}

/// A command that needs nothing but a codec's name.
#[derive(clap::Args)]
pub(super) struct Named {
    /// The codec's name, as `wireplug codec list` has it.
    name: String,
    #[command(flatten)]
    control: Control,
}

#[derive(clap::Args)]
pub(super) struct Swap {
    /// The codec's name, as `wireplug codec list` has it.
    name: String,
    /// The new version, a WebAssembly component.
    file: PathBuf,
    /// What becomes of live sessions. Unless it is given, the server's configuration says it.
    #[arg(long, value_enum)]
    sessions: Option<Sessions>,
    /// Take it even if it was rolled back before.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    control: Control,
}

#[derive(clap::Args)]
pub(super) struct Try {
    /// The codec's name, as `wireplug codec list` has it.
    name: String,
    /// The candidate, a WebAssembly component.
    file: PathBuf,
    #[command(flatten)]
    trial: Trial,
    /// Take it even if it was rolled back before.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    control: Control,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Trial {
    /// It mirrors this share of the sessions, and its answers are compared and thrown away.
    #[arg(long, value_name = "SHARE", value_parser = parse_share)]
    shadow: Option<f64>,
    /// This share of the new sessions opens on it.
    #[arg(long, value_name = "SHARE", value_parser = parse_share)]
    canary: Option<f64>,
}

#[derive(clap::Args)]
pub(super) struct Promote {
    /// The codec's name, as `wireplug codec list` has it.
    name: String,
    /// What becomes of live sessions. Unless it is given, the server's configuration says it.
    #[arg(long, value_enum)]
    sessions: Option<Sessions>,
    #[command(flatten)]
    control: Control,
}

/// What becomes of live sessions.
#[derive(Clone, Copy, ValueEnum)]
enum Sessions {
    /// They go on with the new version.
    Handoff,
    /// They stay on the old version until they end.
    Drain,
    /// They are closed.
    Close,
}

impl Sessions {
    fn query(self) -> (&'static str, &'static str) {
        let sessions = match self {
            Self::Handoff => "handoff",
            Self::Drain => "drain",
            Self::Close => "close",
        };
        ("sessions", sessions)
    }
}

/// Parses a share as people write it, such as `10%` or `0.1`.
pub(in super::super) fn parse_share(text: &str) -> Result<f64, String> {
    let share = match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse().map(|percent: f64| percent / 100.0),
        None => text.parse(),
    };
    share
        .ok()
        .filter(|share| *share > 0.0 && *share <= 1.0)
        .ok_or_else(|| "a share is above 0% and at most 100%, such as 10% or 0.1".to_owned())
}

pub(super) async fn list(List { place, reach, control }: List) -> anyhow::Result<()> {
    if let Some(place) = place {
        return registry::list(&place, reach).await;
    }
    if reach.is_given() {
        bail!(
            "--plain-http, --ca-file, --nats-url and --nats-credentials go with a repository, \
             oci://REGISTRY/REPOSITORY, or a bucket, nats://BUCKET"
        );
    }
    let ask = Ask { method: Method::GET, path: &["codecs"], query: &[], body: Bytes::new() };
    control.print(ask, |slots: &Vec<SlotStatus>| show::slots(slots)).await?;
    Ok(())
}

pub(super) async fn swap(Swap { name, file, sessions, force, control }: Swap) -> anyhow::Result<()> {
    let mut query: Vec<_> = sessions.map(Sessions::query).into_iter().collect();
    query.extend(force.then_some(("force", "true")));
    let ask = Ask { method: Method::PUT, path: &["codecs", &name], query: &query, body: component(&file)? };
    swapped(&control, ask).await
}

pub(super) async fn try_out(Try { name, file, trial, force, control }: Try) -> anyhow::Result<()> {
    let (trial, share) = match trial {
        Trial { shadow: Some(share), .. } => ("shadow", share),
        Trial { canary, .. } => ("canary", canary.context("--shadow or --canary is needed")?),
    };
    let number = share.to_string();
    let mut query = vec![("trial", trial), ("share", &number)];
    query.extend(force.then_some(("force", "true")));
    let ask = Ask { method: Method::PUT, path: &["codecs", &name], query: &query, body: component(&file)? };
    control.print(ask, |candidate: &Candidate| show::candidate(candidate, trial, share)).await?;
    Ok(())
}

pub(super) async fn promote(Promote { name, sessions, control }: Promote) -> anyhow::Result<()> {
    let query: Vec<_> = sessions.map(Sessions::query).into_iter().collect();
    let ask =
        Ask { method: Method::POST, path: &["codecs", &name, "promote"], query: &query, body: Bytes::new() };
    swapped(&control, ask).await
}

pub(super) async fn roll_back(Named { name, control }: Named) -> anyhow::Result<()> {
    let ask =
        Ask { method: Method::POST, path: &["codecs", &name, "rollback"], query: &[], body: Bytes::new() };
    swapped(&control, ask).await
}

pub(super) async fn reload(Named { name, control }: Named) -> anyhow::Result<()> {
    let ask =
        Ask { method: Method::POST, path: &["codecs", &name, "reload"], query: &[], body: Bytes::new() };
    let shown = |report: &Option<SwapReport>| match report {
        Some(report) => show::swap(report),
        None => format!("{name}: it is the same component with the same options"),
    };
    match control.print(ask, shown).await? {
        Some(SwapReport { slot, to, rolled_back: true, .. }) => failed(&slot, to),
        _ => Ok(()),
    }
}

pub(super) async fn end_trial(Named { name, control }: Named) -> anyhow::Result<()> {
    let ask =
        Ask { method: Method::DELETE, path: &["codecs", &name, "trial"], query: &[], body: Bytes::new() };
    control.print(ask, show::trial_ended).await?;
    Ok(())
}

async fn swapped(control: &Control, ask: Ask<'_>) -> anyhow::Result<()> {
    let SwapReport { slot, to, rolled_back, .. } = control.print(ask, show::swap).await?;
    if rolled_back { failed(&slot, to) } else { Ok(()) }
}

fn failed(slot: &str, to: u64) -> anyhow::Result<()> {
    bail!("{slot}: generation {to} has failed and was rolled back; the server's log says how")
}

/// Reads a component and checks it against the vectors beside its file, if there are any. The
/// server does not get the vectors.
fn component(file: &Path) -> anyhow::Result<Bytes> {
    let component = super::read(file)?;
    super::test::check(file, &component)?;
    Ok(component.into())
}
