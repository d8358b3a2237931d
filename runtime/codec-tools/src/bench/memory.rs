//! What a session at work takes: the memory that it is charged for, and what the process really has
//! more.

use std::fs;

use super::Unrepeatable;
use super::asking::Asking;

/// So many sessions are alive at a time, if their memory is small: enough that what the process
/// allocates besides does not count.
pub(super) const SESSIONS: u32 = 64;

/// The linear memory that all of them may have together, in bytes.
const MAX_CHARGED: usize = 512 << 20;

/// The memory of a session that was asked once.
#[derive(Clone, Copy, Debug)]
pub(super) struct SessionMemory {
    /// Linear memory, tables and instances, in bytes.
    pub(super) charged: usize,
    /// What the process has more for it, in bytes; none where the system does not tell.
    pub(super) resident: Option<usize>,
}

/// Measures sessions of a codec that has none so far. Others may be charged to its account, if they
/// stay as they are.
pub(super) fn of_sessions(asking: &Asking<'_>) -> Result<SessionMemory, Unrepeatable> {
    // The first stays, so that what sessions share is there when it is looked at.
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

/// The memory that the process really has, in bytes; a page that several share counts in parts.
fn resident() -> Option<usize> {
    let smaps = fs::read_to_string("/proc/self/smaps_rollup").ok()?;
    let line = smaps.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<usize>().ok().map(|kib| kib << 10)
}
