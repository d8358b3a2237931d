//! The reasons for which connections end.

use std::io;

use crate::codec::{Cause, CodecError, Reason};
use wireplug_core::framing::SplitError;

/// The reason for which a connection ended. The log, the metrics and the API have the same reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CloseReason {
    /// The client closed the connection.
    #[error("the client closed the connection")]
    ClientClosed,
    /// The socket failed.
    #[error("socket error: {0}")]
    SocketError(Reason),
    /// The client can no longer be reached: for example, data was not acknowledged in time.
    #[error("the client cannot be reached any more: {0}")]
    Unreachable(Reason),
    /// The client broke the protocol of the transport, for example WebSocket.
    #[error("transport: {0}")]
    Transport(Reason),
    /// The client's bytes cannot be cut into packets.
    #[error("framing: {0}")]
    Framing(#[from] SplitError),
    /// The codec ended the session: the client broke the protocol, or took too long.
    #[error("protocol: {0}")]
    Protocol(Reason),
    /// The codec refused the client when it connected.
    #[error("the codec refused the client: {0}")]
    Refused(Reason),
    /// The codec failed. The sandbox of this session is gone; other sandboxes are not affected.
    #[error("codec fault: {0}")]
    CodecFault(CodecError),
    /// The server has reached its limit of connections.
    #[error("too many connections")]
    ServerFull,
    /// The client's address has reached its limit of connections.
    #[error("too many connections from this address")]
    AddressFull,
    /// The client's address is denied, or is not among those that are allowed.
    #[error("the address is not let in")]
    Denied,
    /// The listener's rules refuse the client because of its WebSocket path or origin.
    #[error("forbidden: {0}")]
    Forbidden(Reason),
    /// The client sent no first byte in time.
    #[error("no first byte in time")]
    FirstByteTimeout,
    /// The handshake was not over in time.
    #[error("the handshake took too long")]
    HandshakeTimeout,
    /// The codec did not find in time that the client receives what is sent to its address.
    #[error("the address was not verified in time")]
    UnverifiedAddress,
    /// A packet began and did not end in time.
    #[error("a packet took too long to come")]
    PacketTimeout,
    /// Nothing passed in either direction for too long.
    #[error("nothing passed for too long")]
    IdleTimeout,
    /// The client does not read what is written to it.
    #[error("the client does not read")]
    WriteTimeout,
    /// The client sent more packets or bytes than its rate allows.
    #[error("over the rate of packets or bytes")]
    OverRate,
    /// A push did not fit into the client's outbox.
    #[error("a push did not fit into the outbox")]
    Overflow,
    /// The server is short of memory, and much data waits for the client.
    #[error("the server is short of memory, and much waits for this client")]
    ShortOfMemory,
    /// The application disconnected the client.
    #[error("kicked: {0}")]
    Kicked(Reason),
    /// The session's user has another session now, and may have only one.
    #[error("the user has another session now")]
    Displaced,
    /// The codec fails so often that it opens no session for a while.
    #[error("the codec keeps failing, and opens no session for a while")]
    Suspended,
    /// The codec failed so often for the client's address that the address is refused for a while.
    #[error("the codec failed too often for this address, which is refused for a while")]
    FaultyAddress,
    /// Another version of the codec became current, and this session did not move to it.
    #[error("the server speaks another version of the protocol now; connect again")]
    Replaced,
    /// The server stops.
    #[error("the server stops")]
    Shutdown,
    /// The session goes on in another process of the server, after an upgrade. Only the metrics
    /// show this reason: for the client and the application nothing has ended.
    #[error("the session goes on in another process")]
    Moved,
    /// The runtime itself panicked. An earlier line of the log has the message of the panic.
    #[error("a fault of the runtime; please report it")]
    Internal,
}

