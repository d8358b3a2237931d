//! `wireplug codec bench`: what a codec costs, beside one that does nothing.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use wireplug_codec_tools::bench::{self, Cost, Direction, Effort, Report, Subject};

use super::load::Loading;
use super::test;
use crate::table::table;

/// The number of characters that are shown of a step.
const STEP: usize = 36;

#[derive(clap::Args)]
pub(super) struct Args {
    /// The component.
    #[arg(value_name = "FILE.wasm")]
    file: PathBuf,
    /// Its vectors, whose packets and messages are measured: FILE.vectors unless given.
    vectors: Option<PathBuf>,
    #[command(flatten)]
    loading: Loading,
    /// How often each figure is taken; the best counts.
    #[arg(long, value_name = "N", default_value_t = Effort::default().rounds, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rounds: u32,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    let wasm = super::read(&args.file)?;
    let path = args.vectors.unwrap_or_else(|| args.file.with_extension("vectors"));
    if !path.exists() {
        bail!(
            "there are no vectors at {}: they hold the packets and messages that are measured. docs/vectors.md tells how they are \
             written; it is enough to write the steps, and `wireplug codec test {} --update` adds the answers",
            path.display(),
            args.file.display()
        );
    }
    let vectors = test::read(&path)?;
    let effort = Effort { rounds: args.rounds, ..Effort::default() };
    let (loader, metered) = args.loading.to_measure(bench::SANDBOXES)?;
    let report = bench::bench(&wasm, &vectors, &loader, &metered, effort)
        .with_context(|| format!("cannot measure {} by {}", args.file.display(), path.display()))?;
    if args.json {
        say!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        say!("{}", shown(&report).trim_end());
    }
    Ok(())
}

fn shown(report: &Report) -> String {
    let Report { codec, nothing, batch, costs, not_repeatable, left_out, mismatches } = report;
    let mut text = format!("{} {}, beside a codec that does nothing\n\n", codec.name, codec.version);
    text += &table(&subjects(codec, nothing));
    text += "\n";
    text += &table(&rows(costs));
    text += "\nns and fuel a packet, the best of many rounds; fuel is roughly instructions. A batch of 1 is `decode` or `encode`.\n";
    if !batch {
        text += "It does not export `batch`, so a batch is so many calls.\n";
    }
    if *not_repeatable > 0 {
        text += &format!(
            "{not_repeatable} packets and messages of the vectors are not measured: asked again and again, they do not keep giving a \
             message or a packet.\n"
        );
    }
    if *left_out > 0 {
        text += &format!("{left_out} more could be measured, and are over the most or there twice.\n");
    }
    if *mismatches > 0 {
        text += &format!(
            "Steps of the vectors that are not answered as they should be: {mismatches}. `wireplug codec test` shows them.\n"
        );
    }
    text
}

fn subjects(codec: &Subject, nothing: &Subject) -> Vec<[String; 4]> {
    let row = |what: &str, figure: &dyn Fn(&Subject) -> Option<f64>, unit: &str| {
        let shown = |subject| match figure(subject) {
            Some(figure) => format!("{} {unit}", rounded(figure)),
            None => "unknown".to_owned(),
        };
        let ratio = figure(codec).zip(figure(nothing)).map(|(codec, nothing)| ratio(codec, nothing));
        [what.to_owned(), shown(codec), shown(nothing), ratio.unwrap_or_default()]
    };
    let kib = |bytes: usize| bytes as f64 / 1024.0;
    vec![
        ["", "CODEC", "NOTHING", "RATIO"].map(str::to_owned),
        row("size", &|subject| Some(kib(subject.size)), "KiB"),
        row("compile", &|subject| Some(subject.compile_us as f64 / 1e3), "ms"),
        row("open and close a session", &|subject| Some(subject.open_ns / 1e3), "us"),
        row("memory a session", &|subject| Some(kib(subject.memory)), "KiB"),
        row("resident memory a session", &|subject| subject.resident.map(kib), "KiB"),
    ]
}

fn rows(costs: &[Cost]) -> Vec<[String; 9]> {
    let head = ["LINE", "WHAT", "BYTES", "BATCH", "NS", "NOTHING", "RATIO", "FUEL", "NOTHING"];
    let mut rows = vec![head.map(str::to_owned)];
    for cost in costs {
        let Cost { line, step, direction, batch, bytes, codec, nothing } = cost;
        let direction = match direction {
            Direction::Decode => "decode",
            Direction::Encode => "encode",
        };
        // The line, step and size of a packet are shown once, in the row of the first batch.
        let once = |text: String| if *batch == 1 { text } else { String::new() };
        rows.push([
            once(line.to_string()),
            once(format!("{direction}: {}", cut(step))),
            once(bytes.to_string()),
            batch.to_string(),
            rounded(codec.ns),
            rounded(nothing.ns),
            ratio(codec.ns, nothing.ns),
            codec.fuel.to_string(),
            nothing.fuel.to_string(),
        ]);
    }
    rows
}

/// Returns the beginning of a step.
fn cut(step: &str) -> String {
    match step.char_indices().nth(STEP) {
        Some((end, _)) => format!("{}…", &step[..end]),
        None => step.to_owned(),
    }
}

/// Formats a figure, with one decimal if it is below 100.
fn rounded(figure: f64) -> String {
    if figure < 100.0 { format!("{figure:.1}") } else { format!("{figure:.0}") }
}

fn ratio(codec: f64, nothing: f64) -> String {
    format!("{:.2}", codec / nothing)
}
