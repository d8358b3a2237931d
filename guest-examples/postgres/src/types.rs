//! The types of PostgreSQL, and their binary format.
//!
//! Values are text wherever they can be. The binary format is needed for clients that ask for it.

use std::fmt;
use std::str::FromStr;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A type, by its OID in `pg_type`. In JSON it is a name, or the OID of a type without a name here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Type(pub(crate) u32);

/// The types that have a name: the name, the OID, and the size in bytes, which is negative if it
/// varies. `pg_type.dat` of PostgreSQL lists all of them.
const TYPES: [(&str, u32, i16); 28] = [
    ("bool", BOOL, 1),
    ("bytea", BYTEA, -1),
    ("char", 18, 1),
    ("name", 19, 64),
    ("int8", INT8, 8),
    ("int2", INT2, 2),
    ("int4", INT4, 4),
    ("text", TEXT, -1),
    ("oid", OID, 4),
    ("json", 114, -1),
    ("xml", 142, -1),
    ("float4", FLOAT4, 4),
    ("float8", FLOAT8, 8),
    ("unknown", 705, -2),
    ("macaddr", 829, 6),
    ("inet", 869, -1),
    ("bpchar", 1042, -1),
    ("varchar", 1043, -1),
    ("date", 1082, 4),
    ("time", 1083, 8),
    ("timestamp", 1114, 8),
    ("timestamptz", 1184, 8),
    ("interval", 1186, 16),
    ("timetz", 1266, 12),
    ("numeric", 1700, -1),
    ("void", 2278, 4),
    ("uuid", UUID, 16),
    ("jsonb", JSONB, -1),
];

const BOOL: u32 = 16;
const BYTEA: u32 = 17;
const INT8: u32 = 20;
const INT2: u32 = 21;
const INT4: u32 = 23;
const TEXT: u32 = 25;
const OID: u32 = 26;
const FLOAT4: u32 = 700;
const FLOAT8: u32 = 701;
const UUID: u32 = 2950;
const JSONB: u32 = 3802;

/// The types whose binary format is their text: `char`, `name`, `text`, `json`, `xml`, `unknown`,
/// `bpchar`, `varchar` and `void`.
const TEXTS: [u32; 9] = [18, 19, TEXT, 114, 142, 705, 1042, 1043, 2278];

/// The first byte of the binary format of `jsonb`.
const JSONB_VERSION: u8 = 1;

impl Type {
    /// The type of a parameter that nobody has described.
    pub(crate) const TEXT: Self = Self(TEXT);

    /// Returns the size of a value in bytes, or a negative number if it varies.
    pub(crate) fn size(self) -> i16 {
        TYPES.iter().find(|(_, oid, _)| *oid == self.0).map_or(-1, |(_, _, size)| *size)
    }

    fn name(self) -> Option<&'static str> {
        TYPES.iter().find(|(_, oid, _)| *oid == self.0).map(|(name, ..)| *name)
    }

    /// Whether values of this type have a binary format here.
    pub(crate) fn has_binary(self) -> bool {
        matches!(self.0, BOOL | BYTEA | INT8 | INT2 | INT4 | OID | FLOAT4 | FLOAT8 | UUID | JSONB)
            || TEXTS.contains(&self.0)
    }

    /// Returns the text of a value in binary format, or `None` if the bytes are not such a value.
    pub(crate) fn text_of(self, bytes: &[u8]) -> Option<String> {
        Some(match self.0 {
            BOOL => if u8::from_be_bytes(bytes.try_into().ok()?) == 0 { "f" } else { "t" }.to_owned(),
            INT2 => i16::from_be_bytes(bytes.try_into().ok()?).to_string(),
            INT4 => i32::from_be_bytes(bytes.try_into().ok()?).to_string(),
            INT8 => i64::from_be_bytes(bytes.try_into().ok()?).to_string(),
            OID => u32::from_be_bytes(bytes.try_into().ok()?).to_string(),
            FLOAT4 => float_text(f32::from_be_bytes(bytes.try_into().ok()?).into()),
            FLOAT8 => float_text(f64::from_be_bytes(bytes.try_into().ok()?)),
            BYTEA => format!("\\x{}", Hex(bytes)),
            UUID => {
                let bytes: &[u8; 16] = bytes.try_into().ok()?;
                let [a, b, c, d, e] =
                    [&bytes[..4], &bytes[4..6], &bytes[6..8], &bytes[8..10], &bytes[10..]].map(Hex);
                format!("{a}-{b}-{c}-{d}-{e}")
            }
            JSONB => str::from_utf8(bytes.strip_prefix(&[JSONB_VERSION])?).ok()?.to_owned(),
            other if TEXTS.contains(&other) => str::from_utf8(bytes).ok()?.to_owned(),
            _ => return None,
        })
    }

    /// Appends the binary format of a value. Returns `None` if the text is not a value of this
    /// type.
    pub(crate) fn write_binary(self, text: &str, out: &mut Vec<u8>) -> Option<()> {
        fn parse<T: FromStr>(text: &str) -> Option<T> {
            text.parse().ok()
        }
        match self.0 {
            BOOL => out.push(match text {
                "t" | "true" => 1,
                "f" | "false" => 0,
                _ => return None,
            }),
            INT2 => out.extend(parse::<i16>(text)?.to_be_bytes()),
            INT4 => out.extend(parse::<i32>(text)?.to_be_bytes()),
            INT8 => out.extend(parse::<i64>(text)?.to_be_bytes()),
            OID => out.extend(parse::<u32>(text)?.to_be_bytes()),
            FLOAT4 => out.extend(parse::<f32>(text)?.to_be_bytes()),
            FLOAT8 => out.extend(parse::<f64>(text)?.to_be_bytes()),
            BYTEA => write_hex(text.strip_prefix("\\x")?, out)?,
            UUID => {
                let start = out.len();
                write_hex(&text.replace('-', ""), out)?;
                (out.len() - start == 16).then_some(())?;
            }
            JSONB => {
                out.push(JSONB_VERSION);
                out.extend(text.as_bytes());
            }
            other if TEXTS.contains(&other) => out.extend(text.as_bytes()),
            _ => return None,
        }
        Some(())
    }
}

