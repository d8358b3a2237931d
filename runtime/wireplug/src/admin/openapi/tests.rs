//! The description is complete, and `docs/openapi.json` is this description.

use std::path::Path;

use super::*;
use crate::admin::routes::table;

/// If this environment variable is 1, the test writes the file.
const UPDATE: &str = "WIREPLUG_UPDATE";

#[test]
fn the_committed_description_is_that_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let described = serde_json::to_string_pretty(&document(&table())).expect("it is JSON") + "\n";
    if std::env::var(UPDATE).is_ok_and(|update| update == "1") {
        std::fs::write(&path, described).expect("the file can be written");
        return;
    }
    let committed = std::fs::read_to_string(&path).expect("the file can be read");
    assert!(committed == described, "docs/openapi.json is not up to date: {UPDATE}=1 writes it");
}

#[test]
fn everything_is_described() {
    let document = document(&table());
    for (path, operations) in document["paths"].as_object().expect("it has paths") {
        for (method, operation) in operations.as_object().expect("it has operations") {
            let place = format!("{method} {path}");
            assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{place}");
            for answer in operation["responses"].as_object().expect("it has answers").values() {
                let refusal = answer["$ref"].as_str().and_then(|target| target.strip_prefix('#'));
                assert!(refusal.is_none_or(|target| document.pointer(target).is_some()), "{place}: {answer}");
            }
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                assert!(parameter["description"].is_string(), "{place}: {parameter}");
            }
        }
    }
    for (name, schema) in document["components"]["schemas"].as_object().expect("it has schemas") {
        for (property, schema) in schema["properties"].as_object().into_iter().flatten() {
            assert!(schema["description"].is_string(), "{name}.{property} has no description");
        }
    }
}

#[test]
fn types_have_one_meaning_for_questions_and_answers() {
    let mut schemas = Schemas::new();
    for Route { operation, .. } in &table() {
        let Operation { query, body, answers, .. } = operation;
        for describe in query.iter().copied().chain(body.iter().map(|body| body.schema)) {
            schemas.asked(describe);
        }
        for answer in answers {
            schemas.answered(answer.schema);
        }
    }
    let (asked, answered) = (schemas.asked.take_definitions(true), schemas.answered.take_definitions(true));
    for (name, schema) in &asked {
        assert!(answered.get(name).is_none_or(|other| other == schema), "there are two types {name}");
    }
}

#[test]
fn links_are_removed() {
    let text = "See [`Step`] and [`User`](crate::session::User), [1, 2";
    assert_eq!(without_links(text), "See `Step` and `User`, [1, 2");
}
