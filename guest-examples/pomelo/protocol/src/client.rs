//! A Pomelo client, sans-I/O: for single calls, for load, and for tests of a session against a
//! client.
//!
//! The client works on the raw bytes of the wire: packages with their lengths, in chunks of any
//! size.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use crate::message::{self, Kind, Route};
use crate::package;
use crate::protobuf::Protos;

/// One client. Methods with a parameter `out` append the bytes to send to it.
#[derive(Debug)]
pub struct Client {
    state: State,
    /// The beginning of a package that is not complete yet.
    carry: Vec<u8>,
    next_id: u64,
    /// The route of each request that waits for its response. A response has no route on the wire.
    waiting: HashMap<u64, String>,
    dictionary: Dictionary,
    schemas: Schemas,
    heartbeat: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Connecting,
    Ready,
    Closed,
}

/// The dictionary from the server's handshake. It outlives a connection: the client sends its
/// version, and the server need not send the same dictionary again.
#[derive(Debug, Default)]
struct Dictionary {
    version: Option<String>,
    codes: HashMap<String, u16>,
    routes: HashMap<u16, String>,
}

/// The schemas of protobuf bodies from the server's handshake. They outlive a connection too.
#[derive(Debug, Default)]
struct Schemas {
    version: Option<String>,
    protos: Option<Protos>,
}

/// An event from the server.
#[derive(Clone, Debug, PartialEq)]
pub enum Incoming {
    /// The handshake is complete. The client may send messages.
    Ready {
        /// The settings of the protocol: heartbeat, dictionary, schemas.
        sys: Value,
        /// The body from the application.
        user: Option<Value>,
    },
    /// The server refuses the handshake and will close the connection.
    Refused {
        /// The code, as in HTTP.
        code: u16,
        /// The whole answer.
        body: Value,
    },
    /// The response to a request.
    Response {
        /// The id that [`Client::request`] returned.
        id: u64,
        /// The route of that request.
        route: String,
        /// JSON, as it is on the wire or converted from protobuf.
        body: Vec<u8>,
    },
    /// A push.
    Push {
        /// The route of the push.
        route: String,
        /// JSON, as it is on the wire or converted from protobuf.
        body: Vec<u8>,
    },
    /// The server's heartbeat. The client must send its own heartbeat one interval later.
    Heartbeat,
    /// The server's last package. The server will close the connection.
    Kick {
        /// The reason, if the package has one.
        reason: Option<String>,
    },
}

/// Why a client cannot continue or cannot send a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientError {
    /// The handshake is not complete, or the connection has ended with a kick, a refusal or an
    /// error.
    NotReady,
    /// The route is not in the dictionary and has this number of bytes, not 1 to 255.
    Route(usize),
    /// The schema of the route cannot hold the body, for this reason.
    Body(String),
    /// The body of the package would have this number of bytes, more than 2^24-1.
    TooLong(usize),
    /// The server has violated the protocol. The client cannot continue on this connection.
    Protocol(String),
}

impl fmt::Display for ClientError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotReady => {
                write!(
                    formatter,
                    "the connection is not ready: its handshake is not complete, or it has ended"
                )
            }
            Self::Route(length) => {
                write!(formatter, "the route has {length} bytes, not 1 to {}", message::MAX_ROUTE)
            }
            Self::Body(reason) => write!(formatter, "the message does not fit its schema: {reason}"),
            Self::TooLong(length) => {
                write!(formatter, "the message has {length} bytes, more than {}", package::MAX_BODY)
            }
            Self::Protocol(reason) => write!(formatter, "not the Pomelo protocol: {reason}"),
        }
    }
}

impl std::error::Error for ClientError {}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl Client {
    /// Creates a client without a connection.
    #[must_use]
    pub fn new() -> Self {
        Self {
            state: State::Closed,
            carry: Vec::new(),
            next_id: 1,
            waiting: HashMap::new(),
            dictionary: Dictionary::default(),
            schemas: Schemas::default(),
            heartbeat: None,
        }
    }

    /// Begins a connection with the handshake. `user` is for the application.
    ///
    /// Only the dictionary and the schemas remain from an earlier connection. Sends nothing if the
    /// handshake exceeds the length of a package, nearly 16 MiB.
    pub fn connect(&mut self, user: Option<&Value>, out: &mut Vec<u8>) {
        *self = Self {
            state: State::Connecting,
            dictionary: std::mem::take(&mut self.dictionary),
            schemas: std::mem::take(&mut self.schemas),
            ..Self::new()
        };
        let mut hello = json!({ "sys": { "type": "wireplug", "version": env!("CARGO_PKG_VERSION") } });
        if let Some(version) = &self.dictionary.version {
            hello["sys"]["dictVersion"] = json!(version);
        }
        if let Some(version) = &self.schemas.version {
            hello["sys"]["protoVersion"] = json!(version);
        }
        if let Some(user) = user {
            hello["user"] = user.clone();
        }
        let hello = hello.to_string();
        let _ = package::write(package::Kind::Handshake, out, |out| out.extend_from_slice(hello.as_bytes()));
    }

