//! What `export!` is made of: the covers between the contract's functions and a codec's traits.
//!
//! The bindings are generated where `export!` stands, so their types are not known here, and the covers are macros; they hold no
//! more than names the bindings for.

use std::cell::RefCell;
use std::rc::Rc;

use crate::events::Flat;
use crate::{Codec, Encoded, Event, Events, Message, Packet, Packets, Session};

/// The codec of an instance. The runtime configures it before anything else.
#[derive(Debug)]
pub struct Configured<C>(RefCell<Option<Rc<C>>>);

impl<C: Codec> Configured<C> {
    /// Not configured yet.
    pub const fn new() -> Self {
        Self(RefCell::new(None))
    }

    /// Takes the options.
    ///
    /// # Errors
    /// Where the codec refuses them.
    pub fn configure(&self, options: &str) -> Result<(), String> {
        self.0.replace(Some(Rc::new(C::configure(options)?)));
        Ok(())
    }

    /// The codec.
    ///
    /// # Errors
    /// Where it was not configured.
    pub fn get(&self) -> Result<Rc<C>, String> {
        self.0.borrow().clone().ok_or_else(|| "it was not configured".to_owned())
    }
}

impl<C: Codec> Default for Configured<C> {
    fn default() -> Self {
        Self::new()
    }
}

/// That a codec implements what it exports, for where nothing is exported.
#[expect(missing_docs, reason = "each is what its name says")]
pub mod is {
    use crate::{Broadcast, Clock, Codec, Farewell, Handoff, Handshake};

    pub const fn codec<C: Codec>() {}
    pub const fn handshake<C: Codec<Session: Handshake>>() {}
    pub const fn clock<C: Codec<Session: Clock>>() {}
    pub const fn farewell<C: Codec<Session: Farewell>>() {}
    pub const fn broadcast<C: Broadcast>() {}
    pub const fn handoff<C: Handoff>() {}
}

/// The events of a batch of packets, which are `bytes` up to each of `ends`.
pub fn decode_batch<S: Session>(session: &mut S, bytes: &[u8], ends: &[u32], now_ms: u64) -> Flat {
    let mut events = Events::flat(bytes.len(), ends.len());
    let mut start = 0;
    for end in ends {
        let end = *end as usize;
        let mark = events.flat_mut().mark();
        let goes_on = match session.decode(&bytes[start..end], now_ms, &mut events) {
            Ok(()) => events.flat_mut().finish_packet(),
            Err(fault) => events.flat_mut().refuse_packet(mark, &fault),
        };
        if !goes_on {
            break;
        }
        start = end;
    }
    events.into_flat()
}

/// The packets of a batch of messages: `heads` has each one's id, its status, and where its route and its body end in `bytes`.
///
/// # Errors
/// Where the session cannot go on.
pub fn encode_batch<S: Session>(
    session: &mut S,
    bytes: &[u8],
    heads: impl ExactSizeIterator<Item = (Option<u64>, u16, u32, u32)>,
    now_ms: u64,
) -> Result<Packets, String> {
    let mut packets = Packets::for_messages(bytes.len(), heads.len());
    let mut start = 0;
    let messages = heads.map(|(id, status, route_end, body_end)| {
        let (route_end, body_end) = (route_end as usize, body_end as usize);
        let route = str::from_utf8(&bytes[start..route_end]).expect("the runtime's routes are UTF-8");
        start = body_end;
        Message { id, route, body: &bytes[route_end..body_end], status }
    });
    session.encode_batch(messages, now_ms, &mut packets)?;
    Ok(packets)
}

/// The events of a call that is about one packet, or none.
pub fn list(call: impl FnOnce(&mut Events)) -> Vec<Event> {
    let mut events = Events::list();
    call(&mut events);
    events.into_list()
}

