//! `wireplug codec verify`: checks whether one of some keys has signed a component.

use std::path::PathBuf;

use anyhow::bail;

use super::signers::{self, NamedKey, Signers};

#[derive(clap::Args)]
pub(super) struct Args {
    /// The component.
    #[arg(value_name = "FILE.wasm")]
    file: PathBuf,
    /// The file of a public key. May be given several times: one signature is enough.
    #[arg(long = "key", value_name = "PUBLIC", required = true)]
    keys: Vec<PathBuf>,
}

pub(super) fn run(Args { file, keys }: &Args) -> anyhow::Result<()> {
    let keys = signers::read_keys(keys)?;
    let signers = Signers::of(&super::read(file)?, &keys);
    let shown = file.display();
    if signers.is_verified() {
        say!("{shown}: signed by {signers}");
        return Ok(());
    }
    let keys: Vec<_> = keys.iter().map(NamedKey::to_string).collect();
    bail!(
        "{shown}: none of these keys has signed it as it is: {}. It is signed by {signers}",
        keys.join(", ")
    )
}
