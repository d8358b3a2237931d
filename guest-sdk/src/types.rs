//! The values that the runtime passes to a codec: times, messages and the peer.

/// The time of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Instant {
    /// Milliseconds since the session opened. Never goes back. Stands still while the runtime holds
    /// back reading from the client.
    pub session_ms: u64,
    /// Wall-clock time in milliseconds since 1970-01-01 UTC, for protocols that send it. May jump.
    pub unix_ms: u64,
}

/// The kind of a message, in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Role {
    /// Expects no answer: a notification from the client, a push to the client.
    Notice,
    /// Expects exactly one response with the same id.
    Request,
    /// Answers the request with the same id.
    Response,
}

/// A message from the application to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// A push is a notice; the answer to a request of the client is a response. Requests come only
    /// if the description says `client_requests`.
    pub role: Role,
    /// The id that ties a response to its request. 0 in a notice.
    pub id: u64,
    /// The route of the push or the request. In a response, the route of the client's request.
    pub route: &'a str,
    /// The payload as the application wrote it. JSON if the description says `json`.
    pub body: &'a [u8],
    /// The outcome of a request, as in HTTP: 200 unless it failed; 100 to 599. The runtime's own
    /// answers, such as 404 for an unknown route, have an empty body. 200 in a notice and in a
    /// request.
    pub status: u16,
}

impl<'a> Message<'a> {
    /// Returns a push.
    pub const fn notice(route: &'a str, body: &'a [u8]) -> Self {
        Self { role: Role::Notice, id: 0, route, body, status: 200 }
    }

    /// Returns a request to the client.
    pub const fn request(id: u64, route: &'a str, body: &'a [u8]) -> Self {
        Self { role: Role::Request, id, route, body, status: 200 }
    }

    /// Returns the response to the client's request with this id and route.
    pub const fn response(id: u64, route: &'a str, status: u16, body: &'a [u8]) -> Self {
        Self { role: Role::Response, id, route, body, status }
    }

    /// Returns the body, or `null` if the body is empty, for protocols whose bodies are JSON.
    pub const fn json(&self) -> &'a [u8] {
        if self.body.is_empty() { b"null" } else { self.body }
    }
}

/// How packets travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Carrier {
    /// A stream of bytes: TCP, TLS, Unix sockets, pipes, a QUIC stream.
    #[default]
    Bytes,
    /// Messages of any length, in order: WebSocket, Socket.IO, shared memory.
    Messages,
    /// Datagrams: UDP, QUIC datagrams. May be lost or reordered.
    Datagrams,
}

/// The connection as the runtime sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// How packets travel.
    pub carrier: Carrier,
    /// `tcp` or `ws`, with or without TLS, `udp`, `unix`, or the scheme of another connector.
    pub transport: String,
    /// `ip:port` or `[v6]:port`. Empty if the transport has no addresses.
    pub address: String,
    /// True if the runtime opened the connection: the codec plays the client.
    pub dialed: bool,
    /// The largest packet of this listener, in bytes.
    pub max_packet: u32,
    /// Random bytes, new at every `open` and `restore`. The codec's only source of randomness.
    pub random_seed: [u8; 32],
    /// What else the transport knows, as names and values, for example `path`, `origin` or
    /// `tls-sni`. `wit/codec.wit` lists the names. Only attributes that apply are present.
    pub attributes: Vec<(String, String)>,
}

impl Peer {
    /// Returns the attribute with this name, if the transport knows it.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}
