//! The session from its first packet to its password. `queries` is the session after that.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde::{Deserialize, Serialize};
use wireplug_guest::{
    Cause, Clock, Cut, Events, Farewell, Fault, Framer, Handshake, Instant, Message, Packets, Peer, Role,
    Session, TlsUpgrade,
};

use crate::application::{CANCEL, Hello, Welcome};
use crate::message;
use crate::options::{Options, Tls};
use crate::push;
use crate::queries::Queries;
use crate::report::{Kind, Report, code};
use crate::startup::{self, Key, Packet, Startup, VERSION_3_0};
use crate::writer::Writer;

/// The smallest limit for packets that a listener may have, in bytes: room for the longest startup
/// packet and the longest error.
const MIN_MAX_PACKET: u32 = 32 << 10;

/// Parameters that the codec itself determines: its texts are UTF-8, and backslashes in queries are
/// for the application.
const FIXED_PARAMETERS: [(&str, &str); 3] =
    [("client_encoding", "UTF8"), ("server_encoding", "UTF8"), ("standard_conforming_strings", "on")];

/// Parameters that clients expect. The application may set others.
const DEFAULT_PARAMETERS: [(&str, &str); 4] =
    [("server_version", "15.0"), ("DateStyle", "ISO, MDY"), ("TimeZone", "UTC"), ("integer_datetimes", "on")];

/// The session of one client.
#[derive(Debug)]
pub(crate) struct Client {
    options: Rc<Options>,
    max_packet: usize,
    pub(crate) state: State,
}

/// Everything that a session knows.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct State {
    /// Nobody can read the connection: it has TLS, or does not leave the machine.
    is_private: bool,
    may_start_tls: bool,
    key: Key,
    phase: Phase,
}

/// How far the session has come.
#[derive(Debug, Deserialize, Serialize)]
enum Phase {
    /// Packets have no type. A client may ask once for each kind of encryption.
    Startup {
        asked_ssl: bool,
        asked_gss: bool,
    },
    /// TLS begins behind the packet that was decoded last.
    TlsBegins,
    Password(Startup),
    /// The application decides.
    Deciding(Startup),
    Established(Box<Queries>),
}

impl Client {
    pub(crate) fn open(options: Rc<Options>, peer: &Peer) -> Result<Self, String> {
        if peer.max_packet < MIN_MAX_PACKET {
            return Err(format!(
                "`max-packet` is {}, and at least {MIN_MAX_PACKET} are needed",
                peer.max_packet
            ));
        }
        let has_tls = peer.attribute("tls-version").is_some();
        let state = State {
            is_private: has_tls || peer.transport == "unix",
            may_start_tls: peer.attribute("starttls").is_some(),
            key: Key::random(&peer.random_seed),
            phase: Phase::Startup { asked_ssl: false, asked_gss: false },
        };
        Ok(Self::with(options, peer, state))
    }

    pub(crate) fn with(options: Rc<Options>, peer: &Peer, state: State) -> Self {
        Self { options, max_packet: peer.max_packet as usize, state }
    }

    fn startup(&mut self, packet: &[u8], events: &mut Events) -> Result<(), Report> {
        let State { phase, may_start_tls, is_private, key: _ } = &mut self.state;
        let Phase::Startup { asked_ssl, asked_gss } = phase else { return Ok(()) };
        match startup::read(packet)? {
            Packet::Ssl if std::mem::replace(asked_ssl, true) => return Err(startup::second_ssl_request()),
            // The answers have no type and no length either.
            Packet::Ssl if *may_start_tls => {
                events.reply(b"S");
                *phase = Phase::TlsBegins;
            }
            Packet::Ssl => events.reply(b"N"),
            Packet::Gss if std::mem::replace(asked_gss, true) => return Err(startup::second_gss_request()),
            Packet::Gss => events.reply(b"N"),
            Packet::Cancel(key) => {
                // Clients expect no answer, and libraries before PostgreSQL 17 use no TLS here.
                events.established();
                let body = serde_json::to_vec(&key).expect("a key has only numbers");
                events.notice(CANCEL, &body);
                events.close("the client asked for a cancellation");
            }
            Packet::Startup(startup) => {
                startup.check()?;
                if self.options.tls == Tls::Required && !*is_private {
                    let text = format!("no encryption: user {:?} must connect with TLS", startup.user);
                    let report = Report::new(code::INVALID_AUTHORIZATION, text);
                    return Err(report.hint("Set sslmode=require."));
                }
                let mut out = Writer::new(events, self.max_packet);
                if startup.is_newer || !startup.protocol_options.is_empty() {
                    negotiate_version(&startup, &mut out)?;
                }
                /// AuthenticationCleartextPassword.
                const CLEARTEXT_PASSWORD: u32 = 3;
                out.short(b'R', &CLEARTEXT_PASSWORD.to_be_bytes());
                *phase = Phase::Password(startup);
            }
        }
        Ok(())
    }

    fn password(&mut self, packet: &[u8], startup: Startup, events: &mut Events) -> Result<(), Report> {
        let (kind, mut fields) = message::split(packet)?;
        if kind != b'p' {
            let text = format!("expected password response, got message type {kind}");
            return Err(Report::new(code::PROTOCOL_VIOLATION, text));
        }
        let password = fields.text()?;
        fields.end()?;
        let Startup { user, database, parameters, .. } = &startup;
        let hello = Hello { user, database, password, parameters, key: self.state.key };
        let body = serde_json::to_vec(&hello).expect("a hello has only texts and numbers");
        events.hello(&body);
        self.state.phase = Phase::Deciding(startup);
        Ok(())
    }

