//! The state machine of one connection, the server's side.
//!
//! Packets and messages of the steady state allocate nothing: they are read in place and written into buffers
//! that the caller keeps.

mod handoff;
mod sharing;

use std::borrow::Cow;
use std::io::Write as _;
use std::sync::Arc;

use crate::dictionary::Dictionary;
use crate::handshake::{Answer, Hello, Kept};
use crate::json::Reason;
use crate::message::{self, Kind, Route};
use crate::options::{self, Heartbeat, Options};
use crate::protobuf::{Protos, Schema};
use crate::{package, text};

/// How much memory for a body a session keeps.
const MAX_SCRATCH: usize = 4096;

/// Where a session puts its events, in order.
pub trait Sink {
    /// The client has introduced itself with this body, JSON. Exactly one [`Session::answer`] must follow.
    fn hello(&mut self, body: &[u8]);
    /// The handshake is over.
    fn established(&mut self);
    /// A message for the application; without an id, a notification.
    fn message(&mut self, id: Option<u64>, route: &str, body: &[u8]);
    /// A packet to send straight back: `write` appends it to the buffer that it is given.
    fn reply(&mut self, write: impl FnOnce(&mut Vec<u8>));
    /// As [`Sink::reply`], with a good answer to the handshake: the same for most clients, and long.
    fn welcome(&mut self, answer: &Answer<'_>) {
        self.reply(|packet| answer.write(packet));
    }
    /// [`Session::tick`] is to be called after so many milliseconds. Replaces the wake before it.
    fn wake(&mut self, ms: u32);
    /// The connection is to be ended, for this reason.
    fn close(&mut self, reason: &str);
}

/// Why a packet or a message was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This packet or message is dropped; the connection lives.
    Rejected(Cow<'static, str>),
    /// The connection is to be ended.
    Fatal(Cow<'static, str>),
}

/// A message of the application, on its way to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// The request that it answers. None, or 0, which on this wire is the same: a push.
    pub id: Option<u64>,
    /// The route of a push, or of the request. A response goes by its id alone on the wire, but the route has the
    /// schema of its body.
    pub route: &'a str,
    /// JSON, or empty.
    pub body: &'a [u8],
    /// What became of a request, as in HTTP. Where the body is empty and this is not 200, the body is
    /// `{"code":status}`, as far as the schema of the route has a `code`.
    pub status: u16,
}

/// The protocol state of one connection.
#[derive(Debug)]
pub struct Session {
    options: Arc<Options>,
    state: State,
    /// When the client last sent anything, in milliseconds.
    last_seen: u64,
    told: Told,
    /// Where a protobuf body becomes JSON, before it is known whether it is sound.
    scratch: Vec<u8>,
}

/// What the answer to the handshake told the client; until then, nothing. The client keeps to it, so the
/// session does too: the options are for those who shake hands later, and after a handoff may be others.
#[derive(Debug, Default)]
struct Told {
    heartbeat: Option<Heartbeat>,
    /// Where it is that of the options, it is the same one and no copy.
    dictionary: Option<Arc<Dictionary>>,
    /// The same holds for it.
    protos: Option<Arc<Protos>>,
}

/// The names are Pomelo's, but for `Greeted`, which its server has no need of: it waits inside a callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing was said yet.
    Inited,
    /// The handshake came; the application has not answered it.
    Greeted {
        /// Compared when it is answered: by then the options may be others.
        kept: Kept,
    },
    /// The handshake was answered; the client has not acknowledged the answer.
    WaitAck,
    /// Messages and heartbeats flow.
    Working,
    /// The client broke the protocol in the middle of its work: nothing more is taken from it, but what it
    /// asked before may still be answered.
    Ending,
    /// It is over.
    Closed,
}

impl Session {
    /// The session of a client that has just connected.
    #[must_use]
    pub fn open(options: Arc<Options>) -> Self {
        Self { options, state: State::Inited, last_seen: 0, told: Told::default(), scratch: Vec::new() }
    }

