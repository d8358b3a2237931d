//! The session: which commands the codec answers itself, and how answers and pushes are written.

use std::cell::Cell;
use std::rc::Rc;

use serde::{Deserialize, Serialize};
use wireplug_guest::{Cut, Events, Fault, Framer, Instant, Message, Packets, Peer, Role, Session};

use crate::command::{self, Arguments, Progress, Scanned};
use crate::failure;
use crate::hello::{self, Hello, Server};
use crate::pending::{Own, Pending, Step};
use crate::subscriptions::{Kind, MAX_NAME, MAX_NAMES, Subscriptions};
use crate::value::{self, Invalid};
use crate::write::{self, Protocol};

/// The routes of the application: this and the name of the command, in lower case.
const PREFIX: &str = "redis.";

// Routes of commands that the codec makes itself, or whose answers it changes.
const AUTH: &str = "redis.auth";
const CLIENT: &str = "redis.client";
const PING: &str = "redis.ping";

/// The commands of a client of RESP2 that has subscribed to something.
const SUBSCRIBER_COMMANDS: [&str; 7] =
    ["subscribe", "psubscribe", "unsubscribe", "punsubscribe", "ping", "quit", "reset"];

/// The longest name of a command, in bytes.
const MAX_COMMAND: usize = 64;

/// The session of one client.
#[derive(Debug)]
pub(crate) struct Client {
    server: Rc<Server>,
    max_packet: usize,
    /// How far the command at the front of the stream was scanned.
    progress: Cell<Progress>,
    pub(crate) state: State,
}

/// Everything that a session knows.
#[derive(Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct State {
    /// The number of the connection, for HELLO.
    id: u32,
    protocol: Protocol,
    subscriptions: Subscriptions,
    pending: Pending,
}

impl Client {
    pub(crate) fn new(server: Rc<Server>, peer: &Peer) -> Self {
        let [a, b, c, d, ..] = peer.random_seed;
        let state = State { id: u32::from_le_bytes([a, b, c, d]) >> 1, ..State::default() };
        Self::with(server, peer, state)
    }

    pub(crate) fn with(server: Rc<Server>, peer: &Peer, state: State) -> Self {
        Self { server, max_packet: peer.max_packet as usize, progress: Cell::default(), state }
    }

    fn command(&mut self, body: &[u8], events: &mut Events) -> Result<(), Fault> {
        let mut arguments = Arguments::of(body);
        let name = arguments.next().unwrap_or_default();
        if name.is_empty() || name.len() > MAX_COMMAND || !name.iter().all(u8::is_ascii_graphic) {
            return self.fail(format!("ERR unknown command '{}'", write::shown(name)), events);
        }
        let mut route = PREFIX.to_owned();
        route.extend(name.iter().map(|byte| char::from(byte.to_ascii_lowercase())));
        let command = Command { route: &route, body, arguments };
        if self.is_old_subscriber() && !SUBSCRIBER_COMMANDS.contains(&command.name()) {
            return self.fail(not_for_subscribers(command.name()), events);
        }
        match command.name() {
            "hello" => self.hello(command.arguments, events),
            "auth" => self.auth(command.arguments, events),
            "quit" => {
                self.own(Own::Bye, events)?;
                events.close("the client quit");
                Ok(())
            }
            "reset" => self.request(&command, Some(Step::Reset), events),
            "subscribe" => self.subscribe(Kind::Channel, &command, events),
            "psubscribe" => self.subscribe(Kind::Pattern, &command, events),
            "unsubscribe" => self.unsubscribe(Kind::Channel, &command, events),
            "punsubscribe" => self.unsubscribe(Kind::Pattern, &command, events),
            // A web page can make a browser send such lines. Redis closes the connection, too.
            "post" | "host:" => Err(Fault::fatal("the client sent an HTTP request")),
            _ => self.request(&command, None, events),
        }
    }

    /// Passes a command to the application.
    fn request(
        &mut self,
        command: &Command<'_>,
        step: Option<Step>,
        events: &mut Events,
    ) -> Result<(), Fault> {
        let id = self.state.pending.ask(step)?;
        events.request(id, command.route, command.body);
        Ok(())
    }

    /// Answers a command that the application does not get, in its turn.
    fn own(&mut self, own: Own, events: &mut Events) -> Result<(), Fault> {
        if !self.state.pending.is_empty() {
            return self.state.pending.push(own);
        }
        events.reply_with(|packet| self.write_own(own, packet.buffer()));
        Ok(())
    }

    fn fail(&mut self, error: String, events: &mut Events) -> Result<(), Fault> {
        self.own(Own::Error(error), events)
    }

