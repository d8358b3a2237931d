//! The configuration of trust: whose codecs are loaded.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use wireplug_base::ownership::{self, Doubt};
use wireplug_wasm::signature::{KeyError, PublicKey};

/// The largest file of a public key, in bytes. A key in PEM has 113.
const MAX_KEY_FILE: u64 = 4 << 10;

/// Whose codecs are loaded. Without this table, the server loads a codec whoever made it. The
/// signature of a codec is checked before anything of its file is compiled: at the start, at each
/// reload and swap, for uploads and for trials. Built-in codecs are part of the program and need no
/// signature. A reload applies this table to codecs that are loaded from then on. A codec that runs
/// goes on. `docs/trust.md` says how codecs are signed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct TrustConfig {
    /// Whether a codec is refused if none of the keys has signed it. If not, the server loads it,
    /// logs a warning, and shows who signed it: for the time in which not all codecs are signed
    /// yet.
    #[serde(default = "require")]
    pub require: bool,
    /// The keys of those whose codecs are loaded. Each is a table `[trust.keys.NAME]`. The name
    /// appears in the status of codecs and in the audit log. It has at most 32 letters, digits,
    /// `-`, `_` and `.`. One signature of any of the keys is enough.
    #[serde(default)]
    pub keys: BTreeMap<String, TrustedKeyConfig>,
}

fn require() -> bool {
    true
}

/// A public key, Ed25519. It has either the key `key` or the key `file`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct TrustedKeyConfig {
    /// The public key itself: the line between the first and the last line of its PEM file, as
    /// `wireplug codec keygen` prints it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub key: Option<String>,
    /// A PEM file with the public key; a path relative to the configuration file. The server reads
    /// it at the start and at each reload. It refuses a file that every user of the machine can
    /// write or replace.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PathBuf")]
    pub file: Option<PathBuf>,
}

/// Why a public key cannot be read, with the key of the configuration that says where it is.
pub(crate) struct Unreadable {
    pub(crate) key: Option<&'static str>,
    pub(crate) what: String,
}

impl TrustConfig {
    /// Creates a configuration that requires the signature of one of these keys, each with a name.
    pub fn new(keys: BTreeMap<String, TrustedKeyConfig>) -> Self {
        Self { require: require(), keys }
    }
}

impl TrustedKeyConfig {
    /// Returns the key in this file.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self { file: Some(path.into()), ..Self::default() }
    }

    /// Reads the key. Also returns the ways in which other users could have written its file.
    pub(crate) fn read(&self, directory: &Path) -> Result<(PublicKey, Vec<Doubt>), Unreadable> {
        let unreadable = |key, what| Unreadable { key, what };
        match (&self.key, &self.file) {
            (Some(text), None) => match text.parse() {
                Ok(key) => Ok((key, Vec::new())),
                Err(error) => Err(unreadable(Some("key"), KeyError::to_string(&error))),
            },
            (None, Some(file)) => {
                let path = directory.join(file);
                let shown = path.display();
                let wrong = |what: String| unreadable(Some("file"), format!("{shown}: {what}"));
                let (text, doubts) = read(&path).map_err(|error| wrong(error.to_string()))?;
                if let Some(doubt) = doubts.iter().find(|doubt| doubt.by_anybody) {
                    return Err(wrong(doubt.to_string()));
                }
                match text.parse() {
                    Ok(key) => Ok((key, doubts)),
                    Err(error) => Err(wrong(KeyError::to_string(&error))),
                }
            }
            (Some(_), Some(_)) => {
                Err(unreadable(Some("file"), "a key has either `key` or `file`, and not both".to_owned()))
            }
            (None, None) => {
                let what = "it says neither `key`, the public key, nor `file`, where it is";
                Err(unreadable(None, what.to_owned()))
            }
        }
    }
}

/// Reads a file, with the ways in which other users could have written it.
fn read(path: &Path) -> io::Result<(String, Vec<Doubt>)> {
    let file = ownership::open_file(path)?;
    let doubts = ownership::doubts(path, &file)?;
    let mut text = String::new();
    file.take(MAX_KEY_FILE + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_KEY_FILE {
        let what = format!("it is larger than {MAX_KEY_FILE} bytes, and a public key in PEM has 113");
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    Ok((text, doubts))
}
