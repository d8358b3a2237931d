//! The connection as a codec sees it.

/// How packets travel: `carrier` in `wit/codec.wit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Carrier {
    /// A stream of bytes: TCP, TLS, Unix sockets, pipes.
    Bytes,
    /// Messages of any length, in order: WebSocket, Socket.IO, shared memory.
    Messages,
    /// Datagrams, which may be lost or reordered: UDP.
    Datagrams,
}

impl Carrier {
    /// Returns the carrier of a transport with this name, for tools that have no connection. A
    /// transport that is not known is a stream of bytes.
    pub fn of_transport(name: &str) -> Self {
        match name {
            "ws" | "wss" | "socketio" | "shm" => Carrier::Messages,
            "udp" => Carrier::Datagrams,
            _ => Carrier::Bytes,
        }
    }
}

/// The connection as a codec sees it when its session opens: `peer` in `wit/codec.wit`.
#[derive(Clone, Debug)]
pub struct Peer {
    /// How packets travel.
    pub carrier: Carrier,
    /// The name of the client's transport, such as `tcp` or `ws`.
    pub transport: String,
    /// The client's address as `ip:port` or `[v6]:port`. Empty if the transport has no addresses.
    pub address: String,
    /// Whether the runtime opened the connection, so that the codec plays the client.
    pub dialed: bool,
    /// The largest packet of the listener, in bytes.
    pub max_packet: u32,
    /// Random bytes from the operating system, new at each `open` and `restore`. They are the
    /// codec's only source of randomness.
    pub random_seed: [u8; 32],
    /// What else the transport knows about the connection, as pairs of name and value.
    pub attributes: Vec<(String, String)>,
}
