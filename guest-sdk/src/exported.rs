//! The exports of a component: the functions of the contract, with the names and the parameters
//! that the canonical ABI gives them.
//!
//! `export!` places these macros into the crate of the codec, because exports cannot be generic.
//! Each export only reads its arguments and calls the [`Instance`](crate::instance::Instance).
//!
//! An export reads its lists through the addresses that the runtime passes. This is sound because
//! only the runtime calls exports, and a call uses its lists only until it returns.

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
        use ::wireplug_guest::__private::{self as sdk, List, Outcome, abi};
        use ::wireplug_guest::{self as guest, Instant, Message};

        ::std::thread_local! {
            static INSTANCE: sdk::Instance<$codec> = const { sdk::Instance::new() };
        }

        #[unsafe(export_name = "wireplug:codec/codec@0.2.0#describe")]
        extern "C" fn describe() -> *const abi::Description {
            INSTANCE.with(sdk::Instance::describe)
        }

        #[unsafe(export_name = "wireplug:codec/codec@0.2.0#configure")]
        unsafe extern "C" fn configure(options: *const u8, options_len: usize) -> *const Outcome<()> {
            let options = unsafe { abi::text(options, options_len) };
            INSTANCE.with(|instance| instance.configure(options))
        }

        #[unsafe(export_name = "wireplug:codec/codec@0.2.0#[static]session.open")]
        unsafe extern "C" fn open(
            carrier: u32,
            transport: *const u8,
            transport_len: usize,
            address: *const u8,
            address_len: usize,
            dialed: u32,
            max_packet: u32,
            random_seed: *const u8,
            random_seed_len: usize,
            attributes: *const abi::Attribute,
            attributes_len: usize,
            session_ms: u64,
            unix_ms: u64,
        ) -> *const Outcome<u32> {
            let peer = unsafe {
                abi::peer(
                    carrier,
                    transport,
                    transport_len,
                    address,
                    address_len,
                    dialed,
                    max_packet,
                    random_seed,
                    random_seed_len,
                    attributes,
                    attributes_len,
                )
            };
            INSTANCE.with(|instance| instance.open(peer, Instant { session_ms, unix_ms }))
        }

        #[unsafe(export_name = "wireplug:codec/codec@0.2.0#[dtor]session")]
        extern "C" fn drop_session(session: u32) {
            INSTANCE.with(|instance| instance.drop_session(session));
        }

        #[unsafe(export_name = "wireplug:codec/codec@0.2.0#[method]session.decode")]
        unsafe extern "C" fn decode(
            session: u32,
            packet: *const u8,
            packet_len: usize,
            session_ms: u64,
            unix_ms: u64,
        ) -> *const Outcome<List<abi::Event>, abi::Fault> {
            let packet = unsafe { abi::list(packet, packet_len) };
            INSTANCE.with(|instance| instance.decode(session, packet, Instant { session_ms, unix_ms }))
        }

        #[unsafe(export_name = "wireplug:codec/codec@0.2.0#[method]session.encode")]
        unsafe extern "C" fn encode(
            session: u32,
            role: u32,
            id: u64,
            route: *const u8,
            route_len: usize,
            body: *const u8,
            body_len: usize,
            status: u32,
            session_ms: u64,
            unix_ms: u64,
        ) -> *const Outcome<List<List<u8>>, abi::Fault> {
            let (route, body) = unsafe { (abi::text(route, route_len), abi::list(body, body_len)) };
            let message = Message { role: abi::role(role), id, route, body, status: status as u16 };
            INSTANCE.with(|instance| instance.encode(session, &message, Instant { session_ms, unix_ms }))
        }

        #[unsafe(export_name = "wireplug:codec/batch@0.2.0#decode-batch")]
        unsafe extern "C" fn decode_batch(
            session: u32,
            bytes: *const u8,
            bytes_len: usize,
            ends: *const u32,
            ends_len: usize,
            session_ms: u64,
            unix_ms: u64,
        ) -> *const abi::Events {
            let (bytes, ends) = unsafe { (abi::list(bytes, bytes_len), abi::list(ends, ends_len)) };
            let now = Instant { session_ms, unix_ms };
            INSTANCE.with(|instance| instance.decode_batch(session, bytes, ends, now))
        }

        #[unsafe(export_name = "wireplug:codec/batch@0.2.0#encode-batch")]
        unsafe extern "C" fn encode_batch(
            session: u32,
            bytes: *const u8,
            bytes_len: usize,
            heads: *const sdk::MessageHead,
            heads_len: usize,
            session_ms: u64,
            unix_ms: u64,
        ) -> *const Outcome<abi::Encoded> {
            let (bytes, heads) = unsafe { (abi::list(bytes, bytes_len), abi::list(heads, heads_len)) };
            let now = Instant { session_ms, unix_ms };
            INSTANCE.with(|instance| instance.encode_batch(session, bytes, heads, now))
        }
    };
}

/// Exports `framer`. Stands behind `__export_codec`.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_framer {
    ($codec:ident) => {
        #[unsafe(export_name = "wireplug:codec/framer@0.2.0#decode-stream")]
        unsafe extern "C" fn decode_stream(
            session: u32,
            bytes: *const u8,
            bytes_len: usize,
            session_ms: u64,
            unix_ms: u64,
        ) -> *const abi::Frames {
            let bytes = unsafe { abi::list(bytes, bytes_len) };
            INSTANCE.with(|instance| instance.decode_stream(session, bytes, Instant { session_ms, unix_ms }))
        }
    };
}

