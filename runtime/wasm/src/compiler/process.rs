//! The server's side of a compile worker: starts it, watches it, kills it at its limits, and reaps
//! it.
//!
//! The worker's input, output and errors are files in memory and not pipes. So the server needs no
//! thread to read from the worker, the worker can read and write in any order without blocking, and
//! its limit on file sizes bounds its output.

use std::fs::File;
use std::io::{self, Seek as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{num, thread};

use bytes::Bytes;
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};

use super::{Anew, CompileError, WorkerProgram};
use crate::artifact::Artifact;
use crate::config::CompileConfig;
use wireplug_core::codec::Reason;

/// The version of the protocol between server and worker. It is the version of the crate, because
/// the compiler must be the same too.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The beginning of the worker's output. It is followed by the version, the time in microseconds,
/// the end of the line, and the machine code.
pub(super) const OUTPUT: &str = "wireplug-artifact";

/// The largest length of the first line of the worker's output, in bytes.
const MAX_LINE: usize = 256;

/// The exit code of a worker that refuses its component. Standard error has the reason.
pub(super) const REFUSED: u8 = 3;

/// The exit code of a worker that ran out of memory.
pub(super) const OUT_OF_MEMORY: u8 = 4;

/// The exit code of a worker whose artifact is too large.
pub(super) const TOO_LARGE: u8 = 5;

/// The exit code of a Rust program whose main thread has panicked, and of a worker whose compiling
/// thread has panicked.
pub(super) const PANICKED: u8 = 101;

/// The largest length of a reason that is read from a worker, in bytes.
const MAX_STDERR: u64 = 4096;

/// The largest number of threads of a worker. More threads would take more memory. On a machine
/// with more cores, the others are left to the server's clients.
const MAX_THREADS: usize = 4;

/// The shortest and the longest interval at which the server checks whether a worker has ended. It
/// is short at first, because most workers take milliseconds.
const LOOK: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(10));

/// The request to the worker: a line of JSON before the component.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    pub(super) version: String,
    /// The process id of the server. A worker with another parent has lost its server.
    pub(super) parent: u32,
    pub(super) metered: bool,
    /// The limit of the worker's address space, in bytes.
    pub(super) memory: u64,
    /// The limit of the worker's CPU time, in seconds.
    pub(super) cpu_seconds: u64,
    /// The largest artifact, in bytes.
    pub(super) max_artifact: u64,
}

/// Compiles a component in a worker. Blocks the thread until the worker has ended. If `is_stopped`
/// becomes true, returns within a few milliseconds.
pub(super) fn compile(
    program: &WorkerProgram,
    limits: &CompileConfig,
    metered: bool,
    wasm: &[u8],
    is_stopped: impl Fn() -> bool,
) -> Result<Anew, CompileError> {
    let request = Request {
        version: VERSION.to_owned(),
        parent: std::process::id(),
        metered,
        memory: limits.memory as u64,
        // The system counts CPU time in seconds.
        cpu_seconds: limits.cpu_time.as_millis().div_ceil(1000) as u64,
        max_artifact: limits.max_artifact as u64,
    };
    let cannot_start = |error: io::Error| CompileError::Start { program: program.program.clone(), error };
    let input = input(&request, wasm).map_err(cannot_start)?;
    let (output, errors) = file().and_then(|output| Ok((output, file()?))).map_err(cannot_start)?;
    let mut worker = Worker::start(program, input, &output, &errors).map_err(cannot_start)?;

    let status = worker.wait(limits, is_stopped)?;
    let stderr = read(&errors, MAX_STDERR).unwrap_or_default();
    let wrong =
        |what: &str| CompileError::Worker { program: program.program.clone(), what: Reason::new(what) };
    if !status.success() {
        return Err(failed(status, limits, &stderr, wrong));
    }
    let longest = limits.max_artifact as u64 + MAX_LINE as u64;
    let output = match read(&output, longest + 1) {
        Ok(output) if output.len() as u64 > longest => {
            return Err(CompileError::Artifact(limits.max_artifact));
        }
        Ok(output) => output,
        Err(error) => return Err(wrong(&format!("its output cannot be read: {error}"))),
    };
    let (took, head) = head(&output).map_err(|what| wrong(&what))?;
    Ok(Anew { artifact: Artifact::made_by_us(Bytes::from(output).slice(head..)), took })
}

/// Returns the time of the compilation, and the length of the first line, which contains this time.
fn head(output: &[u8]) -> Result<(Duration, usize), String> {
    let line = output.iter().take(MAX_LINE).position(|byte| *byte == b'\n').map(|end| &output[..end]);
    let line = line.and_then(|line| str::from_utf8(line).ok()).unwrap_or_default();
    let mut words = line.split(' ');
    match (words.next(), words.next(), words.next().map(str::parse)) {
        (Some(OUTPUT), Some(VERSION), Some(Ok(took))) => Ok((Duration::from_micros(took), line.len() + 1)),
        (Some(OUTPUT), Some(version), _) => Err(format!("it is the program of wireplug {version}")),
        _ => Err("it ends well and gives no compiled component".to_owned()),
    }
}

