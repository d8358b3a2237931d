//! What connectors at a path of the file system have in common.

use std::path::{Path, PathBuf};

use rustix::fs::Mode as Bits;
use serde::{Deserialize, Deserializer, de};

use super::{ListenUrl, UrlError};

/// The options of a connector at a path.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct PathOptions {
    /// Who may connect: the permissions of what it makes, as `chmod` takes them in octal, in
    /// quotes.
    #[serde(deserialize_with = "mode")]
    pub mode: u32,
}

impl Default for PathOptions {
    /// Its own user and group may connect.
    fn default() -> Self {
        Self { mode: 0o660 }
    }
}

impl PathOptions {
    pub(super) fn bits(self) -> Bits {
        Bits::from_bits_truncate(self.mode as _)
    }
}

fn mode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let text = String::deserialize(deserializer)?;
    let mode = u32::from_str_radix(&text, 8).ok().filter(|mode| *mode <= 0o777);
    mode.ok_or_else(|| de::Error::custom(format!("{text:?} is no mode: three octal digits, as \"660\"")))
}

/// The path that a URL names. An absolute one: it means the same wherever the server is started.
pub(super) fn path(url: &ListenUrl) -> Result<PathBuf, UrlError> {
    let path = Path::new(url.address());
    if !path.is_absolute() {
        return Err(UrlError::RelativePath { scheme: url.scheme().to_owned() });
    }
    Ok(path.to_owned())
}
