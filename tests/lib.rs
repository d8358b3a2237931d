//! Code that the tests share: servers on free ports, clients whose waits are bounded, programs that
//! run beside a test, the log, and hostile guests.
//!
//! | module | what it has |
//! |---|---|
//! | [`app`] | the application behind most test servers |
//! | [`blocking`] | a Pomelo client over any stream, for tests that have no tasks |
//! | [`client`] | a Pomelo client over TCP or WebSocket |
//! | [`counted`] | a runtime for servers whose CPU time is measured |
//! | [`digits`] | a client of the codec that cuts its stream itself and changes its framing |
//! | [`docker_registry`] | a registry of containers, which is a program of others |
//! | [`figures`] | the figures of benchmarks and soaks, for the recipe that compares them with the goals |
//! | [`folder`] | folders for the files of tests |
//! | [`guide`] | the code blocks of documentation pages, run as they are |
//! | [`hostile`] | guests written by hand, of which single functions misbehave |
//! | [`log`] | the log of the runtime |
//! | [`nats`] | a NATS server, and services behind it |
//! | [`process`] | the resources of this process, and tests that run in a process of their own |
//! | [`push_api`] | a client of the push API |
//! | [`raw`] | bare sockets, and Pomelo packages byte by byte |
//! | [`registry`] | a registry of containers that fails on command |
//! | [`running`] | programs that run beside a test, and waiting for them |
//! | [`served`] | `wireplug serve` as a process of its own |
//! | [`server`] | servers under test |
//! | [`versions`] | other versions of a codec |

pub mod app;
pub mod blocking;
pub mod chats;
pub mod client;
pub mod counted;
pub mod digits;
pub mod docker_registry;
pub mod figures;
pub mod folder;
pub mod guide;
pub mod hostile;
pub mod log;
pub mod nats;
pub mod process;
pub mod push_api;
pub mod raw;
pub mod registry;
pub mod running;
pub mod served;
pub mod server;
pub mod versions;

use std::error::Error;
use std::time::Duration;

use wireplug_base::Chain;
use wireplug_core::codec::{Carrier, Peer};

/// How long a test waits for events that must happen. Only a test that fails waits this long, so
/// the time is generous for a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Returns the text of an error and of all its causes, as the command and the log show it.
pub fn chain(error: &dyn Error) -> String {
    Chain::of(error).to_string()
}

/// Returns the client of a session without a connection.
pub fn peer() -> Peer {
    Peer {
        carrier: Carrier::Bytes,
        transport: "tcp".into(),
        address: String::new(),
        dialed: false,
        max_packet: 64 << 10,
        random_seed: [7; 32],
        attributes: Vec::new(),
    }
}

/// Returns how long a soak lasts, as `cargo xtask soak NAME SECONDS` sets it.
///
/// # Panics
/// Panics if the environment variable is not a number of seconds.
pub fn soak_time() -> Duration {
    let seconds = std::env::var("WIREPLUG_SOAK_SECONDS");
    Duration::from_secs(seconds.map_or(60, |text| text.parse().expect("a number of seconds")))
}

/// Returns the number of sessions of the soak `idle`, as `cargo xtask soak idle SECONDS SESSIONS`
/// sets it, or `usual`.
///
/// # Panics
/// Panics if the environment variable is not a number.
pub fn soak_sessions(usual: usize) -> usize {
    let sessions = std::env::var("WIREPLUG_SOAK_SESSIONS");
    sessions.map_or(usual, |text| text.parse().expect("a number of sessions"))
}

/// Waits for a future, and panics with its name if it does not complete in time.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited {} s in vain for {what}", PATIENCE.as_secs()),
    }
}

/// Waits until a condition holds, and panics with its name if that takes too long.
pub async fn until<F: Future<Output = bool>>(what: &str, holds: impl Fn() -> F) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within(what, wait).await;
}
