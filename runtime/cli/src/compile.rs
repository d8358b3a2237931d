//! How the commands compile components: each in a process of its own, which is this program again.

use wireplug_wasm::{Compiler, WorkerProgram};

/// The command of a worker.
pub(super) const WORKER: &str = "compile-worker";

/// Compiles in workers that run this program.
pub(super) fn compiler() -> Compiler {
    Compiler::worker(WorkerProgram::this_program([WORKER]))
}
