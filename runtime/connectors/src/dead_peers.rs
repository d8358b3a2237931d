//! Detects TCP peers that have vanished without closing the connection, for instance because their
//! machine lost its power or its network.
//!
//! Nothing notifies a server of this. If it has sent something, it sees only that the data is not
//! acknowledged, and the kernel retransmits for about a quarter of an hour. If it has sent nothing,
//! it sees nothing at all.

use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

use super::ListenOptions;

/// How long a client without an idle timeout may be silent before the kernel sends it a keep-alive
/// probe. If unacknowledged data has a time limit, the kernel sends a single probe, so one lost
/// probe may end a connection. Probes are therefore rare.
const ASK_AFTER: Duration = Duration::from_secs(15 * 60);

/// For how many write timeouts sent data may be unacknowledged. The kernel also counts the time in
/// which a client that is still there has no room in its window, and a client that reads little at
/// a time rarely announces room. With a single write timeout, such a client would be closed.
const PER_WRITE_TIMEOUT: u32 = 3;

/// How long the kernel waits for the answer to a probe.
const ANSWER: Duration = Duration::from_secs(75);

/// The longest time that the kernel accepts. It stores the milliseconds in a signed number.
#[cfg(target_os = "linux")]
const LONGEST: Duration = Duration::from_millis(i32::MAX as u64);

/// The limits that end a connection whose peer has vanished.
#[derive(Clone, Copy, Debug)]
pub struct DeadPeers {
    /// How long sent data may be unacknowledged, and how long data may wait for room at the peer.
    /// Zero: the system's default.
    pub unacknowledged: Duration,
    /// How long the peer may be silent until the server ends the connection anyway. Zero: no limit,
    /// so the kernel has to probe the peer.
    pub idle: Duration,
}

impl DeadPeers {
    /// Returns the limits for a listener's clients.
    pub(super) fn of(options: &ListenOptions) -> Self {
        let unacknowledged = options.write_timeout.saturating_mul(PER_WRITE_TIMEOUT);
        Self { unacknowledged, idle: options.idle_timeout }
    }

    /// Applies the limits to a connection of another process, which may have had other ones.
    pub(super) fn watch_anew(self, stream: &TcpStream) {
        let socket = SockRef::from(stream);
        #[cfg(target_os = "linux")]
        let _ = socket.set_tcp_user_timeout(None);
        let _ = socket.set_keepalive(false);
        self.watch(stream);
    }

    /// Applies the limits to a connection.
    pub fn watch(self, stream: &TcpStream) {
        let socket = SockRef::from(stream);
        // These calls fail only if the client has already gone, and the first read reports that.
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
        DeadPeers { unacknowledged: 5 * second, idle: 60 * second }.watch_anew(&stream);
        assert_eq!(socket.tcp_user_timeout().expect("an option"), Some(5 * second));
        assert!(!socket.keepalive().expect("an option"));
        DeadPeers { unacknowledged: Duration::ZERO, idle: 60 * second }.watch_anew(&stream);
        assert_eq!(socket.tcp_user_timeout().expect("an option"), None);
        drop(stream);

        let stream = watched(Duration::MAX, Duration::MAX).await;
        let socket = SockRef::from(&stream);
        assert_eq!(socket.tcp_user_timeout().expect("an option"), Some(LONGEST));
    }
}
