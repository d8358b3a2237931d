//! The sizes of the kernel's buffers for a client.

use socket2::SockRef;
use tokio::net::TcpStream;

use super::ListenOptions;

/// The sizes in bytes. Zero: the kernel chooses, and lets a buffer grow with the traffic up to
/// `net.ipv4.tcp_rmem` and `tcp_wmem`.
#[derive(Clone, Copy, Debug)]
pub(super) struct SocketBuffers {
    receive: usize,
    send: usize,
}

impl SocketBuffers {
    /// Returns the sizes for a listener's clients.
    pub(super) fn of(options: &ListenOptions) -> Self {
        Self { receive: options.receive_buffer, send: options.send_buffer }
    }

    /// Sets the sizes for a connection.
    pub(super) fn set(self, stream: &TcpStream) {
        let socket = SockRef::from(stream);
        // The kernel grants what `net.core.rmem_max` and `wmem_max` allow, and nothing breaks. The
        // calls fail only if the client has already gone.
        if self.receive > 0 {
            let _ = socket.set_recv_buffer_size(self.receive);
        }
        if self.send > 0 {
            let _ = socket.set_send_buffer_size(self.send);
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn the_kernel_has_the_sizes() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
        let client = TcpStream::connect(listener.local_addr().expect("it is bound"));
        let (client, accepted) = tokio::join!(client, listener.accept());
        let (stream, _) = accepted.expect("it is accepted");
        let sizes = || {
            let socket = SockRef::from(&stream);
            (socket.recv_buffer_size().expect("an option"), socket.send_buffer_size().expect("an option"))
        };
        let before = sizes();
        SocketBuffers { receive: 0, send: 0 }.set(&stream);
        assert_eq!(sizes(), before, "the kernel chooses");
        SocketBuffers { receive: 16 << 10, send: 32 << 10 }.set(&stream);
        let (receive, send) = sizes();
        // Linux doubles the sizes, for what it needs to keep the bytes.
        assert!((16 << 10..=32 << 10).contains(&receive), "{receive}");
        assert!((32 << 10..=64 << 10).contains(&send), "{send}");
        drop(client);
    }
}
