//! The state machine of one connection, on the server's side.
//!
//! In the working state, packets and messages cost no allocation: they are read in place and
//! written into buffers of the caller.

mod broadcast;
mod handoff;

use std::borrow::Cow;
use std::sync::Arc;

use crate::dialect::Dialect;
use crate::dictionary::Dictionary;
use crate::handshake::{Answer, Hello, Kept};
use crate::json::Reason;
use crate::message::{self, Kind, Route};
use crate::options::{self, Heartbeat, Options};
use crate::protobuf::{Protos, Schema};
use crate::{inflate, package, text};

/// The number of bytes that a session's scratch buffer keeps after a call.
const MAX_SCRATCH: usize = 4096;

/// Receives the events of a session, in order.
pub trait Sink {
    /// The client has introduced itself with this body, which is JSON. It is the last event of a
    /// call, and exactly one [`Session::answer`] must follow.
    fn hello(&mut self, body: &[u8]);
    /// The handshake is complete.
    fn established(&mut self);
    /// A notification for the application.
    fn notice(&mut self, route: &str, body: &[u8]);
    /// A request for the application. `id` is not 0.
    fn request(&mut self, id: u64, route: &str, body: &[u8]);
    /// A packet to send back at once. `write` appends it to the buffer that it gets.
    fn reply(&mut self, write: impl FnOnce(&mut Vec<u8>));
    /// A reply that accepts the client's handshake. It can be long, and is the same for most
    /// clients.
    fn reply_answer(&mut self, answer: &Answer<'_>) {
        self.reply(|packet| answer.write(packet));
    }
    /// [`Session::tick`] is to be called after this many milliseconds. Replaces the timer before
    /// it.
    fn timer(&mut self, ms: u32);
    /// The connection is to be ended for this reason.
    fn close(&mut self, reason: &str);
    /// Returns the number of bytes of the events that this call has put into the sink so far.
    fn written(&self) -> usize;
}

/// Why a session refuses a packet or a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The packet or message is dropped. The connection stays open.
    Rejected(Cow<'static, str>),
    /// The connection is to be ended.
    Fatal(Cow<'static, str>),
}

/// What a message to the client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A push.
    Notice,
    /// A request to the client. Pomelo has none.
    Request,
    /// The answer to a request of the client.
    Response,
}

/// A message of the application to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// What the message is.
    pub role: Role,
    /// The id of the request that a response answers. 0 in a push.
    pub id: u64,
    /// The route of the push, or of the request. A response has no route on the wire, but the route
    /// determines the schema of its body.
    pub route: &'a str,
    /// JSON, or empty.
    pub body: &'a [u8],
    /// The outcome of a request, as in HTTP. If it is not 200 and the body is empty, the client
    /// gets `{"code":STATUS}`, unless the route has a schema without a number `code`.
    pub status: u16,
}

/// The protocol state of one connection.
#[derive(Debug)]
pub struct Session {
    options: Arc<Options>,
    state: State,
    /// When the client last sent a packet, in milliseconds since the session opened.
    last_seen: u64,
    negotiated: Negotiated,
    /// The largest packet of the listener in bytes.
    max_packet: usize,
    /// The JSON of a protobuf body, until the whole body has been read.
    scratch: Vec<u8>,
}

/// What the answer to the handshake sent to the client; empty before that.
///
/// The client keeps to it, so the session does too. The options apply to later handshakes, and they
/// may have changed after a handoff.
#[derive(Debug, Default)]
struct Negotiated {
    dialect: Dialect,
    heartbeat: Option<Heartbeat>,
    /// The same object as in the options if it has the same pairs.
    dictionary: Option<Arc<Dictionary>>,
    /// The same object as in the options if it has the same schemas.
    protos: Option<Arc<Protos>>,
}

/// The state of a session. The names are those of Pomelo, except for `Greeted` and `Ending`, which
/// Pomelo does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The client has not sent its handshake.
    Inited,
    /// The client has sent its handshake; the application has not answered.
    Greeted {
        /// Compared with the options when the answer comes: a handoff may have changed them.
        kept: Kept,
    },
    /// The session has answered the handshake; the client has not acknowledged the answer.
    WaitAck,
    /// The handshake is complete.
    Working,
    /// The client has violated the protocol in the working state. Its packets are refused, but
    /// requests from before the violation may still be answered.
    Ending,
    /// The session is over.
    Closed,
}

impl Session {
    /// Opens the session of a client that has just connected. `max_packet` is the largest packet
    /// of the listener in bytes; a body does not inflate to more.
    #[must_use]
    pub fn open(options: Arc<Options>, max_packet: u32) -> Self {
        let (negotiated, max_packet) = (Negotiated::default(), max_packet as usize);
        Self { options, state: State::Inited, last_seen: 0, negotiated, max_packet, scratch: Vec::new() }
    }

