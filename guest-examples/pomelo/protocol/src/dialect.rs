//! The option `dialect`: whose clients the session speaks to.
//!
//! Pitaya's clients read what Pomelo's clients read, with these differences, of which
//! `docs/pomelo-clients.md` has more:
//!
//! - They may compress the body of a message, and say so by a bit of the flag.
//! - They know the response to a failed request by another bit of the flag, and read the failure
//!   from an object with the strings `code` and `msg`.
//! - They crash at a push whose route is a code, if the handshake has said that a dictionary is in
//!   use, and they misread the code. So the dictionary is only for what they send.
//! - They fail if the handshake has no heartbeat in whole seconds, even if it refuses the client.

use std::io::Write as _;

use serde_json::Value;

use crate::message::{self, Kind, Route};
use crate::{package, session};

/// Whose clients the session speaks to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// The clients of Pomelo, and those of nano.
    #[default]
    Pomelo,
    /// The clients of Pitaya.
    Pitaya,
}

impl Dialect {
    /// Reads the option.
    pub(crate) fn read(value: Option<&Value>) -> Result<Self, String> {
        match value.map(Value::as_str) {
            None | Some(Some("pomelo")) => Ok(Self::Pomelo),
            Some(Some("pitaya")) => Ok(Self::Pitaya),
            Some(_) => Err("`dialect` must be \"pomelo\" or \"pitaya\"".into()),
        }
    }

    /// Returns the members of `sys` in a client's handshake that have the type and the version of
    /// the client.
    pub(crate) fn client_keys(self) -> [&'static str; 2] {
        match self {
            Self::Pomelo => ["type", "version"],
            Self::Pitaya => ["platform", "clientVersion"],
        }
    }

    /// Appends the whole packet of a response that reports a failure.
    pub(crate) fn write_failure(self, id: u64, status: u16, packet: &mut Vec<u8>) {
        let start = packet.len();
        session::begin(packet, Kind::Response, id, Route::None);
        self.mark_failure(status, &mut packet[start..]);
        self.write_status(status, packet);
    }

    /// Sets the bit by which a client knows the response to a failed request, if it knows any.
    /// `packet` is a DATA packet.
    pub(crate) fn mark_failure(self, status: u16, packet: &mut [u8]) {
        // The flag is behind the type of the package.
        if self == Self::Pitaya && status != 200 {
            packet[1] |= message::ERROR;
        }
    }

    /// Appends the body that reports a failure.
    pub(crate) fn write_status(self, status: u16, packet: &mut Vec<u8>) {
        // Writing to memory cannot fail.
        let _ = match self {
            Self::Pomelo => write!(packet, "{{\"code\":{status}}}"),
            Self::Pitaya => write!(packet, "{{\"code\":\"PIT-{status}\",\"msg\":\"status {status}\"}}"),
        };
    }

    /// Appends the packet that refuses a handshake. `heartbeat` is a number of seconds, as JSON.
    pub(crate) fn write_refusal(self, code: u16, heartbeat: Option<&str>, packet: &mut Vec<u8>) {
        packet.push(package::Kind::Handshake as u8);
        let _ = match (self, heartbeat) {
            (Self::Pitaya, Some(seconds)) => {
                write!(packet, "{{\"code\":{code},\"sys\":{{\"heartbeat\":{seconds}}}}}")
            }
            _ => write!(packet, "{{\"code\":{code}}}"),
        };
    }
}
