//! CONNECT and CONNACK: sections 3.1 and 3.2 of the specification.

use serde::Serialize;
use wireplug_guest::Fault;

use crate::reader::Reader;

/// The introduction of a client, as the application gets it.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Connect<'a> {
    /// Empty if the client leaves the choice to the server.
    pub(crate) client_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) username: Option<&'a str>,
    /// As text. Bytes that are not UTF-8 are replaced by U+FFFD.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) password: Option<std::borrow::Cow<'a, str>>,
    /// In seconds. 0 turns the keep alive off.
    pub(crate) keep_alive: u16,
    pub(crate) clean_session: bool,
}

/// The answers to CONNECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    Accepted = 0,
    UnacceptableVersion = 1,
    IdentifierRejected = 2,
    ServerUnavailable = 3,
    BadCredentials = 4,
    NotAuthorized = 5,
}

impl Code {
    /// Returns the code for the application's answer to a hello.
    pub(crate) fn of(status: u16) -> Self {
        match status {
            200 => Self::Accepted,
            401 => Self::BadCredentials,
            500.. => Self::ServerUnavailable,
            _ => Self::NotAuthorized,
        }
    }

    /// Returns the CONNACK. There is never an earlier session [MQTT-3.2.2-1].
    pub(crate) fn packet(self) -> [u8; 3] {
        [0x20, 0, self as u8]
    }
}

/// Why the codec refuses a CONNECT.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The client gets a CONNACK with this code. The text is the reason for the log.
    Answered(Code, &'static str),
    /// The client gets no answer.
    Broken(Fault),
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Self::Broken(fault)
    }
}

/// Reads a CONNECT behind its first byte.
pub(crate) fn read(body: &[u8]) -> Result<Connect<'_>, Refused> {
    let mut rest = Reader(body);
    if rest.text()? != "MQTT" {
        return Err(Fault::fatal("the protocol is not MQTT 3.1.1").into());
    }
    if rest.u8()? != 4 {
        return Err(Refused::Answered(Code::UnacceptableVersion, "the version is not 3.1.1"));
    }
    let flags = rest.u8()?;
    let is = |bit: u8| flags & 1 << bit != 0;
    let (clean_session, has_will, has_password, has_username) = (is(1), is(2), is(6), is(7));
    let will_qos = flags >> 3 & 3;
    // [MQTT-3.1.2-3, -11, -13, -14, -15, -22]
    if is(0) || will_qos == 3 || !has_will && (will_qos != 0 || is(5)) || has_password && !has_username {
        return Err(Fault::fatal("the flags of a CONNECT contradict each other").into());
    }
    let keep_alive = rest.u16()?;
    let client_id = rest.text()?;
    if has_will {
        // A client with a will relies on it, and this codec would never send it.
        return Err(Refused::Answered(Code::NotAuthorized, "the client has a will, which is not supported"));
    }
    let username = if has_username { Some(rest.text()?) } else { None };
    let password = if has_password { Some(String::from_utf8_lossy(rest.bytes()?)) } else { None };
    rest.end()?;
    // [MQTT-3.1.3-8]
    if client_id.is_empty() && !clean_session {
        return Err(Refused::Answered(
            Code::IdentifierRejected,
            "the client asks for a persistent session without an identifier",
        ));
    }
    Ok(Connect { client_id, username, password, keep_alive, clean_session })
}
