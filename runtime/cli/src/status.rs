//! `wireplug status`: reports the state of nodes.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hyper::Method;
use wireplug::rollout::RolloutReport;
use wireplug::slot::{Role, SlotStatus};
use wireplug::status::{CertificateStatus, NatsStatus, NodeStatus, TokenStatus};
use wireplug_wasm::{CompileJob, CompileState};

use super::control::{Ask, Control};
use super::table::table;

#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    control: Control,
}

const HEAD: [&str; 8] = ["NODE", "VERSION", "UP", "CONNECTIONS", "SESSIONS", "USERS", "NATS", "CODECS"];

/// The heads of the table of problems that keep nodes from serving.
const PROBLEMS: [&str; 2] = ["NODE", "NATS"];

/// The heads of the table of certificates.
const CERTIFICATES: [&str; 4] = ["NODE", "CERTIFICATE", "EXPIRES", "OF"];

/// The heads of the table of codecs that cannot be fetched from their registries.
const REGISTRIES: [&str; 4] = ["NODE", "CODEC", "NOT FETCHED FOR", "PROBLEM"];

/// The heads of the table of tokens that expire.
const TOKENS: [&str; 4] = ["NODE", "TOKEN", "EXPIRES", "FILE"];

/// The heads of the table of components that are being compiled.
const COMPILING: [&str; 6] = ["NODE", "COMPILING", "SIZE", "SHA256", "STATE", "FOR"];

/// The heads of the table of what nodes report about rollouts.
const ROLLOUTS: [&str; 6] = ["NODE", "ROLLOUT OF", "STEP", "SESSIONS", "FAULTS", "PROBLEM"];

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let ask = Ask { method: Method::GET, path: &["nodes"], query: &[], body: Bytes::new() };
    args.control.print(ask, |nodes: &Vec<NodeStatus>| show(nodes)).await?;
    Ok(())
}

fn show(nodes: &[NodeStatus]) -> String {
    let mut rows = vec![HEAD.map(str::to_owned)];
    rows.extend(nodes.iter().map(row));
    let mut text = table(&rows);
    let problem = |node: &NodeStatus| Some([name(node), node.nats.as_ref()?.problem.clone()?]);
    below(&mut text, PROBLEMS, nodes.iter().filter_map(problem));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let certificates = nodes.iter().flat_map(|node| node.certificates.iter().map(move |it| (node, it)));
    below(&mut text, CERTIFICATES, certificates.map(|(node, it)| certificate(node, it, now)));
    let failing = |(node, slot): (&NodeStatus, &SlotStatus)| {
        let remote = slot.remote.as_ref()?;
        Some([name(node), slot.name.clone(), ago(remote.failing_since?), remote.problem.clone()?])
    };
    let slots = nodes.iter().flat_map(|node| node.codecs.iter().map(move |slot| (node, slot)));
    below(&mut text, REGISTRIES, slots.filter_map(failing));
    let tokens = nodes.iter().flat_map(|node| node.tokens.iter().map(move |it| (node, it)));
    below(&mut text, TOKENS, tokens.map(|(node, it)| token(node, it, now)));
    let compiling = nodes.iter().flat_map(|node| node.compiling.iter().map(|job| compiling(node, job)));
    below(&mut text, COMPILING, compiling);
    let rollouts =
        nodes.iter().flat_map(|node| node.rollouts.iter().map(move |report| rollout(node, report)));
    below(&mut text, ROLLOUTS, rollouts);
    text
}

/// Appends a table if it has rows.
fn below<const N: usize>(text: &mut String, head: [&str; N], rows: impl Iterator<Item = [String; N]>) {
    let mut table_rows = vec![head.map(str::to_owned)];
    table_rows.extend(rows);
    if table_rows.len() > 1 {
        *text += "\n";
        *text += &table(&table_rows);
    }
}

fn name(node: &NodeStatus) -> String {
    node.node.clone().unwrap_or_else(|| "-".to_owned())
}

fn certificate(node: &NodeStatus, it: &CertificateStatus, now: u64) -> [String; 4] {
    let of = format!("{} of {}", it.key, it.used_by);
    [name(node), it.file.display().to_string(), expires(it.expires, now), of]
}

fn token(node: &NodeStatus, it: &TokenStatus, now: u64) -> [String; 4] {
    [name(node), it.name.clone(), expires(it.expires, now), it.file.display().to_string()]
}

fn expires(at: u64, now: u64) -> String {
    match at.checked_sub(now) {
        Some(left) => format!("in {}", up(left)),
        None => format!("{} ago", up(now - at)),
    }
}

/// Returns the row of a node's report about a rollout.
fn rollout(node: &NodeStatus, report: &RolloutReport) -> [String; 6] {
    let RolloutReport { codec, made, failed, sessions, faults, .. } = report;
    let step = made.map_or_else(|| "-".to_owned(), |(step, _)| (step + 1).to_string());
    let problem = failed.clone().unwrap_or_else(|| "-".to_owned());
    [name(node), codec.clone(), step, sessions.to_string(), faults.to_string(), problem]
}

/// Returns the row of a component that is being compiled or waits to be compiled.
fn compiling(node: &NodeStatus, job: &CompileJob) -> [String; 6] {
    let state = match job.state {
        CompileState::Running => "compiles",
        CompileState::Waiting => "waits",
        _ => "unknown",
    };
    [
        name(node),
        job.codec.clone().unwrap_or_else(|| "-".to_owned()),
        format!("{} KiB", job.size.div_ceil(1024)),
        job.sha256.to_string().chars().take(12).collect(),
        state.to_owned(),
        up(job.for_ms / 1000),
    ]
}

fn row(node: &NodeStatus) -> [String; 8] {
    let name = name(node);
    let NodeStatus { version, uptime, connections, sessions, users, nats, codecs, .. } = node;
    let nats = match nats {
        None => "none".to_owned(),
        Some(NatsStatus { connected, problem: _, dropped }) => {
            let state = if *connected { "connected" } else { "not ready" };
            if *dropped == 0 { state.to_owned() } else { format!("{state}, {dropped} dropped") }
        }
    };
    let held = codecs.iter().flat_map(|slot| &slot.generations);
    let asleep: u64 = held.map(|generation| generation.sleep.asleep).sum();
    let sessions = match asleep {
        0 => sessions.to_string(),
        _ => format!("{sessions}, {asleep} asleep"),
    };
    let generations = codecs.iter().flat_map(|slot| {
        slot.generations
            .iter()
            .filter(|generation| generation.sessions > 0 || generation.role == Role::Current)
            .map(|generation| {
                format!(
                    "{}#{} {} ({})",
                    slot.name, generation.number, generation.version, generation.sessions
                )
            })
    });
    [
        name,
        version.clone(),
        up(*uptime),
        connections.to_string(),
        sessions,
        users.to_string(),
        nats,
        generations.collect::<Vec<_>>().join(", "),
    ]
}

/// Formats the time since a moment, in seconds since 1970.
pub(super) fn ago(since: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    up(now.saturating_sub(since))
}

/// Formats a time in its two largest units.
pub(super) fn up(seconds: u64) -> String {
    match (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, s) => format!("{s}s"),
        (0, 0, m, s) => format!("{m}m{s}s"),
        (0, h, m, _) => format!("{h}h{m}m"),
        (d, h, _, _) => format!("{d}d{h}h"),
    }
}
