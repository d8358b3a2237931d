//! Peers of TCP that are gone without a word: their machine lost its power or its network.
//!
//! Nothing tells a server so. It sees only that what it sends is not acknowledged, for which the
//! kernel tries again for a quarter of an hour; and where it sends nothing, it sees nothing at all.

use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

use super::ListenOptions;

/// How long a client without an idle timeout may be silent before the kernel asks whether it is
/// there. One question that gets lost may end a connection, since the kernel asks once where there
/// is a limit on what is unacknowledged: so it asks rarely.
const ASK_AFTER: Duration = Duration::from_secs(15 * 60);

/// How many write timeouts what was sent may be unacknowledged. The kernel also counts the time in
/// which a client that is there has no room, and one that reads little at a time tells of room
/// rarely: with a single timeout such a client would be closed.
const PER_WRITE_TIMEOUT: u32 = 3;

/// How long it waits for the answer.
const ANSWER: Duration = Duration::from_secs(75);

/// The longest time that the kernel takes, in milliseconds: it holds it as a signed number.
#[cfg(target_os = "linux")]
const LONGEST: Duration = Duration::from_millis(i32::MAX as u64);

/// When a connection ends whose peer is gone.
#[derive(Clone, Copy, Debug)]
pub struct DeadPeers {
    /// How long what was sent may be unacknowledged, and what is to be sent may find no room. Zero:
    /// as the system has it.
    pub unacknowledged: Duration,
    /// How long the peer may be silent until the connection ends anyway. Zero: for ever, so that
    /// the kernel has to ask.
    pub idle: Duration,
}

impl DeadPeers {
    /// Returns the bounds of a listener's clients.
    pub(super) fn of(options: &ListenOptions) -> Self {
        let unacknowledged = options.write_timeout.saturating_mul(PER_WRITE_TIMEOUT);
        Self { unacknowledged, idle: options.idle_timeout }
    }

    /// Holds a connection to it.
    pub fn watch(self, stream: &TcpStream) {
        let socket = SockRef::from(stream);
        // All of it fails only for a client that is gone already, which its first read will tell.
        #[cfg(target_os = "linux")]
        if !self.unacknowledged.is_zero() {
            let _ = socket.set_tcp_user_timeout(Some(self.unacknowledged.min(LONGEST)));
        }
        if self.idle.is_zero() {
            let _ = socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(ASK_AFTER).with_interval(ANSWER));
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn watched(unacknowledged: Duration, idle: Duration) -> TcpStream {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
        let client = TcpStream::connect(listener.local_addr().expect("it is bound"));
        let (client, accepted) = tokio::join!(client, listener.accept());
        drop(client);
        let (stream, _) = accepted.expect("it is accepted");
        DeadPeers { unacknowledged, idle }.watch(&stream);
        stream
    }

    #[tokio::test]
    async fn the_kernel_has_the_bounds() {
        let second = Duration::from_secs(1);
        let stream = watched(5 * second, 60 * second).await;
        let socket = SockRef::from(&stream);
        assert_eq!(socket.tcp_user_timeout().expect("an option"), Some(5 * second));
        assert!(!socket.keepalive().expect("an option"), "the idle timeout is sooner");
        drop(stream);

        let stream = watched(Duration::ZERO, Duration::ZERO).await;
        let socket = SockRef::from(&stream);
        assert_eq!(socket.tcp_user_timeout().expect("an option"), None);
        assert!(socket.keepalive().expect("an option"));
        assert_eq!(socket.tcp_keepalive_time().expect("an option"), ASK_AFTER);
        drop(stream);

        let stream = watched(Duration::MAX, Duration::MAX).await;
        let socket = SockRef::from(&stream);
        assert_eq!(socket.tcp_user_timeout().expect("an option"), Some(LONGEST));
    }
}
