//! Bodies as Pomelo's protobuf, by the schema of their route.
//!
//! This is the format of the npm package pomelo-protobuf 0.4.0, which is not Google's: `int32` is zigzag like
//! `sInt32`; a packed array is preceded by the number of its elements, not of its bytes; and the wire type in a
//! field's head means nothing, since Pomelo's browser clients write 2 where it should be 0. So fields are known by
//! their tags alone, and a tag that the schema does not have cannot be skipped.
//!
//! The application sees JSON. Bodies are rewritten from one form into the other piece by piece.

mod decode;
mod encode;
mod schema;

use serde_json::{Map, Value};

pub(crate) use schema::Schema;
use schema::{MAX_FIELDS, Schemas, parsed, unparsed};

use crate::version::{Version, version};

/// What the client is told of the schemas has at most so many bytes: a call of the codec must be able to hand
/// it back, as part of the answer to the handshake.
const MAX_TOLD: usize = 512 << 10;

/// The largest number that travels as an integer: the largest up to which JavaScript knows all of them.
const MAX_INTEGER: u64 = (1 << 53) - 1;

/// How long a body of so many bytes may become in its other form. Nobody gets near it with an honest body; but a
/// few bytes can stand for a long name, and a client must not be able to make much out of little.
fn room(length: usize) -> usize {
    3 * length + 4096
}

/// Which fields of a message have been there, by their indexes.
#[derive(Default)]
struct Seen([u64; MAX_FIELDS / 64]);

impl Seen {
    /// False if it was there before.
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
    /// Of what the server sends.
    pub(crate) server: Schemas,
    /// Of what the client sends.
    pub(crate) client: Schemas,
    pub(crate) version: Version,
    /// What it was read from, in a form that is the same for the same schemas.
    pub(crate) source: String,
}

impl Protos {
    /// Reads `{"server":{"route":{...}},"client":{...}}`, either of them optional. None without any route.
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
        let (server_told, client_told) = (parsed(server_source), parsed(client_source));
        let length = server_told.len() + client_told.len();
        if length > MAX_TOLD {
            return Err(format!(
                "`protos` takes {length} bytes in the handshake, and at most {MAX_TOLD} are allowed"
            ));
        }
        let version = version(&(client_told + &server_told));
        Ok(Some(Self { server, client, version, source: value.to_string() }))
    }

    /// As [`Protos::read`], from what [`Protos::source`] says.
    pub(crate) fn restore(source: &str) -> Option<Self> {
        Self::read(&serde_json::from_str(source).ok()?).ok().flatten()
    }

    /// As [`Protos::read`], from what a handshake tells. Its version is of no use: that of the server stands beside it.
    pub(crate) fn learn(told: &Value) -> Result<Option<Self>, String> {
        let side = |side: &str| Ok((side.to_owned(), unparsed(&told[side])?));
        let source = [side("server"), side("client")].into_iter().collect::<Result<Map<_, _>, String>>()?;
        Self::read(&Value::Object(source))
    }

    /// `{"server":...,"client":...,"version":"..."}` as the handshake tells it.
    pub(crate) fn told(&self) -> String {
        // It was JSON before.
        let source: Value = serde_json::from_str(&self.source).unwrap_or_default();
        let [server, client] =
            ["server", "client"].map(|side| source[side].as_object().map_or("{}".to_owned(), parsed));
        let version = self.version.escape_ascii();
        format!("{{\"server\":{server},\"client\":{client},\"version\":\"{version}\"}}")
    }
}
