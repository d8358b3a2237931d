//! The configuration of the registry of a codec.

#[cfg(feature = "oci")]
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use wireplug_base::units;

/// How a codec with `file = "oci://…"` is fetched. `docs/registries.md` says what the server does
/// while the registry is away.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct RegistryConfig {
    /// How often the server asks which version a tag names. Another version is fetched, and swapped
    /// in like a changed file. One minute is soon enough for people, and costs a registry one small
    /// request of each server. Only with `swap.watch`, and never for a reference with a digest.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::PositiveDuration")]
    pub poll: Duration,
    /// The time that one exchange with the registry may take in all, from the connection to the
    /// last byte of the component. A start waits this long for a registry that hangs.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::PositiveDuration")]
    pub timeout: Duration,
    /// Whether the registry is reached over HTTP without TLS. Credentials and components then cross
    /// the network in the clear. A registry on this machine (`localhost`, 127.0.0.0/8, `[::1]`) is
    /// reached over plain HTTP without this key, unless `ca-file` is set.
    pub plain_http: bool,
    /// A PEM file with the root certificates for the registry, relative to the configuration file.
    /// It replaces the root certificates of the system, and is read at each exchange.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PathBuf")]
    pub ca_file: Option<PathBuf>,
}

impl Default for RegistryConfig {
    fn default() -> Self {
        Self {
            poll: Duration::from_secs(60),
            timeout: Duration::from_secs(30),
            plain_http: false,
            ca_file: None,
        }
    }
}

impl RegistryConfig {
    /// Returns the same configuration with its path, which is relative to `directory`, made
    /// complete.
    #[cfg(feature = "oci")]
    pub(crate) fn within(&self, directory: &Path) -> Self {
        Self { ca_file: self.ca_file.as_ref().map(|path| directory.join(path)), ..self.clone() }
    }
}
