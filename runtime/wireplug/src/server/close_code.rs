//! The WebSocket close code that reports to a client why its connection ends.

use crate::session::CloseReason;
use wireplug_connectors::CloseCode;

/// Returns the close code of a reason.
pub(super) fn close_code(reason: &CloseReason) -> CloseCode {
    match reason {
        CloseReason::ClientClosed
        | CloseReason::SocketError(_)
        | CloseReason::Unreachable(_)
        | CloseReason::Kicked(_)
        | CloseReason::Displaced => CloseCode::NORMAL,
        CloseReason::Refused(_)
        | CloseReason::Denied
        | CloseReason::FaultyAddress
        | CloseReason::Forbidden(_)
        | CloseReason::FirstByteTimeout
        | CloseReason::HandshakeTimeout
        | CloseReason::UnverifiedAddress
        | CloseReason::PacketTimeout
        | CloseReason::IdleTimeout
        | CloseReason::WriteTimeout
        | CloseReason::OverRate
        | CloseReason::Overflow => CloseCode::POLICY,
        CloseReason::Framing(_) | CloseReason::Transport(_) | CloseReason::Protocol(_) => CloseCode::PROTOCOL,
        CloseReason::CodecFault(_) | CloseReason::Internal => CloseCode::INTERNAL,
        CloseReason::ServerFull | CloseReason::AddressFull | CloseReason::Suspended => CloseCode::TRY_LATER,
        CloseReason::Replaced | CloseReason::Shutdown => CloseCode::RESTART,
    }
}
