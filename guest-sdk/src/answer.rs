//! The answer of a call, in buffers that the next call uses again.
//!
//! The runtime reads an answer after the call has returned, and before it makes another call. So an
//! answer stays as it is until then, and nothing has to be freed for it.

use std::borrow::Cow;
use std::mem::{self, MaybeUninit};

use crate::Level;
use crate::abi::{self, List, Outcome};
use crate::events::{Events, Fault};
use crate::flat::{EventHead, FlatEvents, Kind};
use crate::framer::Next;
use crate::packets::{Encoded, Packets, write};

/// The largest buffer that is kept for the next answer, in bytes. It holds a usual batch. A larger
/// one is freed, so that one large answer does not take memory from the session's limit for the
/// rest of the connection.
const KEPT: usize = 16 << 10;

/// The size of a small answer, in bytes: a message that is not long.
const SMALL: usize = 128;

/// The number of 8-byte words for the value that a call returns the address of: enough for the
/// largest, the description. Native builds have longer addresses.
const RETURNED: usize = 2 * size_of::<usize>();

/// The buffers of an answer. All answers share them, and each uses those that it needs.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The bytes of all events or packets, or a text.
    bytes: Vec<u8>,
    heads: Vec<EventHead>,
    ends: Vec<u32>,
    sources: Vec<u32>,
    refused: Vec<(u32, String)>,
    /// Lists of views into `bytes` and `refused`.
    events: Vec<abi::Event>,
    packets: Vec<List<u8>>,
    refusals: Vec<abi::Refusal>,
    returned: [MaybeUninit<u64>; RETURNED],
}

impl Answer {
    pub(crate) const fn new() -> Self {
        Self {
            bytes: Vec::new(),
            heads: Vec::new(),
            ends: Vec::new(),
            sources: Vec::new(),
            refused: Vec::new(),
            events: Vec::new(),
            packets: Vec::new(),
            refusals: Vec::new(),
            returned: [MaybeUninit::uninit(); RETURNED],
        }
    }

    /// Takes memory for a small answer. Instances start from a copy of the memory of a configured
    /// one, so this is done once for all, and each session begins with a heap that is set up.
    pub(crate) fn prepare(&mut self) {
        self.bytes.reserve(SMALL);
        self.heads.reserve(1);
    }

    /// Returns the address of a value, which stays there until the next call.
    #[inline]
    #[expect(unsafe_code, reason = "the canonical ABI returns values by their addresses")]
    pub(crate) fn returned<T: Copy>(&mut self, value: T) -> *const T {
        const {
            assert!(size_of::<T>() <= RETURNED * size_of::<u64>() && align_of::<T>() <= align_of::<u64>());
        }
        let at = self.returned.as_mut_ptr().cast::<T>();
        // SAFETY: the value fits, as the assertion says, and nothing else refers to this memory.
        unsafe { at.write(value) };
        at
    }

    /// Returns the address of a text, or of the contents that belong to the caller.
    pub(crate) fn bytes(&mut self, bytes: Vec<u8>) -> List<u8> {
        self.bytes = bytes;
        self.bytes[..].into()
    }

    /// Returns the address of an error.
    pub(crate) fn error(&mut self, error: String) -> List<u8> {
        self.bytes(error.into_bytes())
    }

    fn fault(&mut self, fault: Fault) -> abi::Fault {
        let mut text = |reason: Cow<'static, str>| self.error(reason.into_owned());
        match fault {
            Fault::Rejected(reason) => abi::Fault::Rejected(text(reason)),
            Fault::Fatal(reason) => abi::Fault::Fatal(text(reason)),
        }
    }

    /// Collects the events that `call` adds, in the flat form.
    #[inline]
    fn collect<R>(&mut self, call: impl FnOnce(&mut Events) -> R) -> R {
        let flat = FlatEvents::into_buffers(emptied(&mut self.bytes), emptied(&mut self.heads));
        let mut events = Events::flat(flat);
        let result = call(&mut events);
        FlatEvents { bytes: self.bytes, heads: self.heads, .. } = events.into_flat();
        result
    }

    /// Returns the address of the events that `call` adds.
    #[inline]
    pub(crate) fn flat_events(&mut self, call: impl FnOnce(&mut Events)) -> *const abi::Events {
        self.collect(call);
        let events = abi::Events { bytes: self.bytes[..].into(), heads: self.heads[..].into() };
        self.returned(events)
    }

    /// Returns the address of a list of the events that `call` adds.
    pub(crate) fn events(&mut self, call: impl FnOnce(&mut Events)) -> *const List<abi::Event> {
        self.collect(call);
        let events = self.listed_events();
        self.returned(events)
    }

    /// Returns the address of a list of the events that `call` adds, or of its fault.
    pub(crate) fn events_or_fault(
        &mut self,
        call: impl FnOnce(&mut Events) -> Result<(), Fault>,
    ) -> *const Outcome<List<abi::Event>, abi::Fault> {
        let outcome = match self.collect(call) {
            Ok(()) => Outcome::Ok(self.listed_events()),
            Err(fault) => Outcome::Err(self.fault(fault)),
        };
        self.returned(outcome)
    }

