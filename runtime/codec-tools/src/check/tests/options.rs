//! Tests that any options are accepted, or refused with a reason.

use serde_json::Value;

use crate::check::options::outcome;
use crate::check::report::Outcome;
use wireplug_core::codec::{CodecError, Reason};

const GIVEN: &str = r#"{"heartbeat":30,"types":{"7":{"fields":[{"name":"valve"}]}}}"#;

fn refused(reason: &str) -> CodecError {
    CodecError::Refused(Reason::new(reason))
}

/// Handles options as a careful codec does.
fn careful(options: &str) -> Result<Value, CodecError> {
    let value: Value = serde_json::from_str(options).expect("options are JSON");
    let known = ["heartbeat", "types", "routes"];
    match value.as_object().expect("options are an object").keys().find(|key| !known.contains(&&***key)) {
        Some(unknown) => Err(refused(unknown)),
        None => Ok(value),
    }
}

#[test]
fn options_may_be_accepted_or_refused() {
    let outcome = outcome(GIVEN, |options| careful(options).map(drop));
    let Outcome::Held { times, declined: None } = outcome else { panic!("{outcome}") };
    assert!(times > 50, "each value within is tried: {times}");
}

#[test]
fn a_trap_is_a_failure() {
    let trap = || Err(CodecError::Trap(Reason::new("out of bounds").into()));
    let on_nothing = |options: &str| if options == "{}" { trap() } else { careful(options).map(drop) };
    let within = |options: &str| match careful(options)?.pointer("/types/7/fields/0/name") {
        Some(name) if !name.is_string() => trap(),
        _ => Ok(()),
    };
    for (outcome, options) in [
        (outcome(GIVEN, on_nothing), "{}"),
        (outcome(GIVEN, within), r#"{"heartbeat":30,"types":{"7":{"fields":[{"name":null}]}}}"#),
    ] {
        let Outcome::Failed(failure) = &outcome else { panic!("{outcome}") };
        assert_eq!(failure.script, format!("options {options}\n  # trap: out of bounds\n"));
    }
}

#[test]
fn the_routes_that_the_runtime_adds_must_not_be_refused() {
    let outcome = outcome(GIVEN, |options| match careful(options)?.get("routes") {
        Some(_) => Err(refused("what are routes?")),
        None => Ok(()),
    });
    let Outcome::Failed(failure) = &outcome else { panic!("{outcome}") };
    assert_eq!(failure.what, "it refuses `routes`, which the runtime adds to all options: what are routes?");
}

#[test]
fn an_unknown_option_that_is_accepted_is_a_warning() {
    let outcome = outcome(GIVEN, |_| Ok(()));
    let Outcome::Warned { warning, .. } = &outcome else { panic!("{outcome}") };
    assert!(warning.what.starts_with("it takes an option that it cannot know"), "{outcome}");
}
