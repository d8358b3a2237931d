//! Batches: many packets or messages in one call, in the flat form of the contract.

use crate::{Encoded, Events, Fault, Instant, Message, Packet, Role, Session, trap};

/// The kind of an event, as in the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    Hello,
    Established,
    Message,
    Reply,
    Timer,
    AddressVerified,
    Log,
    Close,
    Rejected,
    Fatal,
}

/// The head of an event, as in the contract and with the layout of the canonical ABI, so that a
/// list of heads is an answer.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct EventHead {
    pub kind: Kind,
    pub packet: u32,
    pub role: Role,
    pub id: u64,
    pub status: u16,
    pub route_end: u32,
    pub body_end: u32,
}

/// The head of a message, as in the contract and with the layout of the canonical ABI.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
#[expect(missing_docs, reason = "the contract describes them")]
pub struct MessageHead {
    pub role: Role,
    pub id: u64,
    pub status: u16,
    pub route_end: u32,
    pub body_end: u32,
}

/// The events of a call.
#[derive(Debug, Default)]
pub struct FlatEvents {
    /// The routes and bodies of all events.
    pub bytes: Vec<u8>,
    /// The heads of all events.
    pub heads: Vec<EventHead>,
    /// The index of the current packet.
    packet: u32,
    /// An event of the current packet ends the batch.
    ends: bool,
}

impl FlatEvents {
    /// Returns no events. They will be written into these buffers, which are empty.
    pub(crate) fn into_buffers(bytes: Vec<u8>, heads: Vec<EventHead>) -> Self {
        Self { bytes, heads, packet: 0, ends: false }
    }

    /// Makes room for this number of packets, which have `bytes` bytes together. In the common case
    /// each packet is one message that is hardly longer.
    fn reserve(&mut self, bytes: usize, packets: usize) {
        self.bytes.reserve(bytes + packets * 32);
        self.heads.reserve(packets);
    }

    /// Makes room for the packets of a stream, whose number is not known.
    pub(crate) fn reserve_for_stream(&mut self, bytes: usize) {
        /// An estimate of the length of a packet.
        const PACKET: usize = 128;
        self.reserve(bytes, 1 + bytes / PACKET);
    }

    /// Adds an event and returns its head, whose role, id and status may be set.
    #[inline]
    pub(crate) fn add(&mut self, kind: Kind, route: &str, body: &[u8]) -> &mut EventHead {
        self.bytes.extend_from_slice(route.as_bytes());
        let route_end = self.bytes.len();
        self.bytes.extend_from_slice(body);
        self.ends |= matches!(kind, Kind::Hello | Kind::Close);
        self.add_head(kind, route_end)
    }

    /// Adds a reply, which `write` writes in place.
    pub(crate) fn add_reply(&mut self, write: impl FnOnce(&mut Packet<'_>)) {
        let route_end = self.bytes.len();
        write(&mut Packet::at_end_of(&mut self.bytes));
        self.add_head(Kind::Reply, route_end);
    }

    /// Adds a reply whose bytes the codec gives away. If no bytes are before it, they stay where
    /// they are, and take the place of the buffer.
    pub(crate) fn add_owned_reply(&mut self, packet: Vec<u8>) {
        if self.bytes.is_empty() {
            self.bytes = packet;
            self.add_head(Kind::Reply, 0);
        } else {
            self.add(Kind::Reply, "", &packet);
        }
    }

    /// Adds the head of an event whose bytes are in place.
    #[inline]
    fn add_head(&mut self, kind: Kind, route_end: usize) -> &mut EventHead {
        self.heads.push_mut(EventHead {
            kind,
            packet: self.packet,
            role: Role::Notice,
            id: 0,
            status: 200,
            route_end: route_end as u32,
            body_end: self.bytes.len() as u32,
        })
    }

    /// Replaces the events of the current packet by its refusal. `bytes` and `heads` say how many
    /// there were before the packet.
    #[cold]
    fn refuse(&mut self, bytes: usize, heads: usize, fault: &Fault) {
        self.bytes.truncate(bytes);
        self.heads.truncate(heads);
        let (kind, reason) = match fault {
            Fault::Rejected(reason) => (Kind::Rejected, reason),
            Fault::Fatal(reason) => (Kind::Fatal, reason),
        };
        self.add(kind, "", reason.as_bytes());
        self.ends = kind == Kind::Fatal;
    }
}

/// Adds the events of a batch of packets. Packet i is `bytes[ends[i-1]..ends[i]]`.
///
/// The batch ends with the first packet that says hello, closes or is fatal, because the runtime
/// passes the packets behind it again or not at all.
pub fn decode_batch<S: Session>(
    session: &mut S,
    bytes: &[u8],
    ends: &[u32],
    now: Instant,
    events: &mut Events,
) {
    events.flat_mut().reserve(bytes.len(), ends.len());
    let mut start = 0;
    for (index, end) in ends.iter().enumerate() {
        let end = *end as usize;
        trap::at(index);
        if events.decode_packet(session, &bytes[start..end], now) {
            break;
        }
        start = end;
    }
    trap::nowhere();
}

impl Events {
    /// Adds the events of the next packet of a batch. Returns whether they end the batch.
    #[inline]
    pub(crate) fn decode_packet<S: Session>(&mut self, session: &mut S, packet: &[u8], now: Instant) -> bool {
        let before = (self.flat_mut().bytes.len(), self.flat_mut().heads.len());
        let decoded = session.decode(packet, now, self);
        let flat = self.flat_mut();
        if let Err(fault) = decoded {
            flat.refuse(before.0, before.1, &fault);
        }
        flat.packet += 1;
        flat.ends
    }
}

/// Adds the packets of a batch of messages. Their routes and bodies are in `bytes`, and end where
/// their heads say.
///
/// # Errors
/// Returns the reason if the session cannot go on.
pub fn encode_batch<S: Session>(
    session: &mut S,
    bytes: &[u8],
    heads: &[MessageHead],
    now: Instant,
    encoded: &mut Encoded,
) -> Result<(), String> {
    encoded.reserve(bytes.len(), heads.len());
    let mut start = 0;
    let messages = heads.iter().enumerate().map(|(index, head)| {
        trap::at(index);
        let MessageHead { role, id, status, route_end, body_end } = *head;
        let (route_end, body_end) = (route_end as usize, body_end as usize);
        let route = str::from_utf8(&bytes[start..route_end]).expect("the runtime's routes are UTF-8");
        start = body_end;
        Message { role, id, route, body: &bytes[route_end..body_end], status }
    });
    let result = session.encode_batch(messages, now, encoded);
    trap::nowhere();
    result
}
