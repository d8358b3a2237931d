//! A case: all that a codec is asked in one session.
//!
//! A case is only what somebody would like to ask. What the runtime would never ask of a session
//! that answers as this one does is left out when it is run ([`super::harness`]), so any case is
//! fair to any codec.

use wireplug_core::codec::{MessageRef, Peer};
use wireplug_core::vectors::{ADDRESS, Call, TRANSPORT, Vectors};

/// A session from its opening.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) peer: Peer,
    pub(super) steps: Vec<Step>,
}

/// What is asked, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// Milliseconds since the session opened; a time that has passed already means now.
    pub(super) at: u64,
    pub(super) ask: Ask,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// Packets from the client, in one batch.
    Packets(Vec<Vec<u8>>),
    /// The application's word on a hello.
    Answer {
        status: u16,
        body: Vec<u8>,
    },
    /// The wake that the codec asked for. It waits until that is due.
    Tick,
    /// Messages to the client, in one batch.
    Messages(Vec<Message>),
    Farewell(String),
    /// The session is saved, or handed over, or neither: the [`Run`](super::harness::Run) says
    /// which.
    Handoff,
}

/// A message for the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    /// A response to the request of this id if there is such a request, else to another; none for a
    /// push.
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

    /// The sessions of vectors, without what they are answered.
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
                // A session's class is asked for wherever it is of use.
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

/// A client over this transport. Entropy is zeros, as in vectors, so that what is found can be
/// written as such.
pub(super) fn peer(transport: &str) -> Peer {
    Peer {
        transport: transport.to_owned(),
        address: ADDRESS.to_owned(),
        entropy: [0; 32],
        attributes: Vec::new(),
    }
}

/// The usual client's transport.
pub(super) const STREAM: &str = TRANSPORT;

/// The transport of a client whose packets come as messages.
pub(super) const MESSAGES: &str = "ws";
