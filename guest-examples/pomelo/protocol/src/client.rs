//! A Pomelo client, sans-I/O: for single calls, for load, and for tests of the session against its other end.
//!
//! It works on the raw bytes of the wire, packages with their lengths, cut into chunks of any size.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use crate::message::{self, Kind, Route};
use crate::package;
use crate::protobuf::Protos;

/// One client. A call appends what is to be sent to its `out`.
#[derive(Debug)]
pub struct Client {
    state: State,
    /// The beginning of a package whose end did not come yet.
    carry: Vec<u8>,
    next_id: u64,
    /// The route of each request that waits for its response, which names none.
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

/// The dictionary that the server told. It outlives a connection: by its version the server knows what not to
/// tell again.
#[derive(Debug, Default)]
struct Dictionary {
    version: Option<String>,
    codes: HashMap<String, u16>,
    routes: HashMap<u16, String>,
}

/// The schemas of protobuf bodies that the server told, kept as the dictionary is.
#[derive(Debug, Default)]
struct Schemas {
    version: Option<String>,
    protos: Option<Protos>,
}

/// What came from the server.
#[derive(Clone, Debug, PartialEq)]
pub enum Incoming {
    /// The handshake is over; requests may begin.
    Ready {
        /// What the server says of the protocol: heartbeat, dictionary, schemas.
        sys: Value,
        /// What the application says.
        user: Option<Value>,
    },
    /// The server refuses the handshake, and will close the connection.
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
        /// JSON, as it stands on the wire, or made of protobuf.
        body: Vec<u8>,
    },
    /// A push.
    Push {
        /// Its route.
        route: String,
        /// JSON, as it stands on the wire, or made of protobuf.
        body: Vec<u8>,
    },
    /// The server's heartbeat. The client sends its own one interval later.
    Heartbeat,
    /// The server throws the client out, and will close the connection.
    Kick {
        /// Why, if it says so.
        reason: Option<String>,
    },
}

/// Why a client can't go on, or can't send a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientError {
    /// A message before the handshake is over, or after a kick, a refusal or an error.
    NotReady,
    /// A route that the dictionary does not have must have 1 to 255 bytes; this one has so many.
    Route(usize),
    /// The schema that the server told for the route cannot hold the body, for this reason.
    Body(String),
    /// The package would have so many bytes, more than 2^24-1.
    TooLong(usize),
    /// The server sent what the protocol does not know. The connection is of no more use.
    Protocol(String),
}

impl fmt::Display for ClientError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotReady => {
                write!(formatter, "the connection is not ready: its handshake is not over, or it has ended")
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
    /// A client that has not said anything.
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

    /// Begins a connection, the first or a further one, with the handshake. `user` is for the application.
    ///
    /// Of an earlier connection only the dictionary and the schemas stay. Nothing is sent if `user` has so many bytes,
    /// nearly 2^24, that no package holds it.
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

    /// Sends a request and returns its id. The route is sent as a code if the server's dictionary has it, and the
    /// body, which is JSON, as protobuf if the server told a schema for the route.
    ///
    /// # Errors
    ///
    /// [`ClientError::NotReady`], [`ClientError::Route`], [`ClientError::Body`] and [`ClientError::TooLong`]; `out`
    /// is as before then.
    pub fn request(&mut self, route: &str, body: &[u8], out: &mut Vec<u8>) -> Result<u64, ClientError> {
        let id = self.next_id;
        self.send(Kind::Request, id, route, body, out)?;
        self.next_id += 1;
        self.waiting.insert(id, route.to_owned());
        Ok(id)
    }

    /// Sends a notification: a message that is not answered.
    ///
    /// # Errors
    ///
    /// As [`Client::request`].
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

    /// Sends a heartbeat. Due one [`Client::heartbeat_interval`] after each [`Incoming::Heartbeat`].
    pub fn heartbeat(&mut self, out: &mut Vec<u8>) {
        empty(package::Kind::Heartbeat, out);
    }

    /// How long after the server's heartbeat the client shall send its own. None before the handshake is
    /// over, and where the server wants none.
    #[must_use]
    pub fn heartbeat_interval(&self) -> Option<Duration> {
        self.heartbeat
    }

    /// Takes a chunk of what the server sent, adds to `incoming` what it says, and to `out` the
    /// acknowledgement of the handshake when that is due. After a kick or a refusal nothing is read any more.
    ///
    /// # Errors
    ///
    /// [`ClientError::Protocol`] for bytes that the protocol does not know. What came before them is in
    /// `incoming`.
    pub fn receive(
        &mut self,
        bytes: &[u8],
        out: &mut Vec<u8>,
        incoming: &mut Vec<Incoming>,
    ) -> Result<(), ClientError> {
        let mut carried = std::mem::take(&mut self.carry);
        // Whole packages are read where they lie; only what begins one is kept.
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
            (Some(kind), _) => Err(protocol(format!("{kind:?} from the server at a wrong time"))),
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
        self.dictionary.learn(&sys)?;
        self.schemas.learn(&sys)?;
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
                let route = route
                    .ok_or_else(|| protocol(format!("response to {id}, which does not wait for one")))?;
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
    /// Takes in the dictionary of a handshake. A server that uses one and does not tell it knows that we have
    /// it.
    fn learn(&mut self, sys: &Value) -> Result<(), ClientError> {
        let Some(told) = sys.get("dict") else {
            if sys["useDict"] != json!(true) {
                *self = Self::default();
            }
            return Ok(());
        };
        let told: HashMap<String, u16> = serde_json::from_value(told.clone())
            .map_err(|error| protocol(format!("dictionary in the answer to the handshake: {error}")))?;
        self.version = sys["dictVersion"].as_str().map(str::to_owned);
        self.routes = told.iter().map(|(route, &code)| (code, route.clone())).collect();
        self.codes = told;
        Ok(())
    }
}

impl Schemas {
    /// Takes in the schemas of a handshake, as the dictionary is taken in.
    fn learn(&mut self, sys: &Value) -> Result<(), ClientError> {
        let Some(told) = sys.get("protos") else {
            if sys["useProto"] != json!(true) {
                *self = Self::default();
            }
            return Ok(());
        };
        self.protos = Protos::learn(told)
            .map_err(|reason| protocol(format!("schemas in the answer to the handshake: {reason}")))?;
        self.version = told["version"].as_str().map(str::to_owned);
        Ok(())
    }

    /// A body of the server as JSON.
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
