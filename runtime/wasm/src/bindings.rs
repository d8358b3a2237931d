//! `wit/codec.wit` in Rust: the types that enter and leave a component, and the functions of a
//! codec.
//!
//! The types of a batch are those of [`wireplug_core`], so no batch is converted from one type to
//! another. Functions are found by name once for each codec, when it is loaded, and by index once
//! for each session.

use std::sync::Arc;

use wasmtime::component::{
    Component, ComponentExportIndex, ComponentNamedList, ComponentType, Instance, Lift, Lower, ResourceAny,
    TypedFunc,
};
use wasmtime::{Engine, StoreContextMut};

use super::error::LoadError;
use super::sandbox::State;
use wireplug_core::codec::{
    self, Abilities, Cause, Encoded, Events, Frames, Instant, Level, MessageRef, Messages, Reason, Role,
};
use wireplug_core::framing::Packets;

/// The package of the contract. `VERSION` is the version that this module implements.
const PACKAGE: &str = "wireplug:codec";
pub(super) const VERSION: &str = "0.2.0";

// === types ===

#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct LengthField {
    pub(super) offset: u8,
    pub(super) width: u8,
    #[component(name = "little-endian")]
    pub(super) little_endian: bool,
    pub(super) adjust: i32,
}

#[derive(ComponentType, Lift)]
#[component(variant)]
pub(super) enum Framing {
    #[component(name = "delimiter")]
    Delimiter(Vec<u8>),
    #[component(name = "length")]
    Length(LengthField),
    #[component(name = "varint")]
    Varint(u8),
}

#[derive(Clone, Copy, ComponentType, Lift)]
#[expect(dead_code, reason = "wasmtime's lift makes the variants from their numbers")]
#[component(enum)]
#[repr(u8)]
pub(super) enum MessageFraming {
    #[component(name = "none")]
    None,
    #[component(name = "one")]
    One,
    #[component(name = "framed")]
    Framed,
    #[component(name = "continuous")]
    Continuous,
}

#[derive(Clone, Copy, ComponentType, Lift)]
#[expect(dead_code, reason = "wasmtime's lift makes the variants from their numbers")]
#[component(enum)]
#[repr(u8)]
pub(super) enum Payload {
    #[component(name = "binary")]
    Binary,
    #[component(name = "text")]
    Text,
    #[component(name = "tagged")]
    Tagged,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct Description {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) framing: Option<Framing>,
    pub(super) messages: MessageFraming,
    pub(super) payload: Payload,
    pub(super) json: bool,
    pub(super) handshake: bool,
    #[component(name = "client-requests")]
    pub(super) client_requests: u16,
    pub(super) coalesces: bool,
    #[component(name = "max-packet")]
    pub(super) max_packet: Option<u32>,
}

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
pub(super) struct Message {
    pub(super) role: Role,
    pub(super) id: u64,
    pub(super) route: String,
    pub(super) body: Vec<u8>,
    pub(super) status: u16,
}