    /// Puts into `out` what a packet of the client means. `now_ms` counts from the session's opening, here as
    /// in the calls below.
    ///
    /// # Errors
    ///
    /// [`Fault::Rejected`] for a packet that has no meaning or comes at the wrong time, [`Fault::Fatal`] for
    /// one after which the peer cannot be taken for a Pomelo client. Nothing was put into `out` then.
    pub fn decode(&mut self, packet: &[u8], now_ms: u64, out: &mut impl Sink) -> Result<(), Fault> {
        // Any package is a sign of life. Pomelo counts heartbeats alone, and so gives up clients in the
        // middle of their requests; but whoever sends requests is not dead.
        self.last_seen = now_ms;
        let Some((&kind, body)) = packet.split_first() else {
            return Err(self.fatal("package without a type"));
        };
        match (package::Kind::of(kind), self.state) {
            (Some(package::Kind::Data), State::Working) => self.data(body, out),
            (Some(package::Kind::Heartbeat), State::Working) => {
                if self.told.heartbeat.is_some() {
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
                if let Some(times) = self.told.heartbeat {
                    out.reply(heartbeat);
                    out.wake(times.timeout);
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
        let body = text::repair(body);
        let Some(hello) = Hello::read(&body) else {
            return self.refuse(500, "handshake is not a JSON object with a `sys`", out);
        };
        if self.options.clients.as_ref().is_some_and(|clients| !clients.admit(&hello.sys)) {
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
        // 0 says "no id": the client does not wait for an answer.
        let id = Some(message.id).filter(|&id| id != 0);
        let Self { told, scratch, .. } = self;
        match message.route {
            Route::None => Err(rejected("RESPONSE from a client")),
            Route::Text(route) => {
                let route = text::repair(route);
                let route = str::from_utf8(&route).map_err(|_| rejected("route is not UTF-8"))?;
                hand_on(told.protos.as_deref(), id, route, message.body, scratch, out)
            }
            Route::Code(code) => {
                let route = told.dictionary.as_ref().and_then(|dictionary| dictionary.route(code));
                match (route, id) {
                    (Some(route), _) => {
                        hand_on(told.protos.as_deref(), id, route, message.body, scratch, out)
                    }
                    // Somebody waits for the answer.
                    (None, Some(id)) => {
                        out.reply(|packet| {
                            begin(packet, Kind::Response, id, Route::None);
                            code_body(404, packet);
                        });
                        Ok(())
                    }
                    (None, None) => Err(rejected("route code is not in the dictionary")),
                }
            }
        }
    }

    /// Appends the packet for a message to `out`: a response where there is an id, else a push. False would
    /// mean that the message has no form on the wire; in Pomelo each has one.
    ///
    /// # Errors
    ///
    /// [`Fault::Rejected`] before the handshake is over and after the end, for a push whose route is empty or
    /// is longer than 255 bytes and not in the dictionary, for a body that the schema of its route cannot hold,
    /// and for a packet that exceeds 2^24 bytes. `out` is as before then.
    pub fn encode(&mut self, message: &Message<'_>, out: &mut Vec<u8>) -> Result<bool, Fault> {
        if !matches!(self.state, State::Working | State::Ending) {
            return Err(rejected("message outside of the working state"));
        }
        let Told { dictionary, protos, .. } = &self.told;
        encode(dictionary.as_deref(), protos.as_deref(), message, out).map_err(Fault::Rejected)?;
        Ok(true)
    }

    /// The application's word on the client's handshake: 200, or the code with which it refuses, and a body,
    /// JSON or empty, that becomes the `user` of the answer. Without a handshake that waits for it, nothing
    /// happens.
    pub fn answer(&mut self, status: u16, body: &[u8], _now_ms: u64, out: &mut impl Sink) {
        let State::Greeted { kept } = self.state else {
            return;
        };
        if status != 200 {
            return self.refuse(status, &format!("handshake refused with code {status}"), out);
        }
        let options = Arc::clone(&self.options);
        match options.answers.accept(kept, body) {
            None => self.refuse(500, "the application's answer to the handshake is not JSON", out),
            Some(answer) if answer.body_len() > package::MAX_BODY => {
                self.refuse(500, "the answer to the handshake exceeds the length of a package", out);
            }
            Some(answer) => {
                self.state = State::WaitAck;
                self.told = Told {
                    heartbeat: options.heartbeat,
                    dictionary: options.dictionary.clone(),
                    protos: options.protos.clone(),
                };
                out.welcome(&answer);
            }
        }
    }

    fn refuse(&mut self, code: u16, reason: &str, out: &mut impl Sink) {
        self.state = State::Closed;
        out.reply(|packet| {
            packet.push(package::Kind::Handshake as u8);
            code_body(code, packet);
        });
        out.close(reason);
    }

    /// Time has passed: gives up a client that was silent for too long, or asks to be woken when it will have
    /// been. So a busy client costs one wake a timeout and not one a packet.
    pub fn tick(&mut self, now_ms: u64, out: &mut impl Sink) {
        let (State::Working, Some(times)) = (self.state, self.told.heartbeat) else {
            return;
        };
        let silence = u32::try_from(now_ms.saturating_sub(self.last_seen)).unwrap_or(u32::MAX);
        match times.timeout.checked_sub(silence) {
            None | Some(0) => {
                self.state = State::Closed;
                let timeout = options::seconds(times.timeout);
                out.close(&format!("no sign of life from the client for {timeout} s"));
            }
            Some(rest) => out.wake(rest),
        }
    }

    /// Appends the last packet, a kick that tells the client why, and ends the session. False where nothing
    /// was appended: outside of the working state a client does not expect it.
    pub fn farewell(&mut self, reason: &str, out: &mut Vec<u8>) -> bool {
        if std::mem::replace(&mut self.state, State::Closed) != State::Working {
            return false;
        }
        let start = out.len();
        out.push(package::Kind::Kick as u8);
        let reason = text::quoted(reason);
        out.extend_from_slice(b"{\"reason\":");
        text::escape(reason.as_bytes(), out);
        out.push(b'}');
        let fits = out.len() - start - 1 <= package::MAX_BODY;
        if !fits {
            out.truncate(start);
        }
        fits
    }

    fn fatal(&mut self, reason: impl Into<Cow<'static, str>>) -> Fault {
        self.state = match self.state {
            State::Working | State::Ending => State::Ending,
            _ => State::Closed,
        };
        Fault::Fatal(reason.into())
    }
}

fn rejected(reason: impl Into<Cow<'static, str>>) -> Fault {
    Fault::Rejected(reason.into())
}

/// Puts a message of the client into `out`, as JSON whatever it was.
fn hand_on(
    protos: Option<&Protos>,
    id: Option<u64>,
    route: &str,
    body: &[u8],
    scratch: &mut Vec<u8>,
    out: &mut impl Sink,
) -> Result<(), Fault> {
    let Some(schema) = protos.and_then(|protos| protos.client.of(route)) else {
        let body = text::repair(body);
        // Pomelo's handlers get an object where a client has nothing to say.
        let body = if body.is_empty() || body.trim_ascii() == b"null" { b"{}" } else { &*body };
        out.message(id, route, body);
        return Ok(());
    };
    scratch.clear();
    let decoded = schema.decode(body, scratch);
    if decoded.is_ok() {
        out.message(id, route, scratch);
    }
    // One long body shall not hold on to its memory for as long as the connection lasts.
    scratch.clear();
    scratch.shrink_to(MAX_SCRATCH);
    decoded.map_err(|reason| rejected(format!("route {route}: {reason}")))
}

/// Appends the packet for a message to a client that was told this dictionary and these schemas. The error is
/// the reason why that cannot be done; `out` is as before then.
fn encode(
    dictionary: Option<&Dictionary>,
    protos: Option<&Protos>,
    message: &Message<'_>,
    out: &mut Vec<u8>,
) -> Result<(), Cow<'static, str>> {
    let (kind, id, route) = match message.id {
        Some(id) if id != 0 => (Kind::Response, id, Route::None),
        _ => (Kind::Push, 0, push_route(dictionary, message.route)?),
    };
    let start = out.len();
    begin(out, kind, id, route);
    match protos.and_then(|protos| protos.server.of(message.route)) {
        Some(schema) => {
            if let Err(reason) = proto_body(schema, message, out) {
                out.truncate(start);
                return Err(format!("route {}: {reason}", message.route).into());
            }
        }
        None if message.body.is_empty() && message.status != 200 => code_body(message.status, out),
        // A handler that had nothing to say: clients parse the answer.
        None if message.body.is_empty() && kind == Kind::Response => out.extend_from_slice(b"{}"),
        None => text::escape(message.body, out),
    }
    // The type byte is no part of the length that the framing will write.
    let length = out.len() - start - 1;
    if length > package::MAX_BODY {
        out.truncate(start);
        return Err(format!("message of {length} bytes exceeds {}", package::MAX_BODY).into());
    }
    Ok(())
}

/// Appends the body of a message as protobuf. A failure need not have what the schema requires: it seldom can.
fn proto_body(schema: Schema<'_>, message: &Message<'_>, out: &mut Vec<u8>) -> Result<(), Reason> {
    let ok = message.status == 200;
    match message.body.trim_ascii() {
        b"" if !ok => {
            schema.encode_code(message.status, out);
            Ok(())
        }
        // Nothing to say, as in JSON.
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
fn begin(packet: &mut Vec<u8>, kind: Kind, id: u64, route: Route<'_>) {
    packet.push(package::Kind::Data as u8);
    message::write_head(kind, id, route, packet);
}

/// Appends the body by which Pomelo tells a failure.
fn code_body(code: u16, packet: &mut Vec<u8>) {
    // Writing to memory cannot fail.
    let _ = write!(packet, "{{\"code\":{code}}}");
}
