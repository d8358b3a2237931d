//! The session: what is allowed when, and what it means. RFC 6120, sections 4 to 7.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use serde::{Deserialize, Serialize};
use wireplug_guest::{
    Carrier, Cause, Clock, Cut, Events, Farewell, Fault, Framer, Handshake, Instant, Message, Packet,
    Packets, Peer, Session, TlsUpgrade,
};

use crate::condition::StanzaError;
use crate::element::Element;
use crate::jid::{self, Jid, MAX_JID};
use crate::options::Options;
use crate::reader::{Item, Reader};
use crate::sasl;
use crate::stanza::MAX_ID;
use crate::stream::{self, BIND, Broken, CLIENT, Form, SASL, SESSION, STREAM, TLS};

/// The largest header of a stream, in bytes. It is kept, because it may declare prefixes.
const MAX_HEADER: usize = 2048;

/// How often a client may try to log in. RFC 6120 asks for two to five times.
const MAX_LOGINS: u8 = 5;

/// The smallest limit for stanzas that a listener may set. RFC 6120, section 13.12.
const MIN_STANZA: usize = 10_000;

/// The first byte of a packet in a WebSocket message: the packet is text.
const TEXT: u8 = 1;

/// The session of one client.
#[derive(Debug)]
pub(crate) struct Client {
    options: Rc<Options>,
    pub(crate) form: Form,
    pub(crate) max_stanza: usize,
    random_seed: [u8; 32],
    /// In a `RefCell`, because it remembers how far it has read.
    reader: RefCell<Reader>,
    /// Whether TLS begins behind the last element.
    tls_begins: bool,
    /// The server has ended its stream, and sends nothing more.
    pub(crate) has_ended: bool,
    pub(crate) state: State,
}

/// Everything that a session knows between two packets.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct State {
    may_start_tls: bool,
    is_encrypted: bool,
    /// The client's header of the current stream. `None`: the client has to begin a stream.
    header: Option<String>,
    /// How many streams have begun. TLS and the login each begin a new one.
    streams: u32,
    phase: Phase,
    refusals: u8,
    /// When the client last sent something, in milliseconds since the session opened.
    last_seen: u64,
    /// The requests of the client that wait for a response, by the id of the contract.
    pub(crate) open: BTreeMap<u64, OpenRequest>,
    pub(crate) last_id: u64,
}

/// How far a client has come.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
enum Phase {
    Anonymous,
    /// The client chose a mechanism, and its name and password follow.
    Challenged,
    /// The application decides about this user.
    Asking {
        user: String,
    },
    /// The user is logged in and has no address yet.
    LoggedIn {
        user: String,
    },
    /// The client has an address and may send stanzas.
    Bound {
        user: String,
        resource: String,
    },
}

/// A request of the client that waits for a response.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct OpenRequest {
    /// The name of the stanza.
    pub(crate) name: String,
    pub(crate) id: Option<String>,
    pub(crate) to: Option<String>,
}

impl Client {
    pub(crate) fn open(options: Rc<Options>, peer: &Peer, now: Instant) -> Result<Self, String> {
        let state = State {
            may_start_tls: peer.attribute("starttls").is_some(),
            is_encrypted: peer.attribute("tls-version").is_some(),
            header: None,
            streams: 0,
            phase: Phase::Anonymous,
            refusals: 0,
            last_seen: now.session_ms,
            open: BTreeMap::new(),
            last_id: 0,
        };
        if !state.may_start_tls && !state.is_encrypted {
            return Err("passwords need TLS: set `tls.starttls = true`, or a URL with TLS".to_owned());
        }
        Self::with(options, peer, state)
    }