    /// Decodes a packet of the client, and puts its events into `out`. `session_ms` is the time in
    /// milliseconds since the session opened.
    ///
    /// # Errors
    ///
    /// Returns [`Fault::Rejected`] if the packet is malformed or comes at the wrong time, and
    /// [`Fault::Fatal`] if no Pomelo client would send it. No event has been put into `out` then.
    pub fn decode(&mut self, packet: &[u8], session_ms: u64, out: &mut impl Sink) -> Result<(), Fault> {
        let Some((&kind, body)) = packet.split_first() else {
            return Err(self.fatal("package without a type"));
        };
        self.decode_package(kind, body, session_ms, out)
    }

    /// Decodes a package of the client as [`decode`](Self::decode) does. `kind` is its first byte.
    ///
    /// # Errors
    ///
    /// Returns the errors of `decode`.
    pub fn decode_package(
        &mut self,
        kind: u8,
        body: &[u8],
        session_ms: u64,
        out: &mut impl Sink,
    ) -> Result<(), Fault> {
        // Any package is a sign of life. Pomelo counts only heartbeats, and so it closes clients
        // that are busy with requests.
        self.last_seen = session_ms;
        match (package::Kind::of(kind), self.state) {
            (Some(package::Kind::Data), State::Working) => self.data(body, out),
            (Some(package::Kind::Heartbeat), State::Working) => {
                if self.negotiated.heartbeat.is_some() {
                    out.reply(heartbeat);
                }
                Ok(())
            }
            (Some(package::Kind::Handshake), State::Inited) => {
                self.hello(body, out);
                Ok(())
            }
            (Some(package::Kind::HandshakeAck), State::WaitAck) => {
                self.state = State::Working;
                out.established();
                if let Some(times) = self.negotiated.heartbeat {
                    out.reply(heartbeat);
                    out.timer(times.timeout);
                }
                Ok(())
            }
            (Some(package::Kind::Kick), _) => Err(self.fatal("KICK from a client")),
            (Some(package::Kind::Data), _) => Err(rejected("DATA outside of the working state")),
            (Some(package::Kind::Heartbeat), _) => Err(rejected("HEARTBEAT outside of the working state")),
            (Some(package::Kind::Handshake), _) => Err(rejected("HANDSHAKE after the handshake")),
            (Some(package::Kind::HandshakeAck), _) => {
                Err(rejected("HANDSHAKE_ACK without a handshake to acknowledge"))
            }
            (None, _) => Err(self.fatal(format!("package type {kind} is not 1 to 5"))),
        }
    }

    fn hello(&mut self, body: &[u8], out: &mut impl Sink) {
        let body = if body.is_empty() { Cow::Borrowed(Hello::EMPTY) } else { text::repair(body) };
        let Some(hello) = Hello::read(&body) else {
            return self.refuse(500, "handshake is not a JSON object with a `sys`", out);
        };
        let Options { clients, dialect, .. } = &*self.options;
        if clients.as_ref().is_some_and(|clients| !clients.admit(&hello.sys, *dialect)) {
            return self.refuse(501, "the type or version of the client is not let in", out);
        }
        self.state = State::Greeted { kept: hello.kept() };
        out.hello(&body);
    }

    fn data(&mut self, body: &[u8], out: &mut impl Sink) -> Result<(), Fault> {
        let message = message::read(body).map_err(rejected)?;
        if message.kind == Kind::Push {
            return Err(rejected("PUSH from a client"));
        }
        let id = message.id;
        let inflated;
        let body = if message.compressed && self.inflates() && !message.body.is_empty() {
            let body = inflate::inflate(message.body, self.max_packet, out.written());
            inflated = body.inspect_err(|fault| self.end_if_fatal(fault))?;
            &inflated
        } else {
            message.body
        };
        let Self { negotiated, scratch, .. } = self;
        match message.route {
            Route::None => Err(rejected("RESPONSE from a client")),
            Route::Text(route) => {
                let route = text::repair(route);
                let route = str::from_utf8(&route).map_err(|_| rejected("route is not UTF-8"))?;
                decode_body(negotiated.protos.as_deref(), id, route, body, scratch, out)
            }
            Route::Code(code) => {
                let route = negotiated.dictionary.as_ref().and_then(|dictionary| dictionary.route(code));
                match (route, id) {
                    (Some(route), _) => {
                        decode_body(negotiated.protos.as_deref(), id, route, body, scratch, out)
                    }
                    (None, 0) => Err(rejected("route code is not in the dictionary")),
                    // The client waits for a response.
                    (None, _) => {
                        out.reply(|packet| negotiated.dialect.write_failure(id, 404, packet));
                        Ok(())
                    }
                }
            }
        }
    }

