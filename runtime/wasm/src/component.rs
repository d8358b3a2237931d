//! The functions of a codec, called through wasmtime's component API: for every component, and the
//! reference for [direct calls](super::direct).
//!
//! Functions are found by name once for each codec, when it is loaded, and by index once for each
//! sandbox.

use std::sync::Arc;

use wasmtime::component::{
    Component, ComponentExportIndex, ComponentNamedList, Instance, InstancePre, Lift, Lower, ResourceAny,
    TypedFunc,
};
use wasmtime::{Engine, Store};

use super::error::LoadError;
use super::guest::{self, Guest, Opened};
use super::sandbox::{Linked, State};
use super::types::{Description, Event, Fault, Message, Peer};
use wireplug_core::codec::{
    self, Abilities, Cause, Encoded, Events, Frames, Instant, MessageRef, Messages, Reason,
};
use wireplug_core::framing::Packets;

/// The package of the contract. `VERSION` is the version that this module implements.
pub(super) const PACKAGE: &str = "wireplug:codec";
pub(super) const VERSION: &str = "0.2.0";

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
type EncodeShared = TypedFunc<(u32, Message), (Result<Vec<Vec<u8>>, String>,)>;
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

/// The functions of one instance, by the name of the contract.
struct Functions {
    describe: Describe,
    configure: Configure,
    open: Open,
    decode: Decode,
    encode: Encode,
    decode_batch: Option<DecodeBatch>,
    encode_batch: Option<EncodeBatch>,
    decode_stream: Option<DecodeStream>,
    secured: Option<Secured>,
    answer: Option<Answer>,
    abandoned: Option<Abandoned>,
    tick: Option<Tick>,
    farewell: Option<Farewell>,
    broadcast_class: Option<BroadcastClass>,
    encode_shared: Option<EncodeShared>,
    save: Option<Save>,
    restore: Option<Restore>,
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

    /// Returns the functions of one instance.
    ///
    /// # Errors
    /// Returns an error if their types are not those of the contract.
    fn functions(&self, instance: &Instance, store: &mut Store<State>) -> wasmtime::Result<Functions> {
        let (decode_batch, encode_batch) = self.batch.unzip();
        let (broadcast_class, encode_shared) = self.broadcast.unzip();
        let (save, restore) = self.handoff.unzip();
        Ok(Functions {
            describe: get(instance, store, self.describe)?,
            configure: get(instance, store, self.configure)?,
            open: get(instance, store, self.open)?,
            decode: get(instance, store, self.decode)?,
            encode: get(instance, store, self.encode)?,
            decode_batch: decode_batch.map(|index| get(instance, store, index)).transpose()?,
            encode_batch: encode_batch.map(|index| get(instance, store, index)).transpose()?,
            decode_stream: self.decode_stream.map(|index| get(instance, store, index)).transpose()?,
            secured: self.secured.map(|index| get(instance, store, index)).transpose()?,
            answer: self.answer.map(|index| get(instance, store, index)).transpose()?,
            abandoned: self.abandoned.map(|index| get(instance, store, index)).transpose()?,
            tick: self.tick.map(|index| get(instance, store, index)).transpose()?,
            farewell: self.farewell.map(|index| get(instance, store, index)).transpose()?,
            broadcast_class: broadcast_class.map(|index| get(instance, store, index)).transpose()?,
            encode_shared: encode_shared.map(|index| get(instance, store, index)).transpose()?,
            save: save.map(|index| get(instance, store, index)).transpose()?,
            restore: restore.map(|index| get(instance, store, index)).transpose()?,
        })
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
    store: &mut Store<State>,
    index: ComponentExportIndex,
) -> wasmtime::Result<TypedFunc<P, R>>
where
    P: ComponentNamedList + Lower,
    R: ComponentNamedList + Lift,
{
    instance.get_typed_func(store, index)
}

/// A component, linked.
pub(super) struct LinkedComponent {
    pub(super) pre: InstancePre<State>,
    pub(super) exports: Exports,
}

impl Linked for LinkedComponent {
    fn engine(&self) -> &Engine {
        self.pre.engine()
    }

    fn instantiate(&self, store: &mut Store<State>) -> wasmtime::Result<Box<dyn Guest>> {
        let instance = self.pre.instantiate(&mut *store)?;
        let functions = self.exports.functions(&instance, store).map_err(|error| {
            wasmtime::Error::msg(format!("its types are not those of the contract: {error:#}"))
        })?;
        Ok(Box::new(ComponentGuest { instance, functions, session: None }))
    }
}

/// An instance of a component.
struct ComponentGuest {
    instance: Instance,
    functions: Functions,
    session: Option<ResourceAny>,
}

impl ComponentGuest {
    fn session(&self) -> wasmtime::Result<ResourceAny> {
        self.session.ok_or_else(guest::no_session)
    }

    fn opened(&mut self, opened: Result<ResourceAny, String>) -> Opened {
        opened.map(|session| self.session = Some(session))
    }
}

impl Guest for ComponentGuest {
    fn describe(&self, store: &mut Store<State>) -> wasmtime::Result<Description> {
        call(&self.functions.describe, store, ())
    }

    fn configure(&self, store: &mut Store<State>, options: &str) -> wasmtime::Result<Result<(), String>> {
        call(&self.functions.configure, store, (options.to_owned(),))
    }

