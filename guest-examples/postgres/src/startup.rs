//! The packets before the first message: they have no type.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::message::Reader;
use crate::report::{Report, code};

/// Version 3.0 of the protocol.
pub(crate) const VERSION_3_0: u32 = 3 << 16;

const CANCEL_REQUEST: u32 = 1234 << 16 | 5678;
const SSL_REQUEST: u32 = 1234 << 16 | 5679;
const GSSENC_REQUEST: u32 = 1234 << 16 | 5680;

/// The beginning of the names of protocol options. This codec knows none.
const PROTOCOL_OPTION: &str = "_pq_.";

/// Identifies a session for a cancellation: BackendKeyData, and the fields of CancelRequest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Key {
    pub(crate) process: u32,
    pub(crate) secret: u32,
}

impl Key {
    /// Returns a key that nobody can guess. The process number is positive for clients that read it
    /// as a signed number.
    pub(crate) fn random(seed: &[u8; 32]) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = *seed;
        let process = u32::from_be_bytes([a, b, c, d]) & (u32::MAX >> 1);
        Self { process, secret: u32::from_be_bytes([e, f, g, h]) }
    }
}

/// A packet without a type.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Packet {
    /// The client wants TLS.
    Ssl,
    /// The client wants the encryption of GSSAPI.
    Gss,
    /// Another connection of the client wants its query cancelled.
    Cancel(Key),
    Startup(Startup),
}

/// What a client says about itself.
#[derive(Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Startup {
    pub(crate) user: String,
    pub(crate) database: String,
    /// All other parameters, such as `application_name`.
    pub(crate) parameters: BTreeMap<String, String>,
    /// The client asked for a newer minor version, or for these protocol options.
    pub(crate) is_newer: bool,
    pub(crate) protocol_options: Vec<String>,
}

/// Reads a packet without a type.
pub(crate) fn read(packet: &[u8]) -> Result<Packet, Report> {
    let mut fields = Reader(packet);
    let _length = fields.u32()?;
    match fields.u32()? {
        SSL_REQUEST => fields.end().map(|()| Packet::Ssl),
        GSSENC_REQUEST => fields.end().map(|()| Packet::Gss),
        CANCEL_REQUEST => {
            let key = Key { process: fields.u32()?, secret: fields.u32()? };
            fields.end().map(|()| Packet::Cancel(key))
        }
        version if version >> 16 == VERSION_3_0 >> 16 => read_startup(version, fields).map(Packet::Startup),
        version => Err(unsupported(version)),
    }
}

/// Returns the error for a second SSLRequest.
pub(crate) fn second_ssl_request() -> Report {
    unsupported(SSL_REQUEST)
}

/// Returns the error for a second GSSENCRequest.
pub(crate) fn second_gss_request() -> Report {
    unsupported(GSSENC_REQUEST)
}

fn unsupported(version: u32) -> Report {
    let (major, minor) = (version >> 16, version & 0xffff);
    let text = format!("unsupported frontend protocol {major}.{minor}: server supports 3.0");
    Report::new(code::NOT_SUPPORTED, text)
}

fn read_startup(version: u32, mut fields: Reader<'_>) -> Result<Startup, Report> {
    let mut parameters = BTreeMap::new();
    let mut protocol_options = Vec::new();
    loop {
        match fields.text()? {
            "" => break,
            name if name.starts_with(PROTOCOL_OPTION) => {
                fields.text()?;
                protocol_options.push(name.to_owned());
            }
            name => {
                parameters.insert(name.to_owned(), fields.text()?.to_owned());
            }
        }
    }
    fields.end()?;
    let user = parameters.remove("user").filter(|user| !user.is_empty());
    let user = user.ok_or_else(|| {
        Report::new(code::INVALID_AUTHORIZATION, "no PostgreSQL user name specified in startup packet")
    })?;
    let database = parameters.remove("database").filter(|database| !database.is_empty());
    let database = database.unwrap_or_else(|| user.clone());
    let is_newer = version > VERSION_3_0;
    Ok(Startup { user, database, parameters, is_newer, protocol_options })
}

impl Startup {
    /// Checks what the codec cannot do, whatever the application says.
    pub(crate) fn check(&self) -> Result<(), Report> {
        let parameter = |name: &str| self.parameters.get(name).map(String::as_str);
        if !matches!(parameter("replication"), None | Some("false" | "off" | "no" | "0")) {
            return Err(Report::new(code::NOT_SUPPORTED, "replication is not supported"));
        }
        match parameter("client_encoding") {
            Some(encoding) if !is_utf8(encoding) => {
                let text = format!("client_encoding {encoding:?} is not supported");
                Err(Report::new(code::INVALID_PARAMETER, text).hint("This server speaks UTF8 only."))
            }
            _ => Ok(()),
        }
    }
}

/// Whether this is a name of UTF-8. PostgreSQL compares only letters and digits, in lower case.
fn is_utf8(encoding: &str) -> bool {
    let plain: String = encoding.chars().filter(char::is_ascii_alphanumeric).collect();
    matches!(&*plain.to_ascii_lowercase(), "utf8" | "unicode")
}
