//! The protocol that a client speaks over a stream, on top of all other layers: the codec's
//! protocol directly, WebSocket, or either of them.

use std::io;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt as _;

use super::handover::invalid;
use super::meter::RateMeter;
use super::prefixed_stream::{PrefixedStream, SavedStream};
use super::turn_away::TurnAway;
use super::upgrade::HttpRules;
use super::websocket::SavedWebSocket;
use super::{ByteStream, Opened, Socket, SocketKinds, websocket};

/// The first bytes of every WebSocket client (RFC 6455, section 4.1). A codec's protocol whose
/// first packet begins with these bytes cannot be used on a [`Hybrid`](Protocol::Hybrid) listener.
const UPGRADE: &[u8] = b"GET ";

/// The protocol that a client speaks over a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// The codec's protocol from the first byte on.
    Stream,
    /// WebSocket. Its messages carry the codec's packets.
    WebSocket,
    /// Either of them. A client whose first bytes are an HTTP GET is a WebSocket client. A server
    /// that speaks first can do so only after it has received the client's first byte.
    Hybrid,
}

/// The state of a client on its way to another process, and which protocol the client speaks.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum SavedClient {
    Stream(SavedStream),
    WebSocket(SavedWebSocket),
}

impl Protocol {
    pub(super) fn kinds(self) -> SocketKinds {
        SocketKinds { stream: self != Protocol::WebSocket, messages: self != Protocol::Stream }
    }

    /// Returns whether the server must wait for the client's first byte. If not, the server may
    /// speak first.
    pub(super) fn listens_first(self) -> bool {
        self != Protocol::Stream
    }

    /// Returns the names of the protocol for ALPN (RFC 7301). TLS refuses a client that offers only
    /// other names. If there are no names, TLS accepts every client.
    pub(super) fn alpn(self) -> &'static [&'static str] {
        if self == Protocol::WebSocket { &["http/1.1"] } else { &[] }
    }

    /// Prepares a client up to its first packet. `transport` is the name of the transport that
    /// carries the stream, and `peer` is the address from which it comes. A client that opens a
    /// WebSocket may be turned away.
    pub(super) async fn open<S: ByteStream + 'static>(
        self,
        mut stream: PrefixedStream<S>,
        transport: &'static str,
        max_message: usize,
        rules: &HttpRules,
        peer: SocketAddr,
        turn_away: &TurnAway,
    ) -> io::Result<Opened> {
        let upgrades = match self {
            Protocol::Stream => false,
            Protocol::WebSocket => true,
            Protocol::Hybrid => begins_with_upgrade(&mut stream).await?,
        };
        if upgrades {
            return websocket::open(stream, max_message, rules, peer, turn_away).await;
        }
        let meter = Some(stream.meter().clone());
        let socket = Socket::Stream(Box::new(stream));
        Ok(Opened { transport, client: None, attributes: Vec::new(), meter, starttls: None, socket })
    }

    /// Continues with a client of another process, over a socket of the system.
    pub(super) fn resume<S: ByteStream + 'static>(
        self,
        stream: S,
        transport: &'static str,
        client: SavedClient,
        meter: RateMeter,
        max_message: usize,
        rules: &HttpRules,
    ) -> io::Result<Opened> {
        let kinds = self.kinds();
        let (transport, socket) = match client {
            SavedClient::Stream(saved) if kinds.stream => {
                let stream = PrefixedStream::resume(stream, meter.clone(), saved);
                (transport, Socket::Stream(Box::new(stream)))
            }
            SavedClient::WebSocket(saved) if kinds.messages => {
                let socket = websocket::resume(stream, meter.clone(), saved, max_message, rules);
                (websocket::TRANSPORT, Socket::Messages(Box::new(socket)))
            }
            SavedClient::Stream(_) => {
                return Err(invalid("the client speaks no WebSocket, and this listener only WebSocket"));
            }
            SavedClient::WebSocket(_) => {
                return Err(invalid("the client speaks WebSocket, and this listener does not"));
            }
        };
        let meter = Some(meter);
        Ok(Opened { transport, client: None, attributes: Vec::new(), meter, starttls: None, socket })
    }
}

/// Returns whether the client begins with [`UPGRADE`]. The first bytes may come one by one, so this
/// reads until one of them differs. The bytes are given back to the stream.
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
