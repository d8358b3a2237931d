//! The observed answers of a codec to a step.

use bytes::Bytes;

use wireplug_core::codec::{CodecError, Event, Level, Role};
use wireplug_core::framing::Packets;
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
    Message {
        role: Role,
        id: u64,
        /// Empty in a response, because the runtime ignores it there.
        route: String,
        body: Bytes,
        status: u16,
    },
    Reply(Vec<u8>),
    Timer(u32),
    AddressVerified,
    Log {
        level: Level,
        text: Vec<u8>,
    },
    Close {
        code: u16,
        reason: Vec<u8>,
    },
    Rejected(Vec<u8>),
    Fatal(Vec<u8>),
    /// A packet that the codec has cut from its stream.
    Cut(Vec<u8>),
    StartTls,
    Packet(Vec<u8>),
    /// A message has no packet.
    None,
    Refused(String),
}

impl From<Event<'_>> for What {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Hello(body) => What::Hello(body),
            Event::Established => What::Established,
            Event::Message { role, id, route, body, status } => {
                let route = if role == Role::Response { "" } else { route };
                What::Message { role, id, route: route.to_owned(), body, status }
            }
            Event::Reply(packet) => What::Reply(packet.to_vec()),
            Event::Timer(ms) => What::Timer(ms),
            Event::AddressVerified => What::AddressVerified,
            Event::Log { level, text } => What::Log { level, text: text.to_vec() },
            Event::Close { code, reason } => What::Close { code, reason: reason.to_vec() },
            Event::Rejected(reason) => What::Rejected(reason.to_vec()),
            Event::Fatal(reason) => What::Fatal(reason.to_vec()),
        }
    }
}

impl What {
    /// Returns the answer that consists of the packets of one message.
    pub(super) fn packets(packets: &Packets) -> Vec<Self> {
        if packets.is_empty() {
            return vec![What::None];
        }
        packets.iter().map(|packet| What::Packet(packet.to_vec())).collect()
    }

    /// Returns whether this is a reason or a text for the log with which the codec reports a bug of
    /// its own.
    pub(super) fn is_bug(&self) -> bool {
        self.answer().is_bug()
    }

    /// Returns the line of the answer in the form of vectors.
    pub(super) fn line(&self) -> String {
        self.answer().to_string()
    }

    fn answer(&self) -> Answer<'_> {
        Answer::Event(match self {
            What::Hello(body) => Event::Hello(body.clone()),
            What::Established => Event::Established,
            What::Message { role, id, route, body, status } => {
                Event::Message { role: *role, id: *id, route, body: body.clone(), status: *status }
            }
            What::Reply(packet) => Event::Reply(packet),
            What::Timer(ms) => Event::Timer(*ms),
            What::AddressVerified => Event::AddressVerified,
            What::Log { level, text } => Event::Log { level: *level, text },
            What::Close { code, reason } => Event::Close { code: *code, reason },
            What::Rejected(reason) => Event::Rejected(reason),
            What::Fatal(reason) => Event::Fatal(reason),
            What::Cut(packet) => return Answer::Cut(packet),
            What::StartTls => return Answer::StartTls,
            What::Packet(packet) => return Answer::Packet(packet),
            What::None => return Answer::None,
            What::Refused(reason) => return Answer::Refused(reason.as_bytes()),
        })
    }
}

/// The failure of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) kind: FaultKind,
    pub(super) text: String,
}

/// The kind of a fault. A smaller input shows the same fault only if the kind is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FaultKind {
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
        let kind = match &error {
            CodecError::Deadline(_) | CodecError::Slow(_) => FaultKind::Time,
            CodecError::Exhausted(_) => FaultKind::Room,
            error => FaultKind::Codec(error.cause()),
        };
        Self { kind, text: error.to_string() }
    }
}

impl Fault {
    /// Returns whether the fault is the codec's, and not possibly the machine's.
    pub(super) fn is_certain(&self) -> bool {
        !matches!(self.kind, FaultKind::Time | FaultKind::Room)
    }
}
