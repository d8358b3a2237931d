//! Reads the options of a codec.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// The option that the runtime adds for every codec.
const ROUTES: &str = "routes";

/// Reads options into a type of the codec. Derive the type with `#[serde(deny_unknown_fields)]`, so
/// that a misspelled option is an error. The routes that the runtime adds are left out.
///
/// # Errors
/// Returns an error if the options are wrong. It says what is wrong, for the person who wrote them.
pub fn options<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    options_and_routes(text).map(|(options, _)| options)
}

/// Reads options into a type of the codec, as [`options`] does, and returns the sorted routes of
/// the application beside them.
///
/// # Errors
/// Returns an error if the options are wrong. It says what is wrong, for the person who wrote them.
pub fn options_and_routes<T: DeserializeOwned>(text: &str) -> Result<(T, Vec<String>), String> {
    let mut options: Map<String, Value> =
        serde_json::from_str(text).map_err(|error| format!("the options must be a JSON object: {error}"))?;
    let routes = match options.remove(ROUTES) {
        Some(routes) => serde_json::from_value(routes)
            .map_err(|error| format!("`{ROUTES}` must be a list of strings: {error}"))?,
        None => Vec::new(),
    };
    let options =
        serde_path_to_error::deserialize(Value::Object(options)).map_err(|error| describe(&error))?;
    Ok((options, routes))
}

/// Returns what is wrong, and with which option.
fn describe(error: &serde_path_to_error::Error<serde_json::Error>) -> String {
    match error.path().to_string() {
        // The error itself names an option that is missing or unknown.
        whole if whole == "." => error.inner().to_string(),
        option => format!("`{option}`: {}", error.inner()),
    }
}

/// Checks the options of a codec that has none.
///
/// # Errors
/// Returns an error if there is an option. It names the option.
pub fn no_options(text: &str) -> Result<(), String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct None {}
    options(text).map(|None {}| ())
}

#[cfg(test)]
mod tests {
    use super::{Deserialize, options};

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Options {
        _limits: Limits,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Limits {
        _lines: Vec<u32>,
    }

    #[test]
    fn an_error_names_the_wrong_option() {
        for (text, end) in [
            (
                r#"{"_limits": {"_lines": [1, "x"]}}"#,
                "`_limits._lines[1]`: invalid type: string \"x\", expected u32",
            ),
            (r#"{"_limits": {}}"#, "`_limits`: missing field `_lines`"),
            (r#"{"routes": ["a.b.c"]}"#, "missing field `_limits`"),
            (r#"{"limit": 1}"#, "unknown field `limit`, expected `_limits`"),
        ] {
            let error = options::<Options>(text).expect_err("the options are wrong");
            assert!(error.ends_with(end), "{error}");
        }
    }
}
