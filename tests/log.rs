//! The log of the runtime. All tests of a process share one log, and a test finds its own lines by
//! the client's address. So a client whose lines a test reads connects by [`connect`]: no other
//! client has its address meanwhile, and lines from before it connected are ignored.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Mutex, Once, PoisonError};
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream};
use tracing_subscriber::EnvFilter;

static LINES: Mutex<String> = Mutex::new(String::new());

/// The length of the log when the client with this address last connected.
static CONNECTED: Mutex<Option<HashMap<SocketAddr, usize>>> = Mutex::new(None);

/// Starts logging. May be called any number of times.
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

/// Connects a socket, and records how long the log was before that.
///
/// # Panics
///
/// If nobody listens there.
pub async fn connect(socket: TcpSocket, server: SocketAddr) -> TcpStream {
    init();
    if socket.local_addr().is_ok_and(|bound| bound.port() == 0) {
        // A port that the kernel chooses while connecting may at the same time be that of a
        // connection to another server. One that it chooses for `bind` is not.
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a free port");
    }
    let client = socket.local_addr().expect("it is bound");
    let before = LINES.lock().unwrap_or_else(PoisonError::into_inner).len();
    CONNECTED.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default().insert(client, before);
    crate::within("a connection", socket.connect(server)).await.expect("the server listens")
}

/// Returns the lines so far that contain all of these words.
pub fn lines(words: &[&str]) -> Vec<String> {
    lines_from(0, words)
}

/// Returns the length of the log when this client connected.
fn start_of(client: SocketAddr) -> usize {
    let connected = CONNECTED.lock().unwrap_or_else(PoisonError::into_inner);
    let start = connected.as_ref().and_then(|connected| connected.get(&client));
    *start.expect("the client is recorded when it connects")
}

fn lines_from(start: usize, words: &[&str]) -> Vec<String> {
    let log = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    log[start..]
        .lines()
        .filter(|line| words.iter().all(|word| line.contains(word)))
        .map(str::to_owned)
        .collect()
}

/// Returns the line that says how the connection of the client at `peer` ended.
pub async fn closing_line(peer: SocketAddr) -> String {
    let start = start_of(peer);
    let peer = format!("peer=\"{peer}\"");
    let found = async {
        loop {
            if let Some(line) = lines_from(start, &[&peer, " closed "]).pop() {
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
