//! Compiles components: in this process, or in a worker process under limits of memory and time.
//!
//! A component can make a compiler take any amount of memory and time, and may trigger a bug in it.
//! In a worker process none of this affects the server: the worker is killed at its limits, and its
//! end is an error of this load alone. A few loads compile at once, some wait for their turn, and
//! more are refused.
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

/// The compiler: where components are compiled, and how many at a time. Cheap to clone; clones
/// share one queue.
#[derive(Clone, Debug)]
pub struct Compiler {
    /// The program of the workers. If `None`, components are compiled in this process.
    program: Option<WorkerProgram>,
    limits: CompileConfig,
    queue: Arc<Queue>,
}

/// A program that compiles one component and then exits. It calls [`run_worker`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerProgram {
    program: PathBuf,
    arguments: Vec<OsString>,
}

impl WorkerProgram {
    /// Creates a worker program with its arguments. The program must be built from the same version
    /// of this crate.
    pub fn new<A: Into<OsString>>(
        program: impl Into<PathBuf>,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        Self { program: program.into(), arguments: arguments.into_iter().map(Into::into).collect() }
    }

    /// Uses the program that runs now, with other arguments. Linux starts the file from which this
    /// process was started, even if another file has replaced it since.
    pub fn this_program<A: Into<OsString>>(arguments: impl IntoIterator<Item = A>) -> Self {
        Self::new("/proc/self/exe", arguments)
    }
}

impl Compiler {
    /// Creates a compiler in this process, for trusted components. Only [`CompileConfig::jobs`] and
    /// [`CompileConfig::waiting`] apply: nothing bounds the memory and the time of a compilation,
    /// and nothing can stop it.
    pub fn in_process() -> Self {
        Self::new(None, CompileConfig::default())
    }

    /// Creates a compiler that compiles each component in a separate process. It starts this
    /// program, under the limits of [`CompileConfig`].
    ///
    /// The worker runs as the same user as this process, and is no sandbox for machine code. Its
    /// limits bound what a component can make a correct compiler do, and a crash of the compiler
    /// stays in the worker.
    pub fn worker(program: WorkerProgram) -> Self {
        Self::new(Some(program), CompileConfig::default())
    }

    fn new(program: Option<WorkerProgram>, limits: CompileConfig) -> Self {
        Self { program, limits, queue: Arc::default() }
    }

    /// Returns the same kind of compiler with these limits, and with a queue of its own.
    #[must_use]
    pub fn limits(self, limits: &CompileConfig) -> Self {
        Self::new(self.program, limits.clone())
    }

    /// Returns the loads that compile or wait to compile, in the order in which they came.
    pub fn jobs(&self) -> Vec<CompileJob> {
        self.queue.jobs()
    }

    /// Ends all loads that wait or compile in a worker, within a few milliseconds, and refuses
    /// further loads. A compilation in this process continues to its end.
    pub fn stop(&self) {
        self.queue.stop();
    }

    /// Returns a guard that [stops](Self::stop) the compiler when it is dropped, unless it is
    /// disarmed before.
    pub fn stop_on_drop(&self) -> StopOnDrop {
        StopOnDrop(Some(self.clone()))
    }

    /// Prepares one load. The load takes a place in the queue when it first compiles something.
    pub(super) fn load(&self, codec: Option<Arc<str>>, wasm: &[u8]) -> Load<'_> {
        Load { compiler: self, codec, component: Digest::of(wasm), size: wasm.len(), place: OnceCell::new() }
    }
}

/// A guard that stops a compiler when it is dropped. See [`Compiler::stop_on_drop`].
#[must_use]
pub struct StopOnDrop(Option<Compiler>);

impl StopOnDrop {
    /// Drops the guard without stopping the compiler.
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

/// One load of a component. It takes one place in the queue for everything that it compiles.
pub(super) struct Load<'a> {
    compiler: &'a Compiler,
    /// The name of the codec.
    codec: Option<Arc<str>>,
    component: Digest,
    /// The size of the component, in bytes.
    size: usize,
    place: OnceCell<Place>,
}

/// The result of a compilation.
pub(super) struct Anew {
    pub(super) artifact: Artifact,
    /// The time of the compilation, without the start of a worker.
    pub(super) took: Duration,
}

impl Load<'_> {
    /// Waits until the load may compile. Returns at once if the load already has its place.
    pub(super) fn wait(&self) -> Result<(), CompileError> {
        if self.place.get().is_none() {
            let Compiler { queue, limits, .. } = self.compiler;
            let place = queue.enter(limits, self.codec.clone(), self.component, self.size)?;
            // This load is not shared, so the cell is still empty.
            let _ = self.place.set(place);
        }
        Ok(())
    }

    /// Compiles a component for engines with the compiler settings of this one. The code counts
    /// fuel if `metered` is true.
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

/// Compiles a component whose bytes were not checked before. Runs on the calling thread, in a
/// worker or in the server's process.
///
/// All checks before the compiler are in this function, so that they apply in both processes.
fn compile_component(engine: &Engine, wasm: &[u8]) -> Result<Artifact, CompileError> {
    features::validate(wasm)?;
    Artifact::compile(engine, wasm).map_err(|error| match error.downcast_ref::<OutOfMemory>() {
        Some(_) => CompileError::OutOfMemory,
        None => CompileError::refused(&format!("it does not compile: {error:#}")),
    })
}
