//! The glue between the functions of the contract and the traits of a codec.
//!
//! wit-bindgen generates the bindings where `export!` stands. This crate cannot name their types,
//! so the glue is macros. The macros only convert between the types of the bindings and the types
//! of this crate, which have the same names.

use std::cell::RefCell;
use std::rc::Rc;

use crate::Codec;

/// The codec of an instance, which the runtime configures before any other call.
#[derive(Debug)]
pub struct Configured<C>(RefCell<Option<Rc<C>>>);

impl<C: Codec> Configured<C> {
    /// Returns a place for the codec, which is not configured yet.
    pub const fn new() -> Self {
        Self(RefCell::new(None))
    }

    /// Configures the codec.
    ///
    /// # Errors
    /// Returns an error if the codec refuses the options.
    pub fn configure(&self, options: &str) -> Result<(), String> {
        self.0.replace(Some(Rc::new(C::configure(options)?)));
        Ok(())
    }

    /// Returns the codec.
    ///
    /// # Errors
    /// Returns an error if the codec is not configured.
    pub fn get(&self) -> Result<Rc<C>, String> {
        self.0.borrow().clone().ok_or_else(|| "the codec is not configured".to_owned())
    }
}

impl<C: Codec> Default for Configured<C> {
    fn default() -> Self {
        Self::new()
    }
}

/// Checks that a codec implements the traits that `export!` names, in native builds, which export
/// nothing.
#[expect(missing_docs, reason = "each function checks the trait that it is named after")]
pub mod is {
    use crate::{Broadcast, Clock, Codec, Farewell, Framer, Handoff, Handshake, Requests, TlsUpgrade};

    pub const fn codec<C: Codec>() {}
    pub const fn framer<C: Codec<Session: Framer>>() {}
    pub const fn tls_upgrade<C: Codec<Session: TlsUpgrade>>() {}
    pub const fn requests<C: Codec<Session: Requests>>() {}
    pub const fn handshake<C: Codec<Session: Handshake>>() {}
    pub const fn clock<C: Codec<Session: Clock>>() {}
    pub const fn farewell<C: Codec<Session: Farewell>>() {}
    pub const fn broadcast<C: Broadcast>() {}
    pub const fn handoff<C: Handoff>() {}
}

