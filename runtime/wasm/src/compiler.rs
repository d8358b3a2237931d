//! Compiles components: in this process, or in a worker process under limits of memory and time.
//!
//! A component can make a compiler take any amount of memory and time, and it may find a bug in it.
//! In a worker process none of that reaches the server: the worker is killed at its limits, and
//! whatever ends it is an error of this load alone. A few loads compile at once, some wait for
//! their turn, and more are refused.
//!
//! | file | its job |
//! |---|---|
//! | `error` | why a component was not compiled |
//! | `queue` | which load compiles next |
//! | `process` | the server's side of a worker: starts, watches, kills and reaps it |
//! | `worker` | the worker's side |

mod error;
mod process;
mod queue;
mod worker;

use std::cell::OnceCell;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::{Engine, OutOfMemory};

pub use self::error::CompileError;
pub use self::queue::{CompileJob, CompileState};
pub use self::worker::run_worker;

use self::queue::{Place, Queue};
use super::artifact::Artifact;
use super::features;
use crate::config::CompileConfig;
use wireplug_core::codec::Digest;

/// Where components are compiled, and how many at a time. Cheap to clone; clones share one queue.
#[derive(Clone, Debug)]
pub struct Compiler {
    /// None: in this process.
    program: Option<WorkerProgram>,
    limits: CompileConfig,
    queue: Arc<Queue>,
}

/// A program that compiles one component and ends: it calls [`run_worker`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerProgram {
    program: PathBuf,
    arguments: Vec<OsString>,
}

impl WorkerProgram {
    /// A program with its arguments. It must be built from the same version of this crate.
    pub fn new<A: Into<OsString>>(
        program: impl Into<PathBuf>,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        Self { program: program.into(), arguments: arguments.into_iter().map(Into::into).collect() }
    }

    /// The program that runs now, with other arguments. Linux starts the file that this process was
    /// started from, even if another one has taken its name since.
    pub fn this_program<A: Into<OsString>>(arguments: impl IntoIterator<Item = A>) -> Self {
        Self::new("/proc/self/exe", arguments)
    }
}

impl Compiler {
    /// Compiles in this process, for components that are trusted. Only [`CompileConfig::jobs`] and
    /// [`CompileConfig::waiting`] hold: nothing bounds the memory and the time of a compilation,
    /// and nothing can end it.
    pub fn in_process() -> Self {
        Self::new(None, CompileConfig::default())
    }

    /// Compiles each component in a process of its own, which this program starts, under the limits
    /// of [`CompileConfig`].
    ///
    /// The worker runs as the same user as this process and is no sandbox against machine code: its
    /// limits bound what a component can make a correct compiler do, and contain a crash of it.
    pub fn worker(program: WorkerProgram) -> Self {
        Self::new(Some(program), CompileConfig::default())
    }

    fn new(program: Option<WorkerProgram>, limits: CompileConfig) -> Self {
        Self { program, limits, queue: Arc::default() }
    }

    /// The same kind of compiler under these limits, with a queue of its own.
    #[must_use]
    pub fn limits(self, limits: &CompileConfig) -> Self {
        Self::new(self.program, limits.clone())
    }

    /// The loads that compile or wait for that, in the order in which they came.
    pub fn jobs(&self) -> Vec<CompileJob> {
        self.queue.jobs()
    }

    /// Ends all loads that wait or compile in a worker, within some milliseconds, and refuses
    /// further ones. What compiles in this process goes on to its end.
    pub fn stop(&self) {
        self.queue.stop();
    }

    /// [Stops](Self::stop) when it is dropped, unless it is disarmed before.
    pub fn stop_on_drop(&self) -> StopOnDrop {
        StopOnDrop(Some(self.clone()))
    }

    /// What one load needs to compile. It takes a place in the queue when it first compiles
    /// something.
    pub(super) fn load(&self, codec: Option<Arc<str>>, wasm: &[u8]) -> Load<'_> {
        Load { compiler: self, codec, component: Digest::of(wasm), size: wasm.len(), place: OnceCell::new() }
    }
}

/// See [`Compiler::stop_on_drop`].
#[must_use]
pub struct StopOnDrop(Option<Compiler>);

impl StopOnDrop {
    /// Lets the compiler go on.
    pub fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        if let Some(compiler) = &self.0 {
            compiler.stop();
        }
    }
}

/// One load of a component: all that it compiles runs in the one place that it has in the queue.
pub(super) struct Load<'a> {
    compiler: &'a Compiler,
    /// The codec that it is for.
    codec: Option<Arc<str>>,
    component: Digest,
    /// The size of the component, in bytes.
    size: usize,
    place: OnceCell<Place>,
}

/// What was compiled just now.
pub(super) struct Anew {
    pub(super) artifact: Artifact,
    /// How long it took, without the start of a worker.
    pub(super) took: Duration,
}

impl Load<'_> {
    /// Waits until it may compile. Returns at once if it has its place already.
    pub(super) fn wait(&self) -> Result<(), CompileError> {
        if self.place.get().is_none() {
            let Compiler { queue, limits, .. } = self.compiler;
            let place = queue.enter(limits, self.codec.clone(), self.component, self.size)?;
            // Nobody else has this load, so that nobody has set it meanwhile.
            let _ = self.place.set(place);
        }
        Ok(())
    }

    /// Compiles a component for engines that have the compiler settings of this one, which counts
    /// fuel if it is `metered`.
    pub(super) fn compile(&self, engine: &Engine, metered: bool, wasm: &[u8]) -> Result<Anew, CompileError> {
        self.wait()?;
        let Compiler { program, limits, queue } = self.compiler;
        match program {
            Some(program) => process::compile(program, limits, metered, wasm, || queue.is_stopped()),
            None => {
                let begun = Instant::now();
                Ok(Anew { artifact: compile_component(engine, wasm)?, took: begun.elapsed() })
            }
        }
    }
}

/// Compiles a component, whose bytes nobody has looked at, on the thread and in the process that it
/// is called in: a worker's or the server's.
///
/// What is checked before the compiler is checked here, so that it holds in both places.
fn compile_component(engine: &Engine, wasm: &[u8]) -> Result<Artifact, CompileError> {
    features::validate(wasm)?;
    Artifact::compile(engine, wasm).map_err(|error| match error.downcast_ref::<OutOfMemory>() {
        Some(_) => CompileError::OutOfMemory,
        None => CompileError::refused(&format!("it does not compile: {error:#}")),
    })
}
