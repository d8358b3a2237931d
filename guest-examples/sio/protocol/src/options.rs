//! The options of the codec.

use serde_json::Value;

const KEYS: [&str; 2] = ["max-batch", "routes"];

/// The options, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The number of bytes up to which messages that are sent together share an array.
    pub max_batch: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { max_batch: 8 << 10 }
    }
}

impl Options {
    /// Reads the options from a JSON object. All keys are optional:
    ///
    /// - `max-batch`: the number of bytes up to which messages share an array, 0 to 16777216. The
    ///   default is 8192.
    /// - `routes`: the routes of the application, which the runtime adds. This codec ignores them.
    ///
    /// # Errors
    /// Returns an error if the options are wrong. It says what is wrong and what is allowed, for
    /// the person who wrote the options.
    pub fn parse(json: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(json)
            .map_err(|error| format!("the options must be a JSON object: {error}"))?;
        let Value::Object(options) = value else {
            return Err(format!("the options must be a JSON object; allowed are {}", KEYS.join(", ")));
        };
        if let Some(key) = options.keys().find(|key| !KEYS.contains(&key.as_str())) {
            return Err(format!("unknown option `{key}`: allowed are {}", KEYS.join(", ")));
        }
        let Some(max_batch) = options.get("max-batch") else { return Ok(Self::default()) };
        match max_batch.as_u64().filter(|bytes| *bytes <= 16 << 20) {
            Some(bytes) => Ok(Self { max_batch: bytes as usize }),
            None => Err(format!("`max-batch` must be a number of bytes, 0 to 16777216, but is {max_batch}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_options_are_read() {
        assert_eq!(Options::parse("{}"), Ok(Options { max_batch: 8192 }));
        assert_eq!(Options::parse(r#"{"routes":["a"],"max-batch":0}"#), Ok(Options { max_batch: 0 }));
    }

    #[test]
    fn an_error_says_what_is_allowed() {
        for (wrong, reason) in [
            ("", "the options must be a JSON object: EOF"),
            ("[]", "the options must be a JSON object; allowed are max-batch, routes"),
            (r#"{"heartbeat":1}"#, "unknown option `heartbeat`: allowed are max-batch, routes"),
            (r#"{"max-batch":-1}"#, "`max-batch` must be a number of bytes, 0 to 16777216, but is -1"),
        ] {
            let error = Options::parse(wrong).unwrap_err();
            assert!(error.starts_with(reason), "{error}");
        }
    }
}
