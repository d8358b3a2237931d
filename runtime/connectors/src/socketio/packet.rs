//! The packets of Engine.IO 4, and those of Socket.IO 5 inside them. This module uses no socket.

use std::fmt;

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The event that carries packets in both directions. `socket.send` sends this event, and Pomelo's
/// clients use it.
pub(super) const EVENT: &str = "message";

/// The most binary attachments that one Socket.IO packet may announce. A packet needs one; the
/// other events of a client are ignored, and the limit is that of Socket.IO's own parser.
pub(super) const MAX_ATTACHMENTS: usize = 10;

/// The longest acknowledgement id, in digits: clients count from 0 in a JavaScript number.
const MAX_ID_DIGITS: usize = 16;

/// The error if a client breaks the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Broken(pub(super) &'static str);

/// The content of one WebSocket message, or of one packet in a polling payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// An Engine.IO packet, which begins with its type.
    Text(Bytes),
    /// A binary attachment.
    Binary(Bytes),
}

impl Frame {
    /// Returns the number of bytes in the frame.
    pub(super) fn len(&self) -> usize {
        match self {
            Frame::Text(bytes) | Frame::Binary(bytes) => bytes.len(),
        }
    }
}

/// An Engine.IO packet that a client may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Engine<'a> {
    Close,
    Ping(&'a str),
    Pong,
    /// A Socket.IO packet.
    Message(&'a str),
    Upgrade,
    Noop,
}

/// Parses an Engine.IO packet.
///
/// # Errors
/// Returns an error if the text is not a packet that a client may send.
pub(super) fn engine(text: &str) -> Result<Engine<'_>, Broken> {
    let mut rest = text.chars();
    let packet = match rest.next() {
        Some('1') => Engine::Close,
        Some('2') => Engine::Ping(rest.as_str()),
        Some('3') => Engine::Pong,
        Some('4') => Engine::Message(rest.as_str()),
        Some('5') => Engine::Upgrade,
        Some('6') => Engine::Noop,
        _ => return Err(Broken("a packet that is none of Engine.IO's")),
    };
    Ok(packet)
}

/// A Socket.IO packet from a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packet<'a> {
    /// The namespace, without a query.
    pub(super) namespace: &'a str,
    pub(super) kind: Kind,
    /// The acknowledgement id. On an event, it means that the client wants an acknowledgement.
    pub(super) id: Option<u64>,
    /// The number of binary messages that follow the packet and belong to it.
    pub(super) attachments: usize,
    /// JSON: the client's `auth`, or the name and arguments of an event.
    pub(super) json: &'a str,
}

/// The types of Socket.IO packets that a client may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Connect,
    Disconnect,
    Event,
    Ack,
}

impl<'a> Packet<'a> {
    /// Parses a Socket.IO packet: its type, the number of its attachments, its namespace, its id
    /// and its JSON. Only the type is required.
    ///
    /// # Errors
    /// Returns an error if the text is not a packet that a client may send.
    pub(super) fn parse(text: &'a str) -> Result<Self, Broken> {
        const NONE: Broken = Broken("a packet that is none of Socket.IO's");
        let mut rest = text.chars();
        let (kind, binary) = match rest.next() {
            Some('0') => (Kind::Connect, false),
            Some('1') => (Kind::Disconnect, false),
            Some('2') => (Kind::Event, false),
            Some('3') => (Kind::Ack, false),
            Some('5') => (Kind::Event, true),
            Some('6') => (Kind::Ack, true),
            _ => return Err(NONE),
        };
        let mut rest = rest.as_str();
        let mut attachments = 0;
        if binary {
            let (count, behind) = rest.split_once('-').ok_or(NONE)?;
            let digits = !count.is_empty() && count.bytes().all(|digit| digit.is_ascii_digit());
            attachments = count.parse().ok().filter(|_| digits).ok_or(NONE)?;
            if attachments > MAX_ATTACHMENTS {
                return Err(Broken("a packet with more than 10 attachments"));
            }
            rest = behind;
        }
        let mut namespace = "/";
        if rest.starts_with('/') {
            (namespace, rest) = rest.split_once(',').unwrap_or((rest, ""));
            namespace = namespace.split('?').next().unwrap_or(namespace);
        }
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (id, json) = rest.split_at(digits);
        if digits > MAX_ID_DIGITS {
            return Err(Broken("an acknowledgement id with more than 16 digits"));
        }
        Ok(Self { namespace, kind, id: id.parse().ok(), attachments, json })
    }
}