    /// Returns a session that continues from a state.
    pub(crate) fn with(options: Rc<Options>, peer: &Peer, state: State) -> Result<Self, String> {
        let max_stanza = peer.max_packet as usize;
        if max_stanza < MIN_STANZA {
            return Err(format!("the largest packet has {max_stanza} bytes, and XMPP needs {MIN_STANZA}"));
        }
        let form = match peer.carrier {
            Carrier::Bytes => Form::Document,
            Carrier::Messages => Form::Messages,
            Carrier::Datagrams => return Err("XMPP needs a connection".to_owned()),
        };
        let reader = match &state.header {
            Some(header) if form == Form::Document => Reader::in_stream(header.as_bytes(), max_stanza)
                .map_err(|broken| format!("the header in the state is wrong: {}", broken.reason))?,
            _ => Reader::of_stream(max_stanza),
        };
        Ok(Self {
            options,
            form,
            max_stanza,
            random_seed: peer.random_seed,
            reader: RefCell::new(reader),
            tls_begins: false,
            has_ended: false,
            state,
        })
    }

    pub(crate) fn domain(&self) -> &str {
        &self.options.domain
    }

    /// Returns the address of the client without the resource, and with it. `None` before the
    /// client is bound to one.
    pub(crate) fn addresses(&self) -> Option<(String, String)> {
        let Phase::Bound { user, resource } = &self.state.phase else { return None };
        let bare = format!("{user}@{}", self.domain());
        let full = format!("{bare}/{resource}");
        Some((bare, full))
    }

    // === the stream ===

    fn item(&mut self, packet: &[u8], events: &mut Events) -> Result<(), Broken> {
        let text = match (self.form, packet) {
            (Form::Document, text) | (Form::Messages, [TEXT, text @ ..]) => text,
            (Form::Messages, _) => return Err(Broken::new("bad-format", "a message is not text")),
        };
        let item = match self.form {
            Form::Document => self.reader.get_mut().take(text)?,
            Form::Messages => Item::Element(Reader::document(text, self.max_stanza)?),
        };
        match item {
            Item::Space => Ok(()),
            Item::Header(header) => self.begin_stream(&header, text, events),
            Item::Element(element) if self.state.header.is_none() => {
                self.begin_stream(&element, text, events)
            }
            Item::Element(element) if !self.form.is_end(&element) => self.element(&element, events),
            Item::Element(_) | Item::End => {
                self.send_end(events);
                events.close_with(1000, "the client has ended the stream");
                Ok(())
            }
        }
    }

    fn begin_stream(&mut self, header: &Element, text: &[u8], events: &mut Events) -> Result<(), Broken> {
        stream::check_header(self.form, header, self.domain())?;
        if text.len() > MAX_HEADER {
            let reason = format!("the header of the stream has more than {MAX_HEADER} bytes");
            return Err(Broken::new("policy-violation", reason));
        }
        self.send_header(events);
        self.state.header = Some(String::from_utf8_lossy(text).into_owned());
        self.reply(&self.features(), events);
        Ok(())
    }

    fn send_header(&mut self, events: &mut Events) {
        self.state.streams += 1;
        // Others see the resource, so the ids of streams have random bytes of their own.
        let id = format!("{}-{}", hex(&self.random_seed[16..]), self.state.streams);
        events.reply_with(|packet| {
            write_tag(self.form, packet);
            self.form.write_header(self.domain(), &id, packet.buffer());
        });
    }

    /// Returns what the client may do next.
    fn features(&self) -> Element {
        let features = Element::new(STREAM, "features");
        match self.state.phase {
            Phase::LoggedIn { .. } => features
                .child(Element::new(BIND, "bind"))
                .child(Element::new(SESSION, "session").child(Element::new(SESSION, "optional"))),
            _ if self.state.is_encrypted => features
                .child(Element::new(SASL, "mechanisms").child(Element::new(SASL, "mechanism").text("PLAIN"))),
            _ => features.child(Element::new(TLS, "starttls").child(Element::new(TLS, "required"))),
        }
    }

    /// Expects a new stream of the client.
    fn restart(&mut self) {
        self.state.header = None;
        *self.reader.get_mut() = Reader::of_stream(self.max_stanza);
    }

    pub(crate) fn reply(&self, element: &Element, events: &mut Events) {
        events.reply_with(|packet| self.write(element, packet));
    }

