//! What is spoken over a stream once its lower layers are done, whichever they are: packets at
//! once, WebSocket, or either.

use std::io;

use tokio::io::AsyncReadExt as _;

use super::prefixed_stream::PrefixedStream;
use super::{ByteStream, Opened, Socket, SocketKinds, websocket};
use crate::config::WebSocketConfig;

/// How every WebSocket client begins (RFC 6455, section 4.1). A protocol whose own first packet
/// begins so cannot be used on a [`Hybrid`](Protocol::Hybrid) listener.
const UPGRADE: &[u8] = b"GET ";

/// What is spoken over a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// The codec's protocol from the first byte on.
    Stream,
    /// WebSocket, whose messages carry the codec's.
    WebSocket,
    /// Both, distinguished by the first bytes: a client that begins with an HTTP GET is a WebSocket
    /// client. A server that must speak first does so only when it has heard the client's first
    /// byte.
    Hybrid,
}

impl Protocol {
    pub(super) fn kinds(self) -> SocketKinds {
        SocketKinds { stream: self != Protocol::WebSocket, messages: self != Protocol::Stream }
    }

    /// Whether nothing can be done before the client's first byte. Else a server may speak first.
    pub(super) fn listens_first(self) -> bool {
        self != Protocol::Stream
    }

    /// Its names for TLS, by which clients that speak something else are refused (RFC 7301). What
    /// has no name takes clients of all.
    pub(super) fn alpn(self) -> &'static [&'static str] {
        if self == Protocol::WebSocket { &["http/1.1"] } else { &[] }
    }

    /// Brings a client to its first packet. `transport` is the name of what carries the stream.
    pub(super) async fn open<S: ByteStream + 'static>(
        self,
        mut stream: PrefixedStream<S>,
        transport: &'static str,
        max_message: usize,
        rules: &WebSocketConfig,
    ) -> io::Result<Opened> {
        let upgrades = match self {
            Protocol::Stream => false,
            Protocol::WebSocket => true,
            Protocol::Hybrid => begins_with_upgrade(&mut stream).await?,
        };
        if upgrades {
            return websocket::open(stream, max_message, rules).await;
        }
        let meter = Some(stream.meter().clone());
        let socket = Socket::Stream(Box::new(stream));
        Ok(Opened { transport, client: None, attributes: Vec::new(), meter, socket })
    }
}

/// Looks at the first bytes, which may come one by one, until one differs.
async fn begins_with_upgrade<S: ByteStream>(stream: &mut PrefixedStream<S>) -> io::Result<bool> {
    let mut first = Vec::with_capacity(UPGRADE.len());
    while first.len() < UPGRADE.len() && UPGRADE.starts_with(&first) {
        let mut rest = (&mut *stream).take((UPGRADE.len() - first.len()) as u64);
        if rest.read_buf(&mut first).await? == 0 {
            break;
        }
    }
    let upgrade = first == UPGRADE;
    stream.unread(first);
    Ok(upgrade)
}
