//! What the person who runs the listener may choose.

use serde::Deserialize;

/// The codec's options; its README tells them.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct Options {
    /// Where the application hears of a subscription.
    pub(crate) on_subscribe: Option<String>,
    /// Where it hears that one has ended.
    pub(crate) on_unsubscribe: Option<String>,
}
