//! The options of the codec.

use serde::Deserialize;

use crate::jid;

/// The options of the codec. The README describes them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Options {
    /// The domain that the server serves: what stands behind the `@` of an address.
    pub(crate) domain: String,
    /// The seconds of silence after which a client is closed. 0: never.
    #[serde(default = "default_idle")]
    pub(crate) idle: u32,
}

/// Clients send a space every five minutes or more often to keep their connection.
fn default_idle() -> u32 {
    15 * 60
}

impl Options {
    /// Returns an error if an option has a value that is not allowed.
    pub(crate) fn check(&self) -> Result<(), String> {
        if !jid::is_domain(&self.domain) {
            return Err("`domain` is not a domain name in lower case, such as `example.org`".to_owned());
        }
        if self.idle > 7 * 24 * 3600 {
            return Err("`idle` is at most 604800 seconds, which is a week".to_owned());
        }
        Ok(())
    }
}
