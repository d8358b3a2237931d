//! The options of the codec.

use serde::Deserialize;

/// The options of the codec. The README describes them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct Options {
    /// The shortest interval of heart-beats in both directions, in milliseconds. 0: none.
    pub(crate) heart_beat: u32,
    /// The route of the message about a new subscription.
    pub(crate) on_subscribe: Option<String>,
    /// The route of the message about the end of a subscription.
    pub(crate) on_unsubscribe: Option<String>,
    /// The content type of all bodies of the application.
    pub(crate) content_type: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self { heart_beat: 10_000, on_subscribe: None, on_unsubscribe: None, content_type: None }
    }
}