    pub(crate) fn write(&self, element: &Element, packet: &mut Packet<'_>) {
        write_tag(self.form, packet);
        element.write(self.form.default_namespace(), packet.buffer());
    }

    fn send_end(&mut self, events: &mut Events) {
        self.has_ended = true;
        events.reply_with(|packet| {
            write_tag(self.form, packet);
            self.form.write_end(packet.buffer());
        });
    }

    /// Ends the stream with an error. An error stands in a stream, so the server begins one first
    /// if it has not answered the client's header.
    fn break_stream(&mut self, broken: &Broken, events: &mut Events) {
        if self.state.header.is_none() {
            self.send_header(events);
        }
        self.reply(&broken.element(), events);
        self.send_end(events);
        events.close(&format!("{}: {}", broken.condition, broken.reason));
    }

    // === elements ===

    fn element(&mut self, element: &Element, events: &mut Events) -> Result<(), Broken> {
        let is_stanza =
            element.namespace == *CLIENT && ["message", "presence", "iq"].contains(&&*element.name);
        if is_stanza && element.attribute("id").is_some_and(|id| id.len() > MAX_ID) {
            return Err(Broken::new("policy-violation", format!("an id has more than {MAX_ID} bytes")));
        }
        match (&self.state.phase, &*element.namespace) {
            (Phase::Bound { .. }, _) if is_stanza => self.stanza(element, events),
            (Phase::LoggedIn { user }, _) if is_stanza => self.bind(user.clone(), element, events),
            (Phase::Anonymous, TLS) if element.name == "starttls" => {
                self.start_tls(events);
                Ok(())
            }
            (Phase::Anonymous | Phase::Challenged, SASL) => {
                self.log_in(element, events);
                Ok(())
            }
            _ if is_stanza => Err(Broken::new("not-authorized", "a stanza came before the login")),
            _ => {
                let reason = format!("`{}` is not allowed here", element.name);
                Err(Broken::new("unsupported-stanza-type", reason))
            }
        }
    }

    fn start_tls(&mut self, events: &mut Events) {
        if !self.state.may_start_tls {
            // Section 5.4.2.2: the stream ends too.
            self.reply(&Element::new(TLS, "failure"), events);
            self.send_end(events);
            events.close("the client asked for TLS, which is not possible");
            return;
        }
        self.state.may_start_tls = false;
        self.tls_begins = true;
        self.reply(&Element::new(TLS, "proceed"), events);
    }

    fn log_in(&mut self, element: &Element, events: &mut Events) {
        let is_challenged = self.state.phase == Phase::Challenged;
        self.state.phase = Phase::Anonymous;
        let text = element.inner_text();
        let condition = match &*element.name {
            _ if !self.state.is_encrypted => "encryption-required",
            "auth" if element.attribute("mechanism") != Some("PLAIN") => "invalid-mechanism",
            "auth" if text.is_empty() => {
                self.state.phase = Phase::Challenged;
                self.reply(&Element::new(SASL, "challenge"), events);
                return;
            }
            "auth" | "response" if (element.name == "response") == is_challenged => {
                match sasl::read_plain(&text, self.domain()) {
                    Ok(login) => {
                        let hello = serde_json::json!(login).to_string();
                        self.state.phase = Phase::Asking { user: login.user };
                        events.hello(hello.as_bytes());
                        return;
                    }
                    Err(condition) => condition,
                }
            }
            "abort" => "aborted",
            _ => "malformed-request",
        };
        self.refuse(condition, events);
    }

    /// Refuses a login. The client may try again, but not for ever.
    fn refuse(&mut self, condition: &str, events: &mut Events) {
        self.reply(&sasl::failure(condition), events);
        self.state.refusals += 1;
        if self.state.refusals == MAX_LOGINS {
            let reason = format!("{MAX_LOGINS} logins have failed");
            self.break_stream(&Broken::new("policy-violation", reason), events);
        }
    }

