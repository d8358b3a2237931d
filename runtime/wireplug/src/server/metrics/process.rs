//! The metrics of the process, with the names that all client libraries of Prometheus use. The
//! kernel counts them.

use std::fs;

use prometheus_client::registry::Unit;
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use super::families::Families;
use crate::server::memory;

/// The unit in which the kernel reports when a process started. It is the same on all machines.
const TICKS_A_SECOND: f64 = 100.0;

pub(super) fn add(families: &mut Families) {
    families
        .gauge_in(
            Unit::Seconds,
            "process_start_time",
            &[],
            "When the process started, in seconds since 1970.",
        )
        .known(started());
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    families
        .counter_in(Unit::Seconds, "process_cpu", &[], "CPU time of the process, with that in the kernel.")
        .set(&[], cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9);
    families
        .gauge_in(Unit::Bytes, "process_resident_memory", &[], "Memory that the process uses.")
        .known(memory::used().map(|bytes| bytes as f64));
    families
        .gauge("process_open_fds", &[], "File descriptors that are open. Missing before Linux 6.2.")
        .known(open_descriptors());
    families
        .gauge("process_max_fds", &[], "The most file descriptors that the process may open.")
        .known(getrlimit(Resource::Nofile).current.map(|limit| limit as f64));
}

/// Returns when the process started, in seconds since 1970.
fn started() -> Option<f64> {
    let booted = fs::read_to_string("/proc/stat").ok()?;
    let booted: f64 = booted.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program may contain spaces. Behind it the state is the third field, and the
    // start is the 22nd.
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks: f64 = fields.split_whitespace().nth(19)?.parse().ok()?;
    Some(booted + ticks / TICKS_A_SECOND)
}

/// Returns how many file descriptors are open. The kernel gives the number as the size of the
/// folder, since Linux 6.2. Listing the folder would take too long with a million connections.
fn open_descriptors() -> Option<f64> {
    let size = fs::metadata("/proc/self/fd").ok()?.len();
    (size > 0).then_some(size as f64)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn the_process_started_before_now_and_not_long_ago() {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
        // The kernel rounds the time of the boot to a second.
        assert!(started().is_some_and(|started| started < now + 2.0 && started > now - 86_400.0));
    }
}
