//! The worker's side: bounds itself, compiles one component, and ends.

use std::fmt::Display;
use std::io::{self, BufRead as _, Read as _, Write as _};
use std::process::ExitCode;
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use rustix::process::{Resource, Rlimit, Signal, getppid, getrlimit, nice, setrlimit};
use wasmtime::Engine;

use super::process::{OUT_OF_MEMORY, OUTPUT, PANICKED, REFUSED, Request, TOO_LARGE, VERSION};
use super::{CompileError, compile_component};
use crate::engine;

/// The longest line that a request may be, in bytes.
const MAX_REQUEST: u64 = 4096;

/// The stack of the thread that compiles, in bytes. It has all of it from the beginning: a stack
/// that grows into the limit of memory would end the worker by a signal that says nothing.
const STACK: usize = 16 << 20;

/// How much later than the server's clients a worker gets its core.
const NICENESS: i32 = 5;

/// The process that the system ends first when it runs out of memory.
const OOM_SCORE: &str = "1000";

/// What the output may hold beside the artifact, and standard error at all, in bytes.
const FILE_ROOM: u64 = 64 << 10;

/// Compiles the one component that standard input brings, as a
/// [`WorkerProgram`](super::WorkerProgram) does, and returns what the program ends with. Called
/// first in `main`, before there is a thread: it limits the memory and the CPU time of the whole
/// process.
///
/// ```no_run
/// # use std::process::ExitCode;
/// fn main() -> ExitCode {
///     if std::env::args().nth(1).as_deref() == Some("compile-worker") {
///         return wireplug_wasm::run_worker();
///     }
///     // Compiler::worker(WorkerProgram::this_program(["compile-worker"])), …
///     ExitCode::SUCCESS
/// }
/// ```
pub fn run_worker() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            report(&format_args!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<ExitCode> {
    // Before the parent is compared below: from here on the worker ends with it.
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .context("it cannot ask to end with the server")?;
    let mut input = io::stdin().lock();
    let mut line = Vec::new();
    (&mut input).take(MAX_REQUEST).read_until(b'\n', &mut line).context("it cannot read its request")?;
    let request: Request = read_request(&line)?;
    let parent = getppid().map(|parent| parent.as_raw_nonzero().get());
    ensure!(parent == i32::try_from(request.parent).ok(), "the server that started it is gone");
    limit(&request)?;

    let mut wasm = Vec::new();
    match input.read_to_end(&mut wasm) {
        Err(error) if error.kind() == io::ErrorKind::OutOfMemory => return Ok(OUT_OF_MEMORY.into()),
        read => read.context("it cannot read the component")?,
    };
    let compiling = thread::Builder::new().stack_size(STACK).spawn(move || compile(&request, &wasm));
    match compiling {
        // What panics says so itself.
        Ok(compiling) => compiling.join().unwrap_or(Ok(PANICKED.into())),
        Err(_) => Ok(OUT_OF_MEMORY.into()),
    }
}

/// Compiles a component, and writes what comes of it.
fn compile(request: &Request, wasm: &[u8]) -> anyhow::Result<ExitCode> {
    let engine = Engine::new(&engine::compiler(request.metered)).map_err(anyhow::Error::msg)?;
    let begun = Instant::now();
    let artifact = match compile_component(&engine, wasm) {
        Ok(artifact) => artifact,
        Err(CompileError::OutOfMemory) => return Ok(OUT_OF_MEMORY.into()),
        Err(CompileError::Refused(reason)) => {
            report(&reason);
            return Ok(REFUSED.into());
        }
        Err(error) => return Err(error.into()),
    };
    let took = begun.elapsed().as_micros();
    if artifact.bytes().len() as u64 > request.max_artifact {
        return Ok(TOO_LARGE.into());
    }
    let mut output = io::stdout().lock();
    writeln!(output, "{OUTPUT} {VERSION} {took}")
        .and_then(|()| output.write_all(artifact.bytes()))
        .and_then(|()| output.flush())
        .context("it cannot write the compiled component")?;
    Ok(ExitCode::SUCCESS)
}

/// Reads the request, or says that another program wrote it.
fn read_request(line: &[u8]) -> anyhow::Result<Request> {
    // The version alone at first: what else a request has differs between versions.
    let request: serde_json::Value = match serde_json::from_slice(line) {
        Ok(request) => request,
        Err(_) => bail!(
            "there is no request to compile a component: `wireplug` starts this program itself, and people \
             have no use for it"
        ),
    };
    let version = request["version"].as_str().unwrap_or("unknown");
    ensure!(
        version == VERSION,
        "it is the program of wireplug {VERSION}, and the server is wireplug {version}"
    );
    Ok(serde_json::from_value(request)?)
}

/// Bounds this process, before it looks at the component.
fn limit(request: &Request) -> anyhow::Result<()> {
    let file = request.max_artifact.saturating_add(FILE_ROOM);
    set(Resource::Core, 0, 0)?;
    set(Resource::Fsize, file, file)?;
    // At the first the system sends SIGXCPU, which says what it was, and a second later SIGKILL.
    set(Resource::Cpu, request.cpu_seconds, request.cpu_seconds.saturating_add(1))?;
    set(Resource::As, request.memory, request.memory)?;
    // Neither is a promise: the server is only better off with them.
    let _ = nice(NICENESS);
    #[cfg(target_os = "linux")]
    let _ = std::fs::write("/proc/self/oom_score_adj", OOM_SCORE);
    Ok(())
}

/// Sets a limit, or keeps the stricter one that there is.
fn set(resource: Resource, current: u64, maximum: u64) -> anyhow::Result<()> {
    let ceiling = getrlimit(resource).maximum.unwrap_or(u64::MAX);
    let limit = Rlimit { current: Some(current.min(ceiling)), maximum: Some(maximum.min(ceiling)) };
    setrlimit(resource, limit).with_context(|| format!("it cannot limit itself ({resource:?})"))
}

/// Says on standard error why it ends. The server takes the first bytes.
fn report(reason: &dyn Display) {
    let _ = writeln!(io::stderr(), "{reason}");
}