    /// Appends the packet for a message to `out`. Each message has exactly one packet.
    ///
    /// # Errors
    ///
    /// Returns [`Fault::Rejected`] for a message outside of the states working and ending, for a
    /// request to the client, for a response to id 0, for a push whose route is empty or too long
    /// and not in the dictionary, for a body that the schema of its route cannot hold, and for a
    /// packet of more than [`package::MAX_PACKET`] bytes. `out` is then unchanged.
    pub fn encode(&mut self, message: &Message<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
        if !matches!(self.state, State::Working | State::Ending) {
            return Err(rejected("message outside of the working state"));
        }
        let Negotiated { dialect, dictionary, protos, .. } = &self.negotiated;
        encode(*dialect, dictionary.as_deref(), protos.as_deref(), message, out).map_err(Fault::Rejected)
    }

    /// Answers the client's handshake for the application. `status` is 200, or the code with which
    /// the application refuses the client. `body` is JSON or empty, and becomes the `user` of the
    /// answer. Does nothing if no handshake waits for an answer.
    pub fn answer(&mut self, status: u16, body: &[u8], out: &mut impl Sink) {
        let State::Greeted { kept } = self.state else {
            return;
        };
        if status != 200 {
            return self.refuse(status, &format!("handshake refused with code {status}"), out);
        }
        let Options { dialect, heartbeat, dictionary, protos, answers, .. } = &*self.options;
        let why = match answers.with_user(kept, body) {
            None => "the application's answer to the handshake is not JSON",
            Some(answer) if answer.body_len() > package::MAX_BODY => {
                "the answer to the handshake exceeds the length of a package"
            }
            Some(answer) => {
                self.state = State::WaitAck;
                self.negotiated = Negotiated {
                    dialect: *dialect,
                    heartbeat: *heartbeat,
                    dictionary: dictionary.clone(),
                    protos: protos.clone(),
                };
                return out.reply_answer(&answer);
            }
        };
        self.refuse(500, why, out);
    }

    fn refuse(&mut self, code: u16, reason: &str, out: &mut impl Sink) {
        self.state = State::Closed;
        let heartbeat = self.options.heartbeat_seconds();
        out.reply(|packet| self.options.dialect.write_refusal(code, heartbeat.as_deref(), packet));
        out.close(reason);
    }

    /// Closes the session of a client that has been silent for the timeout. Otherwise, sets the
    /// timer to the time at which the timeout would be reached. So a busy client costs one timer
    /// for each timeout, not one for each packet.
    pub fn tick(&mut self, session_ms: u64, out: &mut impl Sink) {
        let (State::Working, Some(times)) = (self.state, self.negotiated.heartbeat) else {
            return;
        };
        let silence = u32::try_from(session_ms.saturating_sub(self.last_seen)).unwrap_or(u32::MAX);
        match times.timeout.checked_sub(silence) {
            None | Some(0) => {
                self.state = State::Closed;
                let timeout = options::seconds(times.timeout);
                out.close(&format!("no sign of life from the client for {timeout} s"));
            }
            Some(rest) => out.timer(rest),
        }
    }

    /// Ends the session, and sends the client a kick with the reason. Sends nothing outside of the
    /// working state, in which alone a client expects a kick, and nothing if the reason exceeds the
    /// length of a package.
    pub fn farewell(&mut self, reason: &str, out: &mut impl Sink) {
        if std::mem::replace(&mut self.state, State::Closed) != State::Working {
            return;
        }
        let mut body = b"{\"reason\":".to_vec();
        text::escape(text::quoted(reason).as_bytes(), &mut body);
        body.push(b'}');
        if body.len() <= package::MAX_BODY {
            out.reply(|packet| {
                packet.push(package::Kind::Kick as u8);
                packet.extend_from_slice(&body);
            });
        }
    }

    /// Returns whether a client may compress the bodies of its messages.
    fn inflates(&self) -> bool {
        self.negotiated.dialect == Dialect::Pitaya
    }

    fn fatal(&mut self, reason: impl Into<Cow<'static, str>>) -> Fault {
        let fault = Fault::Fatal(reason.into());
        self.end_if_fatal(&fault);
        fault
    }

    fn end_if_fatal(&mut self, fault: &Fault) {
        self.state = match (fault, self.state) {
            (Fault::Rejected(_), state) => state,
            (Fault::Fatal(_), State::Working | State::Ending) => State::Ending,
            (Fault::Fatal(_), _) => State::Closed,
        };
    }
}

fn rejected(reason: impl Into<Cow<'static, str>>) -> Fault {
    Fault::Rejected(reason.into())
}

