//! A case: all calls to a codec in one session.
//!
//! A case contains steps that may not be allowed. When the case runs ([`super::harness`]), it
//! leaves out steps that the runtime would not make after the answers of this session. So any case
//! is fair to any codec.

use wireplug_core::codec::{Carrier, Cause, MessageRef, Peer, Role};
use wireplug_core::vectors::{ADDRESS, Call, TRANSPORT, Vectors};

/// The transport of the default client.
pub(super) const STREAM: &str = TRANSPORT;

/// The transport of a client whose packets come in messages.
pub(super) const MESSAGES: &str = "ws";

/// The transport of a client whose packets come in datagrams.
pub(super) const DATAGRAMS: &str = "udp";

/// A session, from its opening.
#[derive(Clone, Debug)]
pub(super) struct Case {
    /// The client. The run sets the largest packet.
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
    /// Packets from the client, in one batch. The packets behind a hello are left out. Where the
    /// codec cuts packets itself, these are bytes of its stream.
    Packets(Vec<Vec<u8>>),
    /// Bytes of a stream that the codec cuts itself, or a message of such packets. Where the
    /// runtime cuts packets, this is one packet.
    Stream(Vec<u8>),
    /// TLS is up, with the attributes that it added.
    Secured(Vec<(String, String)>),
    /// The application's answer to a hello.
    Answer {
        status: u16,
        body: Vec<u8>,
    },
    /// The timer that the codec has set. The step waits until the timer is due.
    Tick,
    /// Messages to the client, in one batch.
    Messages(Vec<Message>),
    /// The application gives up on the open request to the client with this id, or else on another.
    Abandon(u64),
    Farewell {
        cause: Cause,
        reason: String,
    },
    /// The session is saved, or handed over, or neither. The [`Run`](super::harness::Run) decides.
    Handoff,
}

/// A message for the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) role: Role,
    /// The id of a request or response. A request whose id the runtime would not use now gets the
    /// next id. A response goes to the open request with this id, or else to another open request.
    pub(super) id: u64,
    pub(super) route: String,
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

impl Message {
    pub(super) fn notice(route: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self { role: Role::Notice, id: 0, route: route.into(), status: MessageRef::OK, body: body.into() }
    }

    pub(super) fn as_ref(&self) -> MessageRef<'_> {
        let Self { role, id, ref route, status, ref body } = *self;
        MessageRef { role, id, route, body, status }
    }
}

impl From<MessageRef<'_>> for Message {
    fn from(MessageRef { role, id, route, body, status }: MessageRef<'_>) -> Self {
        Self { role, id, route: route.to_owned(), status, body: body.to_vec() }
    }
}

impl Case {
    pub(super) fn new(transport: &str, steps: Vec<Step>) -> Self {
        Self { peer: peer(transport), steps }
    }

    /// Returns the sessions of vectors, without the answers.
    pub(super) fn of(vectors: &Vectors) -> Vec<Self> {
        let mut cases: Vec<Self> = Vec::new();
        // A session that continues from a saved state is no case: a case begins with an opening.
        let mut is_resumed = false;
        for step in vectors.steps() {
            let ask = match step.call.clone() {
                Call::Resume(_) => {
                    is_resumed = true;
                    continue;
                }
                Call::Session(peer) => {
                    is_resumed = false;
                    cases.push(Self { peer: *peer, steps: Vec::new() });
                    continue;
                }
                Call::In(packet) => Ask::Packets(vec![packet]),
                Call::Answer { status, body } => Ask::Answer { status, body },
                Call::Tick => Ask::Tick,
                Call::Out { role, id, route, status, body } => {
                    Ask::Messages(vec![Message { role, id, route, status, body }])
                }
                Call::Farewell { cause, reason } => Ask::Farewell { cause, reason },
                Call::Handoff { .. } => Ask::Handoff,
                // The harness asks for a session's class itself when it needs the class.
                Call::Class => continue,
                Call::Stream(bytes) => Ask::Stream(bytes),
                Call::Secured(attributes) => Ask::Secured(attributes),
                Call::Abandon(id) => Ask::Abandon(id),
                Call::Share { route, body, .. } => Ask::Messages(vec![Message::notice(route, body)]),
            };
            if let Some(case) = cases.last_mut().filter(|_| !is_resumed) {
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
        carrier: Carrier::of_transport(transport),
        transport: transport.to_owned(),
        address: ADDRESS.to_owned(),
        dialed: false,
        max_packet: u32::MAX,
        random_seed: [0; 32],
        attributes: Vec::new(),
    }
}