/// The first argument of the event `message`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Argument {
    Text(String),
    /// The binary attachment with this number.
    Attachment(usize),
}

/// Returns the first argument of the event `message`, or `None` for any other event.
///
/// # Errors
/// Returns an error if the JSON is not an event, or if the argument is neither text nor bytes.
pub(super) fn argument(json: &str) -> Result<Option<Argument>, Broken> {
    match serde_json::from_str(json) {
        Ok(Event::Message(Some(argument))) => Ok(Some(argument)),
        Ok(Event::Message(None)) => Err(Broken("an event without a packet")),
        Ok(Event::Other) => Ok(None),
        Err(_) => Err(Broken("an event that is no JSON array with a name")),
    }
}

/// Returns the event that carries a text.
pub(super) fn event(text: &str) -> Frame {
    message(format!("42[\"{EVENT}\",{}]", quoted(text)))
}

/// Returns the acknowledgement of the event with this id. It carries the text of the response, if
/// there is one.
pub(super) fn ack(id: u64, text: Option<&str>) -> Frame {
    message(format!("43{id}[{}]", text.map(quoted).unwrap_or_default()))
}

/// Returns the head of an event that carries bytes. The bytes follow it as an attachment.
pub(super) fn binary_event() -> Frame {
    message(format!("451-[\"{EVENT}\",{PLACEHOLDER}]"))
}

/// Returns the head of an acknowledgement that carries bytes. The bytes follow it as an attachment.
pub(super) fn binary_ack(id: u64) -> Frame {
    message(format!("461-{id}[{PLACEHOLDER}]"))
}

/// Returns the answer to a client that has joined the namespace.
pub(super) fn joined(sid: &str) -> Frame {
    message(format!("40{{\"sid\":\"{sid}\"}}"))
}

/// Returns the answer to a client that asks for a namespace that does not exist.
pub(super) fn no_namespace(namespace: &str) -> Frame {
    message(format!("44{namespace},{{\"message\":\"Invalid namespace\"}}"))
}

/// Returns the packet that disconnects a client.
pub(super) fn disconnect() -> Frame {
    Frame::Text(Bytes::from_static(b"41"))
}

/// Returns the packet that asks whether a client is alive.
pub(super) fn ping() -> Frame {
    Frame::Text(Bytes::from_static(b"2"))
}

/// The placeholder for the first attachment.
const PLACEHOLDER: &str = "{\"_placeholder\":true,\"num\":0}";

fn message(text: String) -> Frame {
    Frame::Text(text.into())
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("any text can be written as JSON")
}

/// An event's name and arguments.
enum Event {
    /// The event `message` with its first argument, or `None` if that is neither text nor bytes.
    Message(Option<Argument>),
    Other,
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Arguments;

        impl<'de> Visitor<'de> for Arguments {
            type Value = Event;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array that begins with an event's name")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<Event, A::Error> {
                let Some(Name { carries }) = all.next_element()? else {
                    return Err(serde::de::Error::invalid_length(0, &self));
                };
                let event = if carries {
                    Event::Message(all.next_element::<First>()?.and_then(|First(argument)| argument))
                } else {
                    Event::Other
                };
                while all.next_element::<IgnoredAny>()?.is_some() {}
                Ok(event)
            }
        }

        from.deserialize_seq(Arguments)
    }
}

/// Whether an event's name is that of the event that carries packets.
struct Name {
    carries: bool,
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an event's name")
            }

            fn visit_str<E>(self, name: &str) -> Result<Name, E> {
                Ok(Name { carries: name == EVENT })
            }
        }

        from.deserialize_str(Text)
    }
}

/// An event's first argument, or `None` if it is neither a text nor an attachment.
struct First(Option<Argument>);

