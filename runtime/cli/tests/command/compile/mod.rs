//! Compiling in worker processes: their limits, the queue, other work in the meantime, and their
//! end. The tests use the real worker.

mod attacks;
mod children;
mod ends;
mod limits;
mod misfits;
mod overtaken;
mod queue;

use std::time::Duration;

use serde_json::json;
use wireplug::config::{CodecLimits, CompileConfig};
use wireplug::slot::{Slot, SourceFault, SwapError};
use wireplug::{CodecSource, Listener, RunningServer, Server};
use wireplug_tests::hostile::heavy::slowed;
use wireplug_tests::{app, log, server, until, versions};
use wireplug_wasm::{CompileError, CompileState, Compiler, LoadError, WasmEngine, WasmLoader, WorkerProgram};

use super::program::PROGRAM;

/// A number of functions that takes much longer to compile than any of these tests waits for a
/// quick operation.
const SLOW: usize = 40_000;

/// The longest time that a limit of one second takes on a busy machine.
const SOON: Duration = Duration::from_secs(30);

/// Waits for the end of a slow load. This takes seconds, and minutes on a busy machine, because
/// workers have the lowest priority.
async fn the_end_of<T>(load: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(330), load).await.expect("a load has a limit of wall time")
}

/// Returns a compiler that uses the real worker.
fn worker() -> Compiler {
    Compiler::worker(WorkerProgram::new(PROGRAM, ["compile-worker"]))
}

/// Returns this version of Pomelo, made to compile slowly.
fn slow(number: u64) -> CodecSource {
    CodecSource::bytes("pomelo", slowed(&versions::pomelo(number), SLOW), json!({}))
}

/// Returns this version of Pomelo.
fn quick(number: u64) -> CodecSource {
    CodecSource::bytes("pomelo", versions::pomelo(number), json!({}))
}

/// Returns a server that has not started yet. It has a listener for each codec, and uses the real
/// worker.
fn about_to_start(compile: CompileConfig, codecs: impl IntoIterator<Item = CodecSource>) -> Server {
    log::init();
    let setup = server::setup();
    let server = Server::new(app::with_guests()).config(setup.server.clone()).compile(compile);
    codecs.into_iter().fold(server.compiler(worker()), |server, codec| {
        let mut listener = Listener::new(setup.url, codec.limits(setup.codec).faults(setup.faults));
        (listener.access, listener.limits) = (setup.access.clone(), setup.client);
        server.listener(listener)
    })
}

async fn start(compile: CompileConfig, codecs: impl IntoIterator<Item = CodecSource>) -> RunningServer {
    about_to_start(compile, codecs).start().await.expect("the server starts")
}

/// Returns the address to which TCP clients of a listener connect.
fn tcp(server: &RunningServer, listener: usize) -> String {
    server.urls()[listener].replacen("hybrid", "tcp", 1)
}

/// Loads a component under these limits.
fn load(compiler: Compiler, limits: &CompileConfig, wasm: &[u8]) -> Result<(), LoadError> {
    let engine = WasmEngine::new(4, 16 << 20).expect("room for few sandboxes");
    let engine = engine.compiler(compiler.limits(limits));
    WasmLoader::new(&engine, CodecLimits::default()).load(wasm, "{}".into()).map(drop)
}

/// Returns the error for a component that must not compile.
#[track_caller]
fn refusal(compiler: Compiler, limits: &CompileConfig, wasm: &[u8]) -> CompileError {
    match load(compiler, limits, wasm).expect_err("it is not compiled") {
        LoadError::Compile(error) => error,
        error => panic!("another reason: {error}"),
    }
}

/// Returns the error of a swap whose component did not compile.
#[track_caller]
fn not_compiled(error: &SwapError) -> &CompileError {
    match error {
        SwapError::Source(source) => match source.cause() {
            SourceFault::Component(LoadError::Compile(error)) => error,
            cause => panic!("another reason: {cause}"),
        },
        error => panic!("another reason: {error}"),
    }
}

/// Waits until a server compiles this many components while this many wait.
async fn until_jobs(server: &RunningServer, running: usize, waiting: usize) {
    until(&format!("{running} that compile and {waiting} that wait"), || async {
        let nodes = server.nodes().status().await;
        let jobs = &nodes[0].compiling;
        let count = |state| jobs.iter().filter(|job| job.state == state).count();
        [CompileState::Running, CompileState::Waiting].map(count) == [running, waiting]
    })
    .await;
}

/// Returns the slot of a listener.
fn slot(server: &RunningServer, listener: usize) -> Slot {
    server.slots()[listener].clone()
}
