//! What the person who runs the listener may choose.

use serde_json::Value;

const KEYS: [&str; 2] = ["max-batch", "routes"];

/// The options of a listener, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Messages that are sent together share an array up to so many bytes.
    pub max_batch: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { max_batch: 8 << 10 }
    }
}

impl Options {
    /// Reads the options from a JSON object. The keys, none of them required:
    ///
    /// - `max-batch`: the bytes up to which messages share an array, 0 to 16777216; 8192 if absent.
    /// - `routes`: the application's routes, which the runtime adds. The format has no use for them.
    ///
    /// # Errors
    /// A sentence for the person who wrote the options: what is wrong, and what is allowed.
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
            None => Err(format!("`max-batch` is a number of bytes, 0 to 16777216, and not {max_batch}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_and_refused() {
        assert_eq!(Options::parse("{}"), Ok(Options { max_batch: 8192 }));
        assert_eq!(Options::parse(r#"{"routes":["a"],"max-batch":0}"#), Ok(Options { max_batch: 0 }));
        for (wrong, why) in [
            ("", "the options must be a JSON object: EOF"),
            ("[]", "the options must be a JSON object; allowed are max-batch, routes"),
            (r#"{"heartbeat":1}"#, "unknown option `heartbeat`: allowed are max-batch, routes"),
            (r#"{"max-batch":-1}"#, "`max-batch` is a number of bytes, 0 to 16777216, and not -1"),
        ] {
            let error = Options::parse(wrong).unwrap_err();
            assert!(error.starts_with(why), "{error}");
        }
    }
}