/// Puts a message of the client into `out`, with its body as JSON.
fn decode_body(
    protos: Option<&Protos>,
    id: u64,
    route: &str,
    body: &[u8],
    scratch: &mut Vec<u8>,
    out: &mut impl Sink,
) -> Result<(), Fault> {
    let Some(schema) = protos.and_then(|protos| protos.client.of(route)) else {
        let body = text::repair(body);
        // As in Pomelo, a handler always gets an object from a client that sends no body.
        let body = if body.is_empty() || body.trim_ascii() == b"null" { b"{}" } else { &*body };
        put_message(id, route, body, out);
        return Ok(());
    };
    scratch.clear();
    let decoded = schema.decode(body, scratch);
    if decoded.is_ok() {
        put_message(id, route, scratch, out);
    }
    // One long body must not occupy memory for as long as the connection lasts.
    scratch.clear();
    scratch.shrink_to(MAX_SCRATCH);
    decoded.map_err(|reason| rejected(format!("route {route}: {reason}")))
}

/// Puts a request into `out`, or a notice if the id is 0: such a client waits for no response.
fn put_message(id: u64, route: &str, body: &[u8], out: &mut impl Sink) {
    match id {
        0 => out.notice(route, body),
        _ => out.request(id, route, body),
    }
}

/// Appends the packet for a message to a client that has this dictionary and these schemas. `out`
/// is unchanged after an error.
fn encode(
    dialect: Dialect,
    dictionary: Option<&Dictionary>,
    protos: Option<&Protos>,
    message: &Message<'_>,
    out: &mut Vec<u8>,
) -> Result<(), Cow<'static, str>> {
    // Pitaya's C client misreads the code of a push.
    let dictionary = dictionary.filter(|_| dialect == Dialect::Pomelo);
    let (kind, id, route) = match (message.role, message.id) {
        (Role::Notice, _) => (Kind::Push, 0, push_route(dictionary, message.route)?),
        (Role::Request, _) => return Err("Pomelo has no requests to clients".into()),
        // Clients take a response with the id 0 for a push.
        (Role::Response, 0) => return Err("no request has the id 0".into()),
        (Role::Response, id) => (Kind::Response, id, Route::None),
    };
    let start = out.len();
    begin(out, kind, id, route);
    dialect.mark_failure(message.status, &mut out[start..]);
    match protos.and_then(|protos| protos.server.of(message.route)) {
        Some(schema) => {
            if let Err(reason) = proto_body(schema, message, out) {
                out.truncate(start);
                return Err(format!("route {}: {reason}", message.route).into());
            }
        }
        None if message.body.is_empty() && message.status != 200 => dialect.write_status(message.status, out),
        // Clients parse the body of every response, and Pitaya's drop an empty push.
        None if message.body.is_empty() && (kind == Kind::Response || dialect == Dialect::Pitaya) => {
            out.extend_from_slice(b"{}");
        }
        None => text::escape(message.body, out),
    }
    // The type is no part of the length of a package.
    let length = out.len() - start - 1;
    if length > package::MAX_BODY {
        out.truncate(start);
        return Err(format!("message of {length} bytes exceeds {}", package::MAX_BODY).into());
    }
    Ok(())
}

/// Appends the body of a message as protobuf. A failure may lack required fields: its handler
/// seldom has values for them.
fn proto_body(schema: Schema<'_>, message: &Message<'_>, out: &mut Vec<u8>) -> Result<(), Reason> {
    let ok = message.status == 200;
    match message.body.trim_ascii() {
        b"" if !ok => {
            schema.encode_code(message.status, out);
            Ok(())
        }
        // An empty body and null stand for an object without members.
        b"" | b"null" => schema.encode(b"{}", ok, out),
        _ => schema.encode(message.body, ok, out),
    }
}

fn push_route<'a>(dictionary: Option<&Dictionary>, route: &'a str) -> Result<Route<'a>, Cow<'static, str>> {
    let code = dictionary.and_then(|dictionary| dictionary.code(route));
    match (code, route.len()) {
        (Some(code), _) => Ok(Route::Code(code)),
        (None, 1..=message::MAX_ROUTE) => Ok(Route::Text(route.as_bytes())),
        (None, length) => {
            Err(format!("route of a push has {length} bytes, not 1 to {}", message::MAX_ROUTE).into())
        }
    }
}

fn heartbeat(packet: &mut Vec<u8>) {
    packet.push(package::Kind::Heartbeat as u8);
}

/// Appends a DATA packet up to its body.
pub(crate) fn begin(packet: &mut Vec<u8>, kind: Kind, id: u64, route: Route<'_>) {
    packet.push(package::Kind::Data as u8);
    message::write_head(kind, id, route, packet);
}
