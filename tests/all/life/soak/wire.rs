//! The protocols of players. Both carry the same messages.

use std::time::Duration;

use wireplug_tests::digits::{Form, frame};
use wireplug_tests::raw::{DATA, KICK, request};

use super::{NUMBER, ON_ALL, ON_NUMBER, QUESTION};

/// The longest pause between two pieces of what a client of the digits codec sends.
const PAUSE: Duration = Duration::from_millis(20);

/// A protocol, with what a client knows of its connection.
pub enum Wire {
    Pomelo,
    /// The codec cuts the stream itself, and the framing changes once.
    Digits {
        reads: Form,
        writes: Form,
        /// The state of the generator of random numbers by which the stream is cut.
        random: u64,
    },
}

/// A message of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    Answer {
        id: u64,
        number: u64,
    },
    /// The push that comes before an answer.
    Number(u64),
    Broadcast(u64),
    Question {
        id: u64,
        number: u64,
    },
    Farewell,
    /// The framing changes behind this.
    Switched,
}

impl Wire {
    /// Returns the protocol of the digits codec. The stream is cut by random numbers, which depend
    /// on the number of the client.
    pub fn digits(client: usize) -> Self {
        // No state of zeros, which would stay so.
        let random = (client as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self::Digits { reads: Form::Text, writes: Form::Text, random }
    }

    /// Returns a request with this number.
    pub fn request(&self, number: u64) -> Vec<u8> {
        let body = number.to_string();
        match self {
            Self::Pomelo => request(number, NUMBER, body),
            Self::Digits { writes, .. } => writes.write(&frame("REQ", number as u32, NUMBER, body)),
        }
    }

    /// Returns the answer to a question of the server.
    pub fn answer(&self, id: u64, number: u64) -> Vec<u8> {
        match self {
            Self::Pomelo => unreachable!("a server that speaks Pomelo asks nothing"),
            Self::Digits { writes, .. } => writes.write(&frame("RES", id as u32, "200", number.to_string())),
        }
    }

    /// Returns the frame behind which the client writes in the other framing.
    pub fn switch(&mut self) -> Vec<u8> {
        match self {
            Self::Pomelo => unreachable!("Pomelo has one framing"),
            Self::Digits { writes, .. } => {
                assert_eq!(std::mem::replace(writes, Form::Binary), Form::Text, "there is no way back");
                Form::Text.write(&frame("BIN", 0, "", ""))
            }
        }
    }

    /// Returns how many of the waiting bytes are sent at once, and the pause before the others.
    pub fn piece(&mut self, waiting: usize) -> (usize, Duration) {
        match self {
            Self::Pomelo => (waiting, Duration::ZERO),
            Self::Digits { random, .. } => {
                *random ^= *random << 13;
                *random ^= *random >> 7;
                *random ^= *random << 17;
                let piece = 1 + (*random >> 32) as usize % waiting;
                (piece, PAUSE * u32::from(*random as u8) / 256)
            }
        }
    }

    /// Reads the message at the front of these bytes. Returns it with its length, or `None` if it
    /// is not whole.
    pub fn read(&mut self, bytes: &[u8]) -> Option<(Heard, usize)> {
        match self {
            Self::Pomelo => {
                let head = bytes.first_chunk::<4>()?;
                let length = 4 + u32::from_be_bytes([0, head[1], head[2], head[3]]) as usize;
                let heard = match (head[0], bytes.get(4..length)?) {
                    (DATA, message) => pomelo(message),
                    (KICK, _) => Heard::Farewell,
                    (kind, _) => panic!("a package of type {kind}"),
                };
                Some((heard, length))
            }
            Self::Digits { reads, .. } => {
                let (frame, length) = reads.read(bytes)?;
                let (id, body) = (frame.id.into(), &frame.body);
                let heard = match (frame.kind, &*frame.argument) {
                    ("RES", "200") => Heard::Answer { id, number: number(body) },
                    ("REQ", QUESTION) => Heard::Question { id, number: number(body) },
                    ("PSH", route) => push(route.as_bytes(), body),
                    ("BIN", "") => {
                        assert_eq!(std::mem::replace(reads, Form::Binary), Form::Text, "it has switched");
                        Heard::Switched
                    }
                    _ => panic!("{frame:?}"),
                };
                Some((heard, length))
            }
        }
    }
}

fn pomelo(message: &[u8]) -> Heard {
    match message[0] {
        4 => {
            let digits = message[1..].iter().take_while(|byte| **byte >= 0x80).count();
            let id = message[1..=1 + digits]
                .iter()
                .enumerate()
                .fold(0, |id, (n, byte)| id | u64::from(byte & 0x7f) << (7 * n));
            Heard::Answer { id, number: number(&message[2 + digits..]) }
        }
        6 => {
            let (route, body) = message[2..].split_at(message[1].into());
            push(route, body)
        }
        kind => panic!("a message of type {kind}"),
    }
}

fn push(route: &[u8], body: &[u8]) -> Heard {
    if route == ON_NUMBER.as_bytes() {
        return Heard::Number(number(body));
    }
    assert_eq!(route, ON_ALL.as_bytes());
    Heard::Broadcast(number(body))
}

fn number(digits: &[u8]) -> u64 {
    std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).expect("a number")
}
