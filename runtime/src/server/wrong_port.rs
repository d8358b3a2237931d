//! Clients of TLS that come to a listener without: a stream's protocol cannot tell them from others who break it.

use crate::codec::Reason;
use crate::session::CloseReason;
use wireplug_connectors::listening::{UNEXPECTED, is_client_hello};

/// How many of a stream's first bytes are kept: as many as it takes to recognise a hello.
const KEPT: usize = 6;

/// What a stream began with. A protocol of the codec's may begin as TLS does: it is told only where a connection
/// fails.
#[derive(Debug, Default)]
pub(super) struct WrongPort {
    begin: [u8; KEPT],
}

impl WrongPort {
    /// Looks at what was read; `before` bytes came before it.
    pub(super) fn look(&mut self, before: u64, read: &[u8]) {
        if before < KEPT as u64 {
            let before = before as usize;
            let count = read.len().min(KEPT - before);
            self.begin[before..before + count].copy_from_slice(&read[..count]);
        }
    }

    /// The reason for which a connection ended, or what was behind it. `begun`: nothing that the client sent has
    /// come to its end, neither a packet nor the handshake.
    pub(super) fn explain(&self, reason: CloseReason, begun: bool) -> CloseReason {
        let fails = match &reason {
            CloseReason::Framing(_) | CloseReason::Protocol(_) => true,
            CloseReason::ClientClosed
            | CloseReason::SocketError(_)
            | CloseReason::HandshakeTimeout
            | CloseReason::PacketTimeout
            | CloseReason::IdleTimeout => begun,
            _ => false,
        };
        // What has not come is zeros, which are no hello.
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
        let mut tls = WrongPort::default();
        // In pieces, as behind a look at the first byte.
        tls.look(0, &HELLO[..1]);
        tls.look(1, &HELLO[1..]);
        let mut later = WrongPort::default();
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
