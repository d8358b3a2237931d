//! A client's socket on its way to another process of this server.
//!
//! When the server is upgraded, its old process hands the sockets of its clients to the new one. A
//! socket is not consumed by that: its descriptor is duplicated, and its state is copied. The old
//! process leaves the socket alone until the new one serves the client, and then drops it. If the
//! new process refuses the client, the old one goes on with the socket.
//!
//! The state of a socket is written with postcard, which writes no names of fields. So a change of
//! a type with such a state needs another [`PROTOCOL`], as a test notices.

#[cfg(test)]
mod format;
#[cfg(test)]
mod tests;

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The version of all that the two processes of an upgrade say to each other, and of the states of
/// sockets among it. A process refuses another version before anything moves.
pub const PROTOCOL: u32 = 1;

/// Why a transport cannot be handed over, unless it has a reason of its own.
pub(super) const NOT_POSSIBLE: &str = "its transport cannot be handed to another process";

/// A client's socket on its way to another process. The socket stays usable in this process, which
/// must leave it alone unless the other one refuses the client.
#[derive(Debug)]
pub struct HandedSocket {
    /// A duplicate of the client's descriptor. `None` for transports whose clients share one
    /// socket.
    pub descriptor: Option<OwnedFd>,
    /// What the connector of the other process must know. Only the connector reads it.
    pub state: Vec<u8>,
}

impl HandedSocket {
    /// Duplicates the descriptor of a socket of the system, without any state.
    ///
    /// # Errors
    /// Returns an error if the process has no descriptor left.
    pub fn of(socket: &impl AsFd) -> io::Result<Self> {
        Ok(Self { descriptor: Some(socket.as_fd().try_clone_to_owned()?), state: Vec::new() })
    }

    /// Takes the descriptor out.
    ///
    /// # Errors
    /// Returns an error of kind [`io::ErrorKind::InvalidData`] if there is none.
    pub fn take_descriptor(&mut self) -> io::Result<OwnedFd> {
        self.descriptor.take().ok_or_else(|| invalid("the client came without its descriptor"))
    }
}

/// Writes the state of a socket or of a listener.
pub(super) fn to_state(state: &impl Serialize) -> io::Result<Vec<u8>> {
    postcard::to_allocvec(state).map_err(io::Error::other)
}

/// Reads what [`to_state`] has written in another process.
///
/// # Errors
/// Returns an error of kind [`io::ErrorKind::InvalidData`] if the bytes are not such a state.
pub(super) fn from_state<T: DeserializeOwned>(state: &[u8]) -> io::Result<T> {
    match postcard::take_from_bytes(state) {
        Ok((state, [])) => Ok(state),
        _ => Err(invalid("the state of another process is not one that this version writes")),
    }
}

/// Returns the error for something that came from the other process and cannot be used.
pub(super) fn invalid(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}
