//! A codec's options.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// What the runtime adds to every codec's options.
const ROUTES: &str = "routes";

/// Reads options into a type of the codec's own. Derive it with `#[serde(deny_unknown_fields)]`, so that a slip of the pen is an
/// error. The routes that the runtime adds are left out.
///
/// # Errors
/// What is wrong with them, for the person who wrote them.
pub fn options<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    options_and_routes(text).map(|(options, _)| options)
}

/// The same, and the application's routes, sorted.
///
/// # Errors
/// What is wrong with them, for the person who wrote them.
pub fn options_and_routes<T: DeserializeOwned>(text: &str) -> Result<(T, Vec<String>), String> {
    let mut options: Map<String, Value> =
        serde_json::from_str(text).map_err(|error| format!("options are a JSON object: {error}"))?;
    let routes = match options.remove(ROUTES) {
        Some(routes) => {
            serde_json::from_value(routes).map_err(|error| format!("`{ROUTES}` are strings: {error}"))?
        }
        None => Vec::new(),
    };
    let options = serde_path_to_error::deserialize(Value::Object(options)).map_err(|error| told(&error))?;
    Ok((options, routes))
}

/// What is wrong, and with which option.
fn told(error: &serde_path_to_error::Error<serde_json::Error>) -> String {
    match error.path().to_string() {
        // An option that is missing or unknown is named by the error itself.
        whole if whole == "." => error.inner().to_string(),
        option => format!("`{option}`: {}", error.inner()),
    }
}

/// For a codec that has no options: any is an error.
///
/// # Errors
/// Which option there is.
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
    fn what_is_wrong_is_told_with_its_place() {
        for (text, told) in [
            (
                r#"{"_limits": {"_lines": [1, "x"]}}"#,
                "`_limits._lines[1]`: invalid type: string \"x\", expected u32",
            ),
            (r#"{"_limits": {}}"#, "`_limits`: missing field `_lines`"),
            (r#"{"routes": ["a.b.c"]}"#, "missing field `_limits`"),
            (r#"{"limit": 1}"#, "unknown field `limit`, expected `_limits`"),
        ] {
            let error = options::<Options>(text).expect_err("it is wrong");
            assert!(error.ends_with(told), "{error}");
        }
    }
}
