//! Code that the connectors at a path of the file system share.

use std::path::{Path, PathBuf};

use rustix::fs::Mode as Bits;
use serde::{Deserialize, Deserializer, de};

use super::{ListenUrl, UrlError};

/// The options of a connector at a path.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct PathOptions {
    /// The permissions of the socket or the pipes that the connector creates. They decide who may
    /// connect. In the configuration they are an octal number in quotes, as `chmod` takes it.
    #[serde(deserialize_with = "mode")]
    pub mode: u32,
}

impl Default for PathOptions {
    /// Returns options that let the server's own user and group connect (mode 660).
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

/// Returns the path that a URL names. The path must be absolute, so that it does not depend on the
/// directory in which the server is started.
pub(super) fn path(url: &ListenUrl) -> Result<PathBuf, UrlError> {
    let path = Path::new(url.address());
    if !path.is_absolute() {
        return Err(UrlError::RelativePath { scheme: url.scheme().to_owned() });
    }
    Ok(path.to_owned())
}
