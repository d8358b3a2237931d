//! The budget of the process's memory. While it is used up, the server accepts no client, and
//! closes the connections of those for whom most data waits.
//!
//! The kernel kills a process that uses more than the limit of its control group, which would
//! disconnect everybody.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::sleep;
use tracing::{debug, info, warn};

use crate::session::{CloseReason, Sessions};

/// How often the memory is looked at. In this time many clients that do not read can make the
/// server gather some hundred megabytes, for which the reserve of the default is usually enough.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The least that must wait for a client, in bytes, so that its connection may be closed. Closing
/// others would free next to nothing.
const WORTH: usize = 64 << 10;

/// The most connections that are closed at a time. Their memory is free only when they have ended,
/// so closing as many as seem necessary would close too many.
const AT_A_TIME: usize = 64;

/// The memory that the process may use.
#[derive(Debug)]
pub(super) struct MemoryBudget {
    /// In bytes. `None` if there is no limit.
    limit: Option<u64>,
    is_over: AtomicBool,
}

impl MemoryBudget {
    /// Creates the budget: as configured in bytes, where 0 is no limit, or by default nine tenths
    /// of the limit of the control group.
    pub(super) fn new(configured: Option<usize>) -> Self {
        let limit = match configured {
            Some(0) => None,
            Some(limit) => Some(limit as u64),
            None => of_control_group(Path::new("/")).map(|limit| limit / 10 * 9),
        };
        Self { limit, is_over: AtomicBool::new(false) }
    }

    /// Returns the limit in bytes, if there is one.
    #[cfg(feature = "metrics")]
    pub(super) fn limit(&self) -> Option<u64> {
        self.limit
    }

    /// Returns whether the budget is used up, so that no client may be accepted.
    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Keeps the budget. Returns at once if there is no limit, and otherwise never.
    pub(super) async fn keep(&self, sessions: &Sessions) {
        let Some(limit) = self.limit else { return };
        debug!(bytes = limit, "the memory of the process is limited");
        loop {
            // It is not known for a moment if there is no file descriptor, and never without /proc.
            let used = used().unwrap_or_default();
            // Near the limit it does not change its mind with each page.
            let was_over = self.is_over();
            let is_over = used > if was_over { limit / 100 * 97 } else { limit };
            if is_over != self.is_over.swap(is_over, Ordering::Relaxed) {
                match is_over {
                    true => warn!(
                        used,
                        limit,
                        "short of memory: no client is accepted, and those for whom most waits are closed"
                    ),
                    false => info!(used, limit, "there is memory again"),
                }
            }
            if is_over {
                shed(sessions, used.saturating_sub(limit));
            }
            sleep(LOOK_EVERY).await;
        }
    }
}

/// Closes the connections for which most waits, until they had this many bytes together.
fn shed(sessions: &Sessions, bytes: u64) {
    let mut waiting = Vec::new();
    sessions.each_open(|session| {
        let waits = session.outbox().waiting_in_all();
        if waits >= WORTH {
            waiting.push((waits, session.clone()));
        }
    });
    waiting.sort_by_key(|(waits, _)| std::cmp::Reverse(*waits));
    let mut freed = 0;
    for (waits, session) in waiting.into_iter().take(AT_A_TIME) {
        if freed >= bytes {
            return;
        }
        freed += waits as u64;
        session.close(CloseReason::ShortOfMemory);
    }
}

/// Returns the memory that the process uses, in bytes.
pub(super) fn used() -> Option<u64> {
    kilobytes(&fs::read_to_string("/proc/self/status").ok()?, "VmRSS:")
}

fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
}

/// Returns the least limit of the process's control group and of those around it, in bytes. `root`
/// is the root of the file system.
fn of_control_group(root: &Path) -> Option<u64> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    groups.lines().filter_map(|line| limit_of(root, line)).min()
}

/// Returns the least limit of a group in `/proc/self/cgroup` and of those around it: `0::PATH` in
/// version 2, `NUMBER:memory:PATH` in version 1.
fn limit_of(root: &Path, line: &str) -> Option<u64> {
    let mut parts = line.splitn(3, ':');
    let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
    let (mount, file) = match controllers {
        "" => ("sys/fs/cgroup", "memory.max"),
        _ if controllers.split(',').any(|name| name == "memory") => {
            ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
        }
        _ => return None,
    };
    let mount = root.join(mount);
    let mut group: Option<PathBuf> = Some(mount.join(path.trim_start_matches('/')));
    let mut least = None;
    while let Some(at) = group.filter(|at| at.starts_with(&mount)) {
        let limit = fs::read_to_string(at.join(file)).ok().and_then(|text| text.trim().parse::<u64>().ok());
        // Version 1 writes a limit of more than all memory if there is none.
        let limit = limit.filter(|limit| *limit < 1 << 60);
        least = least.into_iter().chain(limit).min();
        group = at.parent().map(Path::to_owned);
    }
    least
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_this_process_is_known() {
        assert!(used().is_some_and(|bytes| bytes > 1 << 20));
        assert_eq!(kilobytes("Name: x\nVmRSS:\t  12 kB\n", "VmRSS:"), Some(12 << 10));
        assert_eq!(kilobytes("VmRSS:\t x kB\n", "VmRSS:"), None);
    }

    #[test]
    fn the_least_limit_of_the_groups_around_holds() {
        let root = std::env::temp_dir().join(format!("wireplug-cgroup-{}", std::process::id()));
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("proc/self/cgroup", "0::/a/b\n");
        write("sys/fs/cgroup/a/b/memory.max", "max\n");
        assert_eq!(of_control_group(&root), None);
        write("sys/fs/cgroup/a/memory.max", "2000\n");
        write("sys/fs/cgroup/memory.max", "3000\n");
        assert_eq!(of_control_group(&root), Some(2000));
        write("proc/self/cgroup", "5:cpu:/x\n4:memory:/c\n");
        write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(of_control_group(&root), None);
        write("sys/fs/cgroup/memory/c/memory.limit_in_bytes", "5000\n");
        assert_eq!(of_control_group(&root), Some(5000));
        fs::remove_dir_all(&root).unwrap();
    }
}
