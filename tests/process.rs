//! The resources of this process according to the kernel, and tests that run in a process of their
//! own.

use std::fs;
use std::process::Command;
use std::time::Duration;

/// Runs a test that is otherwise ignored in a process of its own, to measure resources of the
/// process. `test` is its name with its modules.
pub fn alone(test: &str) {
    let output = Command::new(std::env::current_exe().expect("a running program has a path"))
        .args(["--exact", test, "--include-ignored", "--nocapture"])
        .output()
        .expect("a running program can be run");
    let text =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    print!("{text}");
    assert!(output.status.success(), "{}", output.status);
    assert!(text.contains("1 passed"), "there is no test {test}");
}

/// Returns the number of open descriptors. Useful only if the test is alone in its process, like
/// all functions below.
pub fn descriptors() -> usize {
    // The number includes the descriptor of the directory, each time.
    descriptors_of(std::process::id())
}

/// Returns the number of open descriptors of a process.
pub fn descriptors_of(process: u32) -> usize {
    fs::read_dir(format!("/proc/{process}/fd")).expect("/proc is there").count()
}

/// Returns the CPU time that a process has used.
pub fn cpu_time_of(process: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("it runs");
    let fields: Vec<_> = stat.rsplit(')').next().expect("a name").split_whitespace().collect();
    // utime and stime, the 14th and 15th field, in hundredths of a second.
    let ticks = [fields[11], fields[12]].map(|field| field.parse::<u64>().expect("a number"));
    Duration::from_millis(10 * ticks.iter().sum::<u64>())
}

/// Returns the memory in use, in bytes.
pub fn resident() -> usize {
    resident_of(std::process::id())
}

/// Returns the memory that a process uses, in bytes.
pub fn resident_of(process: u32) -> usize {
    status(process, "VmRSS:")
}

/// Returns the memory of this process, in bytes, of which shared memory counts in proportion. Takes
/// long in a process with many mappings.
pub fn proportional() -> usize {
    value("/proc/self/smaps_rollup", "Pss:")
}

/// Returns the kernel's page tables of this process, in bytes.
pub fn page_tables() -> usize {
    status(std::process::id(), "VmPTE:")
}

/// Returns the peak memory of this process, in bytes. The kernel counts roughly, so a later figure
/// may be a few pages lower.
pub fn peak() -> usize {
    status(std::process::id(), "VmHWM:")
}

/// Returns the reserved memory, used or not, in bytes.
pub fn reserved() -> usize {
    status(std::process::id(), "VmSize:")
}

fn status(process: u32, name: &str) -> usize {
    value(&format!("/proc/{process}/status"), name)
}

/// Returns the value of a line `NAME: … kB`, in bytes.
fn value(file: &str, name: &str) -> usize {
    let text = fs::read_to_string(file).expect("/proc is there");
    let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("a line for each");
    let kibibytes: usize = line.trim().trim_end_matches(" kB").parse().expect("a number of kB");
    kibibytes << 10
}
