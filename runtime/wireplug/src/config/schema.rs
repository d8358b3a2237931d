//! The JSON Schema of a configuration, and messages about what breaks it.

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind as Kind;
use jsonschema::paths::{Location, LocationSegment};
use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform as _};
use serde_json::{Map, Value};

use super::key::Step;
use super::{Config, ControlAddress, Key};
use wireplug_base::units::{CONTROL_ADDRESS, IP_PORT, NETWORK};

/// How similar a known key must be to an unknown key to be suggested, from 0 to 1.
const NEAR: f64 = 0.7;

/// The longest value that a message repeats, in characters.
const MAX_VALUE: usize = 64;

/// The JSON Schema of a configuration.
pub(super) struct Schema {
    pub(super) json: Value,
}

/// A table of a configuration.
pub(super) struct Section<'a> {
    /// Its header in a file: `[codecs.NAME.limits]`. Empty for the file itself.
    pub(super) header: String,
    /// Its schema.
    pub(super) table: &'a Value,
}

impl Schema {
    pub(super) fn new() -> Self {
        let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Config>();
        // The line breaks of a doc comment only fit the width of the source.
        RecursiveTransform(|schema: &mut schemars::Schema| {
            if let Some(Value::String(text)) = schema.get_mut("description") {
                *text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            }
        })
        .transform(&mut schema);
        Self { json: schema.into() }
    }

    /// Returns the errors against the schema: each key, with what is wrong and what is allowed.
    pub(super) fn check(&self, config: &Value) -> Vec<(Key, String)> {
        let network = |text: &str| text.parse::<ipnet::IpNet>().is_ok();
        let address = |text: &str| text.parse::<ControlAddress>().is_ok();
        let validator = jsonschema::options()
            .with_format(NETWORK, network)
            .with_format(CONTROL_ADDRESS, address)
            .with_format(IP_PORT, |text: &str| text.parse::<std::net::SocketAddr>().is_ok())
            .should_validate_formats(true)
            .build(&self.json)
            .expect("the schema is one: it is always the same");
        validator.iter_errors(config).flat_map(|error| self.explain(&error)).collect()
    }

    fn explain(&self, error: &ValidationError<'_>) -> Vec<(Key, String)> {
        let key: Key = error.instance_path().segments().map(Step::from).collect();
        let schema = self.holder(error.schema_path());
        match error.kind() {
            Kind::AdditionalProperties { unexpected } => {
                let explain = |name: &String| (key.clone().name(name), self.unknown(name, schema));
                unexpected.iter().map(explain).collect()
            }
            Kind::Required { property } => {
                let name = property.as_str().unwrap_or_default();
                let description = self.text(&schema["properties"][name], "description");
                vec![(key.name(name), format!("it is missing: {}", lower(&description)))]
            }
            Kind::MinItems { .. } | Kind::MinProperties { .. } => {
                vec![(key, "at least one is needed".to_owned())]
            }
            _ => {
                let what = format!(
                    "{} is not allowed: it must be {}",
                    shown(error.instance()),
                    self.allowed(schema)
                );
                vec![(key, what)]
            }
        }
    }

    /// Returns the schema that contains a keyword, such as `/$defs/Duration/pattern`.
    fn holder(&self, keyword: &Location) -> &Value {
        let (holder, _) = keyword.as_str().rsplit_once('/').unwrap_or_default();
        self.json.pointer(holder).unwrap_or(&Value::Null)
    }

    /// Returns the message about an unknown key. It suggests a similar key, here or in another
    /// table, or lists all keys of this table.
    fn unknown(&self, name: &str, table: &Value) -> String {
        let known = names(table);
        if let Some(near) = nearest(name, known.iter().copied()) {
            return format!("this key is unknown; did you mean `{near}`?");
        }
        let sections = self.sections();
        let all: Vec<(&str, Vec<&str>)> =
            sections.iter().map(|section| (section.header.as_str(), names(section.table))).collect();
        let place = |header| if str::is_empty(header) { "the top of the file" } else { header };
        match nearest(name, all.iter().flat_map(|(_, keys)| keys).copied()) {
            Some(near) => {
                let has =
                    all.iter().filter(|(_, keys)| keys.contains(&near)).map(|(header, _)| place(header));
                format!(
                    "this key is unknown here; `{near}` belongs into {}",
                    has.collect::<Vec<_>>().join(" or ")
                )
            }
            None => format!("this key is unknown; the keys here are {}", known.join(", ")),
        }
    }

