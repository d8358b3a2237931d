//! The meaning of a client's packets: a state machine that takes frames and returns what to do. It
//! uses no socket and no timer.

use bytes::Bytes;

use super::packet::{self, Argument, Broken, Engine, Frame, Kind, Packet};

/// The largest number of packets that a client may send before it has joined: a CONNECT, some for
/// namespaces that are not served, and packets that keep the connection alive.
const MAX_BEFORE_JOIN: usize = 64;

/// The largest number of CONNECT packets for namespaces that are not served. Each of them is
/// answered. A client uses few namespaces, and asks for each once.
const MAX_REFUSED: usize = 32;

/// The longest `auth` that a client may join with, in bytes: a token and a few fields. It is kept
/// for the session.
pub(super) const MAX_AUTH: usize = 8 << 10;

/// The longest namespace, in bytes: a refusal repeats it.
const MAX_NAMESPACE: usize = 256;

/// One client's session.
#[derive(Debug, Default)]
pub(super) struct Session {
    joined: bool,
    /// The number of packets that came before the client joined.
    before: usize,
    /// The number of CONNECT packets that were refused.
    refused: usize,
    /// An event whose attachments have not all arrived.
    incomplete: Option<Incomplete>,
}

/// An event whose attachments have not all arrived.
#[derive(Debug)]
struct Incomplete {
    id: Option<u64>,
    /// The number of attachments that have arrived.
    come: usize,
    announced: usize,
    /// The number of the attachment that is the packet, or `None` if the event carries no packet.
    wanted: Option<usize>,
    packet: Bytes,
}

/// What to do about a frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Nothing.
    Nothing,
    /// The client is alive.
    Pong,
    /// Send this frame back.
    Answer(Frame),
    /// The client has joined, with this `auth` as JSON, which may be empty.
    Joined { auth: String },
    /// A packet for the codec, and the acknowledgement that the client wants.
    Message { packet: Bytes, is_text: bool, ack: Option<u64> },
    /// The client has left.
    Left,
}

impl Session {
    /// Processes a frame.
    ///
    /// # Errors
    /// Returns an error if the client breaks the protocol. Then the session is over.
    pub(super) fn take(&mut self, frame: Frame) -> Result<Heard, Broken> {
        if !self.joined {
            self.before += 1;
            if self.before > MAX_BEFORE_JOIN {
                return Err(Broken("more than 64 packets before it has joined"));
            }
        }
        match frame {
            Frame::Binary(attachment) => self.take_attachment(attachment),
            Frame::Text(text) => {
                let text = str::from_utf8(&text).map_err(|_| Broken("a text that is not UTF-8"))?;
                match packet::engine(text)? {
                    Engine::Message(text) => self.take_packet(Packet::parse(text)?),
                    Engine::Close => Ok(Heard::Left),
                    Engine::Pong => Ok(Heard::Pong),
                    // Only the ping of a probe is answered, and a probe comes before the session
                    // gets a frame.
                    Engine::Ping(_) | Engine::Upgrade | Engine::Noop => Ok(Heard::Nothing),
                }
            }
        }
    }

    /// Returns whether an event has begun whose attachments have not all arrived.
    pub(super) fn is_partial(&self) -> bool {
        self.incomplete.is_some()
    }

    fn take_packet(&mut self, packet: Packet<'_>) -> Result<Heard, Broken> {
        if self.incomplete.is_some() {
            return Err(Broken("a packet before all attachments of the one before"));
        }
        if packet.kind == Kind::Connect {
            return self.connect(packet);
        }
        if packet.namespace != "/" || !self.joined {
            return Err(Broken("a packet for a namespace that it has not joined"));
        }
        match packet.kind {
            Kind::Connect => unreachable!("it was taken above"),
            Kind::Disconnect => Ok(Heard::Left),
            // The server never sends a packet that asks for an acknowledgement.
            Kind::Ack => Err(Broken("an acknowledgement of nothing")),
            Kind::Event => self.event(packet),
        }
    }

    fn connect(&mut self, packet: Packet<'_>) -> Result<Heard, Broken> {
        if packet.namespace != "/" {
            self.refused += 1;
            if self.refused > MAX_REFUSED || packet.namespace.len() > MAX_NAMESPACE {
                return Err(Broken("too many, or too long, namespaces that are not served"));
            }
            return Ok(Heard::Answer(packet::no_namespace(packet.namespace)));
        }
        if self.joined {
            return Err(Broken("a second CONNECT of its namespace"));
        }
        if packet.json.len() > MAX_AUTH {
            return Err(Broken("an `auth` of more than 8192 bytes"));
        }
        self.joined = true;
        Ok(Heard::Joined { auth: packet.json.to_owned() })
    }

    fn event(&mut self, packet: Packet<'_>) -> Result<Heard, Broken> {
        let Packet { id, attachments: announced, json, .. } = packet;
        let wanted = match packet::argument(json)? {
            Some(Argument::Text(text)) if announced == 0 => {
                return Ok(Heard::Message { packet: text.into(), is_text: true, ack: id });
            }
            // Nobody listens to other events.
            None if announced == 0 => return Ok(Heard::Nothing),
            None => None,
            Some(Argument::Attachment(number)) if number < announced => Some(number),
            Some(_) => return Err(Broken("an event whose attachments are not what it carries")),
        };
        self.incomplete = Some(Incomplete { id, come: 0, announced, wanted, packet: Bytes::new() });
        Ok(Heard::Nothing)
    }