    /// Makes a list of the events that were collected.
    fn listed_events(&mut self) -> List<abi::Event> {
        let mut events = emptied(&mut self.events);
        let mut start = 0;
        events.extend(self.heads.iter().map(|head| {
            let (route_end, end) = (head.route_end as usize, head.body_end as usize);
            let (route, body) = (self.bytes[start..route_end].into(), self.bytes[route_end..end].into());
            start = end;
            event(head, route, body)
        }));
        self.events = events;
        self.events[..].into()
    }

    /// Returns the address of the packets and events of a stream.
    pub(crate) fn frames(
        &mut self,
        call: impl FnOnce(&mut Vec<u32>, &mut Events) -> Next,
    ) -> *const abi::Frames {
        let mut ends = emptied(&mut self.ends);
        let next = self.collect(|events| call(&mut ends, events));
        self.ends = ends;
        let events = abi::Events { bytes: self.bytes[..].into(), heads: self.heads[..].into() };
        let frames = abi::Frames { ends: self.ends[..].into(), events, next };
        self.returned(frames)
    }

    /// Returns the address of the packets of a batch that `call` adds, or of its error.
    #[inline]
    pub(crate) fn encoded(
        &mut self,
        call: impl FnOnce(&mut Encoded) -> Result<(), String>,
    ) -> *const Outcome<abi::Encoded> {
        let mut encoded = Encoded {
            bytes: emptied(&mut self.bytes),
            ends: emptied(&mut self.ends),
            sources: emptied(&mut self.sources),
            refused: emptied(&mut self.refused),
        };
        let result = call(&mut encoded);
        Encoded { bytes: self.bytes, ends: self.ends, sources: self.sources, refused: self.refused } =
            encoded;
        let outcome = match result {
            Ok(()) => {
                let mut refusals = emptied(&mut self.refusals);
                refusals.extend(self.refused.iter().map(|(message, reason)| abi::Refusal {
                    message: *message,
                    reason: reason.as_bytes().into(),
                }));
                self.refusals = refusals;
                Outcome::Ok(abi::Encoded {
                    bytes: self.bytes[..].into(),
                    ends: self.ends[..].into(),
                    sources: self.sources[..].into(),
                    refused: self.refusals[..].into(),
                })
            }
            Err(error) => Outcome::Err(self.error(error)),
        };
        self.returned(outcome)
    }