    /// Returns what a schema allows, in words that follow "it must be".
    fn allowed(&self, schema: &Value) -> String {
        let schema = self.resolved(schema);
        if let Some(choices) = schema["oneOf"].as_array() {
            let choices: Vec<_> = choices.iter().map(|choice| choice["const"].to_string()).collect();
            return choices.join(" or ");
        }
        let has_rules = ["pattern", "format", "minLength"].iter().any(|rule| schema.get(rule).is_some());
        match schema["type"].as_str() {
            Some("integer") => format!("a whole number from {} to {}", schema["minimum"], schema["maximum"]),
            Some("string") if has_rules => lower(&self.text(schema, "description")),
            Some("string") => "text in quotes".to_owned(),
            Some("boolean") => "true or false".to_owned(),
            Some("array") => "a list".to_owned(),
            Some("object") => "a table".to_owned(),
            None if schema["type"].is_array() => lower(&self.text(schema, "description")),
            _ => "a value of another kind".to_owned(),
        }
    }

    /// Returns the default of a key that a file may leave out, in the form that a message shows.
    /// None if the default is a table or a list, or if there is no default.
    pub(super) fn default_of(&self, key: &Key) -> Option<String> {
        let steps = key.steps().iter();
        let schema = steps.fold(&self.json, |table, step| match (self.resolved(table), step) {
            (table, Step::Name(name)) => match table["properties"].get(name) {
                Some(property) => property,
                None => &table["additionalProperties"],
            },
            (list, Step::Index(_)) => &list["items"],
        });
        match &schema["default"] {
            Value::Null | Value::Object(_) | Value::Array(_) => None,
            Value::String(text) => Some(text.clone()),
            value => Some(value.to_string()),
        }
    }

    /// Returns the schema that a reference points to.
    pub(super) fn resolved<'a>(&'a self, schema: &'a Value) -> &'a Value {
        let target = schema["$ref"].as_str().and_then(|target| self.json.pointer(target.strip_prefix('#')?));
        target.unwrap_or(schema)
    }

    pub(super) fn text(&self, schema: &Value, keyword: &str) -> String {
        let text = schema.get(keyword).or_else(|| self.resolved(schema).get(keyword));
        text.and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// Returns all tables that a configuration may have, the file itself first.
    pub(super) fn sections(&self) -> Vec<Section<'_>> {
        let mut sections = Vec::new();
        self.collect(&self.json, String::new(), "", &mut sections);
        sections
    }

    fn collect<'a>(&'a self, table: &'a Value, header: String, path: &str, sections: &mut Vec<Section<'a>>) {
        sections.push(Section { header, table });
        for (key, schema) in properties(table) {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            let schema = self.resolved(schema);
            // A table, a table of named tables, or a list of tables.
            let named = format!("{path}.NAME");
            let kinds = [
                (schema, format!("[{path}]"), &path),
                (&schema["additionalProperties"], format!("[{named}]"), &named),
                (&schema["items"], format!("[[{path}]]"), &path),
            ];
            for (schema, header, path) in kinds {
                let table = self.resolved(schema);
                if properties(table).next().is_some() {
                    self.collect(table, header, path, sections);
                }
            }
        }
    }
}

impl From<LocationSegment<'_>> for Step {
    fn from(segment: LocationSegment<'_>) -> Self {
        match segment {
            LocationSegment::Property(name) => Self::Name(name.into_owned()),
            LocationSegment::Index(index) => Self::Index(index),
        }
    }
}

/// Returns the keys of a table, with their schemas.
pub(super) fn properties(table: &Value) -> impl Iterator<Item = (&String, &Value)> {
    table["properties"].as_object().into_iter().flat_map(Map::iter)
}

fn names(table: &Value) -> Vec<&str> {
    properties(table).map(|(name, _)| name.as_str()).collect()
}

/// Returns the known key that is most similar, if it is similar enough.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let scored = known.map(|known| (strsim::normalized_damerau_levenshtein(name, known), known));
    let (score, known) = scored.max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    (score >= NEAR).then_some(known)
}

/// Returns a value in the form that a message shows.
fn shown(value: &Value) -> String {
    match value {
        Value::Object(_) => "a table".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        value => {
            let text = value.to_string();
            if text.chars().count() <= MAX_VALUE {
                return text;
            }
            text.chars().take(MAX_VALUE).chain(['…']).collect()
        }
    }
}

/// Returns a sentence in the form that continues another sentence.
fn lower(sentence: &str) -> String {
    let mut rest = sentence.trim_end_matches('.').chars();
    rest.next().into_iter().flat_map(char::to_lowercase).chain(rest).collect()
}
