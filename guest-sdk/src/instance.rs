//! A codec with its sessions, as the exports of a component call it.

use std::cell::RefCell;

use crate::abi::{self, List, Maybe, Outcome, arena};
use crate::answer::Answer;
use crate::flat::{MessageHead, decode_batch, encode_batch};
use crate::framer::decode_stream;
#[cfg(target_family = "wasm")]
use crate::heap;
use crate::{Broadcast, Codec, Events, Framer, Handoff, Instant, Message, Peer, Session, trap};

const NOT_CONFIGURED: &str = "the codec is not configured";

/// The codec of an instance, its sessions, and the answer of the last call. The runtime makes one
/// call at a time.
pub struct Instance<C: Codec>(RefCell<State<C>>);

struct State<C: Codec> {
    /// The runtime configures the codec before any session opens.
    codec: Option<C>,
    /// The sessions by their index, and gaps where sessions have ended. The runtime opens one.
    sessions: Vec<Option<C::Session>>,
    answer: Answer,
}

impl<C: Codec> State<C> {
    fn codec(&self) -> Result<&C, String> {
        self.codec.as_ref().ok_or_else(|| NOT_CONFIGURED.to_owned())
    }

    /// Keeps a session and returns the address of its handle.
    fn opened(&mut self, session: Result<C::Session, String>) -> *const Outcome<u32> {
        let outcome = match session {
            Ok(session) => {
                let free = self.sessions.iter().position(Option::is_none);
                let index = free.unwrap_or_else(|| {
                    // Without room for sessions that the runtime does not open.
                    self.sessions.reserve_exact(1);
                    self.sessions.push(None);
                    self.sessions.len() - 1
                });
                self.sessions[index] = Some(session);
                Outcome::Ok(abi::new_handle(index as u32))
            }
            Err(error) => Outcome::Err(self.answer.error(error)),
        };
        self.answer.returned(outcome)
    }

    #[inline]
    fn session(&mut self, session: u32) -> (&mut C::Session, &mut Answer) {
        let session = self.sessions.get_mut(session as usize).and_then(Option::as_mut);
        (session.expect("the runtime passes open sessions"), &mut self.answer)
    }
}

#[expect(missing_docs, reason = "each function is the function of the contract that it is named after")]
impl<C: Codec> Instance<C> {
    /// Returns an instance whose codec is not configured yet.
    #[expect(clippy::new_without_default, reason = "only statics hold an instance")]
    pub const fn new() -> Self {
        Self(RefCell::new(State { codec: None, sessions: Vec::new(), answer: Answer::new() }))
    }

    /// Runs a call that happens once, and frees its arguments.
    fn call_once<R>(&self, call: impl FnOnce(&mut State<C>) -> R) -> R {
        let result = call(&mut self.0.borrow_mut());
        arena::release();
        result
    }

    /// Runs a call, and frees its arguments.
    #[inline]
    fn call<R>(&self, call: impl FnOnce(&mut State<C>) -> R) -> R {
        let result = call(&mut self.0.borrow_mut());
        arena::clear();
        result
    }

    /// Runs a call of a session, and frees its arguments.
    #[inline]
    fn call_session<R>(&self, session: u32, call: impl FnOnce(&mut C::Session, &mut Answer) -> R) -> R {
        self.call(|state| {
            let (session, answer) = state.session(session);
            call(session, answer)
        })
    }

    pub fn describe(&self) -> *const abi::Description {
        trap::note_panics();
        self.call_once(|state| state.answer.returned(C::describe().into()))
    }

    pub fn configure(&self, options: &str) -> *const Outcome<()> {
        trap::note_panics();
        let (is_configured, outcome) = self.call_once(|state| {
            let configured = C::configure(options).map(|codec| state.codec = Some(codec));
            let outcome = match configured {
                Ok(()) => Outcome::Ok(()),
                Err(error) => Outcome::Err(state.answer.error(error)),
            };
            (matches!(outcome, Outcome::Ok(())), state.answer.returned(outcome))
        });
        if is_configured {
            // In native builds, all tests of a process share a heap, and there is no image of it.
            #[cfg(target_family = "wasm")]
            heap::fill_gaps();
            self.0.borrow_mut().answer.prepare();
        }
        outcome
    }

    pub fn open(&self, peer: Peer, now: Instant) -> *const Outcome<u32> {
        self.call_once(|state| {
            let session = state.codec().and_then(|codec| codec.open(peer, now));
            state.opened(session)
        })
    }

    /// Ends a session.
    pub fn drop_session(&self, session: u32) {
        self.call(|state| state.sessions[session as usize] = None);
    }

    pub fn decode(
        &self,
        session: u32,
        packet: &[u8],
        now: Instant,
    ) -> *const Outcome<List<abi::Event>, abi::Fault> {
        self.call_session(session, |session, answer| {
            answer.events_or_fault(|events| session.decode(packet, now, events))
        })
    }

    pub fn encode(
        &self,
        session: u32,
        message: &Message<'_>,
        now: Instant,
    ) -> *const Outcome<List<List<u8>>, abi::Fault> {
        self.call_session(session, |session, answer| {
            answer.packets_or_fault(|packets| session.encode(message, now, packets))
        })
    }

    #[inline]
    pub fn decode_batch(&self, session: u32, bytes: &[u8], ends: &[u32], now: Instant) -> *const abi::Events {
        self.call_session(session, |session, answer| {
            answer.flat_events(|events| decode_batch(session, bytes, ends, now, events))
        })
    }

