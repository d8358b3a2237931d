//! `wireplug codec test`: replays a codec's vectors.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use wireplug_core::vectors::{Division, Vectors};
use wireplug_wasm::WasmCodec;

use super::load::Loading;

/// The part of the help that tells how to write vectors.
const HOW: &str = "write a line `session`, and below it what a client sends (`in 'hello'`) and the application answers (`out notice onChat '{}'`); \
     `--update` writes the answers. docs/vectors.md has the whole language";

/// The number of sandboxes: a session, a session that takes it over, and shared encodings need one
/// each.
const SANDBOXES: u32 = 4;

/// How often streams are divided into pieces of random lengths.
const RANDOM_DIVISIONS: u64 = 8;

#[derive(clap::Args)]
pub(super) struct Args {
    /// The component.
    #[arg(value_name = "FILE.wasm")]
    file: PathBuf,
    /// Its vectors: FILE.vectors unless given.
    vectors: Option<PathBuf>,
    #[command(flatten)]
    loading: Loading,
    /// Write what the codec answers into the vectors. Read the difference that is shown.
    #[arg(long)]
    update: bool,
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    let wasm = super::read(&args.file)?;
    let path = args.vectors.unwrap_or_else(|| args.file.with_extension("vectors"));
    let shown = path.display();
    if !path.exists() {
        bail!("there is no {shown}: {HOW}");
    }
    let vectors = read(&path)?;
    let codec = load(&args.loading, &args.file, &wasm, &vectors)?;
    if vectors.is_empty() {
        bail!("{shown} has no steps, so that nothing was tested: {HOW}");
    }

    let (mut mismatches, mut faults) = (0, 0);
    for mismatch in vectors.replay(&codec) {
        say!("{mismatch}");
        mismatches += 1;
        faults += usize::from(mismatch.fault.is_some());
    }
    let steps = vectors.len();
    if mismatches == 0 {
        divide(&vectors, &codec, &shown.to_string())?;
        through_components(&vectors, &codec, &shown.to_string())?;
        say!("{shown}: all {steps} steps are answered as they should be");
        return Ok(());
    }
    if !args.update {
        bail!("{shown}: {mismatches} of {steps} steps are not answered as they should be");
    }
    if mismatches > faults {
        std::fs::write(&path, vectors.updated(&codec)).with_context(|| format!("cannot write {shown}"))?;
    }
    say!("{shown}: the answers to {} of {steps} steps are written anew", mismatches - faults);
    if faults > 0 {
        bail!("{shown}: {faults} of {steps} steps failed, and have no answer to write");
    }
    divide(&read(&path)?, &codec, &shown.to_string())
}

/// Replays the vectors with their streams divided in other ways, which must not change any answer.
///
/// # Errors
/// Returns an error if an answer depends on how a stream is divided.
fn divide(vectors: &Vectors, codec: &WasmCodec, shown: &str) -> anyhow::Result<()> {
    if !vectors.has_streams() {
        return Ok(());
    }
    let pieces = (1..=RANDOM_DIVISIONS).map(|seed| (Division::Pieces(seed), "in pieces of random lengths"));
    for (division, how) in [(Division::Bytes, "byte by byte")].into_iter().chain(pieces) {
        let mut mismatches = 0;
        for mismatch in vectors.replay_divided(codec, division) {
            say!("{mismatch}");
            mismatches += 1;
        }
        if mismatches > 0 {
            bail!(
                "{shown}: {mismatches} steps are answered otherwise when streams come {how}: packets and events must not \
                 depend on how a stream is divided"
            );
        }
    }
    Ok(())
}

/// Replays the vectors with all calls through the component API, which must not change any answer.
///
/// # Errors
/// Returns an error if an answer depends on how the runtime calls the codec.
fn through_components(vectors: &Vectors, codec: &WasmCodec, shown: &str) -> anyhow::Result<()> {
    let mut mismatches = 0;
    for mismatch in vectors.replay(&codec.component_calls()) {
        say!("{mismatch}");
        mismatches += 1;
    }
    if mismatches > 0 {
        bail!(
            "{shown}: {mismatches} steps are answered otherwise when the codec is called through the component API: a codec \
             may not answer by chance, or by what it finds in memory that it has not written; if this one does neither, \
             wireplug is wrong"
        );
    }
    Ok(())
}

/// Checks a component against the vectors beside its file, if there are any.
pub(super) fn check(file: &Path, wasm: &[u8]) -> anyhow::Result<()> {
    let path = file.with_extension("vectors");
    if !path.exists() {
        return Ok(());
    }
    let vectors = read(&path)?;
    // The server decides whether imports of WASI are allowed.
    let codec = load(&Loading { allow_unused_wasi: true }, file, wasm, &vectors)?;
    match vectors.replay(&codec).next() {
        None => Ok(()),
        Some(first) => bail!(
            "{} does not answer as {} says; `wireplug codec test` shows all differences, the first:\n{first}",
            file.display(),
            path.display()
        ),
    }
}

/// Loads a codec with the options that its vectors name.
fn load(loading: &Loading, file: &Path, wasm: &[u8], vectors: &Vectors) -> anyhow::Result<WasmCodec> {
    loading
        .loader(SANDBOXES)?
        .load(wasm, vectors.options().into())
        .with_context(|| format!("cannot load the codec {}", file.display()))
}

pub(super) fn read(path: &Path) -> anyhow::Result<Vectors> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read the vectors {shown}"))?;
    Vectors::parse(text).map_err(|bad| {
        // Each line begins with the file and the line number, the form that editors recognize.
        let lines = bad.lines.iter().map(|bad| format!("\n{shown}:{}: {}", bad.line, bad.problem));
        anyhow::anyhow!("the vectors are wrong:{}", lines.collect::<String>())
    })
}