/// Returns the text of a number: short, and such that PostgreSQL reads the same number.
pub(crate) fn float_text(number: f64) -> String {
    match number.abs() {
        _ if number.is_nan() => "NaN".to_owned(),
        f64::INFINITY => if number < 0.0 { "-Infinity" } else { "Infinity" }.to_owned(),
        0.0 | 1e-4..1e15 => number.to_string(),
        _ => format!("{number:e}"),
    }
}

/// Bytes in hexadecimal digits.
struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

fn write_hex(digits: &str, out: &mut Vec<u8>) -> Option<()> {
    for pair in digits.as_bytes().chunks(2) {
        let [high, low] = *pair else { return None };
        let digit = |byte: u8| char::from(byte).to_digit(16);
        out.push((digit(high)? << 4 | digit(low)?) as u8);
    }
    Some(())
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{}", self.0),
        }
    }
}

impl Serialize for Type {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.name() {
            Some(name) => serializer.serialize_str(name),
            None => serializer.serialize_u32(self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Type {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameOrOid;

        impl Visitor<'_> for NameOrOid {
            type Value = Type;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a type, or its OID")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Type, E> {
                let known = TYPES.iter().find(|(known, ..)| *known == name);
                known
                    .map(|(_, oid, _)| Type(*oid))
                    .ok_or_else(|| E::custom(format!("the type {name:?} has no name here; write its OID")))
            }

            fn visit_u64<E: Error>(self, oid: u64) -> Result<Type, E> {
                u32::try_from(oid).map(Type).map_err(E::custom)
            }
        }

        deserializer.deserialize_any(NameOrOid)
    }
}

#[cfg(test)]
mod tests {
    use super::{BYTEA, FLOAT8, INT2, INT8, TYPES, Type, UUID, float_text};

    #[test]
    fn binary_values_keep_their_text() {
        for (oid, text) in [
            (INT2, "-32768"),
            (INT8, "9223372036854775807"),
            (FLOAT8, "1.5"),
            (FLOAT8, "-Infinity"),
            (BYTEA, "\\x00ff"),
            (UUID, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ] {
            let mut binary = Vec::new();
            Type(oid).write_binary(text, &mut binary).expect("a value of the type");
            assert_eq!(Type(oid).text_of(&binary).as_deref(), Some(text));
        }
    }

    #[test]
    fn no_bytes_are_too_few_to_be_refused() {
        for (_, oid, _) in TYPES {
            for length in 0..20 {
                // A panic would be a trap.
                let _ = Type(oid).text_of(&vec![0xff; length]);
            }
        }
    }

    #[test]
    fn floats_are_short() {
        let texts = [1.0, 0.1, 5.972e24, 1e-7, f64::NAN].map(float_text);
        assert_eq!(texts, ["1", "0.1", "5.972e24", "1e-7", "NaN"]);
    }
}
