//! Snapshots of configured components: a component is configured in one sandbox, and the content of
//! that sandbox's memory then becomes the component's own data.
//!
//! So no session has to parse options when it opens, and the result of parsing lies in pages that
//! all sandboxes share until one of them writes there. If a component cannot be read out in this
//! way, each of its sandboxes is configured separately.

use std::future::{Future, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};

use anyhow::{Context as _, bail, ensure};
use futures_util::FutureExt as _;
use wasmtime::component::{ComponentNamedList, Lift, WasmList};
use wasmtime::{AsContext as _, Store};
use wasmtime_wizer::{ComponentInstanceState, Wizer};

use super::sandbox::{Sandbox, State};
use wireplug_core::codec::CodecError;

/// The largest component that is made readable, in bytes. This runs in this process and takes
/// several times the component's size. Compilers for small codecs produce 2 MB or less.
const MAX_READABLE: usize = 16 << 20;

/// A component whose memory and globals can be read out.
pub(super) struct Readable<'a> {
    wizer: Wizer,
    context: wasmtime_wizer::ComponentContext<'a>,
    /// The same component, which also exports its memory and its globals.
    pub(super) component: Vec<u8>,
}

impl<'a> Readable<'a> {
    /// Makes a component readable.
    ///
    /// # Errors
    /// Returns an error if the component is too large, or if it cannot be read out, for example
    /// because it changes its tables.
    pub(super) fn new(wasm: &'a [u8]) -> anyhow::Result<Self> {
        ensure!(wasm.len() <= MAX_READABLE, "it has more than {MAX_READABLE} bytes");
        let mut wizer = Wizer::new();
        wizer.keep_init_func(true);
        let (context, component) = guarded(|| wizer.instrument_component(wasm).map_err(anyhow::Error::msg))?;
        Ok(Self { wizer, context, component })
    }

    /// Returns the component with the current state of its instance in this sandbox as its initial
    /// state.
    pub(super) fn snapshot(&self, sandbox: &mut Sandbox) -> anyhow::Result<Vec<u8>> {
        let mut instance = Instance { sandbox, failed: None };
        let snapshot = guarded(|| {
            let snapshot = self.wizer.snapshot_component(&self.context, &mut instance);
            snapshot.now_or_never().context("it waits for something")?.map_err(anyhow::Error::msg)
        });
        match instance.failed {
            Some(error) => Err(error.into()),
            None => snapshot,
        }
    }
}

/// Runs code that may panic on an unexpected component, and turns a panic into an error. Such a
/// component cannot be read out.
fn guarded<T>(work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => done,
        Err(_) => bail!("it is of an unexpected kind"),
    }
}

/// The instance whose state is read out.
struct Instance<'a> {
    sandbox: &'a mut Sandbox,
    failed: Option<CodecError>,
}

impl Instance<'_> {
    /// Calls a function that reads a part of the state, and passes the result to `take`.
    fn read<R>(&mut self, instance: &str, function: &str, take: impl FnOnce(&mut Store<State>, R))
    where
        R: Lift + 'static,
        (R,): ComponentNamedList + Lift,
    {
        let read = self.sandbox.call(|guest, store| {
            let handle = guest.component().expect("a readable component is called through the component API");
            let found = handle.get_export_index(&mut *store, None, instance).and_then(|instance| {
                let function = handle.get_export_index(&mut *store, Some(&instance), function)?;
                handle.get_typed_func::<(), (R,)>(&mut *store, function).ok()
            });
            let function = found.expect("a readable component exports what it is read out by");
            let (value,) = function.call(&mut *store, ())?;
            take(store, value);
            Ok(())
        });
        self.failed = read.err().or(self.failed.take());
    }

    fn number<R: Lift + Default + Send + 'static>(
        &mut self,
        instance: &str,
        function: &str,
    ) -> impl Future<Output = R> + Send + use<R>
    where
        (R,): ComponentNamedList + Lift,
    {
        let mut number = R::default();
        self.read(instance, function, |_, value| number = value);
        ready(number)
    }
}

impl ComponentInstanceState for Instance<'_> {
    async fn call_func_ret_list_u8(
        &mut self,
        instance: &str,
        func: &str,
        contents: impl FnOnce(&[u8]) + Send,
    ) {
        self.read(instance, func, |store, bytes: WasmList<u8>| {
            contents(bytes.as_le_slice(store.as_context()));
        });
    }

    fn call_func_ret_s32(&mut self, instance: &str, func: &str) -> impl Future<Output = i32> + Send {
        self.number(instance, func)
    }

    fn call_func_ret_s64(&mut self, instance: &str, func: &str) -> impl Future<Output = i64> + Send {
        self.number(instance, func)
    }

    fn call_func_ret_f32(&mut self, instance: &str, func: &str) -> impl Future<Output = u32> + Send {
        self.number::<f32>(instance, func).map(f32::to_bits)
    }

    fn call_func_ret_f64(&mut self, instance: &str, func: &str) -> impl Future<Output = u64> + Send {
        self.number::<f64>(instance, func).map(f64::to_bits)
    }
}
