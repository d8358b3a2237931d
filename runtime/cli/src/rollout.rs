//! `wireplug rollout`: brings a version of a codec to all nodes in steps.

use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use hyper::Method;
use serde::de::value::{Error as ValueError, StrDeserializer};
use tokio::time::sleep;
use wireplug::rollout::{Rollout, RolloutPlan, Stage, Step};
use wireplug_base::units;

use super::codec::parse_share;
use super::control::{Ask, Control};

/// How often the state is asked for.
const LOOK: Duration = Duration::from_secs(1);

/// How many looks in a row may fail: the node that is asked may restart, and NATS too.
const FAILED_LOOKS: u32 = 60;

/// Brings a version of a codec to all nodes in steps, and watches it. If it fails on one node, it
/// is taken back on all of them. The rollout goes on without this command and without the node that
/// was asked: Ctrl-C only ends the watching. Without FILE, shows the last rollout of the codec.
///
/// Exit codes: 0 if the version is current on all nodes, or if the rollout goes on unwatched
/// (--detach, Ctrl-C); 1 if it was taken back, or if its state is not known.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The codec, as in [codecs.NAME].
    codec: String,
    /// Where each node gets the version: oci://REGISTRY/REPOSITORY@sha256:…, nats://BUCKET/NAME, or
    /// the path of a file that each node has.
    #[arg(conflicts_with = "take_back")]
    file: Option<String>,
    /// First, the version mirrors this share of the sessions. It is taken back if an answer
    /// differs.
    #[arg(long, value_name = "SHARE", value_parser = parse_share, requires = "file")]
    shadow: Option<f64>,
    /// This share of the new sessions opens on it, such as 5%.
    #[arg(long, value_name = "SHARE", value_parser = parse_share, requires = "file")]
    canary: Option<f64>,
    /// Then this share, and so on. With 100% the version becomes current: that is the last step in
    /// any case.
    #[arg(long, value_name = "SHARE", value_parser = parse_share, requires = "canary")]
    then: Vec<f64>,
    /// How long each step is held after all nodes have made it.
    #[arg(long, value_name = "TIME", value_parser = parse_time, default_value = "10m")]
    hold: Duration,
    /// The number of faults on all nodes together that takes the version back. 0: only the limit of
    /// each node counts, `faults.rollback` of the codec.
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    max_faults: u64,
    /// Only begin the rollout, and do not watch it.
    #[arg(long)]
    detach: bool,
    /// Take the running rollout of the codec back, on all nodes.
    #[arg(long)]
    take_back: bool,
    #[command(flatten)]
    control: Control,
}

/// Parses a time as the configuration has it, such as `10m`.
fn parse_time(text: &str) -> Result<Duration, String> {
    let parsed = units::duration::deserialize(StrDeserializer::<ValueError>::new(text));
    parsed.map_err(|error| error.to_string())
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let path = ["rollouts", &*args.codec];
    let ask = |method, body| Ask { method, path: &path, query: &[], body };
    if args.take_back {
        args.control.print(ask(Method::DELETE, Bytes::new()), |it: &Rollout| show(it)).await?;
        return Ok(());
    }
    let Some(plan) = plan(&args) else {
        let shown = |last: &Option<Rollout>| match last {
            Some(rollout) => show(rollout),
            None => format!("there was no rollout of {}", args.codec),
        };
        args.control.print(ask(Method::GET, Bytes::new()), shown).await?;
        return Ok(());
    };
    let plan = serde_json::to_vec(&plan).context("the plan")?;
    let begun: Rollout = args.control.print(ask(Method::POST, plan.into()), show).await?;
    if args.detach {
        return Ok(());
    }
    watch(&args, begun).await
}

fn plan(args: &Args) -> Option<RolloutPlan> {
    let file = args.file.clone()?;
    let canaries = args.canary.into_iter().chain(args.then.iter().copied());
    let last = |share: f64| if share < 1.0 { Step::Canary(share) } else { Step::Current };
    let steps = args.shadow.map(Step::Shadow).into_iter().chain(canaries.map(last)).collect();
    let hold_ms = u64::try_from(args.hold.as_millis()).unwrap_or(u64::MAX);
    Some(RolloutPlan { file, steps, hold_ms, max_faults: args.max_faults })
}

/// Prints each step of a rollout, until it ends.
async fn watch(args: &Args, begun: Rollout) -> anyhow::Result<()> {
    let path = ["rollouts", &*args.codec];
    let (mut last, mut failed) = ((begun.step, begun.stage), 0);
    loop {
        tokio::select! {
            () = sleep(LOOK) => {}
            _ = tokio::signal::ctrl_c() => {
                complain!("the rollout goes on: `wireplug rollout {}` shows it", args.codec);
                return Ok(());
            }
        }
        let ask = Ask { method: Method::GET, path: &path, query: &[], body: Bytes::new() };
        let now: Option<Rollout> = match args.control.get(ask).await {
            Ok(now) => now,
            Err(error) if failed < FAILED_LOOKS => {
                if failed == 0 {
                    complain!("the state of the rollout is asked for again: {error:#}");
                }
                failed += 1;
                continue;
            }
            Err(error) => return Err(error.context("the rollout goes on, but its state cannot be read")),
        };
        failed = 0;
        let now = now.filter(|now| now.id == begun.id).context("another rollout of the codec was begun")?;
        if (now.step, now.stage) != last {
            last = (now.step, now.stage);
            match args.control.wants_json() {
                true => say!("{}", serde_json::to_string(&now)?),
                false => say!("{}", show(&now)),
            }
        }
        match now.stage {
            Stage::Running => {}
            Stage::Done => return Ok(()),
            Stage::TakenBack => bail!("the rollout was taken back: {}", now.reason.unwrap_or_default()),
        }
    }
}

fn show(rollout: &Rollout) -> String {
    let Rollout { codec, file, step, steps, stage, reason, .. } = rollout;
    let number = format!("step {} of {}", step + 1, steps.len());
    let what = match steps.get(*step) {
        Some(Step::Shadow(share)) => format!("in the shadow of {}% of the sessions", share * 100.0),
        Some(Step::Canary(share)) => format!("on {}% of the new sessions", share * 100.0),
        Some(Step::Current) | None => "current on all nodes".to_owned(),
    };
    match stage {
        Stage::Running => format!("{codec}: {file}: {number}, {what}"),
        Stage::Done => format!("{codec}: {file}: done, {what}"),
        Stage::TakenBack => {
            format!(
                "{codec}: {file}: taken back in {number}: {}",
                reason.as_deref().unwrap_or("no reason is known")
            )
        }
    }
}
