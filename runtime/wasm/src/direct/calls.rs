//! The calls of one instance of a core module.

use std::sync::Arc;

use wasmtime::{Error, Instance, Memory, ModuleExport, Result, Store, TypedFunc, WasmParams, WasmResults};

use super::lift::{Answer, Lift};
use super::lower::{Arguments, List, Realloc};
use super::{Export, Exports};
use crate::guest::{Guest, Opened, no_session, not_exported};
use crate::sandbox::State;
use crate::types::{Description, Event, Fault};
use wireplug_core::codec::{Carrier, Cause, Encoded, Events, Frames, Instant, MessageRef, Messages, Peer};
use wireplug_core::framing::Packets;

/// A function of a core instance, which returns a pointer to its answer.
struct Function<P> {
    function: TypedFunc<P, u32>,
    post_return: Option<TypedFunc<u32, ()>>,
}

impl<P: WasmParams> Function<P> {
    fn find(instance: &Instance, store: &mut Store<State>, export: Export) -> Result<Self> {
        let post_return = export.post_return.map(|export| function(instance, store, &export)).transpose()?;
        Ok(Self { function: function(instance, store, &export.function)?, post_return })
    }
}

/// Returns a function of a core instance.
fn function<P: WasmParams, R: WasmResults>(
    instance: &Instance,
    store: &mut Store<State>,
    export: &ModuleExport,
) -> Result<TypedFunc<P, R>> {
    let function = instance.get_module_export(&mut *store, export).and_then(|export| export.into_func());
    function.ok_or_else(|| Error::msg("an export of its core module is not a function"))?.typed(store)
}

/// The parameters of `decode-batch` and of `encode-batch`: the session, two lists and the time.
type Batch = (u32, u32, u32, u32, u32, u64, u64);

/// The parameters of `decode-stream`: the session, a list and the time.
type Stream = (u32, u32, u32, u64, u64);

/// Finds a function that is kept for the life of the instance.
fn kept<P: WasmParams>(
    instance: &Instance,
    store: &mut Store<State>,
    export: Option<Export>,
) -> Result<Option<Function<P>>> {
    export.map(|export| Function::find(instance, store, export)).transpose()
}

/// An instance of the core module of a component.
pub(super) struct DirectGuest {
    instance: Instance,
    exports: Arc<Exports>,
    memory: Memory,
    realloc: Realloc,
    // Kept, because they are called for each packet. The others are found for each call.
    decode_batch: Option<Function<Batch>>,
    encode_batch: Option<Function<Batch>>,
    decode_stream: Option<Function<Stream>>,
    /// The largest size of an answer, in bytes of the host's memory.
    max_answer: usize,
    /// The number by which the guest knows its session: what it gets where the contract has
    /// `borrow<session>`.
    session: Option<u32>,
}

impl DirectGuest {
    /// Finds what is called for each packet in an instance that was just made.
    pub(super) fn new(
        instance: Instance,
        exports: Arc<Exports>,
        max_answer: usize,
        store: &mut Store<State>,
    ) -> Result<Self> {
        let memory = instance.get_module_export(&mut *store, &exports.memory);
        let memory = memory.and_then(|memory| memory.into_memory());
        let memory = memory.ok_or_else(|| Error::msg("its core module exports no memory"))?;
        let realloc = function(&instance, store, &exports.realloc)?;
        let decode_batch = kept(&instance, store, exports.decode_batch)?;
        let encode_batch = kept(&instance, store, exports.encode_batch)?;
        let decode_stream = kept(&instance, store, exports.decode_stream)?;
        Ok(Self {
            instance,
            exports,
            memory,
            realloc,
            decode_batch,
            encode_batch,
            decode_stream,
            max_answer,
            session: None,
        })
    }

    fn session(&self) -> Result<u32> {
        self.session.ok_or_else(no_session)
    }

    fn arguments<'a>(&'a self, store: &'a mut Store<State>) -> Arguments<'a> {
        Arguments { store, memory: self.memory, realloc: &self.realloc }
    }

    /// Calls a function whose arguments are in the guest's memory, and reads its answer.
    fn call<P: WasmParams, R: Lift>(
        &self,
        function: &Function<P>,
        store: &mut Store<State>,
        params: P,
    ) -> Result<R> {
        let pointer = function.function.call(&mut *store, params)?;
        let answer = Answer::new(self.memory.data(&*store), self.max_answer).read(pointer)?;
        if let Some(post_return) = &function.post_return {
            store.data_mut().handles.set_may_leave(false);
            post_return.call(&mut *store, pointer)?;
            store.data_mut().handles.set_may_leave(true);
        }
        Ok(answer)
    }