/// The packet that is written, if it is one.
///
/// # Errors
/// Where it is refused.
pub fn packet<E>(write: impl FnOnce(&mut Packet<'_>) -> Result<Encoded, E>) -> Result<Option<Vec<u8>>, E> {
    let mut bytes = Vec::new();
    let encoded = write(&mut Packet::at_end_of(&mut bytes))?;
    Ok((encoded == Encoded::Packet).then_some(bytes))
}

/// `codec` and `batch`.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_codec {
    ($codec:ident) => {
        use self::exports::wireplug::codec::{batch, codec};
        use self::wireplug::codec::types;
        use ::std::cell::RefCell;
        use ::wireplug_guest::__private as sdk;
        use ::wireplug_guest::{self as guest, Session as _};

        ::std::thread_local! {
            static CODEC: sdk::Configured<$codec> = const { sdk::Configured::new() };
        }

        struct Component;

        /// A session of the contract. The runtime calls it from one place at a time.
        struct Open(RefCell<<$codec as guest::Codec>::Session>);

        impl Open {
            fn resource(session: <$codec as guest::Codec>::Session) -> codec::Session {
                codec::Session::new(Self(RefCell::new(session)))
            }
        }

        impl codec::Guest for Component {
            type Session = Open;

            fn describe() -> codec::Description {
                let it = <$codec as guest::Codec>::describe();
                codec::Description {
                    name: it.name.into(),
                    version: it.version.into(),
                    framing: it.framing.map(|framing| match framing {
                        guest::Framing::Delimiter(bytes) => codec::Framing::Delimiter(bytes.to_vec()),
                        guest::Framing::Length { offset, width, little_endian, adjust } => {
                            codec::Framing::Length(codec::LengthField {
                                offset,
                                width,
                                little_endian,
                                adjust,
                            })
                        }
                        guest::Framing::Varint { offset } => codec::Framing::Varint(offset),
                    }),
                    message: match it.message {
                        guest::MessageUnit::Refused => codec::MessageUnit::Refused,
                        guest::MessageUnit::One => codec::MessageUnit::One,
                        guest::MessageUnit::Framed => codec::MessageUnit::Framed,
                        guest::MessageUnit::Bytes => codec::MessageUnit::Bytes,
                    },
                    text: it.text,
                    json: it.json,
                    handshake: it.handshake,
                    merges: it.merges,
                }
            }

            fn configure(options: String) -> Result<(), String> {
                CODEC.with(|codec| codec.configure(&options))
            }
        }

        impl codec::GuestSession for Open {
            fn open(peer: types::Peer, now_ms: u64) -> Result<codec::Session, String> {
                let codec = CODEC.with(sdk::Configured::get)?;
                guest::Codec::open(&*codec, of_peer(peer), now_ms).map(Open::resource)
            }

            fn decode(&self, packet: Vec<u8>, now_ms: u64) -> Result<Vec<types::Event>, types::Fault> {
                let mut decoded = Ok(());
                let events =
                    sdk::list(|events| decoded = self.0.borrow_mut().decode(&packet, now_ms, events));
                decoded.map_err(of_fault)?;
                Ok(of_events(events))
            }

            fn encode(&self, message: types::Message, now_ms: u64) -> Result<Option<Vec<u8>>, types::Fault> {
                sdk::packet(|packet| self.0.borrow_mut().encode(&of_message(&message), now_ms, packet))
                    .map_err(of_fault)
            }
        }

        impl batch::Guest for Component {
            fn decode_batch(
                session: codec::SessionBorrow<'_>,
                packets: batch::Packets,
                now_ms: u64,
            ) -> batch::Events {
                let mut session = session.get::<Open>().0.borrow_mut();
                let sdk::Flat { bytes, heads, .. } =
                    sdk::decode_batch(&mut *session, &packets.bytes, &packets.ends, now_ms);
                // Of the same shape on both sides: nothing is copied.
                let head = |head: sdk::Head| batch::EventHead {
                    kind: match head.kind {
                        sdk::Kind::Hello => batch::Kind::Hello,
                        sdk::Kind::Established => batch::Kind::Established,
                        sdk::Kind::Message => batch::Kind::Message,
                        sdk::Kind::Reply => batch::Kind::Reply,
                        sdk::Kind::Wake => batch::Kind::Wake,
                        sdk::Kind::Close => batch::Kind::Close,
                        sdk::Kind::Rejected => batch::Kind::Rejected,
                        sdk::Kind::Fatal => batch::Kind::Fatal,
                    },
                    packet: head.packet,
                    id: head.id,
                    route_end: head.route_end,
                    body_end: head.body_end,
                };
                batch::Events { bytes, heads: heads.into_iter().map(head).collect() }
            }

            fn encode_batch(
                session: codec::SessionBorrow<'_>,
                messages: batch::Messages,
                now_ms: u64,
            ) -> Result<batch::Encoded, String> {
                let mut session = session.get::<Open>().0.borrow_mut();
                let heads = messages.heads.iter();
                let heads = heads.map(|head| (head.id, head.status, head.route_end, head.body_end));
                let guest::Packets { bytes, ends, refused } =
                    sdk::encode_batch(&mut *session, &messages.bytes, heads, now_ms)?;
                let refusal = |(message, reason)| batch::Refusal { message, reason };
                Ok(batch::Encoded {
                    packets: batch::Packets { bytes, ends },
                    refused: refused.into_iter().map(refusal).collect(),
                })
            }
        }

        fn of_peer(peer: types::Peer) -> guest::Peer {
            guest::Peer {
                transport: peer.transport,
                address: peer.address,
                entropy: peer.entropy.try_into().expect("the runtime gives 32 bytes"),
                attributes: peer.attributes,
            }
        }

        fn of_message(message: &types::Message) -> guest::Message<'_> {
            guest::Message {
                id: message.id,
                route: &message.route,
                body: &message.body,
                status: message.status,
            }
        }

        fn of_events(events: Vec<guest::Event>) -> Vec<types::Event> {
            let event = |event| match event {
                guest::Event::Hello(body) => types::Event::Hello(body),
                guest::Event::Established => types::Event::Established,
                guest::Event::Message { id, route, body } => {
                    types::Event::Message(types::Message { id, route, body, status: 200 })
                }
                guest::Event::Reply(packet) => types::Event::Reply(packet),
                guest::Event::Wake(ms) => types::Event::Wake(ms),
                guest::Event::Close(reason) => types::Event::Close(reason),
            };
            events.into_iter().map(event).collect()
        }

        fn of_fault(fault: guest::Fault) -> types::Fault {
            match fault {
                guest::Fault::Rejected(reason) => types::Fault::Rejected(reason.into_owned()),
                guest::Fault::Fatal(reason) => types::Fault::Fatal(reason.into_owned()),
            }
        }
    };
}

