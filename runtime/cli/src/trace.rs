//! `wireplug trace`: shows what passes on sessions, and saves sessions as test vectors.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use hyper::Method;
use serde_json::Value;
use wireplug::status::FaultList;

use super::control::{Ask, Control};
use super::table::table;

#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    what: What,
    /// How long the trace lasts, such as 30m: 5m unless given, at most 1h. Ctrl-C ends it earlier.
    #[arg(long, value_name = "TIME", conflicts_with_all = ["fault", "faults", "recent"])]
    duration: Option<String>,
    /// Save the session as test vectors, which `wireplug codec test` replays. Of several sessions,
    /// the first that matches.
    #[arg(long, value_name = "FILE.vectors")]
    save: Option<PathBuf>,
    /// Save the last packets of the session, which its codec keeps with `limits.keep-packets`.
    #[arg(long, requires = "save", conflicts_with_all = ["user", "address", "fault", "faults"])]
    recent: bool,
    #[command(flatten)]
    control: Control,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct What {
    /// The session with this number.
    #[arg(long, value_name = "ID")]
    session: Option<u64>,
    /// The sessions of this user, also those that are bound to the user later.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// The sessions from this IP address, also those that open later, from their opening.
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,
    /// The packets before the fault with this number, which `--faults` lists.
    #[arg(long, value_name = "NUMBER", requires = "save")]
    fault: Option<u64>,
    /// List the last faults of codecs.
    #[arg(long, conflicts_with = "save")]
    faults: bool,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let Args { what, duration, save, recent, control } = args;
    if what.faults {
        let ask = Ask { method: Method::GET, path: &["faults"], query: &[], body: Bytes::new() };
        control.print(ask, faults).await?;
        return Ok(());
    }
    if let Some(number) = what.fault {
        let file = format!("{number}.vectors");
        return self::save(&control, &["faults", &file], &[], save.as_deref()).await;
    }
    let id = what.session.map(|id| id.to_string());
    if recent {
        let id = id.context("--recent goes with --session")?;
        return self::save(&control, &["sessions", &id, "recent.vectors"], &[], save.as_deref()).await;
    }
    let query = [("session", &id), ("user", &what.user), ("address", &what.address), ("duration", &duration)];
    let query: Vec<_> =
        query.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))).collect();
    if save.is_some() {
        return self::save(&control, &["trace", "vectors"], &query, save.as_deref()).await;
    }
    let ask = Ask { method: Method::GET, path: &["trace"], query: &query, body: Bytes::new() };
    let is_json = control.wants_json();
    let mut lines = Lines::default();
    control
        .stream(ask, |bytes| {
            lines.add(bytes, |line| match is_json {
                true => say!("{line}"),
                false => say!("{}", shown(line)),
            });
            Ok(())
        })
        .await
}

/// Writes an answer to a file as it comes.
async fn save(
    control: &Control,
    path: &[&str],
    query: &[(&str, &str)],
    to: Option<&Path>,
) -> anyhow::Result<()> {
    let to = to.context("--save FILE.vectors is missing")?;
    let ask = Ask { method: Method::GET, path, query, body: Bytes::new() };
    let mut file = None;
    let mut saved = 0;
    let written = control
        .stream(ask, |bytes| {
            let file = match &mut file {
                Some(file) => file,
                None => {
                    complain!("saving to {}; Ctrl-C ends it", to.display());
                    file.insert(create(to)?)
                }
            };
            saved += bytes.len();
            file.write_all(bytes).with_context(|| format!("{} cannot be written", to.display()))
        })
        .await;
    written?;
    if saved == 0 {
        bail!("no session matched in this time, so nothing was saved");
    }
    say!("saved: wireplug codec test FILE.wasm {} replays it", to.display());
    Ok(())
}

/// Creates a file that only its owner can read, because it holds what clients have sent.
fn create(path: &Path) -> anyhow::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = File::options();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(path).with_context(|| format!("{} cannot be written", path.display()))
}

/// The whole lines of a stream.
#[derive(Default)]
struct Lines(Vec<u8>);

impl Lines {
    fn add(&mut self, bytes: &[u8], mut each: impl FnMut(&str)) {
        self.0.extend_from_slice(bytes);
        while let Some(end) = self.0.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.0.drain(..=end).collect();
            each(String::from_utf8_lossy(&line).trim_end());
        }
    }
}

/// Returns a record for people: a line about the packet, and a line for each thing that it became.
fn shown(line: &str) -> String {
    let Ok(record) = serde_json::from_str::<Value>(line) else { return line.to_owned() };
    let number = |key: &str| record[key].as_u64().unwrap_or_default();
    let text = |key: &str| record[key].as_str().unwrap_or_default();
    let at = number("at-us");
    let (hours, minutes, seconds) = (at / 3_600_000_000 % 24, at / 60_000_000 % 60, at / 1_000_000 % 60);
    let mut shown = format!(
        "{hours:02}:{minutes:02}:{seconds:02}.{:06} session {} {:5}",
        at % 1_000_000,
        number("session"),
        text("direction"),
    );
    if number("size") > 0 {
        let _ = write!(shown, " {} B {:?}", number("size"), text("text"));
    }
    if let Some(us) = record["codec-us"].as_u64() {
        let _ = write!(shown, " {us} us");
        if let Some(batch) = record["batch"].as_u64() {
            let _ = write!(shown, " for {batch}");
        }
    }
    if let Some(note) = record["note"].as_str() {
        let _ = write!(shown, " ({note})");
    }
    if number("size") > 0 {
        let _ = write!(shown, "\n    {}", text("hex"));
    }
    for became in record["became"].as_array().into_iter().flatten() {
        let _ = write!(shown, "\n    {became}");
    }
    shown
}

fn faults(list: &FaultList) -> String {
    const HEAD: [&str; 7] = ["FAULT", "SESSION", "PEER", "USER", "CODEC", "PACKETS", "REASON"];
    let mut rows = vec![HEAD.map(str::to_owned)];
    rows.extend(list.faults.iter().map(|fault| {
        [
            fault.number.to_string(),
            fault.session.to_string(),
            fault.peer.clone(),
            fault.user.clone().unwrap_or_else(|| "-".to_owned()),
            format!("{}#{}", fault.codec, fault.generation),
            if fault.vectors { "kept" } else { "-" }.to_owned(),
            fault.reason.clone(),
        ]
    }));
    table(&rows)
}
