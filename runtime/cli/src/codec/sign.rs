//! `wireplug codec sign`: signs a component.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use wireplug::trust::{PrivateKey, Signatures};
use wireplug_base::ownership;

/// The bits of a file's mode that let other users read or write a private key. Unlike a password, a
/// private key is shared with no group.
const OPEN_TO_OTHERS: u32 = 0o077;

/// The largest file of a private key, in bytes. A key in PEM has 119.
const MAX_KEY_FILE: u64 = 4 << 10;

#[derive(clap::Args)]
pub(super) struct Args {
    /// The component.
    #[arg(value_name = "FILE.wasm")]
    file: PathBuf,
    /// The file of the private key, as `wireplug codec keygen` or `openssl genpkey -algorithm
    /// ed25519` makes it. No other user may have access to it.
    #[arg(long)]
    key: PathBuf,
    /// Where to write the signed component. Unless it is given, it takes the place of FILE.wasm.
    #[arg(short, long, value_name = "FILE.wasm")]
    output: Option<PathBuf>,
}

pub(super) fn run(Args { file, key, output }: &Args) -> anyhow::Result<()> {
    let key = read_key(key).with_context(|| format!("the private key {}", key.display()))?;
    let wasm = super::read(file)?;
    let signed = key.sign(&wasm).with_context(|| format!("cannot sign {}", file.display()))?;
    let output = output.as_ref().unwrap_or(file);
    replace(output, &signed, file).with_context(|| format!("cannot write {}", output.display()))?;
    say!("{}: signed by {}", output.display(), key.public().fingerprint());
    let before = Signatures::of(&wasm)?;
    if before.is_changed() {
        let keys = before.claims().join(", ");
        say!("it had been changed after an earlier signature, which is left out: {keys}");
    }
    Ok(())
}

fn read_key(path: &Path) -> anyhow::Result<PrivateKey> {
    let file = ownership::open_file(path)?;
    let mode = file.metadata()?.mode();
    ensure!(
        mode & OPEN_TO_OTHERS == 0,
        "other users can read or write it (mode {:o}): chmod 600 {}",
        mode & 0o777,
        path.display()
    );
    let mut text = String::new();
    file.take(MAX_KEY_FILE).read_to_string(&mut text)?;
    Ok(PrivateKey::from_pem(&text)?)
}

/// Writes a file at once, with the permissions of `like`: a server that watches the file never sees
/// half of it.
fn replace(path: &Path, content: &[u8], like: &Path) -> anyhow::Result<()> {
    let mut unfinished = path.to_owned().into_os_string();
    unfinished.push(format!(".{}", std::process::id()));
    let write = || {
        let mut file = File::create_new(&unfinished)?;
        file.write_all(content)?;
        file.set_permissions(fs::metadata(like)?.permissions())?;
        fs::rename(&unfinished, path)
    };
    write().inspect_err(|_| {
        let _ = fs::remove_file(&unfinished);
    })?;
    Ok(())
}
