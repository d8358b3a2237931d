//! The resources that a process has used, according to the kernel.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::time::{ClockId, clock_gettime};

/// Another process, by its id.
#[derive(Clone, Copy)]
pub(super) struct Process(pub(super) u32);

impl Process {
    /// Returns the CPU time of the process's running threads, in nanoseconds. The time of threads
    /// that have ended is not included: `stat` includes it, but counts in hundredths of a second.
    pub(super) fn cpu(self) -> anyhow::Result<Duration> {
        let directory = format!("/proc/{}/task", self.0);
        let threads = fs::read_dir(&directory)
            .with_context(|| format!("--pid {}: cannot read {directory}; is it a process?", self.0))?;
        let mut total = 0;
        for thread in threads {
            // A thread may end while the list is read.
            let Ok(text) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
            total += text.split(' ').next().and_then(|time| time.parse::<u64>().ok()).unwrap_or(0);
        }
        if total == 0 {
            bail!("--pid {}: the kernel does not tell its CPU time in {directory}/*/schedstat", self.0);
        }
        Ok(Duration::from_nanos(total))
    }

    /// Returns the resident memory of the process, in bytes.
    pub(super) fn resident(self) -> anyhow::Result<u64> {
        let file = format!("/proc/{}/status", self.0);
        let status = fs::read_to_string(&file)
            .with_context(|| format!("--pid {}: cannot read {file}; is it a process?", self.0))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        Ok(number.with_context(|| format!("--pid {}: {file} has no VmRSS", self.0))? * 1024)
    }
}

/// Returns the CPU time of this process.
pub(super) fn own_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
