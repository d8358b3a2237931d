//! The answers of a codec to a step, one line each.

use std::fmt;

use super::syntax::{Bytes, OrNone, Quotable, Words};
use crate::codec::{Event, Level, MessageRef, Role, is_close_code};

/// One line of an answer. It has one written form, so two answers are equal if their lines are
/// equal.
pub enum Answer<'a> {
    /// An event of a session.
    Event(Event<'a>),
    /// A packet that the codec has cut from a stream, with its framing.
    Cut(&'a [u8]),
    /// TLS begins on the stream.
    StartTls,
    /// A packet of a message.
    Packet(&'a [u8]),
    /// There is no packet.
    None,
    /// The codec refuses the call, for this reason.
    Refused(&'a [u8]),
    /// The class of sessions that share encodings, if there is one.
    Class(Option<u32>),
}

/// The beginning of a reason, or of a text for the log, that reports a bug of the codec. The
/// contract defines it.
const BUG: &[u8] = b"bug: ";

impl Answer<'_> {
    /// Returns whether this is a reason or a text for the log with which the codec reports a bug of
    /// its own. The SDKs of languages with exceptions do so.
    pub fn is_bug(&self) -> bool {
        match self {
            Answer::Event(
                Event::Log { text, .. }
                | Event::Close { reason: text, .. }
                | Event::Rejected(text)
                | Event::Fatal(text),
            )
            | Answer::Refused(text) => text.starts_with(BUG),
            _ => false,
        }
    }
}

impl fmt::Display for Answer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Event(event) => match event {
                Event::Hello(body) => write!(f, "hello {}", Bytes(body)),
                Event::Established => f.write_str("established"),
                Event::Message { role: Role::Notice, route, body, .. } => {
                    write!(f, "notice {} {}", Quotable(route), Bytes(body))
                }
                Event::Message { role: Role::Request, id, route, body, .. } => {
                    write!(f, "request {id} {} {}", Quotable(route), Bytes(body))
                }
                // The runtime ignores the route of a response from the client.
                Event::Message { role: Role::Response, id, body, status, .. } => {
                    write!(f, "response {id} {status} {}", Bytes(body))
                }
                Event::Reply(packet) => write!(f, "reply {}", Bytes(packet)),
                Event::Timer(ms) => write!(f, "timer {ms}"),
                Event::AddressVerified => f.write_str("address-verified"),
                Event::Log { level, text } => write!(f, "log {} {}", level.name(), Bytes(text)),
                Event::Close { code, reason } => write!(f, "close {code} {}", Bytes(reason)),
                Event::Rejected(reason) => write!(f, "rejected {}", Bytes(reason)),
                Event::Fatal(reason) => write!(f, "fatal {}", Bytes(reason)),
            },
            Answer::Cut(packet) => write!(f, "cut {}", Bytes(packet)),
            Answer::StartTls => f.write_str("start-tls"),
            Answer::Packet(packet) => write!(f, "packet {}", Bytes(packet)),
            Answer::None => f.write_str("none"),
            Answer::Refused(reason) => write!(f, "refused {}", Bytes(reason)),
            Answer::Class(class) => write!(f, "class {}", OrNone(*class)),
        }
    }
}

/// The line that allows every answer of a call that does not fail.
pub(super) const ANY: &str = "any";

/// Reads the line that begins with `word`, and returns it in its one written form.
pub(super) fn read(word: &str, words: &mut Words<'_>) -> Result<String, String> {
    let answer = match word {
        "hello" => Answer::Event(Event::Hello(words.bytes()?.into())),
        "established" => Answer::Event(Event::Established),
        "notice" | "request" | "response" => return message(word, words),
        "timer" => Answer::Event(Event::Timer(words.number("the time in milliseconds")?)),
        "address-verified" => Answer::Event(Event::AddressVerified),
        "log" => {
            let name = words.text("the level")?;
            let level = Level::from_name(&name)
                .ok_or_else(|| format!("the level is debug, info, warn or error, and not {name:?}"))?;
            return Ok(Answer::Event(Event::Log { level, text: &words.bytes()? }).to_string());
        }
        "close" => {
            let allowed = "0, 1000 to 1003, 1007 to 1014 or 3000 to 4999";
            let code =
                words.number_of("the close code", allowed, |code: &u16| is_close_code((*code).into()))?;
            return Ok(Answer::Event(Event::Close { code, reason: &words.bytes()? }).to_string());
        }
        "start-tls" => Answer::StartTls,
        ANY => return Ok(ANY.to_owned()),
        "none" => Answer::None,
        "class" => Answer::Class(words.number_or_none("the class")?),
        _ => {
            let bytes = words.bytes()?;
            return Ok(match word {
                "reply" => Answer::Event(Event::Reply(&bytes)),
                "rejected" => Answer::Event(Event::Rejected(&bytes)),
                "fatal" => Answer::Event(Event::Fatal(&bytes)),
                "cut" => Answer::Cut(&bytes),
                "packet" => Answer::Packet(&bytes),
                "refused" => Answer::Refused(&bytes),
                _ => unreachable!("only words that a step allows come here"),
            }
            .to_string());
        }
    };
    Ok(answer.to_string())
}

/// Reads the rest of the line of a message.
fn message(word: &str, words: &mut Words<'_>) -> Result<String, String> {
    let id = if word == "notice" { 0 } else { words.number("the id")? };
    let (mut route, mut status) = (String::new(), MessageRef::OK);
    let role = match word {
        "response" => {
            status = words.status()?;
            Role::Response
        }
        _ => {
            route = words.text("the route")?;
            if word == "notice" { Role::Notice } else { Role::Request }
        }
    };
    let event = Event::Message { role, id, route: &route, body: words.bytes()?.into(), status };
    Ok(Answer::Event(event).to_string())
}