/// Exports `tls-upgrade`. Stands behind `__export_codec`.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_tls_upgrade {
    ($codec:ident) => {
        #[unsafe(export_name = "wireplug:codec/tls-upgrade@0.2.0#secured")]
        unsafe extern "C" fn secured(
            session: u32,
            attributes: *const abi::Attribute,
            attributes_len: usize,
            session_ms: u64,
            unix_ms: u64,
        ) -> *const List<abi::Event> {
            let attributes = unsafe { abi::attributes(attributes, attributes_len) };
            let now = Instant { session_ms, unix_ms };
            INSTANCE.with(|instance| {
                instance.events(session, |session, events| {
                    guest::TlsUpgrade::secured(session, &attributes, now, events);
                })
            })
        }
    };
}

/// Exports `requests`. Stands behind `__export_codec`.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_requests {
    ($codec:ident) => {
        #[unsafe(export_name = "wireplug:codec/requests@0.2.0#abandoned")]
        extern "C" fn abandoned(
            session: u32,
            id: u64,
            session_ms: u64,
            unix_ms: u64,
        ) -> *const List<abi::Event> {
            let now = Instant { session_ms, unix_ms };
            INSTANCE.with(|instance| {
                instance.events(session, |session, events| {
                    guest::Requests::abandoned(session, id, now, events);
                })
            })
        }
    };
}

/// Exports `handshake`. Stands behind `__export_codec`.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_handshake {
    ($codec:ident) => {
        #[unsafe(export_name = "wireplug:codec/handshake@0.2.0#answer")]
        unsafe extern "C" fn answer(
            session: u32,
            status: u32,
            body: *const u8,
            body_len: usize,
            session_ms: u64,
            unix_ms: u64,
        ) -> *const List<abi::Event> {
            let body = unsafe { abi::list(body, body_len) };
            let now = Instant { session_ms, unix_ms };
            INSTANCE.with(|instance| {
                instance.events(session, |session, events| {
                    guest::Handshake::answer(session, status as u16, body, now, events);
                })
            })
        }
    };
}

/// Exports `clock`. Stands behind `__export_codec`.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_clock {
    ($codec:ident) => {
        #[unsafe(export_name = "wireplug:codec/clock@0.2.0#tick")]
        extern "C" fn tick(session: u32, session_ms: u64, unix_ms: u64) -> *const List<abi::Event> {
            let now = Instant { session_ms, unix_ms };
            INSTANCE.with(|instance| {
                instance.events(session, |session, events| {
                    guest::Clock::tick(session, now, events);
                })
            })
        }
    };
}

/// Exports `farewell`. Stands behind `__export_codec`.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_farewell {
    ($codec:ident) => {
        #[unsafe(export_name = "wireplug:codec/farewell@0.2.0#farewell")]
        unsafe extern "C" fn farewell(
            session: u32,
            cause: u32,
            reason: *const u8,
            reason_len: usize,
            session_ms: u64,
            unix_ms: u64,
        ) -> *const List<abi::Event> {
            let (cause, reason) = (abi::cause(cause), unsafe { abi::text(reason, reason_len) });
            let now = Instant { session_ms, unix_ms };
            INSTANCE.with(|instance| {
                instance.events(session, |session, events| {
                    guest::Farewell::farewell(session, cause, reason, now, events);
                })
            })
        }
    };
}

/// Exports `broadcast`. Stands behind `__export_codec`.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_broadcast {
    ($codec:ident) => {
        #[unsafe(export_name = "wireplug:codec/broadcast@0.2.0#broadcast-class")]
        extern "C" fn broadcast_class(session: u32) -> *const abi::Maybe<u32> {
            INSTANCE.with(|instance| instance.broadcast_class(session))
        }

        #[unsafe(export_name = "wireplug:codec/broadcast@0.2.0#encode-shared")]
        unsafe extern "C" fn encode_shared(
            class: u32,
            role: u32,
            id: u64,
            route: *const u8,
            route_len: usize,
            body: *const u8,
            body_len: usize,
            status: u32,
        ) -> *const Outcome<List<List<u8>>> {
            let (route, body) = unsafe { (abi::text(route, route_len), abi::list(body, body_len)) };
            let message = Message { role: abi::role(role), id, route, body, status: status as u16 };
            INSTANCE.with(|instance| instance.encode_shared(class, &message))
        }
    };
}

/// Exports `handoff`. Stands behind `__export_codec`.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_handoff {
    ($codec:ident) => {
        #[unsafe(export_name = "wireplug:codec/handoff@0.2.0#save")]
        extern "C" fn save(session: u32) -> *const Outcome<List<u8>> {
            INSTANCE.with(|instance| instance.save(session))
        }

        #[unsafe(export_name = "wireplug:codec/handoff@0.2.0#restore")]
        unsafe extern "C" fn restore(
            carrier: u32,
            transport: *const u8,
            transport_len: usize,
            address: *const u8,
            address_len: usize,
            dialed: u32,
            max_packet: u32,
            random_seed: *const u8,
            random_seed_len: usize,
            attributes: *const abi::Attribute,
            attributes_len: usize,
            state: *const u8,
            state_len: usize,
            session_ms: u64,
            unix_ms: u64,
        ) -> *const Outcome<u32> {
            let peer = unsafe {
                abi::peer(
                    carrier,
                    transport,
                    transport_len,
                    address,
                    address_len,
                    dialed,
                    max_packet,
                    random_seed,
                    random_seed_len,
                    attributes,
                    attributes_len,
                )
            };
            let state = unsafe { abi::list(state, state_len) };
            INSTANCE.with(|instance| instance.restore(peer, state, Instant { session_ms, unix_ms }))
        }
    };
}