/// Exports `codec` and `batch`.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_codec {
    ($codec:ident) => {
        use self::exports::wireplug::codec::{batch, codec};
        use self::wireplug::codec::{flat, types};
        use ::std::cell::RefCell;
        use ::wireplug_guest::__private as sdk;
        use ::wireplug_guest::{self as guest, Session as _};

        ::std::thread_local! {
            static CODEC: sdk::Configured<$codec> = const { sdk::Configured::new() };
        }

        struct Component;

        /// A session as a resource of the contract. The runtime makes one call at a time.
        struct Open(RefCell<<$codec as guest::Codec>::Session>);

        impl Open {
            fn resource(session: <$codec as guest::Codec>::Session) -> codec::Session {
                codec::Session::new(Self(RefCell::new(session)))
            }
        }

        impl codec::Guest for Component {
            type Session = Open;

            fn describe() -> codec::Description {
                sdk::note_panics();
                let described = <$codec as guest::Codec>::describe();
                codec::Description {
                    name: described.name.into(),
                    version: described.version.into(),
                    framing: described.framing.map(|framing| match framing {
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
                    messages: match described.messages {
                        guest::MessageFraming::None => codec::MessageFraming::None,
                        guest::MessageFraming::One => codec::MessageFraming::One,
                        guest::MessageFraming::Framed => codec::MessageFraming::Framed,
                        guest::MessageFraming::Continuous => codec::MessageFraming::Continuous,
                    },
                    payload: match described.payload {
                        guest::Payload::Binary => codec::Payload::Binary,
                        guest::Payload::Text => codec::Payload::Text,
                        guest::Payload::Tagged => codec::Payload::Tagged,
                    },
                    json: described.json,
                    handshake: described.handshake,
                    client_requests: described.client_requests,
                    coalesces: described.coalesces,
                    max_packet: described.max_packet,
                }
            }

            fn configure(options: String) -> Result<(), String> {
                sdk::note_panics();
                CODEC.with(|codec| codec.configure(&options))
            }
        }

        impl codec::GuestSession for Open {
            fn open(peer: types::Peer, now: types::Instant) -> Result<codec::Session, String> {
                let codec = CODEC.with(sdk::Configured::get)?;
                guest::Codec::open(&*codec, of_peer(peer), of_instant(now)).map(Open::resource)
            }

            fn decode(
                &self,
                packet: Vec<u8>,
                now: types::Instant,
            ) -> Result<Vec<types::Event>, types::Fault> {
                let mut session = self.0.borrow_mut();
                let mut decoded = Ok(());
                let events = sdk::events(|events| decoded = session.decode(&packet, of_instant(now), events));
                decoded.map_err(of_fault)?;
                Ok(of_events(events))
            }

            fn encode(
                &self,
                message: types::Message,
                now: types::Instant,
            ) -> Result<Vec<Vec<u8>>, types::Fault> {
                let mut session = self.0.borrow_mut();
                sdk::packets(|packets| session.encode(&of_message(&message), of_instant(now), packets))
                    .map_err(of_fault)
            }
        }

        impl batch::Guest for Component {
            fn decode_batch(
                session: codec::SessionBorrow<'_>,
                packets: flat::Packets,
                now: types::Instant,
            ) -> flat::Events {
                let mut session = session.get::<Open>().0.borrow_mut();
                to_flat(sdk::decode_batch(&mut *session, &packets.bytes, &packets.ends, of_instant(now)))
            }

            fn encode_batch(
                session: codec::SessionBorrow<'_>,
                messages: flat::Messages,
                now: types::Instant,
            ) -> Result<flat::Encoded, String> {
                let mut session = session.get::<Open>().0.borrow_mut();
                let heads = messages.heads.iter().map(|head| sdk::MessageHead {
                    role: of_role(head.role),
                    id: head.id,
                    status: head.status,
                    route_end: head.route_end,
                    body_end: head.body_end,
                });
                let guest::Encoded { bytes, ends, sources, refused } =
                    sdk::encode_batch(&mut *session, &messages.bytes, heads, of_instant(now))?;
                let refusal = |(message, reason)| flat::Refusal { message, reason };
                Ok(flat::Encoded {
                    packets: flat::Packets { bytes, ends },
                    sources,
                    refused: refused.into_iter().map(refusal).collect(),
                })
            }
        }

        fn of_instant(now: types::Instant) -> guest::Instant {
            guest::Instant { session_ms: now.session_ms, unix_ms: now.unix_ms }
        }

        fn of_peer(peer: types::Peer) -> guest::Peer {
            guest::Peer {
                carrier: match peer.carrier {
                    types::Carrier::Bytes => guest::Carrier::Bytes,
                    types::Carrier::Messages => guest::Carrier::Messages,
                    types::Carrier::Datagrams => guest::Carrier::Datagrams,
                },
                transport: peer.transport,
                address: peer.address,
                dialed: peer.dialed,
                max_packet: peer.max_packet,
                random_seed: peer.random_seed.try_into().expect("the runtime gives 32 bytes"),
                attributes: peer.attributes,
            }
        }

        fn of_role(role: types::Role) -> guest::Role {
            match role {
                types::Role::Notice => guest::Role::Notice,
                types::Role::Request => guest::Role::Request,
                types::Role::Response => guest::Role::Response,
            }
        }

        fn to_role(role: guest::Role) -> types::Role {
            match role {
                guest::Role::Notice => types::Role::Notice,
                guest::Role::Request => types::Role::Request,
                guest::Role::Response => types::Role::Response,
            }
        }

        fn of_message(message: &types::Message) -> guest::Message<'_> {
            guest::Message {
                role: of_role(message.role),
                id: message.id,
                route: &message.route,
                body: &message.body,
                status: message.status,
            }
        }

        fn to_flat(events: sdk::FlatEvents) -> flat::Events {
            let sdk::FlatEvents { bytes, heads, .. } = events;
            // Both heads have the same layout, so the list is not copied.
            let head = |head: sdk::EventHead| flat::EventHead {
                kind: match head.kind {
                    sdk::Kind::Hello => flat::Kind::Hello,
                    sdk::Kind::Established => flat::Kind::Established,
                    sdk::Kind::Message => flat::Kind::Message,
                    sdk::Kind::Reply => flat::Kind::Reply,
                    sdk::Kind::Timer => flat::Kind::Timer,
                    sdk::Kind::AddressVerified => flat::Kind::AddressVerified,
                    sdk::Kind::Log => flat::Kind::Log,
                    sdk::Kind::Close => flat::Kind::Close,
                    sdk::Kind::Rejected => flat::Kind::Rejected,
                    sdk::Kind::Fatal => flat::Kind::Fatal,
                },
                packet: head.packet,
                role: to_role(head.role),
                id: head.id,
                status: head.status,
                route_end: head.route_end,
                body_end: head.body_end,
            };
            flat::Events { bytes, heads: heads.into_iter().map(head).collect() }
        }

        fn of_events(events: Vec<guest::Event>) -> Vec<types::Event> {
            let message = |role, id, route, body, status| {
                types::Event::Message(types::Message { role, id, route, body, status })
            };
            let event = |event| match event {
                guest::Event::Hello(body) => types::Event::Hello(body),
                guest::Event::Established => types::Event::Established,
                guest::Event::Notice { route, body } => message(types::Role::Notice, 0, route, body, 200),
                guest::Event::Request { id, route, body } => {
                    message(types::Role::Request, id, route, body, 200)
                }
                guest::Event::Response { id, status, body } => {
                    message(types::Role::Response, id, String::new(), body, status)
                }
                guest::Event::Reply(packet) => types::Event::Reply(packet),
                guest::Event::Timer(ms) => types::Event::Timer(ms),
                guest::Event::AddressVerified => types::Event::AddressVerified,
                guest::Event::Log { level, text } => {
                    let level = match level {
                        guest::Level::Debug => types::Level::Debug,
                        guest::Level::Info => types::Level::Info,
                        guest::Level::Warn => types::Level::Warn,
                        guest::Level::Error => types::Level::Error,
                    };
                    types::Event::Log(types::LogEntry { level, text })
                }
                guest::Event::Close { code, reason } => types::Event::Close(types::Close { code, reason }),
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

/// Exports `framer`. Stands behind `__export_codec`.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_framer {
    ($codec:ident) => {
        use self::exports::wireplug::codec::framer;

        impl framer::Guest for Component {
            fn decode_stream(
                session: codec::SessionBorrow<'_>,
                bytes: Vec<u8>,
                now: types::Instant,
            ) -> framer::Frames {
                let mut session = session.get::<Open>().0.borrow_mut();
                let sdk::Frames { ends, events, next } =
                    sdk::decode_stream(&mut *session, &bytes, of_instant(now));
                let next = match next {
                    sdk::Next::Need(total) => framer::Next::Need(total),
                    sdk::Next::Full => framer::Next::Full,
                    sdk::Next::StartTls => framer::Next::StartTls,
                };
                framer::Frames { ends, events: to_flat(events), next }
            }
        }
    };
}

/// Exports `tls-upgrade`. Stands behind `__export_codec`.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_tls_upgrade {
    ($codec:ident) => {
        impl self::exports::wireplug::codec::tls_upgrade::Guest for Component {
            fn secured(
                session: codec::SessionBorrow<'_>,
                attributes: Vec<(String, String)>,
                now: types::Instant,
            ) -> Vec<types::Event> {
                let mut session = session.get::<Open>().0.borrow_mut();
                of_events(sdk::events(|events| {
                    guest::TlsUpgrade::secured(&mut *session, &attributes, of_instant(now), events);
                }))
            }
        }
    };
}

/// Exports `requests`. Stands behind `__export_codec`.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_requests {
    ($codec:ident) => {
        impl self::exports::wireplug::codec::requests::Guest for Component {
            fn abandoned(
                session: codec::SessionBorrow<'_>,
                id: u64,
                now: types::Instant,
            ) -> Vec<types::Event> {
                let mut session = session.get::<Open>().0.borrow_mut();
                of_events(sdk::events(|events| {
                    guest::Requests::abandoned(&mut *session, id, of_instant(now), events);
                }))
            }
        }
    };
}

/// Exports `handshake`. Stands behind `__export_codec`.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_handshake {
    ($codec:ident) => {
        impl self::exports::wireplug::codec::handshake::Guest for Component {
            fn answer(
                session: codec::SessionBorrow<'_>,
                status: u16,
                body: Vec<u8>,
                now: types::Instant,
            ) -> Vec<types::Event> {
                let mut session = session.get::<Open>().0.borrow_mut();
                of_events(sdk::events(|events| {
                    guest::Handshake::answer(&mut *session, status, &body, of_instant(now), events);
                }))
            }
        }
    };
}