impl From<io::Error> for CloseReason {
    /// Connectors return [`io::ErrorKind::InvalidData`] if the client broke a rule, and
    /// [`io::ErrorKind::QuotaExceeded`] if the client was over its rates. The other kinds that are
    /// matched here come from the operating system when it gives up on a connection.
    fn from(error: io::Error) -> Self {
        let reason = Reason::new(error.to_string());
        match error.kind() {
            io::ErrorKind::InvalidData => CloseReason::Transport(reason),
            io::ErrorKind::QuotaExceeded => CloseReason::OverRate,
            io::ErrorKind::TimedOut | io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable
                if error.raw_os_error().is_some() =>
            {
                CloseReason::Unreachable(reason)
            }
            _ => CloseReason::SocketError(reason),
        }
    }
}

impl CloseReason {
    /// Returns the short name of the reason, for metrics and log fields.
    pub fn cause(&self) -> &'static str {
        match self {
            CloseReason::ClientClosed => "client-closed",
            CloseReason::SocketError(_) => "socket-error",
            CloseReason::Unreachable(_) => "unreachable",
            CloseReason::Transport(_) => "transport",
            CloseReason::Framing(_) => "framing",
            CloseReason::Protocol(_) => "protocol",
            CloseReason::Refused(_) => "refused",
            CloseReason::CodecFault(error) => match error {
                CodecError::Refused(_) => "codec-refused",
                CodecError::Trap(_) => "codec-trap",
                CodecError::Deadline(_) => "codec-deadline",
                CodecError::Slow(_) => "codec-slow",
                CodecError::Budget(_) => "codec-budget",
                CodecError::Memory(_) => "codec-memory",
                CodecError::Oversized(_) => "codec-oversized",
                CodecError::Violation(_) => "codec-violation",
                CodecError::Exhausted(_) => "no-sandbox",
            },
            CloseReason::ServerFull => "server-full",
            CloseReason::AddressFull => "address-full",
            CloseReason::Denied => "denied",
            CloseReason::Forbidden(_) => "forbidden",
            CloseReason::FirstByteTimeout => "first-byte-timeout",
            CloseReason::HandshakeTimeout => "handshake-timeout",
            CloseReason::UnverifiedAddress => "unverified-address",
            CloseReason::PacketTimeout => "packet-timeout",
            CloseReason::IdleTimeout => "idle-timeout",
            CloseReason::WriteTimeout => "write-timeout",
            CloseReason::OverRate => "over-rate",
            CloseReason::Overflow => "overflow",
            CloseReason::ShortOfMemory => "short-of-memory",
            CloseReason::Kicked(_) => "kicked",
            CloseReason::Displaced => "displaced",
            CloseReason::Suspended => "suspended",
            CloseReason::FaultyAddress => "faulty-address",
            CloseReason::Replaced => "replaced",
            CloseReason::Shutdown => "shutdown",
            CloseReason::Moved => "moved",
            CloseReason::Internal => "internal",
        }
    }

    /// Returns the cause that the codec gets in its farewell, or `None` if the codec is not asked
    /// for a farewell: it is asked only if the runtime or the application ends a connection that
    /// works.
    pub(crate) fn cause_of_farewell(&self) -> Option<Cause> {
        match self {
            CloseReason::Kicked(_) => Some(Cause::Kicked),
            CloseReason::Displaced => Some(Cause::Displaced),
            CloseReason::Replaced => Some(Cause::Replaced),
            CloseReason::Shutdown => Some(Cause::Shutdown),
            _ => None,
        }
    }

    /// Whether requests in flight are answered before the connection ends: only if the client is to
    /// get the responses and may still read them.
    pub(crate) fn finishes_requests(&self) -> bool {
        matches!(
            self,
            CloseReason::ClientClosed
                | CloseReason::Transport(_)
                | CloseReason::Framing(_)
                | CloseReason::Protocol(_)
                | CloseReason::UnverifiedAddress
                | CloseReason::Replaced
                | CloseReason::Shutdown
        )
    }
}