    #[inline]
    pub fn encode_batch(
        &self,
        session: u32,
        bytes: &[u8],
        heads: &[MessageHead],
        now: Instant,
    ) -> *const Outcome<abi::Encoded> {
        self.call_session(session, |session, answer| {
            answer.encoded(|encoded| encode_batch(session, bytes, heads, now, encoded))
        })
    }

    /// Runs a call that gives events and refuses nothing.
    pub fn events(
        &self,
        session: u32,
        call: impl FnOnce(&mut C::Session, &mut Events),
    ) -> *const List<abi::Event> {
        self.call_session(session, |session, answer| answer.events(|events| call(session, events)))
    }
}

#[expect(missing_docs, reason = "the function of the contract has the same name")]
impl<C: Codec<Session: Framer>> Instance<C> {
    pub fn decode_stream(&self, session: u32, bytes: &[u8], now: Instant) -> *const abi::Frames {
        self.call_session(session, |session, answer| {
            answer.frames(|ends, events| decode_stream(session, bytes, now, ends, events))
        })
    }
}

#[expect(missing_docs, reason = "each function is the function of the contract that it is named after")]
impl<C: Broadcast> Instance<C> {
    pub fn broadcast_class(&self, session: u32) -> *const Maybe<u32> {
        self.call_session(session, |session, answer| answer.returned(C::broadcast_class(session).into()))
    }

    pub fn encode_shared(&self, class: u32, message: &Message<'_>) -> *const Outcome<List<List<u8>>> {
        self.call(|State { codec, answer, .. }| {
            answer.packets_or_error(|packets| match codec {
                Some(codec) => codec.encode_shared(class, message, packets),
                None => Err(NOT_CONFIGURED.to_owned()),
            })
        })
    }
}

#[expect(missing_docs, reason = "each function is the function of the contract that it is named after")]
impl<C: Handoff> Instance<C> {
    pub fn save(&self, session: u32) -> *const Outcome<List<u8>> {
        self.call_session(session, |session, answer| {
            let outcome = match C::save(session) {
                Ok(state) => Outcome::Ok(answer.bytes(state)),
                Err(error) => Outcome::Err(answer.error(error)),
            };
            answer.returned(outcome)
        })
    }

    pub fn restore(&self, peer: Peer, saved: &[u8], now: Instant) -> *const Outcome<u32> {
        self.call_once(|state| {
            let session = state.codec().and_then(|codec| codec.restore(peer, saved, now));
            state.opened(session)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Description, Events, Fault, Packets};

    /// Replies with the name of its transport.
    #[derive(Debug)]
    struct Transport(String);

    impl Session for Transport {
        fn decode(&mut self, _packet: &[u8], _now: Instant, events: &mut Events) -> Result<(), Fault> {
            events.reply(self.0.as_bytes());
            Ok(())
        }

        fn encode(&mut self, _: &Message<'_>, _now: Instant, _: &mut Packets<'_>) -> Result<(), Fault> {
            Ok(())
        }
    }

    struct Transports;

    impl Codec for Transports {
        type Session = Transport;

        fn describe() -> Description {
            Description::new("transports", "1")
        }

        fn configure(options: &str) -> Result<Self, String> {
            crate::no_options(options).map(|()| Self)
        }

        fn open(&self, peer: Peer, _now: Instant) -> Result<Transport, String> {
            if peer.transport.is_empty() {
                Err("no transport".to_owned())
            } else {
                Ok(Transport(peer.transport))
            }
        }
    }

    /// Returns the handle of a session, or the error.
    #[expect(unsafe_code, reason = "the runtime reads answers by their addresses")]
    fn open(instance: &Instance<Transports>, transport: &str) -> Result<u32, Vec<u8>> {
        let peer = Peer { transport: transport.to_owned(), ..Peer::default() };
        // SAFETY: the call has written the answer.
        match unsafe { instance.open(peer, Instant::default()).read() } {
            Outcome::Ok(handle) => Ok(handle),
            // SAFETY: as above.
            Outcome::Err(error) => Err(unsafe { error.items() }.to_vec()),
        }
    }

    /// Returns the bytes that a session decodes to.
    #[expect(unsafe_code, reason = "the runtime reads answers by their addresses")]
    fn decode(instance: &Instance<Transports>, session: u32) -> Vec<u8> {
        let events = instance.decode_batch(session, b"a", &[1], Instant::default());
        // SAFETY: the call has written the answer.
        unsafe { events.read().bytes.items() }.to_vec()
    }

    #[test]
    fn each_handle_is_a_session_of_its_own() {
        let instance = Instance::<Transports>::new();
        assert_eq!(open(&instance, "tcp"), Err(b"the codec is not configured".to_vec()));
        instance.configure("{}");
        assert_eq!(open(&instance, ""), Err(b"no transport".to_vec()));
        let [tcp, ws] = ["tcp", "ws"].map(|transport| open(&instance, transport).expect("it opens"));
        assert_eq!([tcp, ws].map(|session| decode(&instance, session)), [b"tcp".to_vec(), b"ws".to_vec()]);
        instance.drop_session(tcp);
        assert_eq!(open(&instance, "udp"), Ok(tcp));
        assert_eq!([tcp, ws].map(|session| decode(&instance, session)), [b"udp".to_vec(), b"ws".to_vec()]);
    }

    #[test]
    #[should_panic = "the runtime passes open sessions"]
    fn a_session_that_is_gone_is_a_trap() {
        let instance = Instance::<Transports>::new();
        instance.configure("{}");
        let session = open(&instance, "tcp").expect("it opens");
        instance.drop_session(session);
        decode(&instance, session);
    }
}
