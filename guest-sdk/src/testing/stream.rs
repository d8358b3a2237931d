//! The stream of a client whose codec cuts it, as the runtime passes it.

use super::{Client, Event, Fault};
use crate::flat::{EventHead, FlatEvents, Kind};
use crate::framer::{Next, decode_stream};
use crate::{Codec, Events, Framer, Level, Role};

/// What a codec has found in a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// A packet with its framing. Its events follow.
    Packet(Vec<u8>),
    /// An event of the packet before it.
    Event(Event),
    /// The refusal of the packet before it, or of the rest of the stream.
    Fault(Fault),
    /// TLS begins. The bytes behind it do not reach the codec.
    StartTls,
}

/// The bytes of a stream that wait.
#[derive(Debug, Default)]
pub(super) struct Stream {
    rest: Vec<u8>,
    /// From how many bytes of the rest on the codec is called.
    need: usize,
    waits_for: Option<WaitsFor>,
}

/// Why the codec does not get the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WaitsFor {
    Answer,
    Tls,
    Nothing,
}

impl Stream {
    pub(super) fn answered(&mut self) {
        self.waits_for.take_if(|waits_for| *waits_for == WaitsFor::Answer);
    }

    pub(super) fn secured(&mut self) {
        self.waits_for.take_if(|waits_for| *waits_for == WaitsFor::Tls);
    }
}

impl<C: Codec<Session: Framer>> Client<C> {
    /// Passes bytes of the stream, and returns the packets with their events. Bytes that are no
    /// whole packet wait for the next call, and so do the bytes behind a hello, which the codec
    /// gets when [`answer`](Self::answer) has been called. Bytes of TLS, and bytes after the end of
    /// the session, do not reach the codec.
    ///
    /// # Panics
    /// Panics if the codec breaks the contract.
    pub fn receive(&mut self, bytes: &[u8]) -> Vec<Received> {
        if !matches!(self.stream.waits_for, Some(WaitsFor::Tls | WaitsFor::Nothing)) {
            self.stream.rest.extend_from_slice(bytes);
        }
        let mut received = Vec::new();
        while self.stream.waits_for.is_none()
            && !self.stream.rest.is_empty()
            && self.stream.rest.len() >= self.stream.need
        {
            self.pass_rest(&mut received);
        }
        received
    }

    /// Passes bytes of the stream as [`receive`](Self::receive) does, each in a read of its own.
    /// The result must be the same.
    ///
    /// # Panics
    /// Panics if the codec breaks the contract.
    pub fn receive_bytewise(&mut self, bytes: &[u8]) -> Vec<Received> {
        let mut received = self.receive(b"");
        for byte in bytes {
            received.extend(self.receive(&[*byte]));
        }
        received
    }

    fn pass_rest(&mut self, received: &mut Vec<Received>) {
        let bytes = std::mem::take(&mut self.stream.rest);
        let (mut ends, mut events) = (Vec::new(), Events::default());
        let next = decode_stream(&mut self.session, &bytes, self.now, &mut ends, &mut events);
        let mut events = unflattened(events).into_iter().peekable();
        let mut start = 0;
        for index in 0..=ends.len() {
            if let Some(&end) = ends.get(index) {
                received.push(Received::Packet(bytes[start..end as usize].to_vec()));
                start = end as usize;
            }
            while let Some((_, event)) = events.next_if(|(packet, _)| *packet as usize == index) {
                match &event {
                    Ok(Event::Hello(_)) => self.stream.waits_for = Some(WaitsFor::Answer),
                    Ok(Event::Close { .. }) | Err(Fault::Fatal(_)) => {
                        self.stream.waits_for = Some(WaitsFor::Nothing);
                    }
                    _ => {}
                }
                received.push(event.map_or_else(Received::Fault, Received::Event));
                if self.stream.waits_for == Some(WaitsFor::Nothing) {
                    return;
                }
            }
        }
        self.stream.rest = bytes[start..].to_vec();
        self.stream.need = 0;
        match next {
            Next::Need(total) => {
                let max = self.peer.max_packet.min(C::describe().max_packet.unwrap_or(u32::MAX));
                assert!(total <= max, "the codec needs {total} bytes, and the largest packet is {max}");
                self.stream.need = total as usize;
            }
            Next::Full => {}
            Next::StartTls => {
                assert!(self.peer.attribute("starttls").is_some(), "this connection cannot switch to TLS");
                self.stream.rest.clear();
                self.stream.waits_for = Some(WaitsFor::Tls);
                received.push(Received::StartTls);
            }
        }
    }
}

/// Returns the events that one call has added, in order.
pub(super) fn events(call: impl FnOnce(&mut Events)) -> Vec<Event> {
    let mut events = Events::default();
    call(&mut events);
    let single = unflattened(events).into_iter();
    single.map(|(_, event)| event.expect("only batches contain refusals")).collect()
}

/// Returns the events of a batch as single calls give them, each with the index of its packet.
///
/// # Panics
/// Panics if the events break the contract.
pub fn unflattened(events: Events) -> Vec<(u32, Result<Event, Fault>)> {
    let FlatEvents { bytes, heads, .. } = events.into_flat();
    let mut start = 0;
    let event = |head: &EventHead| {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("texts are UTF-8");
        let route = text(&bytes[start..head.route_end as usize]);
        let body = bytes[head.route_end as usize..head.body_end as usize].to_vec();
        start = head.body_end as usize;
        let id = head.id;
        let event = match (head.kind, head.role) {
            (Kind::Message, Role::Notice) => Ok(Event::Notice { route, body }),
            (Kind::Message, Role::Request) => Ok(Event::Request { id, route, body }),
            (Kind::Message, Role::Response) => Ok(Event::Response { id, status: head.status, body }),
            (Kind::Hello, _) => Ok(Event::Hello(body)),
            (Kind::Established, _) => Ok(Event::Established),
            (Kind::Reply, _) => Ok(Event::Reply(body)),
            (Kind::Timer, _) => Ok(Event::Timer(id as u32)),
            (Kind::AddressVerified, _) => Ok(Event::AddressVerified),
            (Kind::Log, _) => {
                let levels = [Level::Debug, Level::Info, Level::Warn, Level::Error];
                Ok(Event::Log { level: levels[id as usize], text: text(&body) })
            }
            (Kind::Close, _) => Ok(Event::Close { code: id as u16, reason: text(&body) }),
            (Kind::Rejected, _) => Err(Fault::rejected(text(&body))),
            (Kind::Fatal, _) => Err(Fault::fatal(text(&body))),
        };
        if head.kind != Kind::Message {
            assert_eq!((head.role, head.status), (Role::Notice, 200));
        }
        (head.packet, event)
    };
    heads.iter().map(event).collect()
}