/// Exports `clock`. Stands behind `__export_codec`.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_clock {
    ($codec:ident) => {
        impl self::exports::wireplug::codec::clock::Guest for Component {
            fn tick(session: codec::SessionBorrow<'_>, now: types::Instant) -> Vec<types::Event> {
                let mut session = session.get::<Open>().0.borrow_mut();
                of_events(sdk::events(|events| {
                    guest::Clock::tick(&mut *session, of_instant(now), events);
                }))
            }
        }
    };
}

/// Exports `farewell`. Stands behind `__export_codec`.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_farewell {
    ($codec:ident) => {
        use self::exports::wireplug::codec::farewell;

        impl farewell::Guest for Component {
            fn farewell(
                session: codec::SessionBorrow<'_>,
                cause: farewell::Cause,
                reason: String,
                now: types::Instant,
            ) -> Vec<types::Event> {
                let mut session = session.get::<Open>().0.borrow_mut();
                let cause = match cause {
                    farewell::Cause::Kicked => guest::Cause::Kicked,
                    farewell::Cause::Displaced => guest::Cause::Displaced,
                    farewell::Cause::Replaced => guest::Cause::Replaced,
                    farewell::Cause::Shutdown => guest::Cause::Shutdown,
                };
                of_events(sdk::events(|events| {
                    guest::Farewell::farewell(&mut *session, cause, &reason, of_instant(now), events);
                }))
            }
        }
    };
}

