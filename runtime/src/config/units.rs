//! Times and sizes as people write them: `250ms`, `10s`, `64KiB`.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// A time in a configuration file.
pub(super) struct Duration;

/// A size in a configuration file.
pub(super) struct Size;

/// A network in a configuration file.
pub(super) struct Network;

impl JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A time: a whole number with its unit, ms, s, m or h, such as \"250ms\" or \"10s\".",
            "pattern": r"^[0-9]{1,9}(ms|s|m|h)$",
        })
    }
}

impl JsonSchema for Size {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A size: a whole number with its unit, B, KiB, MiB or GiB, such as \"64KiB\".",
            "pattern": r"^[0-9]{1,9}(B|KiB|MiB|GiB)$",
        })
    }
}

impl JsonSchema for Network {
    fn schema_name() -> Cow<'static, str> {
        "Network".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A network in CIDR notation, such as \"10.0.0.0/8\" or \"::1/128\".",
        })
    }
}

/// Units with what they are worth, the largest first.
type Units = [(&'static str, u64)];

const TIMES: &Units = &[("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
const SIZES: &Units = &[("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Reads a whole number with its unit.
fn parse(text: &str, units: &Units) -> Option<u64> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let (_, worth) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*worth)
}

/// Writes it with the largest unit that leaves a whole number.
fn format(value: u64, units: &Units) -> String {
    let exact = units.iter().find(|(_, worth)| value != 0 && value.is_multiple_of(*worth));
    let (unit, worth) = exact.unwrap_or(&units[units.len() - 1]);
    format!("{}{unit}", value / worth)
}

pub(super) mod duration {
    use std::time::Duration;

    use serde::de::{Deserialize as _, Deserializer, Error as _};
    use serde::ser::Serializer;

    use super::{TIMES, format, parse};

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(from)?;
        let milliseconds = parse(&text, TIMES).ok_or_else(|| {
            D::Error::custom(format!("{text:?} is not a time such as \"250ms\" or \"10s\""))
        })?;
        Ok(Duration::from_millis(milliseconds))
    }

    pub(in crate::config) fn serialize<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&format(time.as_millis() as u64, TIMES))
    }
}

pub(super) mod size {
    use serde::de::{Deserialize as _, Deserializer, Error as _};
    use serde::ser::Serializer;

    use super::{SIZES, format, parse};

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<usize, D::Error> {
        let text = String::deserialize(from)?;
        let bytes = parse(&text, SIZES).and_then(|bytes| usize::try_from(bytes).ok());
        bytes.ok_or_else(|| D::Error::custom(format!("{text:?} is not a size such as \"64KiB\"")))
    }

    pub(in crate::config) fn serialize<S: Serializer>(bytes: &usize, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&format(*bytes as u64, SIZES))
    }
}
