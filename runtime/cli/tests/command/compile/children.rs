//! The child processes of a process, according to the kernel.

use std::fs;
use std::time::Duration;

use wireplug_tests::running::wait_until;

/// A child of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    pub pid: u32,
    pub is_zombie: bool,
}

/// Returns the children of a process.
pub fn of(parent: u32) -> Vec<Process> {
    let pids = fs::read_dir("/proc").expect("/proc is there");
    let pids = pids.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid: u32| {
        // The line is `PID (NAME) STATE PARENT …`. The name may contain any characters.
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let mut words = stat.rsplit_once(") ")?.1.split(' ');
        let (state, of) = (words.next()?, words.next()?.parse::<u32>().ok()?);
        (of == parent).then_some(Process { pid, is_zombie: state == "Z" })
    })
    .collect()
}

/// Returns whether a process exists and is not a zombie.
pub fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// Waits until a process has exactly one child, and returns the child's id.
#[track_caller]
pub fn the_one_of(parent: u32, within: Duration) -> u32 {
    wait_until("a worker", within, || of(parent).len() == 1);
    of(parent)[0].pid
}
