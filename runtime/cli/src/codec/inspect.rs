//! `wireplug codec inspect`: shows what a component is and what it needs.

use std::path::PathBuf;

use super::load::Loading;

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
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    let inspection = args.loading.loader(SANDBOXES)?.inspect(&super::read(&args.file)?);
    if args.json {
        say!("{}", serde_json::to_string_pretty(&inspection)?);
    } else {
        say!("{}", inspection.to_string().trim_end());
    }
    Ok(())
}
