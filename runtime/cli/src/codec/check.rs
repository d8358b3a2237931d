//! `wireplug codec check`: whether a codec keeps what every codec promises.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::bail;
use indicatif::{ProgressBar, ProgressStyle};
use wireplug::config::CodecLimits;
use wireplug_codec_tools::check::{Check, Progress};
use wireplug_core::codec::SecretReference;
use wireplug_core::vectors::Vectors;

use super::load::Loading;
use crate::bench::args::time;

/// The number of parts of the progress bar.
const PARTS: u64 = 1000;

#[derive(clap::Args)]
pub(super) struct Args {
    /// The component.
    #[arg(value_name = "FILE.wasm")]
    file: PathBuf,
    /// Its vectors, of which sessions are made: FILE.vectors, if it is there, unless given.
    vectors: Option<PathBuf>,
    /// How long to play sessions. What fails is then made smaller, which takes its own time.
    #[arg(long, default_value = "10s", value_parser = time)]
    time: Duration,
    /// Play so many sessions instead, however long that takes.
    #[arg(long, value_name = "COUNT", conflicts_with = "time")]
    cases: Option<u64>,
    /// Play one session alone: the one with this number, of the same seed.
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["time", "cases"])]
    case: Option<u64>,
    /// What the sessions follow from. Another number makes others.
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    seed: u64,
    /// The codec's options, in the place of those of its vectors.
    #[arg(long, value_name = "JSON", value_parser = object)]
    options: Option<String>,
    /// The limits of its sandboxes, as a configuration has them: '{"call-cpu": "50ms",
    /// "max-packet": "8KiB"}'.
    #[arg(long, value_name = "JSON", value_parser = limits)]
    limits: Option<CodecLimits>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    loading: Loading,
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    let wasm = super::read(&args.file)?;
    let vectors = vectors(&args)?;
    let loader = args.loading.with_limits(Check::SANDBOXES, args.limits.unwrap_or_default())?;
    let mut check = Check::new(&wasm).loader(loader).seed(args.seed).time(args.time);
    if let Some(vectors) = &vectors {
        check = check.vectors(vectors);
    }
    if let Some(options) = args.options {
        check = check.options(options);
    }
    if let Some(cases) = args.cases {
        check = check.cases(cases);
    }
    if let Some(case) = args.case {
        check = check.only(case);
    }
    // The bar is not drawn if standard error is not a terminal.
    let bar = ProgressBar::new(PARTS).with_style(style()).with_message("loading");
    bar.tick();
    let report = check.run(&mut |progress| show(&bar, progress));
    bar.finish_and_clear();

    if args.json {
        say!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        say!("{report}");
    }
    let failed: Vec<_> = report.failures().map(|(property, _)| property.name()).collect();
    if !failed.is_empty() {
        bail!("{} does not keep what every codec promises: {}", args.file.display(), failed.join(", "));
    }
    Ok(())
}

fn vectors(args: &Args) -> anyhow::Result<Option<Vectors>> {
    let beside = args.file.with_extension("vectors");
    let path: Option<&Path> = match &args.vectors {
        Some(path) => Some(path),
        None => beside.exists().then_some(&*beside),
    };
    path.map(super::test::read).transpose()
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{wide_bar} {percent:>3} %  {msg}").expect("the template is a good one")
}

fn show(bar: &ProgressBar, progress: Progress) {
    bar.set_position((progress.part * PARTS as f64) as u64);
    let failed = if progress.failed > 0 { format!(", {} FAILED", progress.failed) } else { String::new() };
    bar.set_message(format!("{} sessions{failed}", progress.cases));
}

fn object(text: &str) -> Result<String, String> {
    match serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text) {
        Ok(options) => match SecretReference::first_place(&options) {
            Some(place) => {
                Err(format!("{place} is a secret, which a check would show: give a value for tests"))
            }
            None => Ok(text.to_owned()),
        },
        Err(error) => Err(format!("options are a JSON object: {error}")),
    }
}

fn limits(text: &str) -> Result<CodecLimits, String> {
    serde_json::from_str(text).map_err(|error| format!("limits are a JSON object: {error}"))
}
