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
use wireplug_core::codec::{self, Abilities, Encoded, Events, MessageRef, Messages, Reason};
use wireplug_core::framing::Packets;

/// The package of the contract. `VERSION` is the version that this module implements.
const PACKAGE: &str = "wireplug:codec";
pub(super) const VERSION: &str = "0.1.0";

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
pub(super) enum MessageUnit {
    #[component(name = "refused")]
    Refused,
    #[component(name = "one")]
    One,
    #[component(name = "framed")]
    Framed,
    #[component(name = "bytes")]
    Bytes,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct Description {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) framing: Option<Framing>,
    pub(super) message: MessageUnit,
    pub(super) text: bool,
    pub(super) json: bool,
    pub(super) handshake: bool,
    pub(super) merges: bool,
}

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
pub(super) struct Message {
    pub(super) id: Option<u64>,
    pub(super) route: String,
    pub(super) body: Vec<u8>,
    pub(super) status: u16,
}

impl From<MessageRef<'_>> for Message {
    fn from(message: MessageRef<'_>) -> Self {
        let MessageRef { id, route, body, status } = message;
        Self { id, route: route.to_owned(), body: body.to_vec(), status }
    }
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
    #[component(name = "wake")]
    Wake(u32),
    #[component(name = "close")]
    Close(String),
}

#[derive(ComponentType, Lift)]
#[component(variant)]
pub(super) enum Fault {
    #[component(name = "rejected")]
    Rejected(String),
    #[component(name = "fatal")]
    Fatal(String),
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct Peer {
    pub(super) transport: String,
    pub(super) address: String,
    pub(super) entropy: Vec<u8>,
    pub(super) attributes: Vec<(String, String)>,
}

impl From<codec::Peer> for Peer {
    fn from(peer: codec::Peer) -> Self {
        Self {
            transport: peer.transport,
            address: peer.address,
            entropy: peer.entropy.to_vec(),
            attributes: peer.attributes,
        }
    }
}

// === functions ===

type Describe = TypedFunc<(), (Description,)>;
type Configure = TypedFunc<(String,), (Result<(), String>,)>;
type Open = TypedFunc<(Peer, u64), (Result<ResourceAny, String>,)>;
type Decode = TypedFunc<(ResourceAny, Vec<u8>, u64), (Result<Vec<Event>, Fault>,)>;
type Encode = TypedFunc<(ResourceAny, Message, u64), (Result<Option<Vec<u8>>, Fault>,)>;
type DecodeBatch = TypedFunc<(ResourceAny, Arc<Packets>, u64), (Events,)>;
type EncodeBatch = TypedFunc<(ResourceAny, Arc<Messages>, u64), (Result<Encoded, String>,)>;
type Answer = TypedFunc<(ResourceAny, u16, Vec<u8>, u64), (Vec<Event>,)>;
type Tick = TypedFunc<(ResourceAny, u64), (Vec<Event>,)>;
type Farewell = TypedFunc<(ResourceAny, String, u64), (Option<Vec<u8>>,)>;
type ShareClass = TypedFunc<(ResourceAny,), (Option<u32>,)>;
pub(super) type EncodeShared = TypedFunc<(u32, Message), (Result<Option<Vec<u8>>, String>,)>;
type Save = TypedFunc<(ResourceAny,), (Result<Vec<u8>, String>,)>;
type Restore = TypedFunc<(Peer, Vec<u8>, u64), (Result<ResourceAny, String>,)>;

/// The exports of a component at which its functions are found. They are looked up once, when the
/// component is loaded.
pub(super) struct Exports {
    describe: ComponentExportIndex,
    configure: ComponentExportIndex,
    open: ComponentExportIndex,
    decode: ComponentExportIndex,
    encode: ComponentExportIndex,
    batch: Option<(ComponentExportIndex, ComponentExportIndex)>,
    answer: Option<ComponentExportIndex>,
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
    pub(super) answer: Option<Answer>,
    pub(super) tick: Option<Tick>,
    pub(super) farewell: Option<Farewell>,
    pub(super) share_class: Option<ShareClass>,
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
            answer: optional("handshake", "answer")?,
            tick: optional("clock", "tick")?,
            farewell: optional("farewell", "farewell")?,
            broadcast: pair("broadcast", "share-class", "encode-shared")?,
            handoff: pair("handoff", "save", "restore")?,
        })
    }

    pub(super) fn abilities(&self) -> Abilities {
        Abilities {
            batch: self.batch.is_some(),
            handshake: self.answer.is_some(),
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
            answer: self.answer.map(|index| get(instance, store, index)).transpose()?,
            tick: self.tick.map(|index| get(instance, store, index)).transpose()?,
            farewell: self.farewell.map(|index| get(instance, store, index)).transpose()?,
            share_class: self.broadcast.map(|(class, _)| get(instance, store, class)).transpose()?,
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