    /// Returns the address of a list of the packets that `call` writes, or of its fault.
    pub(crate) fn packets_or_fault(
        &mut self,
        call: impl FnOnce(&mut Packets<'_>) -> Result<(), Fault>,
    ) -> *const Outcome<List<List<u8>>, abi::Fault> {
        let outcome = match self.packets(call) {
            Ok(packets) => Outcome::Ok(packets),
            Err(fault) => Outcome::Err(self.fault(fault)),
        };
        self.returned(outcome)
    }

    /// Returns the address of a list of the packets that `call` writes, or of its error.
    pub(crate) fn packets_or_error(
        &mut self,
        call: impl FnOnce(&mut Packets<'_>) -> Result<(), String>,
    ) -> *const Outcome<List<List<u8>>> {
        let outcome = match self.packets(call) {
            Ok(packets) => Outcome::Ok(packets),
            Err(error) => Outcome::Err(self.error(error)),
        };
        self.returned(outcome)
    }

    fn packets<E>(
        &mut self,
        call: impl FnOnce(&mut Packets<'_>) -> Result<(), E>,
    ) -> Result<List<List<u8>>, E> {
        let (mut bytes, mut ends) = (emptied(&mut self.bytes), emptied(&mut self.ends));
        let written = write(&mut bytes, &mut ends, call);
        (self.bytes, self.ends) = (bytes, ends);
        written?;
        let mut packets = emptied(&mut self.packets);
        let mut start = 0;
        packets.extend(self.ends.iter().map(|end| {
            let packet = &self.bytes[start..*end as usize];
            start = *end as usize;
            List::from(packet)
        }));
        self.packets = packets;
        Ok(self.packets[..].into())
    }
}

/// Takes a buffer out of its place. Returns it empty, and without memory if it has more than may be
/// kept.
#[inline]
fn emptied<T>(buffer: &mut Vec<T>) -> Vec<T> {
    let mut buffer = mem::take(buffer);
    buffer.clear();
    if buffer.capacity() * size_of::<T>() > KEPT { Vec::new() } else { buffer }
}

/// Returns an event of a single call.
fn event(head: &EventHead, route: List<u8>, body: List<u8>) -> abi::Event {
    match head.kind {
        Kind::Hello => abi::Event::Hello(body),
        Kind::Established => abi::Event::Established,
        Kind::Message => {
            let EventHead { role, id, status, .. } = *head;
            abi::Event::Message(abi::Message { role, id, route, body, status })
        }
        Kind::Reply => abi::Event::Reply(body),
        Kind::Timer => abi::Event::Timer(head.id as u32),
        Kind::AddressVerified => abi::Event::AddressVerified,
        Kind::Log => {
            let levels = [Level::Debug, Level::Info, Level::Warn, Level::Error];
            abi::Event::Log(abi::LogEntry { level: levels[head.id as usize], text: body })
        }
        Kind::Close => abi::Event::Close(abi::Close { code: head.id as u16, reason: body }),
        Kind::Rejected | Kind::Fatal => unreachable!("only batches contain refusals"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Role;

    /// Returns the items of a list of the last answer.
    #[expect(unsafe_code, reason = "the runtime reads answers by their addresses")]
    fn items<'a, T>(list: List<T>) -> &'a [T] {
        // SAFETY: the test does not use the items after the next call.
        unsafe { list.items() }
    }

    /// Returns a value of the last answer.
    #[expect(unsafe_code, reason = "the runtime reads answers by their addresses")]
    fn value<T: Copy>(returned: *const T) -> T {
        // SAFETY: the answer has written the value.
        unsafe { returned.read() }
    }

    #[test]
    fn answers_lie_in_the_same_memory() {
        let mut answer = Answer::new();
        let first = value(answer.flat_events(|events| events.reply(b"first")));
        assert_eq!(items(first.bytes), b"first");
        let second = value(answer.flat_events(|events| events.notice("to", b"b")));
        assert_eq!(items(second.bytes), b"tob");
        assert_eq!(items(second.bytes).as_ptr(), items(first.bytes).as_ptr());
        assert_eq!(items(second.heads).as_ptr(), items(first.heads).as_ptr());
        let packets = answer.encoded(|encoded| {
            encoded.refuse(0, "no");
            encoded.add(1, |packets| {
                packets.push(b"packet");
                Ok(())
            })
        });
        let Outcome::Ok(encoded) = value(packets) else { panic!("it is no error") };
        assert_eq!(items(encoded.bytes).as_ptr(), items(first.bytes).as_ptr());
        assert_eq!((items(encoded.ends), items(encoded.sources)), (&[6][..], &[1][..]));
        let [refusal] = items(encoded.refused) else { panic!("one message was refused") };
        assert_eq!((refusal.message, items(refusal.reason)), (0, &b"no"[..]));
    }

    #[test]
    fn a_large_answer_is_freed_by_the_next_call() {
        let mut answer = Answer::new();
        answer.flat_events(|events| events.reply(&[1; KEPT + 1]));
        assert!(answer.bytes.capacity() > KEPT);
        answer.flat_events(|events| events.reply(b"small"));
        assert!(answer.bytes.capacity() <= KEPT);
        answer.bytes(vec![1; 2 * KEPT]);
        let empty: Result<(), Fault> = Ok(());
        answer.packets_or_fault(|_| empty);
        assert_eq!(answer.bytes.capacity(), 0);
    }

    #[test]
    fn single_calls_list_their_events() {
        let mut answer = Answer::new();
        let listed = value(answer.events(|events| {
            events.request(7, "to", b"body");
            events.established();
            events.timer(5);
            events.log(Level::Warn, "odd");
            events.close_with(1001, "enough");
        }));
        let [abi::Event::Message(message), rest @ ..] = items(listed) else { panic!("it is a message") };
        assert_eq!((message.role, message.id, message.status), (Role::Request, 7, 200));
        assert_eq!((items(message.route), items(message.body)), (&b"to"[..], &b"body"[..]));
        let [abi::Event::Established, abi::Event::Timer(5), abi::Event::Log(log), abi::Event::Close(close)] =
            rest
        else {
            panic!("they are four events")
        };
        assert_eq!((log.level, items(log.text)), (Level::Warn, &b"odd"[..]));
        assert_eq!((close.code, items(close.reason)), (1001, &b"enough"[..]));
    }

    #[test]
    fn faults_and_errors_take_the_place_of_the_answer() {
        let mut answer = Answer::new();
        let refused = answer.events_or_fault(|events| {
            events.reply(b"never seen");
            Err(Fault::rejected("no"))
        });
        let Outcome::Err(abi::Fault::Rejected(reason)) = value(refused) else { panic!("it is refused") };
        assert_eq!(items(reason), b"no");
        let refused = answer.packets_or_error(|_| Err("never".to_owned()));
        let Outcome::Err(reason) = value(refused) else { panic!("it is an error") };
        assert_eq!(items(reason), b"never");
        let packets = answer.packets_or_fault(|packets| {
            packets.push(b"one");
            packets.begin();
            packets.push(b"three");
            Ok(())
        });
        let Outcome::Ok(packets) = value(packets) else { panic!("it is no fault") };
        let packets: Vec<_> = items(packets).iter().map(|packet| items(*packet)).collect();
        assert_eq!(packets, [&b"one"[..], b"", b"three"]);
    }
}
