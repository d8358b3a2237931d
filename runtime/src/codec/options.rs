//! A codec's options.

use std::sync::Arc;

use serde_json::{Map, Value};

/// Adds the application's routes to a codec's options, unless they have a `routes` of their own, as the
/// contract with codecs says.
pub fn options_with_routes(mut options: Map<String, Value>, routes: &[Arc<str>]) -> String {
    options.entry("routes").or_insert_with(|| routes.iter().map(|route| Value::from(&**route)).collect());
    Value::Object(options).to_string()
}
