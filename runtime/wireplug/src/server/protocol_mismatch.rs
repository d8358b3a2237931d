//! Detects TLS clients on a listener without TLS. A codec cannot tell them from other clients that
//! break its protocol.

use crate::codec::Reason;
use crate::session::CloseReason;
use wireplug_connectors::listening::{UNEXPECTED, is_client_hello};

/// How many of a stream's first bytes are kept. They are enough to recognise the hello of a TLS
/// client.
const KEPT: usize = 6;

/// The first bytes of a stream. A codec's own protocol may begin as TLS does, so a mismatch is
/// reported only for a connection that fails.
#[derive(Debug, Default)]
pub(super) struct ProtocolMismatch {
    begin: [u8; KEPT],
}

impl ProtocolMismatch {
    /// Keeps the bytes in `read` that are among the first [`KEPT`] bytes of the stream. `before` is
    /// the number of bytes that came before them.
    pub(super) fn look(&mut self, before: u64, read: &[u8]) {
        if before < KEPT as u64 {
            let before = before as usize;
            let count = read.len().min(KEPT - before);
            self.begin[before..before + count].copy_from_slice(&read[..count]);
        }
    }

    /// Returns why a connection ended: `reason`, or the mismatch that caused it. `incomplete` is
    /// true if the client's last packet or its handshake is incomplete.
    pub(super) fn explain(&self, reason: CloseReason, incomplete: bool) -> CloseReason {
        let fails = match &reason {
            CloseReason::Framing(_) | CloseReason::Protocol(_) => true,
            CloseReason::ClientClosed
            | CloseReason::SocketError(_)
            | CloseReason::HandshakeTimeout
            | CloseReason::PacketTimeout
            | CloseReason::IdleTimeout => incomplete,
            _ => false,
        };
        // Bytes that have not arrived are zero, and are left out.
        let come = self.begin.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        if fails && is_client_hello(&self.begin[..come]) {
            CloseReason::Transport(Reason::new(UNEXPECTED))
        } else {
            reason
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";

    #[test]
    fn only_a_connection_that_begins_so_and_fails_is_explained() {
        let mut tls = ProtocolMismatch::default();
        // The hello comes in two pieces, as it does after a connector has peeked at the first byte.
        tls.look(0, &HELLO[..1]);
        tls.look(1, &HELLO[1..]);
        let mut later = ProtocolMismatch::default();
        later.look(0, b"hello");
        later.look(5, HELLO);
        let protocol = CloseReason::Protocol(Reason::new("broken"));
        assert!(matches!(tls.explain(protocol.clone(), false), CloseReason::Transport(_)));
        assert_eq!(later.explain(protocol.clone(), false), protocol);
        assert!(matches!(tls.explain(CloseReason::ClientClosed, true), CloseReason::Transport(_)));
        assert_eq!(tls.explain(CloseReason::ClientClosed, false), CloseReason::ClientClosed);
        assert_eq!(tls.explain(CloseReason::Shutdown, true), CloseReason::Shutdown);
    }
}
