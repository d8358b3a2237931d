//! HELLO: `HELLO [2|3 [AUTH user password] [SETNAME name]]`. It chooses the protocol of the
//! session, and its answer describes the server.

use serde::Deserialize;

use crate::command::Arguments;
use crate::write::{self, Protocol};

/// The options of the codec: how the server introduces itself. Some clients choose what they use by
/// the version.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Server {
    server: String,
    version: String,
}

impl Default for Server {
    fn default() -> Self {
        Self { server: "wireplug".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() }
    }
}

/// What a client wants.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Hello<'a> {
    /// `None`: the protocol stays as it is.
    pub(crate) protocol: Option<Protocol>,
    /// A user and a password.
    pub(crate) auth: Option<(&'a [u8], &'a [u8])>,
    /// A name for the connection.
    pub(crate) name: Option<&'a [u8]>,
}

impl<'a> Hello<'a> {
    /// Reads the arguments behind the name of the command.
    ///
    /// # Errors
    /// Returns the error for the client.
    pub(crate) fn read(mut arguments: Arguments<'a>) -> Result<Self, String> {
        let mut hello = Self::default();
        let Some(version) = arguments.next() else { return Ok(hello) };
        hello.protocol = Some(match version {
            b"2" => Protocol::Resp2,
            b"3" => Protocol::Resp3,
            _ if version.iter().all(u8::is_ascii_digit) => {
                return Err("NOPROTO unsupported protocol version".to_owned());
            }
            _ => return Err("ERR Protocol version is not an integer or out of range".to_owned()),
        });
        while let Some(option) = arguments.next() {
            if option.eq_ignore_ascii_case(b"auth")
                && let (Some(user), Some(password)) = (arguments.next(), arguments.next())
            {
                hello.auth = Some((user, password));
            } else if option.eq_ignore_ascii_case(b"setname")
                && let Some(name) = arguments.next()
            {
                hello.name = Some(name);
            } else {
                return Err(format!("ERR Syntax error in HELLO option '{}'", write::shown(option)));
            }
        }
        Ok(hello)
    }
}

/// Writes the answer: a map in RESP3, an array in RESP2.
pub(crate) fn write(out: &mut Vec<u8>, server: &Server, protocol: Protocol, connection: u32) {
    match protocol {
        Protocol::Resp2 => write::head(out, b'*', 14),
        Protocol::Resp3 => write::head(out, b'%', 7),
    }
    let mut text = |key: &str, value: &str| {
        write::bulk(out, key.as_bytes());
        write::bulk(out, value.as_bytes());
    };
    text("server", &server.server);
    text("version", &server.version);
    text("mode", "standalone");
    text("role", "master");
    write::bulk(out, b"proto");
    write::head(out, b':', protocol.number());
    write::bulk(out, b"id");
    write::head(out, b':', connection as usize);
    write::bulk(out, b"modules");
    write::head(out, b'*', 0);
}