    fn hello(&mut self, arguments: Arguments<'_>, events: &mut Events) -> Result<(), Fault> {
        let Hello { protocol, auth, name } = match Hello::read(arguments) {
            Ok(hello) => hello,
            Err(error) => return self.fail(error, events),
        };
        match auth {
            Some((user, password)) => self.log_in(user, password, Some(Step::Hello(protocol)), events)?,
            None => self.own(Own::Hello(protocol), events)?,
        }
        if let Some(name) = name {
            events.notice(CLIENT, &command::array(&[b"CLIENT", b"SETNAME", name]));
        }
        Ok(())
    }

    fn auth(&mut self, mut arguments: Arguments<'_>, events: &mut Events) -> Result<(), Fault> {
        match [(); 3].map(|()| arguments.next()) {
            [Some(password), None, None] => self.log_in(b"default", password, None, events),
            [Some(user), Some(password), None] => self.log_in(user, password, None, events),
            _ => self.fail(wrong_arguments("auth"), events),
        }
    }

    fn log_in(
        &mut self,
        user: &[u8],
        password: &[u8],
        step: Option<Step>,
        events: &mut Events,
    ) -> Result<(), Fault> {
        let body = command::array(&[b"AUTH", user, password]);
        let command = Command { route: AUTH, arguments: Arguments::of(&body), body: &body };
        self.request(&command, step, events)
    }

    fn subscribe(&mut self, kind: Kind, command: &Command<'_>, events: &mut Events) -> Result<(), Fault> {
        let names = || command.arguments.clone();
        let error = if names().next().is_none() {
            wrong_arguments(command.name())
        } else if names().any(|name| name.len() > MAX_NAME) {
            name_too_long()
        } else if !self.state.subscriptions.have_room(kind, names()) {
            format!("ERR a client may have {MAX_NAMES} channels and patterns")
        } else {
            return self.request(command, Some(Step::Subscribe(kind, command.body.to_vec())), events);
        };
        self.fail(error, events)
    }

    fn unsubscribe(&mut self, kind: Kind, command: &Command<'_>, events: &mut Events) -> Result<(), Fault> {
        if command.arguments.clone().any(|name| name.len() > MAX_NAME) {
            return self.fail(name_too_long(), events);
        }
        self.request(command, Some(Step::Unsubscribe(kind, command.body.to_vec())), events)
    }

    /// Returns whether a client of RESP2 has subscribed to something, or is about to. Pushes look
    /// like answers to this client, so it may send only commands whose answers it can tell apart.
    fn is_old_subscriber(&self) -> bool {
        let State { protocol, subscriptions, pending, .. } = &self.state;
        *protocol == Protocol::Resp2 && (!subscriptions.is_empty() || pending.will_subscribe())
    }

    fn write_own(&mut self, own: Own, out: &mut Vec<u8>) {
        match own {
            Own::Hello(protocol) => {
                let State { id, protocol: current, .. } = &mut self.state;
                *current = protocol.unwrap_or(*current);
                hello::write(out, &self.server, *current, *id);
            }
            Own::Bye => out.extend(b"+OK\r\n"),
            Own::Error(text) => write::error(out, text.as_bytes()),
        }
    }

    fn answer(&mut self, answer: &Message<'_>, packets: &mut Packets<'_>) -> Result<(), Fault> {
        let agrees = answer.status == 200 && !is_error(answer.body);
        match self.state.pending.answer(answer.id)?.filter(|_| agrees) {
            Some(step) => self.take(step, packets),
            None => self.write_answer(answer, packets.begin().buffer()),
        }
        while let Some(own) = self.state.pending.next_own() {
            self.write_own(own, packets.begin().buffer());
        }
        Ok(())
    }

    /// Takes the step that follows an answer of the application.
    fn take(&mut self, step: Step, packets: &mut Packets<'_>) {
        let State { protocol, subscriptions, .. } = &mut self.state;
        match step {
            Step::Hello(protocol) => self.write_own(Own::Hello(protocol), packets.begin().buffer()),
            Step::Reset => {
                (*protocol, *subscriptions) = Default::default();
                packets.push(b"+RESET\r\n");
            }
            Step::Subscribe(kind, command) => subscriptions.add(kind, names(&command), *protocol, packets),
            Step::Unsubscribe(kind, command) => {
                subscriptions.remove(kind, names(&command), *protocol, packets);
            }
        }
    }

