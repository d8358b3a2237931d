//! Bodies in Pomelo's protobuf, by the schema of their route.
//!
//! The format is that of the npm package pomelo-protobuf 0.4.0. It differs from Google's protobuf:
//!
//! - `int32` is zigzag, like `sInt32`.
//! - A packed array begins with the number of its elements, not with that of its bytes.
//! - The wire type before a field has no meaning: Pomelo's browser clients write 2 where it should
//!   be 0. So only its tag identifies a field, and a tag that is not in the schema cannot be
//!   skipped.
//!
//! The application sees JSON. Bodies are converted one piece at a time.

mod decode;
mod encode;
mod schema;

use serde_json::{Map, Value};

pub(crate) use schema::Schema;
use schema::{MAX_FIELDS, Schemas, parsed, unparsed};

use crate::version::{Version, version};

/// The largest size in bytes of the schemas in the handshake. They are part of the answer, which
/// one call of the codec must be able to return.
const MAX_HANDSHAKE_SCHEMAS: usize = 512 << 10;

/// The largest number that is sent as an integer: JavaScript has every integer up to this one.
const MAX_INTEGER: u64 = (1 << 53) - 1;

/// Returns the largest length in bytes of a body of `length` bytes after its conversion.
///
/// Usual bodies stay far below it. But a few bytes can stand for a long name, and a client must not
/// be able to turn a short body into a very long one.
fn max_converted(length: usize) -> usize {
    3 * length + 4096
}

/// The fields that a message has had so far, by their indexes.
#[derive(Default)]
struct Seen([u64; MAX_FIELDS / 64]);

impl Seen {
    /// Adds a field. Returns false if it was there before.
    fn insert(&mut self, index: usize) -> bool {
        let fresh = !self.contains(index);
        self.0[index / 64] |= 1 << (index % 64);
        fresh
    }

    fn contains(&self, index: usize) -> bool {
        self.0[index / 64] & 1 << (index % 64) != 0
    }
}

/// The schemas of both directions.
#[derive(Debug)]
pub(crate) struct Protos {
    /// The schemas of what the server sends.
    pub(crate) server: Schemas,
    /// The schemas of what the client sends.
    pub(crate) client: Schemas,
    pub(crate) version: Version,
    /// The JSON from which the schemas were read. Equal schemas have equal text.
    pub(crate) source: String,
}

impl Protos {
    /// Reads `{"server":{"route":{...}},"client":{...}}`; both members are optional. Returns
    /// `Ok(None)` if there is no route.
    pub(crate) fn read(value: &Value) -> Result<Option<Self>, String> {
        let sides = "an object with `server` and `client`, each an object of routes and their schemas";
        let wrong = || format!("`protos` must be {sides}");
        let protos = value.as_object().ok_or_else(wrong)?;
        if let Some(key) = protos.keys().find(|key| !["server", "client"].contains(&key.as_str())) {
            return Err(format!("`protos` has the unknown key `{key}`: it must be {sides}"));
        }
        let empty = Map::new();
        let side = |side| match protos.get(side) {
            None => Ok(&empty),
            Some(schemas) => schemas.as_object().ok_or_else(wrong),
        };
        let (server_source, client_source) = (side("server")?, side("client")?);
        let server = Schemas::compile("protos.server", server_source)?;
        let client = Schemas::compile("protos.client", client_source)?;
        if server.is_empty() && client.is_empty() {
            return Ok(None);
        }
        let (server_json, client_json) = (parsed(server_source), parsed(client_source));
        let length = server_json.len() + client_json.len();
        if length > MAX_HANDSHAKE_SCHEMAS {
            return Err(format!(
                "`protos` takes {length} bytes in the handshake, and at most {MAX_HANDSHAKE_SCHEMAS} are allowed"
            ));
        }
        let version = version(&(client_json + &server_json));
        Ok(Some(Self { server, client, version, source: value.to_string() }))
    }

    /// Reads the schemas from [`Protos::source`].
    pub(crate) fn restore(source: &str) -> Option<Self> {
        Self::read(&serde_json::from_str(source).ok()?).ok().flatten()
    }

    /// Reads the schemas from a server's handshake. The result's `version` may differ from the
    /// server's, which the handshake contains.
    pub(crate) fn from_handshake(protos: &Value) -> Result<Option<Self>, String> {
        let side = |side: &str| Ok((side.to_owned(), unparsed(&protos[side])?));
        let source = [side("server"), side("client")].into_iter().collect::<Result<Map<_, _>, String>>()?;
        Self::read(&Value::Object(source))
    }

    /// Returns `{"server":...,"client":...,"version":"..."}`, the form of the schemas in the
    /// handshake.
    pub(crate) fn handshake_json(&self) -> String {
        // The source is JSON: it was written from a value.
        let source: Value = serde_json::from_str(&self.source).unwrap_or_default();
        let [server, client] =
            ["server", "client"].map(|side| source[side].as_object().map_or("{}".to_owned(), parsed));
        let version = self.version.escape_ascii();
        format!("{{\"server\":{server},\"client\":{client},\"version\":\"{version}\"}}")
    }
}