/// Returns the error for a worker that has failed.
fn failed(
    status: ExitStatus,
    limits: &CompileConfig,
    stderr: &[u8],
    wrong: impl FnOnce(&str) -> CompileError,
) -> CompileError {
    /// Parts of the messages of a Rust program that cannot allocate memory, or cannot start a
    /// thread for lack of memory.
    const NO_MEMORY: [&str; 3] =
        ["memory allocation of ", "Cannot allocate memory", "Resource temporarily unavailable"];

    let text = String::from_utf8_lossy(stderr);
    let has_no_memory = NO_MEMORY.iter().any(|words| text.contains(words));
    if let Some(signal) = status.signal() {
        return match Signal::from_named_raw(signal) {
            Some(Signal::XCPU) => CompileError::CpuTime(limits.cpu_time),
            Some(Signal::XFSZ) => CompileError::Artifact(limits.max_artifact),
            Some(Signal::ABORT) if has_no_memory => CompileError::Memory(limits.memory),
            _ => CompileError::Crashed { signal, stderr: Reason::new(text.trim()) },
        };
    }
    match status.code().map(u8::try_from) {
        Some(Ok(REFUSED)) => CompileError::refused(text.trim()),
        Some(Ok(OUT_OF_MEMORY)) => CompileError::Memory(limits.memory),
        Some(Ok(TOO_LARGE)) => CompileError::Artifact(limits.max_artifact),
        Some(Ok(PANICKED)) if has_no_memory => CompileError::Memory(limits.memory),
        Some(Ok(PANICKED)) => CompileError::Panicked(Reason::new(text.trim())),
        _ => wrong(&format!("{status}: {}", text.trim())),
    }
}

/// Creates an empty file in memory.
fn file() -> io::Result<File> {
    Ok(memfd_create("wireplug-compile", MemfdFlags::CLOEXEC)?.into())
}

/// Creates the file that the worker reads.
fn input(request: &Request, wasm: &[u8]) -> io::Result<File> {
    let mut file = file()?;
    let mut head = serde_json::to_vec(request).map_err(io::Error::other)?;
    head.push(b'\n');
    file.write_all(&head)?;
    file.write_all(wasm)?;
    file.rewind()?;
    Ok(file)
}

/// Reads at most `max` bytes from the start of a file that the worker wrote.
fn read(file: &File, max: u64) -> io::Result<Vec<u8>> {
    let length = file.metadata()?.len().min(max);
    let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

/// A worker process. It is killed and reaped when this value is dropped.
struct Worker {
    child: Child,
    reaped: bool,
}

impl Worker {
    fn start(program: &WorkerProgram, input: File, output: &File, errors: &File) -> io::Result<Self> {
        let threads = thread::available_parallelism().map_or(1, num::NonZero::get).min(MAX_THREADS);
        let child = Command::new(&program.program)
            .args(&program.arguments)
            // The worker gets none of the server's environment variables, because they may hold
            // secrets.
            .env_clear()
            .env("RAYON_NUM_THREADS", threads.to_string())
            .stdin(Stdio::from(input))
            .stdout(Stdio::from(output.try_clone()?))
            .stderr(Stdio::from(errors.try_clone()?))
            // The worker has a process group of its own. So Ctrl-C reaches only the server, which
            // then ends the worker, and processes that the program has started end with it.
            .process_group(0)
            .spawn()?;
        Ok(Self { child, reaped: false })
    }

    /// Waits until the worker has ended.
    fn wait(
        &mut self,
        limits: &CompileConfig,
        is_stopped: impl Fn() -> bool,
    ) -> Result<ExitStatus, CompileError> {
        // `None` if the deadline is later than the clock can represent.
        let deadline = Instant::now().checked_add(limits.wall_time);
        let mut pause = LOOK.0;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => {
                    self.reaped = true;
                    return Ok(status);
                }
                Ok(None) if is_stopped() => return Err(CompileError::Stopped),
                Ok(None) if deadline.is_some_and(|deadline| Instant::now() >= deadline) => {
                    return Err(CompileError::WallTime(limits.wall_time));
                }
                Ok(None) => {}
                Err(error) => return Err(CompileError::Wait(error)),
            }
            thread::sleep(pause);
            pause = (pause * 2).min(LOOK.1);
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if self.reaped {
            return;
        }
        // Until the worker is reaped, its process id cannot be that of another process group.
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
