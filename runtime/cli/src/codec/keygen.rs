//! `wireplug codec keygen`: makes a pair of keys that sign codecs.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use wireplug::trust::PrivateKey;

#[derive(clap::Args)]
pub(super) struct Args {
    /// The file of the private key. It must not exist.
    file: PathBuf,
}

pub(super) fn run(Args { file }: &Args) -> anyhow::Result<()> {
    let key = PrivateKey::generate()?;
    let public = key.public();
    let mut public_file = file.clone().into_os_string();
    public_file.push(".pub");
    let public_file = PathBuf::from(public_file);
    write(file, 0o600, &key.to_pem())?;
    if let Err(error) = write(&public_file, 0o644, &public.to_pem()) {
        // A private key without its public key would be in the way of the next try.
        let _ = fs::remove_file(file);
        return Err(error);
    }
    let name = file.file_stem().unwrap_or(file.as_os_str()).to_string_lossy();
    say!(
        "{}: the private key, for `wireplug codec sign`. Whoever can read it can sign codecs",
        file.display()
    );
    say!("{}: the public key, {}", public_file.display(), public.fingerprint());
    say!("in the configuration of servers that load what it has signed:\n");
    say!("[trust.keys.{name:?}]\nkey = \"{}\"", public.to_line());
    Ok(())
}

fn write(file: &Path, mode: u32, text: &str) -> anyhow::Result<()> {
    let shown = file.display();
    let mut opened = match OpenOptions::new().write(true).create_new(true).mode(mode).open(file) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            bail!("{shown} is there already, and a key is never replaced: name another file, or remove it")
        }
        opened => opened.with_context(|| format!("cannot write the key {shown}"))?,
    };
    opened.write_all(text.as_bytes()).with_context(|| format!("cannot write the key {shown}"))
}
