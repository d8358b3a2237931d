//! `wireplug codec`: what authors of codecs need.

mod inspect;
mod test;

use std::path::Path;

use anyhow::Context as _;

#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Tell what a component is and what it needs; also of one that would be refused.
    Inspect(inspect::Args),
    /// Replay a codec's test vectors: docs/vectors.md tells how they are written.
    Test(test::Args),
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    match args.command {
        Command::Inspect(args) => inspect::run(args),
        Command::Test(args) => test::run(args),
    }
}

/// The bytes of a component.
fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("cannot read the codec {}", file.display()))
}
