//! The configuration of the control API.

use std::net::SocketAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::units;

/// The control API: HTTP, by which codecs are listed, swapped, tried and rolled back. Whoever reaches it can
/// replace the codecs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ControlConfig {
    /// Where it listens, such as `127.0.0.1:3011`. From another machine it is reached only with a token; it
    /// speaks no TLS, so let a tunnel or a proxy that does carry it over networks. Port 0 takes a free one.
    #[schemars(with = "units::Address")]
    pub listen: SocketAddr,
    /// A file with the token that each request must have, of 16 characters or more; a path relative to the
    /// configuration file. Let nobody else read it. On loopback it may be left out: then all users of this
    /// machine are trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PathBuf")]
    pub token_file: Option<PathBuf>,
    /// The largest component that can be sent. Interpreters with their libraries have some 20 MB.
    #[serde(default = "max_upload", with = "units::size")]
    #[schemars(with = "units::PositiveSize")]
    pub max_upload: usize,
}

fn max_upload() -> usize {
    64 << 20
}

impl ControlConfig {
    /// At this address, without a token, with the default limits.
    pub fn new(listen: SocketAddr) -> Self {
        Self { listen, token_file: None, max_upload: max_upload() }
    }

    /// Why it must not be started as it is: strangers could reach it.
    pub(crate) fn is_open_to_all(&self) -> Option<&'static str> {
        (self.token_file.is_none() && !self.listen.ip().to_canonical().is_loopback()).then_some(
            "other machines reach this address, and whoever does can replace the codecs: \
             set `token-file`, or listen on 127.0.0.1",
        )
    }
}
