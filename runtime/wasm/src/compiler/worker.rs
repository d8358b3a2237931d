//! The worker's side: it limits its own resources, compiles one component, and exits.

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

/// The largest length of a request line, in bytes.
const MAX_REQUEST: u64 = 4096;

/// The stack of the compiling thread, in bytes. All of it is allocated at the start: a stack that
/// grows into the memory limit would end the worker with a signal that does not name the cause.
const STACK: usize = 16 << 20;

/// The niceness of a worker, so that the server's clients get the processor before it.
const NICENESS: i32 = 5;

/// The score that makes the system end this process first when it runs out of memory.
const OOM_SCORE: &str = "1000";

/// The size that the output may have in addition to the artifact, and the largest size of standard
/// error, in bytes.
const FILE_ROOM: u64 = 64 << 10;

/// Compiles the one component from standard input, as a [`WorkerProgram`](super::WorkerProgram)
/// must do, and returns the exit code of the program. Call it first in `main`, before the program
/// starts a thread, because it limits the memory and the CPU time of the whole process.
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
    // This comes before the check of the parent below: from here on, the worker ends when its
    // parent ends.
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
        // A panic has already written its own message.
        Ok(compiling) => compiling.join().unwrap_or(Ok(PANICKED.into())),
        Err(_) => Ok(OUT_OF_MEMORY.into()),
    }
}

/// Compiles a component, and writes the result to standard output.
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

/// Reads the request.
///
/// # Errors
/// Returns an error if another program, or another version, wrote the request.
fn read_request(line: &[u8]) -> anyhow::Result<Request> {
    // Reads only the version first, because the other members of a request differ between versions.
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

/// Limits the resources of this process, before it reads the component.
fn limit(request: &Request) -> anyhow::Result<()> {
    let file = request.max_artifact.saturating_add(FILE_ROOM);
    set(Resource::Core, 0, 0)?;
    set(Resource::Fsize, file, file)?;
    // At the first limit the system sends SIGXCPU, which names the cause, and a second later
    // SIGKILL.
    set(Resource::Cpu, request.cpu_seconds, request.cpu_seconds.saturating_add(1))?;
    set(Resource::As, request.memory, request.memory)?;
    // Neither setting is required: both only help the server.
    let _ = nice(NICENESS);
    #[cfg(target_os = "linux")]
    let _ = std::fs::write("/proc/self/oom_score_adj", OOM_SCORE);
    Ok(())
}

/// Sets a limit, or keeps the current limit if it is stricter.
fn set(resource: Resource, current: u64, maximum: u64) -> anyhow::Result<()> {
    let ceiling = getrlimit(resource).maximum.unwrap_or(u64::MAX);
    let limit = Rlimit { current: Some(current.min(ceiling)), maximum: Some(maximum.min(ceiling)) };
    setrlimit(resource, limit).with_context(|| format!("it cannot limit itself ({resource:?})"))
}

/// Writes the reason for the end to standard error. The server reads the first bytes.
fn report(reason: &dyn Display) {
    let _ = writeln!(io::stderr(), "{reason}");
}
