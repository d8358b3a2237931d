//! A runtime for servers whose CPU time is measured.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

/// A runtime with two threads whose CPU time is known.
pub struct Counted {
    /// The runtime.
    pub runtime: Runtime,
    /// The IDs of its threads in the kernel.
    threads: Arc<Mutex<Vec<u32>>>,
}

impl Counted {
    /// Starts the threads.
    pub fn start() -> Self {
        let threads = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&threads);
        let note = move || noted.lock().expect("no panic").push(thread_number());
        // A thread that ends would take its time with it, such as the one that has loaded a codec.
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .on_thread_start(note)
            .thread_keep_alive(Duration::from_secs(24 * 60 * 60))
            .enable_all()
            .build();
        Self { runtime: runtime.expect("threads are to be had"), threads }
    }

    /// Returns the CPU time of its threads.
    pub fn cpu_time(&self) -> Duration {
        let of_thread = |number: &u32| {
            let stat = fs::read_to_string(format!("/proc/self/task/{number}/schedstat")).unwrap_or_default();
            let nanos = stat.split_once(' ').and_then(|(nanos, _)| nanos.parse().ok());
            nanos.map_or(Duration::ZERO, Duration::from_nanos)
        };
        self.threads.lock().expect("no panic").iter().map(of_thread).sum()
    }
}

/// Returns the ID of this thread in the kernel.
fn thread_number() -> u32 {
    let link = fs::read_link("/proc/thread-self").expect("/proc is there");
    link.file_name().and_then(|name| name.to_str()?.parse().ok()).expect("it ends in the number")
}
