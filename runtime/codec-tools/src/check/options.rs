//! Checks that any options are accepted, or refused with a reason.
//!
//! The options are tried on the codec alone: no session is needed to see whether they are accepted.

use serde_json::{Map, Value, json};

use super::observed::Fault;
use super::report::{Failure, Outcome};
use wireplug_core::codec::CodecError;

/// The option that the runtime adds to all options.
const ROUTES: &str = "routes";

/// An option that no codec has.
const UNKNOWN: &str = "no such option";

/// Values that replace another value: those of another type, and those at the ends of a range.
const VALUES: &[&str] = &[
    "null",
    "true",
    "0",
    "-1",
    "65536",
    "18446744073709551615",
    "1e300",
    "\"\"",
    "\"\\u0000\"",
    "\"é\"",
    "[]",
    "[[]]",
    "{}",
    "{\"\":{}}",
];

/// The largest number of changed options that are tried.
const MOST: usize = 400;

/// Tries options on a codec. `configure` makes a sandbox with them.
pub(super) fn outcome(given: &str, configure: impl Fn(&str) -> Result<(), CodecError>) -> Outcome {
    let Ok(given) = serde_json::from_str::<Map<String, Value>>(given) else {
        return Outcome::NotAsked("those given are no JSON object".to_owned());
    };
    let routes = json!(["a.b.c", "connector.entryHandler.entry"]);
    let mut tried = 0;
    for options in [Map::new(), given.clone()] {
        let alone = configure(&text(&options));
        let with_routes = with(&options, ROUTES, routes.clone());
        let beside = configure(&text(&with_routes));
        tried += 2;
        if let (Ok(()), Err(CodecError::Refused(reason))) = (&alone, &beside) {
            let what = format!("it refuses `{ROUTES}`, which the runtime adds to all options: {reason}");
            return Outcome::Failed(failure(&text(&with_routes), what));
        }
        for (options, configured) in [(options, alone), (with_routes, beside)] {
            if let Some(failure) = fault(&text(&options), configured) {
                return Outcome::Failed(failure);
            }
        }
    }
    let unknown = text(&with(&given, UNKNOWN, Value::Null));
    let taken = configure(&unknown);
    tried += 1;
    let takes_unknown = taken.is_ok();
    if let Some(failure) = fault(&unknown, taken) {
        return Outcome::Failed(failure);
    }
    for options in changed(&Value::Object(given)).into_iter().take(MOST) {
        let options = options.to_string();
        tried += 1;
        if let Some(failure) = fault(&options, configure(&options)) {
            return Outcome::Failed(failure);
        }
    }
    if takes_unknown {
        let what =
            "it takes an option that it cannot know: a slip of the pen in a configuration goes unnoticed"
                .to_owned();
        return Outcome::Warned { times: tried, warning: failure(&unknown, what) };
    }
    Outcome::Held { times: tried, declined: None }
}

/// Returns variants of a value, each with one inner value replaced.
fn changed(value: &Value) -> Vec<Value> {
    match value {
        Value::Object(members) => {
            let mut changed = Vec::new();
            for (key, member) in members {
                changed.extend(
                    replaced(member).into_iter().map(|other| Value::Object(with(members, key, other))),
                );
            }
            changed
        }
        Value::Array(items) => {
            items.first().into_iter().flat_map(replaced).map(|item| Value::Array(vec![item])).collect()
        }
        _ => Vec::new(),
    }
}

/// Returns the values that can replace a value: the fixed ones, and the value itself with a change
/// inside.
fn replaced(value: &Value) -> Vec<Value> {
    let others = VALUES.iter().map(|text| serde_json::from_str(text).expect("they are JSON"));
    others.chain(changed(value)).collect()
}

fn with(options: &Map<String, Value>, key: &str, value: Value) -> Map<String, Value> {
    let mut options = options.clone();
    options.insert(key.to_owned(), value);
    options
}

fn text(options: &Map<String, Value>) -> String {
    Value::Object(options.clone()).to_string()
}

/// Returns the failure of a codec to handle options. A refusal is no failure, and neither is an
/// error because of the limits of the machine.
fn fault(options: &str, configured: Result<(), CodecError>) -> Option<Failure> {
    let error = configured.err().filter(|error| !matches!(error, CodecError::Refused(_)))?;
    let fault = Fault::from(error);
    fault.is_certain().then(|| failure(options, fault.text))
}

fn failure(options: &str, what: String) -> Failure {
    let script = format!("options {options}\n  # {what}\n");
    Failure { what, script, case: None }
}
