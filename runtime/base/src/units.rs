//! Times and sizes in the form that people write: `250ms`, `10s`, `64KiB`.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// Defines a type of the schema: a text with a pattern, and a description of the allowed values.
/// Errors quote the description.
macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $description:literal, $key:literal: $value:expr) => {
        $(#[$doc])*
        pub struct $name;

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "description": $description, $key: $value })
            }
        }
    };
}

text!(
    /// A time in a configuration file.
    Duration,
    "A time: a whole number with its unit, ms, s, m or h, such as \"250ms\" or \"10s\".",
    "pattern": "^[0-9]{1,9}(ms|s|m|h)$"
);
text!(
    /// A time that must not be zero.
    PositiveDuration,
    "A time above zero: a whole number with its unit, ms, s, m or h, such as \"250ms\" or \"10s\".",
    "pattern": "^[1-9][0-9]{0,8}(ms|s|m|h)$"
);
text!(
    /// A size in a configuration file.
    Size,
    "A size: a whole number with its unit, B, KiB, MiB or GiB, such as \"64KiB\".",
    "pattern": "^[0-9]{1,9}(B|KiB|MiB|GiB)$"
);
text!(
    /// A size that must not be zero.
    PositiveSize,
    "A size above zero: a whole number with its unit, B, KiB, MiB or GiB, such as \"64KiB\".",
    "pattern": "^[1-9][0-9]{0,8}(B|KiB|MiB|GiB)$"
);
text!(
    /// A network in a configuration file.
    Network,
    "A network in CIDR notation, such as \"10.0.0.0/8\" or \"::1/128\".",
    "format": NETWORK
);

text!(
    /// The address of the control API in a configuration file.
    ControlAddress,
    "A URL: a Unix socket such as \"unix:///run/wireplug/control.sock\", or an IP address with a port, such as \"http://127.0.0.1:3011\" or \"https://192.0.2.1:3011\".",
    "format": CONTROL_ADDRESS
);

text!(
    /// The path of a URL.
    UrlPath,
    "A path of a URL, such as \"/\" or \"/game\".",
    "pattern": r"^/[^?#\s]*$"
);
text!(
    /// The origin of a page, as browsers send it.
    Origin,
    "An origin as browsers write it, such as \"https://example.org\" or \"https://example.org:8443\", or \"null\".",
    "pattern": r"^(null|[a-z][a-z0-9+.-]*://[^/?#\s]+)$"
);
text!(
    /// The name of a WebSocket subprotocol.
    Subprotocol,
    "A name without spaces and commas, such as \"chat.v2\".",
    "pattern": r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"
);
text!(
    /// The name of an HTTP header field (RFC 9110, section 5.1).
    HeaderName,
    "The name of an HTTP header field, such as \"authorization\".",
    "pattern": r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"
);

text!(
    /// The URL of a listener.
    ListenUrl,
    "A URL: `SCHEME://ADDRESS`, such as \"tcp://127.0.0.1:3010\".",
    "pattern": r"^[a-z][a-z0-9+.-]*://.+$"
);
text!(
    /// A SHA-256 in a configuration file.
    Sha256,
    "A SHA-256: its 64 hexadecimal digits.",
    "pattern": "^[0-9a-fA-F]{64}$"
);
text!(
    /// A NATS server.
    NatsServer,
    "A URL: `nats://HOST:PORT` or `tls://HOST:PORT`, without a user, such as \"nats://127.0.0.1:4222\".",
    "pattern": r"^(nats|tls)://[^@/]+$"
);
text!(
    /// The URL of a service.
    ServiceUrl,
    "A URL: `http://HOST:PORT/PATH` or `https://HOST:PORT/PATH`, without a user and a query, such as \"http://127.0.0.1:8080/chat\".",
    "pattern": SERVICE_URL
);
text!(
    /// The type of a body, as HTTP names it.
    MediaType,
    "A media type: such as \"application/json\".",
    "pattern": r"^[a-zA-Z0-9!#$&^_.+-]+/[a-zA-Z0-9!#$&^_.+-]+( *; *[a-zA-Z0-9_.-]+=[a-zA-Z0-9_.-]+)*$"
);
text!(
    /// The beginning of all NATS subjects.
    SubjectPrefix,
    "A prefix: words of letters, digits, `-` and `_`, with dots between them, such as \"game.eu\".",
    "pattern": r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$"
);
text!(
    /// The beginning of the name of a node.
    NodeName,
    "A name: 1 to 64 letters, digits, `-` and `_`.",
    "pattern": "^[A-Za-z0-9_-]{1,64}$"
);
text!(
    /// A text that is not empty.
    NotEmpty,
    "A text: one character or more.",
    "minLength": 1
);