    /// Sends a request and returns its id. `body` is JSON. The route is sent as a code if it is in
    /// the dictionary, and the body as protobuf if the route has a schema.
    ///
    /// # Errors
    ///
    /// Returns [`ClientError::NotReady`], [`ClientError::Route`], [`ClientError::Body`] or
    /// [`ClientError::TooLong`]. `out` is then unchanged.
    pub fn request(&mut self, route: &str, body: &[u8], out: &mut Vec<u8>) -> Result<u64, ClientError> {
        let id = self.next_id;
        self.send(Kind::Request, id, route, body, out)?;
        self.next_id += 1;
        self.waiting.insert(id, route.to_owned());
        Ok(id)
    }

    /// Sends a notification: a message that expects no response.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`Client::request`].
    pub fn notify(&mut self, route: &str, body: &[u8], out: &mut Vec<u8>) -> Result<(), ClientError> {
        self.send(Kind::Notify, 0, route, body, out)
    }

    fn send(
        &self,
        kind: Kind,
        id: u64,
        route: &str,
        body: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), ClientError> {
        if self.state != State::Ready {
            return Err(ClientError::NotReady);
        }
        let mut proto = Vec::new();
        let body = match self.schemas.protos.as_ref().and_then(|protos| protos.client.of(route)) {
            None => body,
            Some(schema) => {
                let json = if body.trim_ascii().is_empty() { b"{}" } else { body };
                schema
                    .encode(json, true, &mut proto)
                    .map_err(|reason| ClientError::Body(reason.into_owned()))?;
                &proto
            }
        };
        let route = match (self.dictionary.codes.get(route), route.len()) {
            (Some(&code), _) => Route::Code(code),
            (None, 1..=message::MAX_ROUTE) => Route::Text(route.as_bytes()),
            (None, length) => return Err(ClientError::Route(length)),
        };
        package::write(package::Kind::Data, out, |out| {
            message::write_head(kind, id, route, out);
            out.extend_from_slice(body);
        })
        .map_err(ClientError::TooLong)
    }

    /// Sends a heartbeat. Due one [`Client::heartbeat_interval`] after each
    /// [`Incoming::Heartbeat`].
    pub fn heartbeat(&mut self, out: &mut Vec<u8>) {
        empty(package::Kind::Heartbeat, out);
    }

    /// Returns the time from the server's heartbeat to the client's next one. `None` before the
    /// handshake is complete, and if the server has no heartbeats.
    #[must_use]
    pub fn heartbeat_interval(&self) -> Option<Duration> {
        self.heartbeat
    }

    /// Reads a chunk of bytes from the server. Appends its events to `incoming`, and the
    /// acknowledgement of the handshake to `out`. Ignores everything after a kick or a refusal.
    ///
    /// # Errors
    ///
    /// Returns [`ClientError::Protocol`] if the bytes violate the protocol. `incoming` then has the
    /// events before them.
    pub fn receive(
        &mut self,
        bytes: &[u8],
        out: &mut Vec<u8>,
        incoming: &mut Vec<Incoming>,
    ) -> Result<(), ClientError> {
        let mut carried = std::mem::take(&mut self.carry);
        // Complete packages are read in place. Only the beginning of an incomplete one is copied.
        let mut rest = if carried.is_empty() {
            bytes
        } else {
            carried.extend_from_slice(bytes);
            &carried
        };
        while self.state != State::Closed
            && let Some((kind, body, next)) = package::split(rest)
        {
            let read = self.package(kind, body, out).inspect_err(|_| self.state = State::Closed)?;
            incoming.push(read);
            rest = next;
        }
        if self.state == State::Closed {
            return Ok(());
        }
        self.carry = if carried.is_empty() {
            rest.to_vec()
        } else {
            let used = carried.len() - rest.len();
            carried.drain(..used);
            carried
        };
        Ok(())
    }

    fn package(&mut self, kind: u8, body: &[u8], out: &mut Vec<u8>) -> Result<Incoming, ClientError> {
        match (package::Kind::of(kind), self.state) {
            (Some(package::Kind::Handshake), State::Connecting) => self.handshake(body, out),
            (Some(package::Kind::Heartbeat), State::Ready) => Ok(Incoming::Heartbeat),
            (Some(package::Kind::Data), State::Ready) => self.message(body),
            (Some(package::Kind::Kick), _) => {
                self.state = State::Closed;
                let body: Option<Value> = serde_json::from_slice(body).ok();
                let reason = body.as_ref().and_then(|body| body["reason"].as_str());
                Ok(Incoming::Kick { reason: reason.map(str::to_owned) })
            }
            (Some(kind), _) => Err(protocol(format!("{kind:?} from the server at the wrong time"))),
            (None, _) => Err(protocol(format!("package type {kind} is not 1 to 5"))),
        }
    }

