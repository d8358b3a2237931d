//! A value in a row: from the JSON of the application to the text of PostgreSQL.

use std::borrow::Cow;
use std::fmt;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::types::float_text;

/// A value: `None` is NULL. Numbers, booleans, lists and objects have become text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cell<'a>(pub(crate) Option<Cow<'a, str>>);

impl<'de: 'a, 'a> Deserialize<'de> for Cell<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CellVisitor)
    }
}

struct CellVisitor;

impl<'de> Visitor<'de> for CellVisitor {
    type Value = Cell<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of a row")
    }

    fn visit_unit<E>(self) -> Result<Cell<'de>, E> {
        Ok(Cell(None))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Cell<'de>, E> {
        Ok(Cell(Some(Cow::Borrowed(if value { "t" } else { "f" }))))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Cell<'de>, E> {
        Ok(owned(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Cell<'de>, E> {
        Ok(owned(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Cell<'de>, E> {
        Ok(owned(float_text(value)))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Cell<'de>, E> {
        Ok(Cell(Some(Cow::Borrowed(value))))
    }

    fn visit_str<E>(self, value: &str) -> Result<Cell<'de>, E> {
        Ok(owned(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Cell<'de>, A::Error> {
        let value = Value::deserialize(SeqAccessDeserializer::new(list)).map_err(A::Error::custom)?;
        Ok(owned(value.to_string()))
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<Cell<'de>, A::Error> {
        let value = Value::deserialize(MapAccessDeserializer::new(object)).map_err(A::Error::custom)?;
        Ok(owned(value.to_string()))
    }
}

fn owned(text: String) -> Cell<'static> {
    Cell(Some(Cow::Owned(text)))
}

#[cfg(test)]
mod tests {
    use super::Cell;

    #[test]
    fn json_becomes_the_text_of_postgresql() {
        let row: Vec<Cell<'_>> =
            serde_json::from_str(r#"[null, true, -1, 18446744073709551615, 1.0, "a\n", [1, {"b": null}]]"#)
                .expect("a list");
        let texts: Vec<_> = row.iter().map(|cell| cell.0.as_deref()).collect();
        let expected = ["t", "-1", "18446744073709551615", "1", "a\n", "[1,{\"b\":null}]"].map(Some);
        assert_eq!(texts[0], None);
        assert_eq!(texts[1..], expected);
    }
}