    fn take_attachment(&mut self, attachment: Bytes) -> Result<Heard, Broken> {
        let Some(event) = &mut self.incomplete else {
            return Err(Broken("an attachment that was not announced"));
        };
        // The other attachments are not kept.
        if event.wanted == Some(event.come) {
            event.packet = attachment;
        }
        event.come += 1;
        if event.come < event.announced {
            return Ok(Heard::Nothing);
        }
        let Some(Incomplete { id, wanted, packet, .. }) = self.incomplete.take() else {
            return Ok(Heard::Nothing);
        };
        Ok(wanted.map_or(Heard::Nothing, |_| Heard::Message { packet, is_text: false, ack: id }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(packet: &str) -> Frame {
        Frame::Text(packet.to_owned().into())
    }

    fn joined() -> Session {
        let mut session = Session::default();
        assert_eq!(session.take(text("40")), Ok(Heard::Joined { auth: String::new() }));
        session
    }

    #[test]
    fn a_second_connect_ends_the_client() {
        let mut session = Session::default();
        let auth = Heard::Joined { auth: "{\"token\":1}".to_owned() };
        assert_eq!(session.take(text("40{\"token\":1}")), Ok(auth));
        assert_eq!(session.take(text("40")), Err(Broken("a second CONNECT of its namespace")));
    }

    #[test]
    fn an_auth_is_bounded() {
        for (length, taken) in [(MAX_AUTH, true), (MAX_AUTH + 1, false)] {
            let packet = text(&format!("40{}", "x".repeat(length)));
            assert_eq!(Session::default().take(packet).is_ok(), taken);
        }
    }

    #[test]
    fn namespaces_that_do_not_exist_are_refused_and_bounded() {
        let mut session = joined();
        for n in 0..MAX_REFUSED {
            let refused = Heard::Answer(packet::no_namespace(&format!("/{n}")));
            assert_eq!(session.take(text(&format!("40/{n},"))), Ok(refused));
        }
        assert!(session.take(text("40/one-more,")).is_err());
        let long = format!("40/{},", "x".repeat(MAX_NAMESPACE));
        assert!(joined().take(text(&long)).is_err());
        assert!(joined().take(text("42/other,[\"message\",\"a\"]")).is_err());
    }

    #[test]
    fn little_may_come_before_it_joins() {
        let mut session = Session::default();
        for _ in 0..MAX_BEFORE_JOIN {
            assert_eq!(session.take(text("3")), Ok(Heard::Pong));
        }
        assert!(session.take(text("3")).is_err());
        assert!(Session::default().take(text("42[\"message\",\"a\"]")).is_err());
        assert!(Session::default().take(Frame::Binary(Bytes::new())).is_err());
    }

    #[test]
    fn an_event_is_whole_with_its_attachments() {
        let mut session = joined();
        let event = "452-9[\"message\",{\"_placeholder\":true,\"num\":1}]";
        assert_eq!(session.take(text(event)), Ok(Heard::Nothing));
        assert!(session.is_partial());
        assert_eq!(session.take(Frame::Binary("a".into())), Ok(Heard::Nothing));
        let message = Heard::Message { packet: "b".into(), is_text: false, ack: Some(9) };
        assert_eq!(session.take(Frame::Binary("b".into())), Ok(message));
        assert!(!session.is_partial());
        assert!(session.take(Frame::Binary("c".into())).is_err());
        // The attachments of an event that nobody listens to are discarded.
        assert_eq!(session.take(text("451-[\"other\"]")), Ok(Heard::Nothing));
        assert_eq!(session.take(Frame::Binary("a".into())), Ok(Heard::Nothing));
        assert_eq!(session.take(text("42[\"other\",1]")), Ok(Heard::Nothing));
        // Between an event and its attachments, only packets that keep the connection alive may
        // come.
        assert_eq!(session.take(text(event)), Ok(Heard::Nothing));
        assert_eq!(session.take(text("3")), Ok(Heard::Pong));
        assert!(session.take(text("42[\"other\",1]")).is_err());
    }

    #[test]
    fn what_it_carries_is_what_it_announced() {
        for event in [
            "451-[\"message\",\"a\"]",
            "451-[\"message\",{\"_placeholder\":true,\"num\":1}]",
            "42[\"message\",{\"_placeholder\":true,\"num\":0}]",
            "43[]",
            "431[]",
            "42",
        ] {
            assert!(joined().take(text(event)).is_err(), "{event}");
        }
    }

    #[test]
    fn it_leaves() {
        assert_eq!(joined().take(text("41")), Ok(Heard::Left));
        assert_eq!(joined().take(text("1")), Ok(Heard::Left));
        assert_eq!(Session::default().take(text("1")), Ok(Heard::Left));
    }
}
