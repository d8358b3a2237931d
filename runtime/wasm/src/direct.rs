//! Direct calls: the functions of a codec, called through wasmtime's core API. This module does
//! what the component API would do, the canonical ABI, in a third of its time.
//!
//! Only a component that is one core module, with intrinsics for its resource as its only imports,
//! can be called in this way ([`Shape`]). Every other component is called [through the component
//! API](super::component), which is the reference: both give the same answers, and differential
//! tests compare them. A component is validated, and its types are checked, before it gets here.
//!
//! | file | its job |
//! |---|---|
//! | `shape` | which components can be called directly, and which core function is which |
//! | `lower` | arguments: into the guest's memory |
//! | `lift` | answers: out of the guest's memory, with all their checks |
//! | `calls` | the calls of one instance |
//! | `handles` | the guest's table of handles |

mod calls;
mod handles;
mod lift;
mod lower;
mod shape;

use std::sync::Arc;

use wasmtime::{Caller, Engine, Error, InstancePre, Linker, Module, ModuleExport, Result, Store};

pub(super) use self::handles::Handles;
pub(super) use self::lift::Oversized;
pub(super) use self::shape::Shape;

use self::calls::DirectGuest;
use self::shape::Lifted;
use super::component::{PACKAGE, VERSION};
use super::guest::{Guest, not_exported};
use super::sandbox::{Linked, State};

/// An intrinsic of the Component Model for the resource that a component defines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Intrinsic {
    /// `resource.new`.
    New,
    /// `resource.rep`.
    Rep,
    /// `resource.drop`.
    Drop,
}

/// The core module of a component, linked.
pub(super) struct DirectCodec {
    pre: InstancePre<State>,
    exports: Arc<Exports>,
    /// The largest size of an answer, in bytes of the host's memory.
    max_answer: usize,
}

/// The positions of the exports of a core module.
struct Exports {
    memory: ModuleExport,
    realloc: ModuleExport,
    describe: Export,
    configure: Export,
    open: Export,
    decode: Export,
    encode: Export,
    decode_batch: Option<Export>,
    encode_batch: Option<Export>,
    decode_stream: Option<Export>,
    secured: Option<Export>,
    answer: Option<Export>,
    abandoned: Option<Export>,
    tick: Option<Export>,
    farewell: Option<Export>,
    broadcast_class: Option<Export>,
    encode_shared: Option<Export>,
    save: Option<Export>,
    restore: Option<Export>,
}

/// The position of a function, and of the function that is called when its answer has been read.
#[derive(Clone, Copy)]
struct Export {
    function: ModuleExport,
    post_return: Option<ModuleExport>,
}

impl DirectCodec {
    /// Links the core module of a component of this shape. An answer may take `max_answer` bytes of
    /// the host's memory.
    ///
    /// # Errors
    /// Returns an error if the module is not the one of the shape.
    pub(super) fn link(module: &Module, shape: &Shape, max_answer: usize) -> Result<Self> {
        let mut linker = Linker::new(module.engine());
        let codec = format!("{PACKAGE}/codec@{VERSION}");
        // A component names its destructor before there is a core instance, so it is linked through
        // a table, and found here by its name.
        let destructor = module.get_export_index(&format!("{codec}#[dtor]session"));
        for (from, name, intrinsic) in &shape.imports {
            match intrinsic {
                Intrinsic::New => {
                    linker.func_wrap(from, name, |mut caller: Caller<'_, State>, rep: u32| {
                        caller.data_mut().handles.create(rep)
                    })?
                }
                Intrinsic::Rep => {
                    linker.func_wrap(from, name, |caller: Caller<'_, State>, handle: u32| {
                        caller.data().handles.rep(handle)
                    })?
                }
                Intrinsic::Drop => {
                    linker.func_wrap(from, name, move |caller: Caller<'_, State>, handle: u32| {
                        drop_session(caller, handle, destructor)
                    })?
                }
            };
        }
        let export = |name: &str| {
            module
                .get_export_index(name)
                .ok_or_else(|| Error::msg(format!("its core module does not export {name}")))
        };
        let find = |interface: &str, name: &str| {
            let function = (format!("{PACKAGE}/{interface}@{VERSION}"), name.to_owned());
            let Some(Lifted { core, post_return }) = shape.functions.get(&function) else { return Ok(None) };
            let post_return = post_return.as_deref().map(export).transpose()?;
            Ok::<_, Error>(Some(Export { function: export(core)?, post_return }))
        };
        let needed = |name: &str| find("codec", name)?.ok_or_else(|| not_exported(name));
        let exports = Exports {
            memory: export(&shape.memory)?,
            realloc: export(&shape.realloc)?,
            describe: needed("describe")?,
            configure: needed("configure")?,
            open: needed("[static]session.open")?,
            decode: needed("[method]session.decode")?,
            encode: needed("[method]session.encode")?,
            decode_batch: find("batch", "decode-batch")?,
            encode_batch: find("batch", "encode-batch")?,
            decode_stream: find("framer", "decode-stream")?,
            secured: find("tls-upgrade", "secured")?,
            answer: find("handshake", "answer")?,
            abandoned: find("requests", "abandoned")?,
            tick: find("clock", "tick")?,
            farewell: find("farewell", "farewell")?,
            broadcast_class: find("broadcast", "broadcast-class")?,
            encode_shared: find("broadcast", "encode-shared")?,
            save: find("handoff", "save")?,
            restore: find("handoff", "restore")?,
        };
        Ok(Self { pre: linker.instantiate_pre(module)?, exports: Arc::new(exports), max_answer })
    }
}

/// Drops a handle, and calls the guest's destructor, if it has one.
fn drop_session(mut caller: Caller<'_, State>, handle: u32, destructor: Option<ModuleExport>) -> Result<()> {
    let rep = caller.data_mut().handles.drop_handle(handle)?;
    let Some(destructor) = destructor.and_then(|export| caller.get_module_export(&export)) else {
        return Ok(());
    };
    let destructor = destructor.into_func().ok_or_else(|| Error::msg("the destructor is not a function"))?;
    destructor.typed::<u32, ()>(&caller)?.call(caller, rep)
}

impl Linked for DirectCodec {
    fn engine(&self) -> &Engine {
        self.pre.module().engine()
    }

    fn instantiate(&self, store: &mut Store<State>) -> Result<Box<dyn Guest>> {
        let instance = self.pre.instantiate(&mut *store)?;
        let guest = DirectGuest::new(instance, Arc::clone(&self.exports), self.max_answer, store)?;
        Ok(Box::new(guest))
    }
}