text!(
    /// An IP address with a port in a configuration file.
    IpPort,
    "An IP address with a port: such as \"127.0.0.1:9100\" or \"[::1]:9100\".",
    "format": IP_PORT
);

/// The pattern of the URL of a service. Its path has only characters that need no encoding.
pub const SERVICE_URL: &str = r"^https?://(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?(/[A-Za-z0-9._~!$&'()*+,;=:@%-]+)*/?$";

/// The format of an IP address with a port in the schema. JSON Schema does not know it, so editors
/// do not check it.
pub const IP_PORT: &str = "ip-port";

/// The format of the control API's address in the schema. JSON Schema does not know it, so editors
/// do not check it.
pub const CONTROL_ADDRESS: &str = "control-address";

/// The format of a network in the schema. JSON Schema does not know it, so editors do not check it.
pub const NETWORK: &str = "network";

/// Units with their values, the largest first.
type Units = [(&'static str, u64)];

const TIMES: &Units = &[("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
const SIZES: &Units = &[("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Reads a whole number with its unit.
fn parse(text: &str, units: &Units) -> Option<u64> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let (_, worth) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*worth)
}

/// Writes a value with the largest unit that gives a whole number.
fn format(value: u64, units: &Units) -> String {
    let exact = units.iter().find(|(_, worth)| value != 0 && value.is_multiple_of(*worth));
    let (unit, worth) = exact.unwrap_or(&units[units.len() - 1]);
    format!("{}{unit}", value / worth)
}

/// Writes a size in the form that people write.
pub fn size_text(bytes: usize) -> String {
    format(bytes as u64, SIZES)
}

/// Writes a time in the form that people write.
pub fn duration_text(time: std::time::Duration) -> String {
    format(time.as_millis() as u64, TIMES)
}

/// Times, for `#[serde(with)]`.
pub mod duration {
    use std::time::Duration;

    use serde::de::{Deserialize as _, Deserializer, Error as _};
    use serde::ser::Serializer;

    use super::{TIMES, duration_text, parse};

    /// Reads a time.
    ///
    /// # Errors
    /// Returns an error if the text is no time.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(from)?;
        let milliseconds = parse(&text, TIMES).ok_or_else(|| {
            D::Error::custom(format!("{text:?} is not a time such as \"250ms\" or \"10s\""))
        })?;
        Ok(Duration::from_millis(milliseconds))
    }

    /// Writes a time.
    ///
    /// # Errors
    /// Returns an error if the serializer does.
    pub fn serialize<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&duration_text(*time))
    }
}

/// Sizes, for `#[serde(with)]`.
pub mod size {
    use serde::de::{Deserialize as _, Deserializer, Error as _};
    use serde::ser::Serializer;

    use super::{SIZES, parse, size_text};

    /// Reads a size.
    ///
    /// # Errors
    /// Returns an error if the text is no size.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<usize, D::Error> {
        let text = String::deserialize(from)?;
        let bytes = parse(&text, SIZES).and_then(|bytes| usize::try_from(bytes).ok());
        bytes.ok_or_else(|| D::Error::custom(format!("{text:?} is not a size such as \"64KiB\"")))
    }

    /// Writes a size.
    ///
    /// # Errors
    /// Returns an error if the serializer does.
    pub fn serialize<S: Serializer>(bytes: &usize, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&size_text(*bytes))
    }
}

/// Sizes that may be left out, for `#[serde(with)]`.
pub mod optional_size {
    use serde::de::Deserializer;
    use serde::ser::Serializer;

    use super::size;

    /// Reads a size.
    ///
    /// # Errors
    /// Returns an error if the text is no size.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<usize>, D::Error> {
        size::deserialize(from).map(Some)
    }

    /// Writes a size.
    ///
    /// # Errors
    /// Returns an error if the serializer does.
    pub fn serialize<S: Serializer>(bytes: &Option<usize>, to: S) -> Result<S::Ok, S::Error> {
        match bytes {
            Some(bytes) => size::serialize(bytes, to),
            None => to.serialize_none(),
        }
    }
}