    /// Gives the client an address. The client asks for a resource, or leaves it to the server.
    fn bind(&mut self, user: String, stanza: &Element, events: &mut Events) -> Result<(), Broken> {
        let query = stanza.elements().next().filter(|query| query.is(BIND, "bind"));
        let (Some(query), Some("set")) = (query, stanza.attribute("type")) else {
            return Err(Broken::new("not-authorized", "a stanza came before the client has an address"));
        };
        let wanted = query.elements().find(|child| child.is(BIND, "resource")).map(Element::inner_text);
        let resource =
            wanted.filter(|wanted| !wanted.is_empty()).unwrap_or_else(|| hex(&self.random_seed[..16]));
        let address = format!("{user}@{}/{resource}", self.domain());
        let iq = Element::new(CLIENT, "iq").with_some("id", stanza.attribute("id"));
        if !jid::is_resource(&resource) || Jid::parse(&address).is_none() {
            let text = format!("an address has at most {MAX_JID} bytes and no control characters");
            let error = StanzaError { text: Some(text), ..StanzaError::new("bad-request") };
            self.reply(&iq.with("type", "error").child(error.element()), events);
            return Ok(());
        }
        let jid = Element::new(BIND, "jid").text(&address);
        self.reply(&iq.with("type", "result").child(Element::new(BIND, "bind").child(jid)), events);
        self.state.phase = Phase::Bound { user, resource };
        events.established();
        Ok(())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn write_tag(form: Form, packet: &mut Packet<'_>) {
    if form == Form::Messages {
        packet.push(TEXT);
    }
}

impl Session for Client {
    fn decode(&mut self, packet: &[u8], now: Instant, events: &mut Events) -> Result<(), Fault> {
        self.state.last_seen = now.session_ms;
        if let Err(broken) = self.item(packet, events) {
            self.break_stream(&broken, events);
        }
        Ok(())
    }

    fn encode(&mut self, message: &Message, _now: Instant, packets: &mut Packets) -> Result<(), Fault> {
        self.send(message, packets).map_err(Fault::rejected)
    }
}

impl Framer for Client {
    fn cut(&self, bytes: &[u8]) -> Result<Cut, Fault> {
        if self.tls_begins {
            return Ok(Cut::StartTls);
        }
        let length = self.reader.borrow_mut().advance(bytes);
        Ok(length.map_or(Cut::Need(bytes.len() + 1), Cut::Packet))
    }
}

impl TlsUpgrade for Client {
    fn secured(&mut self, _attributes: &[(String, String)], _now: Instant, _events: &mut Events) {
        self.tls_begins = false;
        self.state.is_encrypted = true;
        self.restart();
    }
}

impl Handshake for Client {
    fn answer(&mut self, status: u16, _body: &[u8], now: Instant, events: &mut Events) {
        // A client that waits need not send anything.
        self.state.last_seen = now.session_ms;
        match std::mem::replace(&mut self.state.phase, Phase::Anonymous) {
            Phase::Asking { user } if status == 200 => {
                self.reply(&Element::new(SASL, "success"), events);
                self.state.phase = Phase::LoggedIn { user };
                self.restart();
            }
            _ => self.refuse(sasl::condition_of(status), events),
        }
    }
}

impl Clock for Client {
    fn tick(&mut self, now: Instant, events: &mut Events) {
        let silence = u64::from(self.options.idle) * 1000;
        if silence == 0 {
            return;
        }
        match (self.state.last_seen + silence).saturating_sub(now.session_ms) {
            0 => {
                let reason = format!("nothing came for {} seconds", self.options.idle);
                self.break_stream(&Broken::new("connection-timeout", reason), events);
            }
            left => events.timer(left as u32),
        }
    }
}

impl Farewell for Client {
    fn farewell(&mut self, cause: Cause, reason: &str, _now: Instant, events: &mut Events) {
        let condition = match cause {
            Cause::Kicked => "policy-violation",
            Cause::Displaced => "conflict",
            Cause::Replaced => "reset",
            Cause::Shutdown => "system-shutdown",
        };
        self.break_stream(&Broken::new(condition, reason.to_owned()), events);
    }
}