/// Exports `broadcast`. Stands behind `__export_codec`.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_broadcast {
    ($codec:ident) => {
        impl self::exports::wireplug::codec::broadcast::Guest for Component {
            fn broadcast_class(session: codec::SessionBorrow<'_>) -> Option<u32> {
                <$codec as guest::Broadcast>::broadcast_class(&session.get::<Open>().0.borrow())
            }

            fn encode_shared(class: u32, message: types::Message) -> Result<Vec<Vec<u8>>, String> {
                let codec = CODEC.with(sdk::Configured::get)?;
                sdk::packets(|packets| {
                    guest::Broadcast::encode_shared(&*codec, class, &of_message(&message), packets)
                })
            }
        }
    };
}

/// Exports `handoff`. Stands behind `__export_codec`.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_handoff {
    ($codec:ident) => {
        impl self::exports::wireplug::codec::handoff::Guest for Component {
            fn save(session: codec::SessionBorrow<'_>) -> Result<Vec<u8>, String> {
                <$codec as guest::Handoff>::save(&session.get::<Open>().0.borrow())
            }

            fn restore(
                peer: types::Peer,
                state: Vec<u8>,
                now: types::Instant,
            ) -> Result<codec::Session, String> {
                let codec = CODEC.with(sdk::Configured::get)?;
                let restored = guest::Handoff::restore(&*codec, of_peer(peer), &state, of_instant(now));
                restored.map(Open::resource)
            }
        }
    };
}
