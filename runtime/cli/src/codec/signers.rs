//! Who signed a component, as `wireplug codec inspect` and `verify` show it.

use std::fmt;
use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use serde::Serialize;
use wireplug::trust::{PublicKey, Signatures};

/// A public key with the name of its file.
pub(super) struct NamedKey {
    name: String,
    key: PublicKey,
}

/// Who signed a component.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Signers {
    /// The keys with which a signature was verified.
    verified: Vec<String>,
    /// The ids that signatures give their keys, which nobody has verified.
    claimed: Vec<String>,
    /// Whether the component was changed after it was signed, so that no signature counts.
    changed: bool,
    /// Why the signatures cannot be read.
    malformed: Option<String>,
}

/// Reads the files of public keys.
pub(super) fn read_keys(files: &[PathBuf]) -> anyhow::Result<Vec<NamedKey>> {
    let read = |file: &PathBuf| {
        let name = file.display().to_string();
        let text = fs::read_to_string(file).with_context(|| format!("cannot read the public key {name}"))?;
        let key = text.parse().with_context(|| format!("the public key {name}"))?;
        Ok(NamedKey { name, key })
    };
    files.iter().map(read).collect()
}

impl Signers {
    /// Finds out which of the keys have signed a component.
    pub(super) fn of(wasm: &[u8], keys: &[NamedKey]) -> Self {
        let none = Self { verified: Vec::new(), claimed: Vec::new(), changed: false, malformed: None };
        let signatures = match Signatures::of(wasm) {
            Ok(signatures) => signatures,
            Err(error) => return Self { malformed: Some(error.to_string()), ..none },
        };
        let verified: Vec<_> = keys.iter().filter(|key| signatures.is_signed_by(&key.key)).collect();
        let is_verified =
            |claim: &String| verified.iter().any(|key| key.key.fingerprint().to_string() == *claim);
        Self {
            claimed: signatures.claims().into_iter().filter(|claim| !is_verified(claim)).collect(),
            changed: signatures.is_changed(),
            verified: verified.iter().map(ToString::to_string).collect(),
            ..none
        }
    }

    /// Returns whether one of the keys has signed the component as it is.
    pub(super) fn is_verified(&self) -> bool {
        !self.verified.is_empty()
    }
}

impl fmt::Display for Signers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verified, claimed, changed, malformed } = self;
        if let Some(why) = malformed {
            return write!(f, "nobody: {why}");
        }
        if *changed {
            return write!(
                f,
                "nobody: it was changed after it was signed, as it says by {}",
                claimed.join(" and ")
            );
        }
        if verified.is_empty() && claimed.is_empty() {
            return f.write_str("nobody");
        }
        let claimed = claimed.iter().map(|claim| format!("{claim} (as it says, not verified)"));
        f.write_str(&verified.iter().cloned().chain(claimed).collect::<Vec<_>>().join(", "))
    }
}

impl fmt::Display for NamedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.key.fingerprint())
    }
}