    /// Finds a function and calls it.
    fn call_once<P: WasmParams, R: Lift>(
        &self,
        export: Export,
        store: &mut Store<State>,
        params: P,
    ) -> Result<R> {
        let function = Function::find(&self.instance, store, export)?;
        self.call(&function, store, params)
    }

    /// Takes the session that an opening call has returned as a handle.
    fn opened(&mut self, store: &mut Store<State>, opened: Result<u32, String>) -> Result<Opened> {
        match opened {
            Ok(handle) => {
                self.session = Some(store.data_mut().handles.take(handle)?);
                Ok(Ok(()))
            }
            Err(reason) => Ok(Err(reason)),
        }
    }

    fn peer(&self, store: &mut Store<State>, peer: &Peer) -> Result<LoweredPeer> {
        let mut arguments = self.arguments(store);
        let carrier = match peer.carrier {
            Carrier::Bytes => 0,
            Carrier::Messages => 1,
            Carrier::Datagrams => 2,
        };
        Ok(LoweredPeer {
            carrier,
            transport: arguments.bytes(peer.transport.as_bytes())?,
            address: arguments.bytes(peer.address.as_bytes())?,
            dialed: peer.dialed.into(),
            max_packet: peer.max_packet,
            random_seed: arguments.bytes(&peer.random_seed)?,
            attributes: arguments.pairs(&peer.attributes)?,
        })
    }
}

/// A `peer` as parameters.
struct LoweredPeer {
    carrier: u32,
    transport: List,
    address: List,
    dialed: u32,
    max_packet: u32,
    random_seed: List,
    attributes: List,
}

/// Returns the position of a function, or the error for a function that is not exported.
fn exported(export: Option<Export>, name: &str) -> Result<Export> {
    export.ok_or_else(|| not_exported(name))
}

impl Guest for DirectGuest {
    fn describe(&self, store: &mut Store<State>) -> Result<Description> {
        self.call_once(self.exports.describe, store, ())
    }

    fn configure(&self, store: &mut Store<State>, options: &str) -> Result<Result<(), String>> {
        let options = self.arguments(store).bytes(options.as_bytes())?;
        self.call_once(self.exports.configure, store, options)
    }

    fn open(&mut self, store: &mut Store<State>, peer: Peer, now: Instant) -> Result<Opened> {
        let LoweredPeer { carrier, transport, address, dialed, max_packet, random_seed, attributes } =
            self.peer(store, &peer)?;
        let params = (
            carrier,
            transport.0,
            transport.1,
            address.0,
            address.1,
            dialed,
            max_packet,
            random_seed.0,
            random_seed.1,
            attributes.0,
            attributes.1,
            now.session_ms,
            now.unix_ms,
        );
        let opened = self.call_once(self.exports.open, store, params)?;
        self.opened(store, opened)
    }

    fn restore(
        &mut self,
        store: &mut Store<State>,
        peer: Peer,
        state: &[u8],
        now: Instant,
    ) -> Result<Opened> {
        let restore = exported(self.exports.restore, "restore")?;
        let LoweredPeer { carrier, transport, address, dialed, max_packet, random_seed, attributes } =
            self.peer(store, &peer)?;
        let state = self.arguments(store).bytes(state)?;
        let params = (
            carrier,
            transport.0,
            transport.1,
            address.0,
            address.1,
            dialed,
            max_packet,
            random_seed.0,
            random_seed.1,
            attributes.0,
            attributes.1,
            state.0,
            state.1,
            now.session_ms,
            now.unix_ms,
        );
        let restored = self.call_once(restore, store, params)?;
        self.opened(store, restored)
    }

    fn decode(
        &self,
        store: &mut Store<State>,
        packet: &[u8],
        now: Instant,
    ) -> Result<Result<Vec<Event>, Fault>> {
        let packet = self.arguments(store).bytes(packet)?;
        let params = (self.session()?, packet.0, packet.1, now.session_ms, now.unix_ms);
        self.call_once(self.exports.decode, store, params)
    }

    fn encode(
        &self,
        store: &mut Store<State>,
        message: MessageRef<'_>,
        now: Instant,
    ) -> Result<Result<Vec<Vec<u8>>, Fault>> {
        let MessageRef { role, id, route, body, status } = message;
        let mut arguments = self.arguments(store);
        let (route, body) = (arguments.bytes(route.as_bytes())?, arguments.bytes(body)?);
        let params = (
            self.session()?,
            role as u32,
            id,
            route.0,
            route.1,
            body.0,
            body.1,
            u32::from(status),
            now.session_ms,
            now.unix_ms,
        );
        self.call_once(self.exports.encode, store, params)
    }

