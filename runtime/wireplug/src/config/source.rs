//! A TOML text as JSON, with the position of each key.

use std::ops::Range;

use serde_json::{Map, Number, Value};
use toml::Spanned;
use toml::de::{DeArray, DeFloat, DeInteger, DeString, DeTable, DeValue};

use super::key::Step;
use super::{Key, Problem};

/// A parsed TOML text.
pub(super) struct Source<'a> {
    text: &'a str,
    root: DeTable<'a>,
}

impl<'a> Source<'a> {
    /// Parses a text.
    ///
    /// # Errors
    /// Returns an error for each place that breaks the grammar of TOML.
    pub(super) fn parse(text: &'a str) -> Result<Self, Vec<Problem>> {
        let (root, errors) = DeTable::parse_recoverable(text);
        let problem = |error: &toml::de::Error| Problem {
            position: error.span().map(|span| position(text, span)),
            key: Key::default(),
            what: format!("this is not TOML: {}", error.message()),
        };
        if errors.is_empty() {
            Ok(Self { text, root: root.into_inner() })
        } else {
            Err(errors.iter().map(problem).collect())
        }
    }

    /// Returns the text as JSON, the form that the schema and the options of codecs use. A value
    /// that JSON cannot express becomes null, and is added to `problems`.
    pub(super) fn to_json(&self, problems: &mut Vec<Problem>) -> Value {
        Value::Object(self.table(&self.root, &Key::default(), problems))
    }

    fn table(&self, table: &DeTable<'_>, key: &Key, problems: &mut Vec<Problem>) -> Map<String, Value> {
        let entry = |(name, value): (&Spanned<DeString<'_>>, &Spanned<_>)| {
            (name.get_ref().to_string(), self.value(value, key.clone().name(name.get_ref()), problems))
        };
        table.iter().map(entry).collect()
    }

    fn array(&self, array: &DeArray<'_>, key: &Key, problems: &mut Vec<Problem>) -> Vec<Value> {
        let element = |(index, value)| self.value(value, key.clone().index(index), problems);
        array.iter().enumerate().map(element).collect()
    }

    fn value(&self, value: &Spanned<DeValue<'_>>, key: Key, problems: &mut Vec<Problem>) -> Value {
        let none = match value.get_ref() {
            DeValue::String(text) => return Value::from(&**text),
            DeValue::Boolean(yes) => return Value::from(*yes),
            DeValue::Array(array) => return Value::from(self.array(array, &key, problems)),
            DeValue::Table(table) => return Value::from(self.table(table, &key, problems)),
            DeValue::Integer(number) => match integer(number) {
                Some(number) => return number.into(),
                None => "this whole number is out of range: it must fit 64 bits",
            },
            DeValue::Float(number) => match float(number) {
                Some(number) => return number.into(),
                None => "infinite and undefined numbers are not allowed",
            },
            DeValue::Datetime(_) => "a date is not allowed; as text, in quotes, it may be",
        };
        let position = Some(position(self.text, value.span()));
        problems.push(Problem { position, key, what: none.to_owned() });
        Value::Null
    }

    /// Returns the position of a key: of its name in a table, or of an element of a list.
    pub(super) fn position(&self, key: &Key) -> Option<(usize, usize)> {
        self.span(key.steps()).map(|span| position(self.text, span))
    }

    /// Returns the position of a key. If the file does not have the key, returns the position of
    /// the nearest table that it has.
    pub(super) fn nearest(&self, key: &Key) -> (usize, usize) {
        let steps = key.steps();
        let span = (1..=steps.len()).rev().find_map(|count| self.span(&steps[..count]));
        span.map_or((1, 1), |span| position(self.text, span))
    }

    fn span(&self, steps: &[Step]) -> Option<Range<usize>> {
        let (first, rest) = steps.split_first()?;
        let Step::Name(name) = first else { return None };
        let (found, mut value) = self.root.get_key_value(name.as_str())?;
        let mut span = found.span();
        for step in rest {
            match (step, value.get_ref()) {
                (Step::Name(name), DeValue::Table(table)) => {
                    let (found, next) = table.get_key_value(name.as_str())?;
                    (span, value) = (found.span(), next);
                }
                (Step::Index(index), DeValue::Array(array)) => {
                    value = array.get(*index)?;
                    span = value.span();
                }
                _ => return None,
            }
        }
        Some(span)
    }
}

fn integer(number: &DeInteger<'_>) -> Option<Number> {
    i64::from_str_radix(number.as_str(), number.radix()).ok().map(Number::from)
}

fn float(number: &DeFloat<'_>) -> Option<Number> {
    number.as_str().parse().ok().and_then(Number::from_f64)
}

/// Returns the line and the column of the beginning of a span, both from 1.
fn position(text: &str, span: Range<usize>) -> (usize, usize) {
    let before = &text[..span.start.min(text.len())];
    let line = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line..].chars().count() + 1)
}
