//! The answers of a codec to a step, one line each.

use std::fmt;

use super::syntax::{Bytes, OrNone, Quotable, Words};
use crate::codec::Event;

/// One line of an answer. It has one written form, so two answers are equal if their lines are
/// equal.
pub enum Answer<'a> {
    /// An event of a session.
    Event(Event<'a>),
    /// The packet of a message, or a farewell.
    Packet(&'a [u8]),
    /// There is no packet.
    None,
    /// The codec refuses the call, for this reason.
    Refused(&'a [u8]),
    /// The class of sessions that share encodings, if there is one.
    Class(Option<u32>),
}

/// The beginning of a reason that reports a bug of the codec. The contract defines it.
const BUG: &[u8] = b"bug: ";

impl Answer<'_> {
    /// Returns whether this is a reason with which the codec reports a bug of its own. The SDKs of
    /// languages with exceptions do so.
    pub fn is_bug(&self) -> bool {
        match self {
            Answer::Event(Event::Close(reason) | Event::Rejected(reason) | Event::Fatal(reason))
            | Answer::Refused(reason) => reason.starts_with(BUG),
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
                Event::Message { id, route, body } => {
                    write!(f, "message {} {} {}", OrNone(*id), Quotable(route), Bytes(body))
                }
                Event::Reply(packet) => write!(f, "reply {}", Bytes(packet)),
                Event::Wake(ms) => write!(f, "wake {ms}"),
                Event::Close(reason) => write!(f, "close {}", Bytes(reason)),
                Event::Rejected(reason) => write!(f, "rejected {}", Bytes(reason)),
                Event::Fatal(reason) => write!(f, "fatal {}", Bytes(reason)),
            },
            Answer::Packet(packet) => write!(f, "packet {}", Bytes(packet)),
            Answer::None => f.write_str("none"),
            Answer::Refused(reason) => write!(f, "refused {}", Bytes(reason)),
            Answer::Class(class) => write!(f, "class {}", OrNone(*class)),
        }
    }
}

/// Reads the line that begins with `word`, and returns it in its one written form.
pub(super) fn read(word: &str, words: &mut Words<'_>) -> Result<String, String> {
    let answer = match word {
        "hello" => Answer::Event(Event::Hello(words.bytes()?.into())),
        "established" => Answer::Event(Event::Established),
        "message" => {
            let (id, route) = (words.number_or_none("the id")?, words.text("the route")?);
            let event = Event::Message { id, route: &route, body: words.bytes()?.into() };
            return Ok(Answer::Event(event).to_string());
        }
        "wake" => Answer::Event(Event::Wake(words.number("the time in milliseconds")?)),
        "none" => Answer::None,
        "class" => Answer::Class(words.number_or_none("the class")?),
        _ => {
            let bytes = words.bytes()?;
            return Ok(match word {
                "reply" => Answer::Event(Event::Reply(&bytes)),
                "close" => Answer::Event(Event::Close(&bytes)),
                "rejected" => Answer::Event(Event::Rejected(&bytes)),
                "fatal" => Answer::Event(Event::Fatal(&bytes)),
                "packet" => Answer::Packet(&bytes),
                "refused" => Answer::Refused(&bytes),
                _ => unreachable!("only words that a step allows come here"),
            }
            .to_string());
        }
    };
    Ok(answer.to_string())
}
