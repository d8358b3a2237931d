//! A case: all calls to a codec in one session.
//!
//! A case contains steps that may not be allowed. When the case runs ([`super::harness`]), it
//! leaves out steps that the runtime would not make after the answers of this session. So any case
//! is fair to any codec.

use wireplug_core::codec::{MessageRef, Peer};
use wireplug_core::vectors::{ADDRESS, Call, TRANSPORT, Vectors};

/// A session, from its opening.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) peer: Peer,
    pub(super) steps: Vec<Step>,
}

/// A call, and its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// The time in milliseconds since the session opened. A time in the past means the current
    /// time.
    pub(super) at: u64,
    pub(super) ask: Ask,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// Packets from the client, in one batch.
    Packets(Vec<Vec<u8>>),
    /// The application's answer to a hello.
    Answer {
        status: u16,
        body: Vec<u8>,
    },
    /// The timer that the codec has set. The step waits until the timer is due.
    Tick,
    /// Messages to the client, in one batch.
    Messages(Vec<Message>),
    Farewell(String),
    /// The session is saved, or handed over, or neither. The [`Run`](super::harness::Run) decides.
    Handoff,
}

/// A message for the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    /// The id of a request. A response goes to the open request with this id, or else to another
    /// open request. `None` for a push.
    pub(super) id: Option<u64>,
    pub(super) route: String,
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

impl Message {
    pub(super) fn push(route: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self { id: None, route: route.into(), status: 200, body: body.into() }
    }

    pub(super) fn as_ref(&self) -> MessageRef<'_> {
        MessageRef { id: self.id, route: &self.route, body: &self.body, status: self.status }
    }
}

impl Case {
    pub(super) fn new(transport: &str, steps: Vec<Step>) -> Self {
        Self { peer: peer(transport), steps }
    }

    /// Returns the sessions of vectors, without the answers.
    pub(super) fn of(vectors: &Vectors) -> Vec<Self> {
        let mut cases: Vec<Self> = Vec::new();
        for step in vectors.steps() {
            let ask = match step.call.clone() {
                Call::Session(peer) => {
                    cases.push(Self { peer: *peer, steps: Vec::new() });
                    continue;
                }
                Call::In(packet) => Ask::Packets(vec![packet]),
                Call::Answer { status, body } => Ask::Answer { status, body },
                Call::Tick => Ask::Tick,
                Call::Out { id, route, status, body } => {
                    Ask::Messages(vec![Message { id, route, status, body }])
                }
                Call::Farewell(reason) => Ask::Farewell(reason),
                Call::Handoff => Ask::Handoff,
                // The harness asks for a session's class itself when it needs the class.
                Call::Class => continue,
                Call::Share { route, body, .. } => Ask::Messages(vec![Message::push(route, body)]),
            };
            if let Some(case) = cases.last_mut() {
                case.steps.push(Step { at: step.now_ms, ask });
            }
        }
        cases
    }
}

/// Returns a client over this transport. Its random seed is zeros, as in vectors, so that a failing
/// case can be written as vectors.
pub(super) fn peer(transport: &str) -> Peer {
    Peer {
        transport: transport.to_owned(),
        address: ADDRESS.to_owned(),
        entropy: [0; 32],
        attributes: Vec::new(),
    }
}

/// The transport of the default client.
pub(super) const STREAM: &str = TRANSPORT;

/// The transport of a client whose packets come as messages.
pub(super) const MESSAGES: &str = "ws";
