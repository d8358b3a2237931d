//! What the kernel knows of this process. Only a test that is alone in its process can make use of it.

use std::fs;

/// How many descriptors are open.
pub fn descriptors() -> usize {
    // The directory's own is among them each time.
    fs::read_dir("/proc/self/fd").expect("/proc is there").count()
}

/// The memory in use, in bytes.
pub fn resident() -> usize {
    status("VmRSS:")
}

/// The memory that is reserved, used or not, in bytes.
pub fn reserved() -> usize {
    status("VmSize:")
}

fn status(name: &str) -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("/proc is there");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line for each");
    let kibibytes: usize = line.trim().trim_end_matches(" kB").parse().expect("a number of kB");
    kibibytes << 10
}