    /// Writes what the application has answered.
    ///
    /// No answer is rejected: the runtime would ask for it once more behind the others of its
    /// batch, and the client would take it for the answer to another command.
    fn write_answer(&self, answer: &Message<'_>, out: &mut Vec<u8>) {
        let start = out.len();
        if answer.body.is_empty() {
            match answer.status {
                200 => out.extend_from_slice(b"+OK\r\n"),
                status => failure::write(out, status, answer.route.strip_prefix(PREFIX).unwrap_or_default()),
            }
        } else if let Err(error) = self.write_body(answer, out) {
            out.truncate(start);
            write::error(out, format!("ERR the application's answer is wrong: {error}").as_bytes());
        }
        if out.len() - start > self.max_packet {
            out.truncate(start);
            write::error(out, format!("ERR the answer has more than {} bytes", self.max_packet).as_bytes());
        }
    }

    fn write_body(&self, answer: &Message<'_>, out: &mut Vec<u8>) -> Result<(), Invalid> {
        let State { protocol, subscriptions, .. } = &self.state;
        let is_old_subscriber = *protocol == Protocol::Resp2 && !subscriptions.is_empty();
        if !is_old_subscriber || answer.route != PING || is_error(answer.body) {
            return value::answer(answer.body, *protocol, out);
        }
        // A subscriber of RESP2 gets `["pong", ""]`, or its own text in the place of `""`.
        out.extend_from_slice(b"*2\r\n$4\r\npong\r\n");
        let text = if answer.body == b"+PONG\r\n" { b"$0\r\n\r\n" } else { answer.body };
        value::answer(text, *protocol, out)
    }

    /// Writes a push. A message goes only to a client that has subscribed to its channel, so that
    /// none comes before the confirmation, or after the end. Other pushes go only to clients of
    /// RESP3, because a client of RESP2 would take them for answers.
    fn push(&self, push: &Message<'_>, packets: &mut Packets<'_>) -> Result<(), Fault> {
        let State { protocol, subscriptions, .. } = &self.state;
        let is_wanted = match value::push_names(push.body) {
            Some((b"message", channel)) => subscriptions.contains(Kind::Channel, channel),
            Some((b"pmessage", pattern)) => subscriptions.contains(Kind::Pattern, pattern),
            _ => *protocol == Protocol::Resp3,
        };
        if is_wanted {
            let mut packet = packets.begin();
            value::push(push.body, *protocol, packet.buffer())?;
            if packet.len() > self.max_packet {
                return Err(Fault::rejected("the push is longer than a packet"));
            }
        }
        Ok(())
    }
}

/// A command that the application may get.
#[derive(Debug)]
struct Command<'a> {
    route: &'a str,
    body: &'a [u8],
    /// Those behind the name.
    arguments: Arguments<'a>,
}

impl Command<'_> {
    fn name(&self) -> &str {
        &self.route[PREFIX.len()..]
    }
}

impl Framer for Client {
    /// A mistake in the framing is the end of a packet, so that `decode` can answer it.
    fn cut(&self, bytes: &[u8]) -> Result<Cut, Fault> {
        let mut progress = self.progress.take();
        Ok(match command::scan(bytes, self.max_packet, &mut progress) {
            Scanned::Need(total) => {
                self.progress.set(progress);
                Cut::Need(total)
            }
            Scanned::Whole(length) | Scanned::Wrong(length, _) => Cut::Packet(length),
        })
    }
}

impl Session for Client {
    fn decode(&mut self, packet: &[u8], _now: Instant, events: &mut Events) -> Result<(), Fault> {
        match command::read(packet, self.max_packet) {
            Ok(Some(command)) => self.command(&command, events),
            Ok(None) => Ok(()),
            Err(mistake) => {
                let text = mistake.text();
                self.fail(format!("ERR {text}"), events)?;
                events.close(&text);
                Ok(())
            }
        }
    }

    fn encode(&mut self, message: &Message, _now: Instant, packets: &mut Packets) -> Result<(), Fault> {
        match message.role {
            Role::Response => self.answer(message, packets),
            Role::Notice => self.push(message, packets),
            // The description does not say `client_requests`, so the runtime never asks for this.
            Role::Request => Err(Fault::rejected("Redis has no requests to the client")),
        }
    }
}

fn is_error(body: &[u8]) -> bool {
    matches!(body.first(), Some(b'-' | b'!'))
}

/// Returns the names of channels or patterns in a command.
fn names(command: &[u8]) -> Arguments<'_> {
    let mut arguments = Arguments::of(command);
    arguments.next();
    arguments
}

fn wrong_arguments(command: &str) -> String {
    format!("ERR wrong number of arguments for '{command}' command")
}

fn name_too_long() -> String {
    format!("ERR the name of a channel or a pattern may have {MAX_NAME} bytes")
}

fn not_for_subscribers(command: &str) -> String {
    let allowed = "(P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET";
    format!("ERR Can't execute '{command}': only {allowed} are allowed in this context")
}
