//! The reference of all keys in `docs/configuration.md`. It is generated from the schema, so that
//! it stays up to date.

use std::path::Path;

use serde_json::Value;

use super::schema::{Schema, Section, properties};

/// The widest line of prose of the page, in columns.
const WIDEST: usize = 100;

/// If this environment variable is 1, the test writes the page.
const UPDATE: &str = "WIREPLUG_UPDATE";

/// The line of the page where the generated part begins. The part above it is written by hand.
const MARK: &str =
    "<!-- From here on written from the schema: WIREPLUG_UPDATE=1 cargo test -p wireplug reference -->\n";

#[test]
fn the_committed_reference_is_that_of_the_schema() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let page = std::fs::read_to_string(&path).expect("the page can be read");
    let (by_hand, committed) = page.split_once(MARK).expect("the page has the mark");
    let reference = reference(&Schema::new());
    if std::env::var(UPDATE).is_ok_and(|update| update == "1") {
        std::fs::write(&path, format!("{by_hand}{MARK}{reference}")).expect("the page can be written");
    } else {
        assert!(committed == reference, "docs/configuration.md is not up to date: {UPDATE}=1 writes it");
    }
}

#[test]
fn every_key_is_described_and_every_number_bounded() {
    let schema = Schema::new();
    for section in schema.sections() {
        for (key, value) in properties(section.table) {
            let name = format!("{} {key}", section.header);
            assert!(!schema.text(value, "description").is_empty(), "{name} is not described");
            if value["type"] == "integer" {
                // Without bounds, the schema would accept values that the type refuses.
                assert!(value["minimum"].is_u64() && value["maximum"].is_u64(), "{name} is not bounded");
            }
        }
    }
}

fn reference(schema: &Schema) -> String {
    schema.sections().iter().map(|section| table(schema, section)).collect()
}

fn table(schema: &Schema, section: &Section<'_>) -> String {
    let heading = match section.header.as_str() {
        "" => "The file".to_owned(),
        header => format!("`{header}`"),
    };
    let rows = properties(section.table).map(|(key, value)| {
        let allowed = allowed(schema, value);
        let default = default(section.table, key, value);
        format!("| `{key}` | {allowed} | {default} | {} |\n", schema.text(value, "description"))
    });
    let description = wrapped(&schema.text(section.table, "description"));
    let rows: String = rows.collect();
    format!(
        "\n### {heading}\n\n{description}\n\n| key | value | default | what it is, and why |\n|---|---|---|---|\n{rows}"
    )
}

/// Breaks a paragraph into lines of at most [`WIDEST`] columns.
fn wrapped(text: &str) -> String {
    let (mut wrapped, mut columns) = (String::new(), 0);
    for word in text.split_whitespace() {
        let width = word.chars().count();
        if columns == 0 {
            columns = width;
        } else if columns + 1 + width <= WIDEST {
            wrapped.push(' ');
            columns += 1 + width;
        } else {
            wrapped.push('\n');
            columns = width;
        }
        wrapped.push_str(word);
    }
    wrapped
}

/// Returns what a key allows: one word, or its choices.
fn allowed(schema: &Schema, value: &Value) -> String {
    let target = schema.resolved(value);
    if let Some(choices) = choices(schema, target) {
        return choices;
    }
    if let Some(choices) = choices(schema, schema.resolved(&target["items"])) {
        return format!("list of<br>{choices}");
    }
    match target["type"].as_str() {
        Some("array") if target["items"]["$ref"] == "#/$defs/Network" => "list of networks".to_owned(),
        Some("array") if schema.resolved(&target["items"])["type"] == "string" => "list of texts".to_owned(),
        Some("array") if schema.resolved(&target["items"])["oneOf"].is_array() => {
            format!("list of<br>{}", allowed(schema, &target["items"]))
        }
        // A time or a size: the words before the colon. The rules for writing it follow.
        Some("string") if value["$ref"].is_string() => {
            let description = schema.text(target, "description");
            let (word, _) = description.split_once(':').unwrap_or((&description, ""));
            word.trim_start_matches("A ").to_owned()
        }
        // One text, or several: the words before the colon.
        None if target["type"].is_array() => {
            let description = schema.text(target, "description");
            let (words, _) = description.split_once(':').unwrap_or((&description, ""));
            words.trim_start_matches("A ").to_owned()
        }
        Some("integer") => format!("{} to {}", target["minimum"], target["maximum"]),
        Some("string") => "text".to_owned(),
        Some("boolean") => "true or false".to_owned(),
        Some("array") => "list of tables".to_owned(),
        _ => "table".to_owned(),
    }
}

/// Returns the choices of a value that is one of several texts.
fn choices(schema: &Schema, target: &Value) -> Option<String> {
    let choice = |choice: &Value| format!("`{}`: {}", choice["const"], schema.text(choice, "description"));
    Some(target["oneOf"].as_array()?.iter().map(choice).collect::<Vec<_>>().join("<br>"))
}

fn default(table: &Value, key: &str, value: &Value) -> String {
    let required =
        table["required"].as_array().is_some_and(|required| required.iter().any(|name| name == key));
    match &value["default"] {
        _ if required => "required".to_owned(),
        Value::Null => "none".to_owned(),
        Value::Array(list) if list.is_empty() => "`[]`".to_owned(),
        Value::Object(table) if table.is_empty() => "empty".to_owned(),
        Value::Object(_) => "its keys' defaults".to_owned(),
        value => format!("`{value}`"),
    }
}