    /// Lets a client in.
    fn welcome(&mut self, body: &[u8], startup: &Startup, events: &mut Events) -> Result<(), Report> {
        let welcome = Welcome::read(body)?;
        let mut out = Writer::new(events, self.max_packet);
        /// AuthenticationOk.
        const OK: u32 = 0;
        out.short(b'R', &OK.to_be_bytes());
        let application_name = startup.parameters.get("application_name").map_or("", String::as_str);
        let mut parameters = BTreeMap::from(DEFAULT_PARAMETERS);
        parameters.insert("application_name", application_name);
        parameters.extend(welcome.parameters.iter().map(|(name, value)| (&**name, &**value)));
        parameters.extend(FIXED_PARAMETERS);
        for (name, value) in parameters {
            push::write_parameter(name, value, &mut out)?;
        }
        let Key { process, secret } = self.state.key;
        out.short(b'K', &[process.to_be_bytes(), secret.to_be_bytes()].concat());
        let queries = Queries::default();
        queries.welcome(&mut out);
        events.established();
        self.state.phase = Phase::Established(Box::new(queries));
        Ok(())
    }
}

/// Writes NegotiateProtocolVersion.
fn negotiate_version(startup: &Startup, out: &mut Writer<'_, Events>) -> Result<(), Report> {
    out.message(b'v', |fields| {
        fields.extend(VERSION_3_0.to_be_bytes());
        fields.extend((startup.protocol_options.len() as u32).to_be_bytes());
        startup.protocol_options.iter().for_each(|option| crate::writer::text(option, fields));
        Ok(())
    })
}

/// Ends the connection with an error.
pub(crate) fn end(report: Report, events: &mut Events) {
    let report = report.fatal();
    Writer::new(events, usize::MAX).report(Kind::Error, &report);
    events.close(report.message());
}

impl Framer for Client {
    fn cut(&self, bytes: &[u8]) -> Result<Cut, Fault> {
        match self.state.phase {
            Phase::Startup { .. } => message::cut_startup(bytes),
            Phase::TlsBegins => Ok(Cut::StartTls),
            Phase::Password(_) | Phase::Deciding(_) => message::cut_password(bytes),
            Phase::Established(_) => message::cut(bytes, self.max_packet),
        }
    }
}

impl Session for Client {
    fn decode(&mut self, packet: &[u8], _now: Instant, events: &mut Events) -> Result<(), Fault> {
        let done = match &mut self.state.phase {
            Phase::Startup { .. } => self.startup(packet, events),
            Phase::Password(startup) => {
                let startup = std::mem::take(startup);
                self.password(packet, startup, events)
            }
            Phase::Established(queries) => {
                queries.receive(packet, self.max_packet, events);
                Ok(())
            }
            // The runtime holds back what the client sends.
            Phase::TlsBegins | Phase::Deciding(_) => return Err(Fault::fatal("a packet came too early")),
        };
        if let Err(report) = done {
            end(report, events);
        }
        Ok(())
    }

    fn encode(&mut self, message: &Message, _now: Instant, packets: &mut Packets) -> Result<(), Fault> {
        match (message.role, &mut self.state.phase) {
            (Role::Response, Phase::Established(queries)) => {
                queries.respond(message, self.max_packet, packets)
            }
            (Role::Notice, _) => push::write(message, packets).map_err(Fault::rejected),
            // Neither a request to the client, nor a response without a request, ever comes.
            _ => Err(Fault::rejected("the protocol has no message for this")),
        }
    }
}

impl TlsUpgrade for Client {
    fn secured(&mut self, _attributes: &[(String, String)], _now: Instant, _events: &mut Events) {
        self.state.is_private = true;
        self.state.may_start_tls = false;
        // Within TLS there is nothing more to ask for.
        self.state.phase = Phase::Startup { asked_ssl: true, asked_gss: true };
    }
}

impl Handshake for Client {
    fn answer(&mut self, status: u16, body: &[u8], _now: Instant, events: &mut Events) {
        let Phase::Deciding(startup) = &mut self.state.phase else { return };
        let startup = std::mem::take(startup);
        let done = match status {
            200 => self.welcome(body, &startup, events),
            _ => Err(Report::refusal(status, body, &startup)),
        };
        if let Err(report) = done {
            end(report, events);
        }
    }
}

impl Clock for Client {
    fn tick(&mut self, _now: Instant, events: &mut Events) {
        if let Phase::Established(queries) = &mut self.state.phase {
            queries.retry(self.max_packet, events);
        }
    }
}

impl Farewell for Client {
    fn farewell(&mut self, cause: Cause, reason: &str, _now: Instant, events: &mut Events) {
        // Before its startup packet, a client waits for a bare byte.
        if matches!(self.state.phase, Phase::Startup { .. } | Phase::TlsBegins) {
            return;
        }
        let text = match cause {
            Cause::Displaced => "terminating connection because the user has a newer one",
            Cause::Kicked | Cause::Replaced | Cause::Shutdown => {
                "terminating connection due to administrator command"
            }
        };
        let report = Report::new(code::ADMIN_SHUTDOWN, text).fatal();
        let report = if reason.is_empty() { report } else { report.detail(reason) };
        Writer::new(events, usize::MAX).report(Kind::Error, &report);
    }
}