    fn open(
        &mut self,
        store: &mut Store<State>,
        peer: codec::Peer,
        now: Instant,
    ) -> wasmtime::Result<Opened> {
        let opened = call(&self.functions.open, store, (peer.into(), now))?;
        Ok(self.opened(opened))
    }

    fn restore(
        &mut self,
        store: &mut Store<State>,
        peer: codec::Peer,
        state: &[u8],
        now: Instant,
    ) -> wasmtime::Result<Opened> {
        let restore = exported(&self.functions.restore, "restore")?;
        let restored = call(restore, store, (peer.into(), state.to_vec(), now))?;
        Ok(self.opened(restored))
    }

    fn decode(
        &self,
        store: &mut Store<State>,
        packet: &[u8],
        now: Instant,
    ) -> wasmtime::Result<Result<Vec<Event>, Fault>> {
        call(&self.functions.decode, store, (self.session()?, packet.to_vec(), now))
    }

    fn encode(
        &self,
        store: &mut Store<State>,
        message: MessageRef<'_>,
        now: Instant,
    ) -> wasmtime::Result<Result<Vec<Vec<u8>>, Fault>> {
        call(&self.functions.encode, store, (self.session()?, message.into(), now))
    }

    fn decode_batch(
        &self,
        store: &mut Store<State>,
        packets: &Arc<Packets>,
        now: Instant,
    ) -> wasmtime::Result<Events> {
        let decode_batch = exported(&self.functions.decode_batch, "decode-batch")?;
        call(decode_batch, store, (self.session()?, Arc::clone(packets), now))
    }

    fn encode_batch(
        &self,
        store: &mut Store<State>,
        messages: &Arc<Messages>,
        now: Instant,
    ) -> wasmtime::Result<Result<Encoded, String>> {
        let encode_batch = exported(&self.functions.encode_batch, "encode-batch")?;
        call(encode_batch, store, (self.session()?, Arc::clone(messages), now))
    }

    fn decode_stream(
        &self,
        store: &mut Store<State>,
        bytes: &Arc<Vec<u8>>,
        now: Instant,
    ) -> wasmtime::Result<Frames> {
        let decode_stream = exported(&self.functions.decode_stream, "decode-stream")?;
        call(decode_stream, store, (self.session()?, Arc::clone(bytes), now))
    }

    fn secured(
        &self,
        store: &mut Store<State>,
        attributes: &[(String, String)],
        now: Instant,
    ) -> wasmtime::Result<Vec<Event>> {
        let secured = exported(&self.functions.secured, "secured")?;
        call(secured, store, (self.session()?, attributes.to_vec(), now))
    }

    fn answer(
        &self,
        store: &mut Store<State>,
        status: u16,
        body: &[u8],
        now: Instant,
    ) -> wasmtime::Result<Vec<Event>> {
        let answer = exported(&self.functions.answer, "answer")?;
        call(answer, store, (self.session()?, status, body.to_vec(), now))
    }

    fn abandoned(&self, store: &mut Store<State>, id: u64, now: Instant) -> wasmtime::Result<Vec<Event>> {
        let abandoned = exported(&self.functions.abandoned, "abandoned")?;
        call(abandoned, store, (self.session()?, id, now))
    }

    fn tick(&self, store: &mut Store<State>, now: Instant) -> wasmtime::Result<Vec<Event>> {
        let tick = exported(&self.functions.tick, "tick")?;
        call(tick, store, (self.session()?, now))
    }

    fn farewell(
        &self,
        store: &mut Store<State>,
        cause: Cause,
        reason: &str,
        now: Instant,
    ) -> wasmtime::Result<Vec<Event>> {
        let farewell = exported(&self.functions.farewell, "farewell")?;
        call(farewell, store, (self.session()?, cause, reason.to_owned(), now))
    }

    fn broadcast_class(&self, store: &mut Store<State>) -> wasmtime::Result<Option<u32>> {
        let broadcast_class = exported(&self.functions.broadcast_class, "broadcast-class")?;
        call(broadcast_class, store, (self.session()?,))
    }

    fn encode_shared(
        &self,
        store: &mut Store<State>,
        class: u32,
        message: MessageRef<'_>,
    ) -> wasmtime::Result<Result<Vec<Vec<u8>>, String>> {
        let encode_shared = exported(&self.functions.encode_shared, "encode-shared")?;
        call(encode_shared, store, (class, message.into()))
    }

    fn save(&self, store: &mut Store<State>) -> wasmtime::Result<Result<Vec<u8>, String>> {
        let save = exported(&self.functions.save, "save")?;
        call(save, store, (self.session()?,))
    }

    fn component(&self) -> Option<Instance> {
        Some(self.instance)
    }
}

fn exported<'a, F>(function: &'a Option<F>, name: &str) -> wasmtime::Result<&'a F> {
    function.as_ref().ok_or_else(|| guest::not_exported(name))
}

fn call<P, R>(function: &TypedFunc<P, (R,)>, store: &mut Store<State>, params: P) -> wasmtime::Result<R>
where
    P: ComponentNamedList + Lower,
    (R,): ComponentNamedList + Lift,
{
    function.call(store, params).map(|(result,)| result)
}