    fn decode_batch(&self, store: &mut Store<State>, packets: &Arc<Packets>, now: Instant) -> Result<Events> {
        let decode_batch = self.decode_batch.as_ref().ok_or_else(|| not_exported("decode-batch"))?;
        let mut arguments = self.arguments(store);
        let (bytes, ends) = (arguments.bytes(&packets.bytes)?, arguments.list(&packets.ends)?);
        let params = (self.session()?, bytes.0, bytes.1, ends.0, ends.1, now.session_ms, now.unix_ms);
        self.call(decode_batch, store, params)
    }

    fn encode_batch(
        &self,
        store: &mut Store<State>,
        messages: &Arc<Messages>,
        now: Instant,
    ) -> Result<Result<Encoded, String>> {
        let encode_batch = self.encode_batch.as_ref().ok_or_else(|| not_exported("encode-batch"))?;
        let mut arguments = self.arguments(store);
        let (bytes, heads) = (arguments.bytes(&messages.bytes)?, arguments.list(&messages.heads)?);
        let params = (self.session()?, bytes.0, bytes.1, heads.0, heads.1, now.session_ms, now.unix_ms);
        self.call(encode_batch, store, params)
    }

    fn decode_stream(&self, store: &mut Store<State>, bytes: &Arc<Vec<u8>>, now: Instant) -> Result<Frames> {
        let decode_stream = self.decode_stream.as_ref().ok_or_else(|| not_exported("decode-stream"))?;
        let bytes = self.arguments(store).bytes(bytes)?;
        let params = (self.session()?, bytes.0, bytes.1, now.session_ms, now.unix_ms);
        self.call(decode_stream, store, params)
    }

    fn secured(
        &self,
        store: &mut Store<State>,
        attributes: &[(String, String)],
        now: Instant,
    ) -> Result<Vec<Event>> {
        let secured = exported(self.exports.secured, "secured")?;
        let attributes = self.arguments(store).pairs(attributes)?;
        let params = (self.session()?, attributes.0, attributes.1, now.session_ms, now.unix_ms);
        self.call_once(secured, store, params)
    }

    fn answer(&self, store: &mut Store<State>, status: u16, body: &[u8], now: Instant) -> Result<Vec<Event>> {
        let answer = exported(self.exports.answer, "answer")?;
        let body = self.arguments(store).bytes(body)?;
        let params = (self.session()?, u32::from(status), body.0, body.1, now.session_ms, now.unix_ms);
        self.call_once(answer, store, params)
    }

    fn abandoned(&self, store: &mut Store<State>, id: u64, now: Instant) -> Result<Vec<Event>> {
        let abandoned = exported(self.exports.abandoned, "abandoned")?;
        self.call_once(abandoned, store, (self.session()?, id, now.session_ms, now.unix_ms))
    }

    fn tick(&self, store: &mut Store<State>, now: Instant) -> Result<Vec<Event>> {
        let tick = exported(self.exports.tick, "tick")?;
        self.call_once(tick, store, (self.session()?, now.session_ms, now.unix_ms))
    }

    fn farewell(
        &self,
        store: &mut Store<State>,
        cause: Cause,
        reason: &str,
        now: Instant,
    ) -> Result<Vec<Event>> {
        let farewell = exported(self.exports.farewell, "farewell")?;
        let reason = self.arguments(store).bytes(reason.as_bytes())?;
        let params = (self.session()?, cause as u32, reason.0, reason.1, now.session_ms, now.unix_ms);
        self.call_once(farewell, store, params)
    }

    fn broadcast_class(&self, store: &mut Store<State>) -> Result<Option<u32>> {
        let broadcast_class = exported(self.exports.broadcast_class, "broadcast-class")?;
        self.call_once(broadcast_class, store, self.session()?)
    }

    fn encode_shared(
        &self,
        store: &mut Store<State>,
        class: u32,
        message: MessageRef<'_>,
    ) -> Result<Result<Vec<Vec<u8>>, String>> {
        let encode_shared = exported(self.exports.encode_shared, "encode-shared")?;
        let MessageRef { role, id, route, body, status } = message;
        let mut arguments = self.arguments(store);
        let (route, body) = (arguments.bytes(route.as_bytes())?, arguments.bytes(body)?);
        let params = (class, role as u32, id, route.0, route.1, body.0, body.1, u32::from(status));
        self.call_once(encode_shared, store, params)
    }

    fn save(&self, store: &mut Store<State>) -> Result<Result<Vec<u8>, String>> {
        let save = exported(self.exports.save, "save")?;
        self.call_once(save, store, self.session()?)
    }
}
