//! The memory of an open session: the memory that it is charged for, and the memory that it adds to
//! the process.

use std::fs;

use super::Unrepeatable;
use super::asking::Asking;

/// The number of sessions that are open at a time, if their memory is small. With this number,
/// other allocations of the process have little effect.
pub(super) const SESSIONS: u32 = 64;

/// The largest linear memory of all these sessions together, in bytes.
const MAX_CHARGED: usize = 512 << 20;

/// The memory of a session after its first call.
#[derive(Clone, Copy, Debug)]
pub(super) struct SessionMemory {
    /// Linear memory, tables and instances, in bytes.
    pub(super) charged: usize,
    /// The memory that the session adds to the process, in bytes, or `None` if the system does not
    /// report it.
    pub(super) resident: Option<usize>,
}

/// Measures sessions of a codec that has none so far. Other sessions may be charged to its account
/// if their memory does not change.
pub(super) fn of_sessions(asking: &Asking<'_>) -> Result<SessionMemory, Unrepeatable> {
    // The first session stays open, so that the memory that sessions share exists before the
    // measurement.
    let _first = asking.begin()?;
    let shared = asking.codec.memory();
    let second = asking.begin()?;
    let charged = asking.codec.memory() - shared;
    drop(second);
    let count = (MAX_CHARGED / charged.max(1)).clamp(1, SESSIONS as usize);
    let before = resident();
    let sessions = (0..count).map(|_| asking.begin()).collect::<Result<Vec<_>, _>>()?;
    let after = resident();
    drop(sessions);
    let more = before.zip(after).and_then(|(before, after)| after.checked_sub(before));
    Ok(SessionMemory { charged, resident: more.map(|more| more / count) })
}

/// Returns the memory that the process really uses, in bytes. A page that several processes share
/// counts in part.
fn resident() -> Option<usize> {
    let smaps = fs::read_to_string("/proc/self/smaps_rollup").ok()?;
    let line = smaps.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<usize>().ok().map(|kib| kib << 10)
}
