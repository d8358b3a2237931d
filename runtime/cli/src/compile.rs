//! Configures how the commands compile components: each in a worker process that runs this program.

use wireplug_wasm::{Compiler, WorkerProgram};

/// The name of the command that a worker runs.
pub(super) const WORKER: &str = "compile-worker";

/// Returns a compiler whose workers run this program.
pub(super) fn compiler() -> Compiler {
    Compiler::worker(WorkerProgram::this_program([WORKER]))
}