    fn handshake(&mut self, body: &[u8], out: &mut Vec<u8>) -> Result<Incoming, ClientError> {
        let mut body: Value = serde_json::from_slice(body)
            .map_err(|error| protocol(format!("answer to the handshake: {error}")))?;
        let code = body["code"].as_u64().and_then(|code| u16::try_from(code).ok());
        match code {
            Some(200) => {}
            Some(code) => {
                self.state = State::Closed;
                return Ok(Incoming::Refused { code, body });
            }
            None => return Err(protocol("answer to the handshake has no code")),
        }
        // `body` is an object, or it had no code.
        let user = body.get_mut("user").map(Value::take);
        let sys = body["sys"].take();
        self.heartbeat = sys["heartbeat"]
            .as_f64()
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .filter(|interval| !interval.is_zero());
        self.dictionary.update(&sys)?;
        self.schemas.update(&sys)?;
        self.state = State::Ready;
        empty(package::Kind::HandshakeAck, out);
        Ok(Incoming::Ready { sys, user })
    }

    fn message(&mut self, body: &[u8]) -> Result<Incoming, ClientError> {
        let message = message::read(body).map_err(protocol)?;
        let body = message.body;
        match (message.kind, message.route) {
            (Kind::Response, _) => {
                let id = message.id;
                let route = self.waiting.remove(&id);
                let route = route.ok_or_else(|| {
                    protocol(format!("response to the id {id}, for which no request waits"))
                })?;
                Ok(Incoming::Response { id, body: self.schemas.json(&route, body)?, route })
            }
            (Kind::Push, Route::Text(route)) => {
                let route = str::from_utf8(route).map_err(|_| protocol("route of a push is not UTF-8"))?;
                Ok(Incoming::Push { route: route.to_owned(), body: self.schemas.json(route, body)? })
            }
            (Kind::Push, Route::Code(code)) => {
                let route = self.dictionary.routes.get(&code).cloned();
                let route =
                    route.ok_or_else(|| protocol(format!("route code {code} is not in the dictionary")))?;
                Ok(Incoming::Push { body: self.schemas.json(&route, body)?, route })
            }
            (kind, _) => Err(protocol(format!("{kind:?} from the server"))),
        }
    }
}

impl Dictionary {
    /// Stores the dictionary of a handshake. A server that uses a dictionary and does not send it
    /// knows that the client has it.
    fn update(&mut self, sys: &Value) -> Result<(), ClientError> {
        let Some(codes) = sys.get("dict") else {
            if sys["useDict"] != json!(true) {
                *self = Self::default();
            }
            return Ok(());
        };
        let codes: HashMap<String, u16> = serde_json::from_value(codes.clone())
            .map_err(|error| protocol(format!("dictionary in the answer to the handshake: {error}")))?;
        self.version = sys["dictVersion"].as_str().map(str::to_owned);
        self.routes = codes.iter().map(|(route, &code)| (code, route.clone())).collect();
        self.codes = codes;
        Ok(())
    }
}

impl Schemas {
    /// Stores the schemas of a handshake, in the same way as the dictionary.
    fn update(&mut self, sys: &Value) -> Result<(), ClientError> {
        let Some(protos) = sys.get("protos") else {
            if sys["useProto"] != json!(true) {
                *self = Self::default();
            }
            return Ok(());
        };
        self.protos = Protos::from_handshake(protos)
            .map_err(|reason| protocol(format!("schemas in the answer to the handshake: {reason}")))?;
        self.version = protos["version"].as_str().map(str::to_owned);
        Ok(())
    }

    /// Returns a body from the server as JSON.
    fn json(&self, route: &str, body: &[u8]) -> Result<Vec<u8>, ClientError> {
        let Some(schema) = self.protos.as_ref().and_then(|protos| protos.server.of(route)) else {
            return Ok(body.to_vec());
        };
        let mut json = Vec::new();
        let decoded = schema.decode(body, &mut json);
        decoded.map_err(|reason| protocol(format!("body of the route {route}: {reason}")))?;
        Ok(json)
    }
}

fn protocol(reason: impl Into<String>) -> ClientError {
    ClientError::Protocol(reason.into())
}

/// Appends a package without a body.
fn empty(kind: package::Kind, out: &mut Vec<u8>) {
    out.extend_from_slice(&[kind as u8, 0, 0, 0]);
}
