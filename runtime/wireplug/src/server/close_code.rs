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
        | CloseReason::Displaced
        | CloseReason::Moved => CloseCode::NORMAL,
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
        CloseReason::ServerFull
        | CloseReason::AddressFull
        | CloseReason::ShortOfMemory
        | CloseReason::Suspended => CloseCode::TRY_LATER,
        CloseReason::Replaced | CloseReason::Shutdown => CloseCode::RESTART,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::codec::{CodecError, Reason};

    /// The table of `docs/operations.md` has each cause with its code.
    #[test]
    fn every_end_is_in_the_documentation() {
        let reason = || Reason::new("it");
        let ends = [
            CloseReason::ClientClosed,
            CloseReason::SocketError(reason()),
            CloseReason::Unreachable(reason()),
            CloseReason::Transport(reason()),
            CloseReason::Protocol(reason()),
            CloseReason::Refused(reason()),
            CloseReason::CodecFault(CodecError::Exhausted(reason())),
            CloseReason::ServerFull,
            CloseReason::AddressFull,
            CloseReason::ShortOfMemory,
            CloseReason::Denied,
            CloseReason::Forbidden(reason()),
            CloseReason::FirstByteTimeout,
            CloseReason::HandshakeTimeout,
            CloseReason::UnverifiedAddress,
            CloseReason::PacketTimeout,
            CloseReason::IdleTimeout,
            CloseReason::WriteTimeout,
            CloseReason::OverRate,
            CloseReason::Overflow,
            CloseReason::Kicked(reason()),
            CloseReason::Displaced,
            CloseReason::Suspended,
            CloseReason::FaultyAddress,
            CloseReason::Replaced,
            CloseReason::Shutdown,
            CloseReason::Internal,
        ];
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operations.md");
        let page = std::fs::read_to_string(page).expect("the page can be read");
        for end in ends {
            let row = format!("| `{}` | {} | ", end.cause(), close_code(&end).0);
            assert!(page.contains(&row), "{row}");
        }
    }
}
