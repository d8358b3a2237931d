//! The options of the codec.

use serde::Deserialize;

/// The options of the codec. The README describes them.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct Options {
    /// The route of the notification about a new subscription.
    pub(crate) on_subscribe: Option<String>,
    /// The route of the notification about the end of a subscription.
    pub(crate) on_unsubscribe: Option<String>,
}
