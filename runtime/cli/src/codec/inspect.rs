//! `wireplug codec inspect`: shows what a component is and what it needs.

use std::path::PathBuf;

use serde::Serialize;
use wireplug_wasm::Inspection;

use super::load::Loading;
use super::signers::{self, Signers};

/// The sandboxes that the loader may have: one to ask the component for its description, and one in
/// reserve.
const SANDBOXES: u32 = 2;

#[derive(clap::Args)]
pub(super) struct Args {
    /// The component.
    #[arg(value_name = "FILE.wasm")]
    file: PathBuf,
    #[command(flatten)]
    loading: Loading,
    /// The file of a public key, to verify signatures with. May be given several times.
    #[arg(long = "key", value_name = "PUBLIC")]
    keys: Vec<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    let keys = signers::read_keys(&args.keys)?;
    let wasm = super::read(&args.file)?;
    let inspection = args.loading.loader(SANDBOXES)?.inspect(&wasm);
    let signed_by = Signers::of(&wasm, &keys);
    if args.json {
        say!("{}", serde_json::to_string_pretty(&Inspected { inspection, signed_by })?);
    } else {
        say!("{}", inspection.to_string().trim_end());
        say!("signed by    {signed_by}");
    }
    Ok(())
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Inspected {
    #[serde(flatten)]
    inspection: Inspection,
    signed_by: Signers,
}
