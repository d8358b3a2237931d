//! The limits of clients, over real sockets. Each limit has a test that reaches it and one that
//! stays just below it.
//!
//! If a busy machine could break a limit, the limit is set so high, or the test so low below it,
//! that it does not. No test asserts that something is fast.

mod connections;
mod cuts;
mod deadlines;
mod flush;
mod held;
mod many;
mod metered;
mod overflow;
mod packets;
mod pressure;
mod proxy;
mod rates;
mod writes;

use std::net::SocketAddr;

use serde_json::{Value, json};
use wireplug::App;
use wireplug::config::{AccessConfig, ClientLimits};
use wireplug::status::Stats;
use wireplug_tests::app::ECHO;
use wireplug_tests::client::Client;
use wireplug_tests::log;
use wireplug_tests::server::{self, Setup, TestServer};

/// A server whose first listener has the limits under test. A neighbour at the second listener must
/// not be affected.
struct LimitedServer {
    server: TestServer,
    neighbour: Client,
}

impl LimitedServer {
    async fn open(app: App, setup: Setup) -> Self {
        Self::with_options(app, setup, json!({})).await
    }

    async fn with_options(app: App, setup: Setup, options: Value) -> Self {
        let server = server::with_neighbours(app, setup, options).await;
        let neighbour = Client::connect(&server.tcp_of(1)).await;
        let mut limited = Self { server, neighbour };
        limited.greet().await;
        limited
    }

    /// Checks that the neighbour is served.
    async fn greet(&mut self) {
        assert_eq!(self.neighbour.call(ECHO, &json!("neighbour")).await, json!("neighbour"));
    }

    fn tcp(&self) -> String {
        self.server.tcp()
    }

    fn ws(&self) -> String {
        self.server.ws()
    }

    /// Checks that only the neighbour is left and is served, and that all other connections ended
    /// with these causes.
    async fn end(mut self, closes: &[(&'static str, u64)]) -> Stats {
        let alone = |stats: &Stats| stats.connections_open == 1 && self.server.sessions().len() == 1;
        self.server.until("all but the neighbour gone", alone).await;
        self.greet().await;
        let stats = self.server.stats();
        assert_eq!(stats.closes, closes.iter().copied().collect(), "{stats}");
        stats
    }
}

/// Returns a setup with these limits of clients.
fn limits(client: ClientLimits) -> Setup {
    Setup { client, ..server::setup() }
}

/// Returns a setup with these access lists.
fn access(access: AccessConfig) -> Setup {
    Setup { access, ..server::setup() }
}

/// Returns the limits of which a test changes one.
fn ordinary() -> ClientLimits {
    server::setup().client
}

/// Waits for the log line that says how the connection of the client at `peer` ended. Checks its
/// cause and reason.
async fn closed(peer: SocketAddr, cause: &str, reason: &str) {
    let line = log::closing_line(peer).await;
    assert!(line.contains(&format!("cause=\"{cause}\" ")) && line.contains(reason), "{line}");
}
