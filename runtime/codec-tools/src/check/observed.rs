//! The observed answers of a codec to a step.

use bytes::Bytes;

use wireplug_core::codec::{CodecError, Event};
use wireplug_core::vectors::Answer;

/// One answer, with the index of its packet or message in the batch, if the index is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Observed {
    pub(super) of: Option<usize>,
    pub(super) what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    Hello(Bytes),
    Established,
    Message { id: Option<u64>, route: String, body: Bytes },
    Reply(Vec<u8>),
    Wake(u32),
    Close(Vec<u8>),
    Rejected(Vec<u8>),
    Fatal(Vec<u8>),
    Packet(Vec<u8>),
    None,
    Refused(String),
}

impl From<Event<'_>> for What {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Hello(body) => What::Hello(body),
            Event::Established => What::Established,
            Event::Message { id, route, body } => What::Message { id, route: route.to_owned(), body },
            Event::Reply(packet) => What::Reply(packet.to_vec()),
            Event::Wake(ms) => What::Wake(ms),
            Event::Close(reason) => What::Close(reason.to_vec()),
            Event::Rejected(reason) => What::Rejected(reason.to_vec()),
            Event::Fatal(reason) => What::Fatal(reason.to_vec()),
        }
    }
}

impl What {
    pub(super) fn packet(packet: Option<&[u8]>) -> Self {
        packet.map_or(What::None, |packet| What::Packet(packet.to_vec()))
    }

    /// Returns whether this is a reason with which the codec reports a bug of its own.
    pub(super) fn is_bug(&self) -> bool {
        self.answer().is_bug()
    }

    /// Returns the line of the answer in the form of vectors.
    pub(super) fn line(&self) -> String {
        self.answer().to_string()
    }

    fn answer(&self) -> Answer<'_> {
        match self {
            What::Hello(body) => Answer::Event(Event::Hello(body.clone())),
            What::Established => Answer::Event(Event::Established),
            What::Message { id, route, body } => {
                Answer::Event(Event::Message { id: *id, route, body: body.clone() })
            }
            What::Reply(packet) => Answer::Event(Event::Reply(packet)),
            What::Wake(ms) => Answer::Event(Event::Wake(*ms)),
            What::Close(reason) => Answer::Event(Event::Close(reason)),
            What::Rejected(reason) => Answer::Event(Event::Rejected(reason)),
            What::Fatal(reason) => Answer::Event(Event::Fatal(reason)),
            What::Packet(packet) => Answer::Packet(packet),
            What::None => Answer::None,
            What::Refused(reason) => Answer::Refused(reason.as_bytes()),
        }
    }
}

/// The failure of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) cause: Cause,
    pub(super) text: String,
}

/// The kind of a fault. A smaller input shows the same fault only if the kind is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// An error of the codec, by its name.
    Codec(&'static str),
    /// The codec itself reports a bug.
    Bug,
    /// The codec's packet cannot be framed.
    Framing,
    /// `encode-shared` differs from `encode`.
    Sharing,
    /// `encode-shared` depends on more than its arguments.
    Remembered,
    /// A call took too long, as far as that can be measured on a machine that others also use.
    Time,
    /// There was no room for another sandbox, so the case has no result.
    Room,
}

impl From<CodecError> for Fault {
    fn from(error: CodecError) -> Self {
        let cause = match &error {
            CodecError::Deadline(_) | CodecError::Slow(_) => Cause::Time,
            CodecError::Exhausted(_) => Cause::Room,
            error => Cause::Codec(error.cause()),
        };
        Self { cause, text: error.to_string() }
    }
}

impl Fault {
    /// Returns whether the fault is the codec's, and not possibly the machine's.
    pub(super) fn is_certain(&self) -> bool {
        !matches!(self.cause, Cause::Time | Cause::Room)
    }
}
