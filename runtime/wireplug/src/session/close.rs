//! Why a connection ended.

use std::io;

use crate::codec::{CodecError, Reason};
use wireplug_core::framing::SplitError;

/// Why a connection ended: one typed reason for log, count and API alike.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CloseReason {
    /// The client ended it.
    #[error("the client closed the connection")]
    ClientClosed,
    /// The socket failed.
    #[error("socket error: {0}")]
    SocketError(Reason),
    /// The client cannot be reached any more: what was sent to it was not acknowledged in time.
    #[error("the client cannot be reached any more: {0}")]
    Unreachable(Reason),
    /// The client broke the transport's own protocol, WebSocket for one.
    #[error("transport: {0}")]
    Transport(Reason),
    /// What the client sent cannot be cut into packets.
    #[error("framing: {0}")]
    Framing(#[from] SplitError),
    /// The codec ended it: the client broke the protocol, or its time was over.
    #[error("protocol: {0}")]
    Protocol(Reason),
    /// The codec refused the client when it connected.
    #[error("the codec refused the client: {0}")]
    Refused(Reason),
    /// The codec failed. Its sandbox is gone, and nobody else's.
    #[error("codec fault: {0}")]
    CodecFault(CodecError),
    /// The server has as many connections as it may.
    #[error("too many connections")]
    ServerFull,
    /// The client's address has as many connections as it may.
    #[error("too many connections from this address")]
    AddressFull,
    /// The client's address is on no list that lets it in, or on one that keeps it out.
    #[error("the address is not let in")]
    Denied,
    /// The listener's rules keep the client out: WebSocket's path or origin.
    #[error("forbidden: {0}")]
    Forbidden(Reason),
    /// The client sent nothing.
    #[error("no first byte in time")]
    FirstByteTimeout,
    /// The handshake was not over in time.
    #[error("the handshake took too long")]
    HandshakeTimeout,
    /// A packet began and did not end in time.
    #[error("a packet took too long to come")]
    PacketTimeout,
    /// Nothing passed in either direction.
    #[error("nothing passed for too long")]
    IdleTimeout,
    /// The client does not take what is written to it.
    #[error("the client does not read")]
    WriteTimeout,
    /// The client sent more than its rate.
    #[error("over the rate of packets or bytes")]
    OverRate,
    /// A push did not fit into the client's outbox.
    #[error("a push did not fit into the outbox")]
    Overflow,
    /// The application threw the client out.
    #[error("kicked: {0}")]
    Kicked(Reason),
    /// The session's user has another session now, and may have one only.
    #[error("the user has another session now")]
    Displaced,
    /// The codec fails so often that it opens no session for a while.
    #[error("the codec keeps failing, and opens no session for a while")]
    Suspended,
    /// The codec failed so often for the client's address that it is refused for a while.
    #[error("the codec failed too often for this address, which is refused for a while")]
    FaultyAddress,
    /// Another version of the codec took its place, and this session was not carried over to it.
    #[error("the server speaks another version of the protocol now; connect again")]
    Replaced,
    /// The server stops.
    #[error("the server stops")]
    Shutdown,
    /// The runtime itself failed. The panic's message stands in the log before this.
    #[error("a fault of the runtime; please report it")]
    Internal,
}

impl From<io::Error> for CloseReason {
    /// Connectors mark with [`io::ErrorKind::InvalidData`] what the client did wrong, and with
    /// [`io::ErrorKind::QuotaExceeded`] that it was over its rates. The system tells by the other
    /// kinds that are looked at why it has given up.
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
    /// The reason in a few words, for counts and log fields.
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
            CloseReason::PacketTimeout => "packet-timeout",
            CloseReason::IdleTimeout => "idle-timeout",
            CloseReason::WriteTimeout => "write-timeout",
            CloseReason::OverRate => "over-rate",
            CloseReason::Overflow => "overflow",
            CloseReason::Kicked(_) => "kicked",
            CloseReason::Displaced => "displaced",
            CloseReason::Suspended => "suspended",
            CloseReason::FaultyAddress => "faulty-address",
            CloseReason::Replaced => "replaced",
            CloseReason::Shutdown => "shutdown",
            CloseReason::Internal => "internal",
        }
    }

    /// Whether the codec may say a last word: only where the runtime or the application ends a
    /// sound connection.
    pub(crate) fn says_farewell(&self) -> bool {
        matches!(
            self,
            CloseReason::Kicked(_) | CloseReason::Displaced | CloseReason::Replaced | CloseReason::Shutdown
        )
    }

    /// Whether requests in flight are answered before the connection ends: where the client is owed
    /// an answer and may still read it.
    pub(crate) fn finishes_requests(&self) -> bool {
        matches!(
            self,
            CloseReason::ClientClosed
                | CloseReason::Transport(_)
                | CloseReason::Framing(_)
                | CloseReason::Protocol(_)
                | CloseReason::Replaced
                | CloseReason::Shutdown
        )
    }
}
