//! The options of the codec.

use serde::Deserialize;

/// The options of the codec. The README describes them.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct Options {
    pub(crate) tls: Tls,
}

/// Whether a client must use TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Tls {
    /// A client without TLS is refused. Passwords are sent in the clear inside TLS, so this is the
    /// default.
    #[default]
    Required,
    /// A client may send its password without TLS.
    Optional,
}
