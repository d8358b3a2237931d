//! A protocol whose stream the codec cuts itself. `../README.md` describes it.

mod frame;
#[cfg(test)]
mod tests;

use wireplug_guest::{
    Broadcast, Clock, Codec, Cut, Description, Events, Fault, Framer, Handoff, Instant, Message,
    MessageFraming, Packets, Peer, Requests, Role, Session, TlsUpgrade,
};

use self::frame::{Form, Frame, Kind, STLS};

wireplug_guest::export!(Digits: Framer + TlsUpgrade + Requests + Clock + Broadcast + Handoff);

/// The protocol. It has no options.
#[derive(Debug)]
pub struct Digits;

/// The state of one connection.
#[derive(Debug)]
pub struct Connection {
    form: Form,
    /// Whether the client has sent a frame.
    has_begun: bool,
    may_start_tls: bool,
    /// Whether TLS begins behind the last frame.
    tls_begins: bool,
}

/// The class of the sessions with binary frames.
const BINARY_CLASS: u32 = 1;

/// The number of the format of a saved session.
const FORMAT: u8 = 1;

/// The bits of a saved session.
const IS_BINARY: u8 = 1;
const HAS_BEGUN: u8 = 2;
const MAY_START_TLS: u8 = 4;

impl Codec for Digits {
    type Session = Connection;

    fn describe() -> Description {
        Description {
            messages: MessageFraming::Continuous,
            client_requests: 1000,
            max_packet: Some(frame::MAX_FRAME as u32),
            ..Description::new("digits", env!("CARGO_PKG_VERSION"))
        }
    }

    fn configure(options: &str) -> Result<Self, String> {
        wireplug_guest::no_options(options).map(|()| Self)
    }

    fn open(&self, peer: Peer, _now: Instant) -> Result<Connection, String> {
        let may_start_tls = peer.attribute("starttls").is_some();
        Ok(Connection { form: Form::Text, has_begun: false, may_start_tls, tls_begins: false })
    }
}

impl Session for Connection {
    fn decode(&mut self, packet: &[u8], _now: Instant, events: &mut Events) -> Result<(), Fault> {
        let is_first = !std::mem::replace(&mut self.has_begun, true);
        if self.form == Form::Text && packet == STLS {
            // TLS begins once.
            self.tls_begins = std::mem::take(&mut self.may_start_tls);
            events.reply(if self.tls_begins { b"+OK begin TLS\r\n" } else { b"-ERR no TLS\r\n" });
            return Ok(());
        }
        let frame = self.form.read(packet)?;
        let Frame { kind, id, argument, body } = frame;
        let word = kind.word();
        match kind {
            Kind::Req | Kind::Ntc if argument.is_empty() => {
                return Err(Fault::fatal(format!("{word} has no route")));
            }
            Kind::Req => events.request(id.into(), argument, body),
            Kind::Ntc if id != 0 => return Err(Fault::fatal(format!("{word} has an id"))),
            Kind::Ntc => events.notice(argument, body),
            Kind::Res => {
                let status = frame::decimal(argument.as_bytes(), 599).filter(|status| *status >= 100);
                let status =
                    status.ok_or(Fault::fatal("the status is not a decimal number from 100 to 599"))?;
                events.response(id.into(), status as u16, body);
            }
            _ if id != 0 || !argument.is_empty() || !body.is_empty() => {
                return Err(Fault::fatal(format!("{word} has an id, an argument or a body")));
            }
            Kind::Bin if is_first => return Err(Fault::fatal("BIN is the first frame")),
            _ => {
                events.reply_with(|reply| self.form.write(&frame, reply));
                if kind == Kind::Bin {
                    self.form = Form::Binary;
                } else {
                    events.close_with(1000, "bye");
                }
            }
        }
        Ok(())
    }

    fn encode(&mut self, message: &Message, _now: Instant, packets: &mut Packets) -> Result<(), Fault> {
        encode(self.form, message, packets).map_err(Fault::rejected)
    }
}

/// Writes the frame for a message.
fn encode(form: Form, message: &Message, packets: &mut Packets) -> Result<(), &'static str> {
    let status;
    let (kind, argument) = match message.role {
        Role::Response => {
            status = message.status.to_string();
            (Kind::Res, &*status)
        }
        role => {
            let kind = if role == Role::Notice { Kind::Psh } else { Kind::Req };
            let route = frame::argument(message.route.as_bytes());
            (kind, route.ok_or("the route is not 1 to 200 printable ASCII characters without spaces")?)
        }
    };
    if !frame::fits(message.body) {
        return Err("the body has more than 65535 bytes");
    }
    let id = u32::try_from(message.id).map_err(|_| "the id is above 4294967295")?;
    form.write(&Frame { kind, id, argument, body: message.body }, &mut packets.begin());
    Ok(())
}

impl Framer for Connection {
    fn cut(&self, bytes: &[u8]) -> Result<Cut, Fault> {
        if self.tls_begins { Ok(Cut::StartTls) } else { self.form.cut(bytes) }
    }
}

impl TlsUpgrade for Connection {
    fn secured(&mut self, _attributes: &[(String, String)], _now: Instant, _events: &mut Events) {
        self.tls_begins = false;
    }
}

impl Requests for Connection {
    fn abandoned(&mut self, id: u64, _now: Instant, events: &mut Events) {
        // A request with a larger id was rejected.
        let Ok(id) = u32::try_from(id) else { return };
        let cancel = Frame { kind: Kind::Can, id, argument: "", body: b"" };
        events.reply_with(|reply| self.form.write(&cancel, reply));
    }
}

impl Clock for Connection {
    /// Sends the greeting. No timer is set, so the first tick is the only one.
    fn tick(&mut self, _now: Instant, events: &mut Events) {
        events.reply(b"+OK digits\r\n");
    }
}

impl Broadcast for Digits {
    fn broadcast_class(session: &Connection) -> Option<u32> {
        // A class may not change, and a session with text frames may still switch.
        (session.form == Form::Binary).then_some(BINARY_CLASS)
    }

    fn encode_shared(&self, _class: u32, message: &Message, packets: &mut Packets) -> Result<(), String> {
        encode(Form::Binary, message, packets).map_err(str::to_owned)
    }
}

impl Handoff for Digits {
    fn save(session: &Connection) -> Result<Vec<u8>, String> {
        let bit = |is_set: bool, bit: u8| if is_set { bit } else { 0 };
        let bits = bit(session.form == Form::Binary, IS_BINARY)
            | bit(session.has_begun, HAS_BEGUN)
            | bit(session.may_start_tls, MAY_START_TLS);
        Ok(vec![FORMAT, bits])
    }

    fn restore(&self, _peer: Peer, state: &[u8], _now: Instant) -> Result<Connection, String> {
        let &[FORMAT, bits @ 0..8] = state else { return Err("the saved state is not of format 1".into()) };
        Ok(Connection {
            form: if bits & IS_BINARY == 0 { Form::Text } else { Form::Binary },
            has_begun: bits & HAS_BEGUN != 0,
            may_start_tls: bits & MAY_START_TLS != 0,
            tls_begins: false,
        })
    }
}