impl<'de> Deserialize<'de> for First {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = First;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            fn visit_str<E>(self, text: &str) -> Result<First, E> {
                Ok(First(Some(Argument::Text(text.to_owned()))))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<First, A::Error> {
                let (mut placeholder, mut number) = (false, None);
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "_placeholder" => placeholder = map.next_value()?,
                        "num" => number = Some(map.next_value()?),
                        _ => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(First(number.filter(|_| placeholder).map(Argument::Attachment)))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<First, A::Error> {
                while all.next_element::<IgnoredAny>()?.is_some() {}
                Ok(First(None))
            }

            fn visit_bool<E>(self, _: bool) -> Result<First, E> {
                Ok(First(None))
            }

            fn visit_i64<E>(self, _: i64) -> Result<First, E> {
                Ok(First(None))
            }

            fn visit_u64<E>(self, _: u64) -> Result<First, E> {
                Ok(First(None))
            }

            fn visit_f64<E>(self, _: f64) -> Result<First, E> {
                Ok(First(None))
            }

            fn visit_unit<E>(self) -> Result<First, E> {
                Ok(First(None))
            }
        }

        from.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_has_a_type_and_may_have_the_rest() {
        let whole = Packet::parse("51-/chat?token=x,17[\"a\"]").expect("a packet");
        let parts = (whole.kind, whole.attachments, whole.namespace, whole.id, whole.json);
        assert_eq!(parts, (Kind::Event, 1, "/chat", Some(17), "[\"a\"]"));
        let least = Packet::parse("0").expect("a packet");
        let parts = (least.kind, least.attachments, least.namespace, least.id, least.json);
        assert_eq!(parts, (Kind::Connect, 0, "/", None, ""));
        assert_eq!(Packet::parse("0/chat").expect("a packet").namespace, "/chat");
        assert_eq!(Packet::parse("3999[]").expect("a packet").id, Some(999));
        for none in ["", "4{}", "7", "x", "5[]", "5-[]", "5x-[]", "5+1-[]", "é"] {
            assert!(Packet::parse(none).is_err(), "{none}");
        }
        assert!(Packet::parse("510-[]").is_ok() && Packet::parse("511-[]").is_err());
        let digits = "1".repeat(MAX_ID_DIGITS);
        assert!(Packet::parse(&format!("2{digits}[]")).is_ok());
        assert!(Packet::parse(&format!("21{digits}[]")).is_err());
    }

    #[test]
    fn an_event_carries_text_or_bytes() {
        let text = |text: &str| Ok(Some(Argument::Text(text.to_owned())));
        assert_eq!(argument("[\"message\",\"a\\\"b\"]"), text("a\"b"));
        assert_eq!(argument(" [ \"message\" , \"a\" , {\"more\":[1]}, null ] "), text("a"));
        let second = "[\"message\",{\"num\":1,\"_placeholder\":true}]";
        assert_eq!(argument(second), Ok(Some(Argument::Attachment(1))));
        for other in ["[\"x\"]", "[\"x\",[[[]]]]", "[\"messages\",\"a\"]"] {
            assert_eq!(argument(other), Ok(None), "{other}");
        }
        for empty in ["", ",1", ",null", ",{}", ",[]", ",true", ",-1", ",1.5", ",{\"_placeholder\":true}"] {
            let event = format!("[\"message\"{empty}]");
            assert_eq!(argument(&event), Err(Broken("an event without a packet")), "{event}");
        }
        for none in ["", "[]", "{}", "[1]", "[\"message\",\"a\"", "[\"message\",\"a\"]]", "\"message\""] {
            assert!(argument(none).is_err(), "{none}");
        }
        // Parsing takes no stack, however deeply the JSON is nested.
        let deep = format!("[\"x\",{}]", "[".repeat(100_000));
        assert!(argument(&deep).is_err());
    }

    #[test]
    fn what_is_sent_to_a_client_reads_back() {
        let Frame::Text(event) = event("a\"\u{1e}b\n") else { panic!("a text") };
        assert_eq!(&event[..], b"42[\"message\",\"a\\\"\\u001eb\\n\"]");
        assert_eq!(ack(7, Some("x")), Frame::Text("437[\"x\"]".into()));
        assert_eq!(ack(7, None), Frame::Text("437[]".into()));
        assert_eq!(no_namespace("/a"), Frame::Text("44/a,{\"message\":\"Invalid namespace\"}".into()));
    }
}
