//! Where the session's events go: a list for single calls, flat buffers for batches.

use std::ops::ControlFlow;

use wireplug_pomelo::{Answer, Fault, Sink};

use crate::WELCOME;

use crate::bindings::exports::wireplug::codec::batch::{EventHead, Events, Kind};
use crate::bindings::wireplug::codec::types;

/// The events of one call.
#[derive(Default)]
pub(crate) struct List(pub(crate) Vec<types::Event>);

impl Sink for List {
    fn hello(&mut self, body: &[u8]) {
        self.0.push(types::Event::Hello(body.to_vec()));
    }

    fn established(&mut self) {
        self.0.push(types::Event::Established);
    }

    fn message(&mut self, id: Option<u64>, route: &str, body: &[u8]) {
        self.0.push(types::Event::Message(types::Message {
            id,
            route: route.to_owned(),
            body: body.to_vec(),
            status: 200,
        }));
    }

    fn reply(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut packet = Vec::new();
        write(&mut packet);
        self.0.push(types::Event::Reply(packet));
    }

    fn welcome(&mut self, answer: &Answer<'_>) {
        let mut packet = WELCOME.take();
        answer.rewrite(&mut packet);
        self.0.push(types::Event::Reply(packet));
    }

    fn wake(&mut self, ms: u32) {
        self.0.push(types::Event::Wake(ms));
    }

    fn close(&mut self, reason: &str) {
        self.0.push(types::Event::Close(reason.to_owned()));
    }
}

pub(crate) fn fault(fault: Fault) -> types::Fault {
    match fault {
        Fault::Rejected(reason) => types::Fault::Rejected(reason.into_owned()),
        Fault::Fatal(reason) => types::Fault::Fatal(reason.into_owned()),
    }
}

/// The events of a batch, flat.
pub(crate) struct Flat {
    bytes: Vec<u8>,
    heads: Vec<EventHead>,
    /// The index of the packet that is being decoded.
    packet: u32,
}

impl Flat {
    /// With room for what so many bytes of so many packets mean in the common case: a message each, no longer
    /// than its packet unless its route was a code.
    pub(crate) fn for_packets(bytes: usize, packets: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes + packets * 32),
            heads: Vec::with_capacity(packets),
            packet: 0,
        }
    }

    /// Ends a packet: its fault, if it has one, is its event, and after a fatal one no packet follows.
    pub(crate) fn finish_packet(&mut self, decoded: Result<(), Fault>) -> ControlFlow<()> {
        let (flow, kind, reason) = match decoded {
            Ok(()) => {
                self.packet += 1;
                return ControlFlow::Continue(());
            }
            Err(Fault::Rejected(reason)) => (ControlFlow::Continue(()), Kind::Rejected, reason),
            Err(Fault::Fatal(reason)) => (ControlFlow::Break(()), Kind::Fatal, reason),
        };
        self.put(kind, None, "", reason.as_bytes());
        self.packet += 1;
        flow
    }

    pub(crate) fn into_events(self) -> Events {
        Events { bytes: self.bytes, heads: self.heads }
    }

    fn put(&mut self, kind: Kind, id: Option<u64>, route: &str, body: &[u8]) {
        self.bytes.extend_from_slice(route.as_bytes());
        let route_end = self.bytes.len();
        self.bytes.extend_from_slice(body);
        self.head(kind, id, route_end);
    }

    /// The head of an event whose bytes are in place.
    fn head(&mut self, kind: Kind, id: Option<u64>, route_end: usize) {
        self.heads.push(EventHead {
            kind,
            packet: self.packet,
            id,
            route_end: route_end as u32,
            body_end: self.bytes.len() as u32,
        });
    }
}

impl Sink for Flat {
    fn hello(&mut self, body: &[u8]) {
        self.put(Kind::Hello, None, "", body);
    }

    fn established(&mut self) {
        self.put(Kind::Established, None, "", b"");
    }

    fn message(&mut self, id: Option<u64>, route: &str, body: &[u8]) {
        self.put(Kind::Message, id, route, body);
    }

    fn reply(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let route_end = self.bytes.len();
        write(&mut self.bytes);
        self.head(Kind::Reply, None, route_end);
    }

    fn wake(&mut self, ms: u32) {
        self.put(Kind::Wake, Some(ms.into()), "", b"");
    }

    fn close(&mut self, reason: &str) {
        self.put(Kind::Close, None, "", reason.as_bytes());
    }
}