impl From<MessageRef<'_>> for Message {
    fn from(message: MessageRef<'_>) -> Self {
        let MessageRef { role, id, route, body, status } = message;
        Self { role, id, route: route.to_owned(), body: body.to_vec(), status }
    }
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct Close {
    pub(super) code: u16,
    pub(super) reason: String,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct LogEntry {
    pub(super) level: Level,
    pub(super) text: String,
}

#[derive(ComponentType, Lift)]
#[component(variant)]
pub(super) enum Event {
    #[component(name = "hello")]
    Hello(Vec<u8>),
    #[component(name = "established")]
    Established,
    #[component(name = "message")]
    Message(Message),
    #[component(name = "reply")]
    Reply(Vec<u8>),
    #[component(name = "timer")]
    Timer(u32),
    #[component(name = "address-verified")]
    AddressVerified,
    #[component(name = "log")]
    Log(LogEntry),
    #[component(name = "close")]
    Close(Close),
}

#[derive(ComponentType, Lift)]
#[component(variant)]
pub(super) enum Fault {
    #[component(name = "rejected")]
    Rejected(String),
    #[component(name = "fatal")]
    Fatal(String),
}

#[derive(Clone, Copy, ComponentType, Lower)]
#[component(enum)]
#[repr(u8)]
pub(super) enum Carrier {
    #[component(name = "bytes")]
    Bytes,
    #[component(name = "messages")]
    Messages,
    #[component(name = "datagrams")]
    Datagrams,
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct Peer {
    pub(super) carrier: Carrier,
    pub(super) transport: String,
    pub(super) address: String,
    pub(super) dialed: bool,
    #[component(name = "max-packet")]
    pub(super) max_packet: u32,
    #[component(name = "random-seed")]
    pub(super) random_seed: Vec<u8>,
    pub(super) attributes: Vec<(String, String)>,
}

impl From<codec::Peer> for Peer {
    fn from(peer: codec::Peer) -> Self {
        let carrier = match peer.carrier {
            codec::Carrier::Bytes => Carrier::Bytes,
            codec::Carrier::Messages => Carrier::Messages,
            codec::Carrier::Datagrams => Carrier::Datagrams,
        };
        Self {
            carrier,
            transport: peer.transport,
            address: peer.address,
            dialed: peer.dialed,
            max_packet: peer.max_packet,
            random_seed: peer.random_seed.to_vec(),
            attributes: peer.attributes,
        }
    }
}

// === functions ===

type Describe = TypedFunc<(), (Description,)>;
type Configure = TypedFunc<(String,), (Result<(), String>,)>;
type Open = TypedFunc<(Peer, Instant), (Result<ResourceAny, String>,)>;
type Decode = TypedFunc<(ResourceAny, Vec<u8>, Instant), (Result<Vec<Event>, Fault>,)>;
type Encode = TypedFunc<(ResourceAny, Message, Instant), (Result<Vec<Vec<u8>>, Fault>,)>;
type DecodeBatch = TypedFunc<(ResourceAny, Arc<Packets>, Instant), (Events,)>;
type EncodeBatch = TypedFunc<(ResourceAny, Arc<Messages>, Instant), (Result<Encoded, String>,)>;
type DecodeStream = TypedFunc<(ResourceAny, Arc<Vec<u8>>, Instant), (Frames,)>;
type Secured = TypedFunc<(ResourceAny, Vec<(String, String)>, Instant), (Vec<Event>,)>;
type Answer = TypedFunc<(ResourceAny, u16, Vec<u8>, Instant), (Vec<Event>,)>;
type Abandoned = TypedFunc<(ResourceAny, u64, Instant), (Vec<Event>,)>;
type Tick = TypedFunc<(ResourceAny, Instant), (Vec<Event>,)>;
type Farewell = TypedFunc<(ResourceAny, Cause, String, Instant), (Vec<Event>,)>;
type BroadcastClass = TypedFunc<(ResourceAny,), (Option<u32>,)>;
pub(super) type EncodeShared = TypedFunc<(u32, Message), (Result<Vec<Vec<u8>>, String>,)>;
type Save = TypedFunc<(ResourceAny,), (Result<Vec<u8>, String>,)>;
type Restore = TypedFunc<(Peer, Vec<u8>, Instant), (Result<ResourceAny, String>,)>;

/// The exports of a component at which its functions are found. They are looked up once, when the
/// component is loaded.
pub(super) struct Exports {
    describe: ComponentExportIndex,
    configure: ComponentExportIndex,
    open: ComponentExportIndex,
    decode: ComponentExportIndex,
    encode: ComponentExportIndex,
    batch: Option<(ComponentExportIndex, ComponentExportIndex)>,
    decode_stream: Option<ComponentExportIndex>,
    secured: Option<ComponentExportIndex>,
    answer: Option<ComponentExportIndex>,
    abandoned: Option<ComponentExportIndex>,
    tick: Option<ComponentExportIndex>,
    farewell: Option<ComponentExportIndex>,
    broadcast: Option<(ComponentExportIndex, ComponentExportIndex)>,
    handoff: Option<(ComponentExportIndex, ComponentExportIndex)>,
}

/// The functions of one instance that configure it and open a session.
pub(super) struct Opening {
    pub(super) configure: Configure,
    pub(super) open: Open,
    pub(super) restore: Option<Restore>,
    pub(super) encode_shared: Option<EncodeShared>,
}

/// The functions of one instance that are called for a session.
pub(super) struct Functions {
    pub(super) decode: Decode,
    pub(super) encode: Encode,
    pub(super) decode_batch: Option<DecodeBatch>,
    pub(super) encode_batch: Option<EncodeBatch>,
    pub(super) decode_stream: Option<DecodeStream>,
    pub(super) secured: Option<Secured>,
    pub(super) answer: Option<Answer>,
    pub(super) abandoned: Option<Abandoned>,
    pub(super) tick: Option<Tick>,
    pub(super) farewell: Option<Farewell>,
    pub(super) broadcast_class: Option<BroadcastClass>,
    pub(super) save: Option<Save>,
}

impl Exports {
    /// Finds the functions of the contract.
    ///
    /// # Errors
    /// Returns an error if the component is not written to this contract.
    pub(super) fn find(engine: &Engine, component: &Component) -> Result<Self, LoadError> {
        if let Some((name, version)) =
            interfaces(engine, component).into_iter().find(|(_, version)| version != VERSION)
        {
            let (name, version) = (Reason::new(name), Reason::new(version));
            return Err(LoadError::Exports(format!(
                "it exports {PACKAGE}/{name}@{version}, and this runtime speaks version {VERSION}: rebuild it with the \
                 runtime's codec.wit"
            )));
        }
        let interface =
            |name: &str| component.get_export_index(None, &*format!("{PACKAGE}/{name}@{VERSION}"));
        let function = |interface: &ComponentExportIndex, name: &str| {
            component
                .get_export_index(Some(interface), name)
                .ok_or_else(|| LoadError::Exports(format!("its export lacks the function {name}")))
        };
        let optional = |name: &str, function_name: &str| {
            interface(name).map(|interface| function(&interface, function_name)).transpose()
        };
        let codec = interface("codec").ok_or_else(|| {
            LoadError::Exports(format!(
                "it does not export {PACKAGE}/codec@{VERSION}: a codec implements a world of codec.wit"
            ))
        })?;
        let pair = |name: &str, one: &str, other: &str| {
            let pair = |interface| -> Result<_, LoadError> {
                Ok((function(&interface, one)?, function(&interface, other)?))
            };
            interface(name).map(pair).transpose()
        };
        Ok(Self {
            describe: function(&codec, "describe")?,
            configure: function(&codec, "configure")?,
            open: function(&codec, "[static]session.open")?,
            decode: function(&codec, "[method]session.decode")?,
            encode: function(&codec, "[method]session.encode")?,
            batch: pair("batch", "decode-batch", "encode-batch")?,
            decode_stream: optional("framer", "decode-stream")?,
            secured: optional("tls-upgrade", "secured")?,
            answer: optional("handshake", "answer")?,
            abandoned: optional("requests", "abandoned")?,
            tick: optional("clock", "tick")?,
            farewell: optional("farewell", "farewell")?,
            broadcast: pair("broadcast", "broadcast-class", "encode-shared")?,
            handoff: pair("handoff", "save", "restore")?,
        })
    }

    pub(super) fn abilities(&self) -> Abilities {
        Abilities {
            batch: self.batch.is_some(),
            framer: self.decode_stream.is_some(),
            tls_upgrade: self.secured.is_some(),
            handshake: self.answer.is_some(),
            requests: self.abandoned.is_some(),
            clock: self.tick.is_some(),
            farewell: self.farewell.is_some(),
            broadcast: self.broadcast.is_some(),
            handoff: self.handoff.is_some(),
        }
    }

    pub(super) fn describe(
        &self,
        instance: &Instance,
        store: StoreContextMut<'_, State>,
    ) -> wasmtime::Result<Describe> {
        instance.get_typed_func(store, self.describe)
    }

    /// Returns the functions of one instance.
    ///
    /// # Errors
    /// Returns an error if their types are not those of the contract.
    pub(super) fn functions(
        &self,
        instance: &Instance,
        mut store: StoreContextMut<'_, State>,
    ) -> wasmtime::Result<(Opening, Functions)> {
        let store = &mut store;
        let opening = Opening {
            configure: get(instance, store, self.configure)?,
            open: get(instance, store, self.open)?,
            restore: self.handoff.map(|(_, restore)| get(instance, store, restore)).transpose()?,
            encode_shared: self.broadcast.map(|(_, encode)| get(instance, store, encode)).transpose()?,
        };
        let functions = Functions {
            decode: get(instance, store, self.decode)?,
            encode: get(instance, store, self.encode)?,
            decode_batch: self.batch.map(|(decode, _)| get(instance, store, decode)).transpose()?,
            encode_batch: self.batch.map(|(_, encode)| get(instance, store, encode)).transpose()?,
            decode_stream: self.decode_stream.map(|index| get(instance, store, index)).transpose()?,
            secured: self.secured.map(|index| get(instance, store, index)).transpose()?,
            answer: self.answer.map(|index| get(instance, store, index)).transpose()?,
            abandoned: self.abandoned.map(|index| get(instance, store, index)).transpose()?,
            tick: self.tick.map(|index| get(instance, store, index)).transpose()?,
            farewell: self.farewell.map(|index| get(instance, store, index)).transpose()?,
            broadcast_class: self.broadcast.map(|(class, _)| get(instance, store, class)).transpose()?,
            save: self.handoff.map(|(save, _)| get(instance, store, save)).transpose()?,
        };
        Ok((opening, functions))
    }
}

/// Returns the name and version of each interface of the contract that a component exports.
pub(super) fn interfaces(engine: &Engine, component: &Component) -> Vec<(String, String)> {
    let ty = component.component_type();
    let interface = |(name, _): (&str, _)| {
        let interface = name.strip_prefix(PACKAGE)?.strip_prefix('/')?;
        let (name, version) = interface.split_once('@').unwrap_or((interface, ""));
        Some((name.to_owned(), version.to_owned()))
    };
    ty.exports(engine).filter_map(interface).collect()
}

fn get<P, R>(
    instance: &Instance,
    store: &mut StoreContextMut<'_, State>,
    index: ComponentExportIndex,
) -> wasmtime::Result<TypedFunc<P, R>>
where
    P: ComponentNamedList + Lower,
    R: ComponentNamedList + Lift,
{
    instance.get_typed_func(store, index)
}
