//! What the runtime logged. All tests of a process share one log: to find its own lines a test names the
//! client's address, which no other connection has at the same time.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, Once, PoisonError};
use std::time::Duration;

use tracing_subscriber::EnvFilter;

static LINES: Mutex<String> = Mutex::new(String::new());

/// Has everything logged from now on. May be called any number of times.
pub fn init() {
    static INIT: Once = Once::new();
    INIT.call_once(|| {
        tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new("wireplug=debug"))
            .with_ansi(false)
            .with_writer(|| Writer)
            .init();
    });
}

/// The lines so far that name all of these.
pub fn lines(words: &[&str]) -> Vec<String> {
    let log = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    log.lines().filter(|line| words.iter().all(|word| line.contains(word))).map(str::to_owned).collect()
}

/// The line that says how the connection of the client at `peer` ended.
pub async fn closing_line(peer: SocketAddr) -> String {
    let peer = format!("peer=\"{peer}\"");
    let found = async {
        loop {
            if let Some(line) = lines(&[&peer, " closed "]).pop() {
                return line;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    crate::within("the log line of a closed connection", found).await
}

struct Writer;

impl io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut log = LINES.lock().unwrap_or_else(PoisonError::into_inner);
        log.push_str(&String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