/// `handshake`, beside what `__export_codec` gives.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_handshake {
    ($codec:ident) => {
        impl self::exports::wireplug::codec::handshake::Guest for Component {
            fn answer(
                session: codec::SessionBorrow<'_>,
                status: u16,
                body: Vec<u8>,
                now_ms: u64,
            ) -> Vec<types::Event> {
                let mut session = session.get::<Open>().0.borrow_mut();
                let answer = |events: &mut guest::Events| {
                    guest::Handshake::answer(&mut *session, status, &body, now_ms, events);
                };
                of_events(sdk::list(answer))
            }
        }
    };
}

/// `clock`, beside what `__export_codec` gives.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_clock {
    ($codec:ident) => {
        impl self::exports::wireplug::codec::clock::Guest for Component {
            fn tick(session: codec::SessionBorrow<'_>, now_ms: u64) -> Vec<types::Event> {
                let mut session = session.get::<Open>().0.borrow_mut();
                of_events(sdk::list(|events| guest::Clock::tick(&mut *session, now_ms, events)))
            }
        }
    };
}

/// `farewell`, beside what `__export_codec` gives.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_farewell {
    ($codec:ident) => {
        impl self::exports::wireplug::codec::farewell::Guest for Component {
            fn farewell(session: codec::SessionBorrow<'_>, reason: String, now_ms: u64) -> Option<Vec<u8>> {
                let mut session = session.get::<Open>().0.borrow_mut();
                let written: Result<_, ::std::convert::Infallible> = sdk::packet(|packet| {
                    Ok(guest::Farewell::farewell(&mut *session, &reason, now_ms, packet))
                });
                let Ok(packet) = written;
                packet
            }
        }
    };
}

/// `broadcast`, beside what `__export_codec` gives.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_broadcast {
    ($codec:ident) => {
        impl self::exports::wireplug::codec::broadcast::Guest for Component {
            fn share_class(session: codec::SessionBorrow<'_>) -> Option<u32> {
                <$codec as guest::Broadcast>::share_class(&session.get::<Open>().0.borrow())
            }

            fn encode_shared(class: u32, message: types::Message) -> Result<Option<Vec<u8>>, String> {
                let codec = CODEC.with(sdk::Configured::get)?;
                let message = of_message(&message);
                sdk::packet(|packet| guest::Broadcast::encode_shared(&*codec, class, &message, packet))
            }
        }
    };
}

/// `handoff`, beside what `__export_codec` gives.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_handoff {
    ($codec:ident) => {
        impl self::exports::wireplug::codec::handoff::Guest for Component {
            fn save(session: codec::SessionBorrow<'_>) -> Result<Vec<u8>, String> {
                <$codec as guest::Handoff>::save(&session.get::<Open>().0.borrow())
            }

            fn restore(peer: types::Peer, state: Vec<u8>, now_ms: u64) -> Result<codec::Session, String> {
                let codec = CODEC.with(sdk::Configured::get)?;
                guest::Handoff::restore(&*codec, of_peer(peer), &state, now_ms).map(Open::resource)
            }
        }
    };
}
