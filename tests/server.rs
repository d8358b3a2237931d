//! Servers under test.

use std::ops::Deref;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use wireplug::config::{
    AccessConfig, ClientLimits, CodecLimits, CompileConfig, FaultLimits, ServerConfig, SwapConfig,
};
use wireplug::status::Stats;
use wireplug::{App, CodecSource, Listener, RunningServer, Server};

use crate::{log, within};

/// A server on free ports of this machine.
pub struct TestServer(RunningServer);

/// The configuration of a test server.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The settings of the whole server.
    pub server: ServerConfig,
    /// The settings of the compiler, which runs in the process of the test.
    pub compile: CompileConfig,
    /// The limits of codecs.
    pub codec: CodecLimits,
    /// The settings of swaps.
    pub swap: SwapConfig,
    /// The limits on faults of codecs.
    pub faults: FaultLimits,
    /// The access lists and limits for each address.
    pub access: AccessConfig,
    /// The limits of clients.
    pub client: ClientLimits,
    /// The URL of all listeners.
    pub url: &'static str,
}

/// Returns the setup of most test servers. It has room for few connections, so that it starts
/// quickly. Its limits tolerate calls and clients that a busy machine interrupts for long.
pub fn setup() -> Setup {
    let long = Duration::from_secs(60);
    Setup {
        server: ServerConfig { max_connections: 300, ..ServerConfig::default() },
        compile: CompileConfig { cache: Some(compiled()), ..CompileConfig::default() },
        swap: SwapConfig::default(),
        // Tests make codecs fail on purpose.
        faults: FaultLimits { rollback: 0, suspend: 0, per_address: 0, ..FaultLimits::default() },
        // Even two clients share encodings, so that tests need few clients.
        codec: CodecLimits { call_wall: Duration::from_secs(20), min_broadcast: 2, ..CodecLimits::default() },
        access: AccessConfig::default(),
        client: ClientLimits {
            first_byte_timeout: long,
            handshake_timeout: long,
            packet_timeout: long,
            write_timeout: long,
            ..ClientLimits::default()
        },
        url: "hybrid://127.0.0.1:0",
    }
}

/// Returns the compile cache that the tests of this user share. Most of them need Pomelo, which
/// takes a second to compile.
fn compiled() -> PathBuf {
    let user = rustix::process::getuid().as_raw();
    std::env::temp_dir().join(format!("wireplug-tests-{user}-compiled"))
}

/// Starts a server that speaks Pomelo with these options over TCP and WebSocket.
pub async fn pomelo<S>(app: App<S>, options: Value) -> TestServer {
    serve(app, setup(), [CodecSource::pomelo(options)]).await
}

/// Does what [`pomelo`] does, with another setup.
pub async fn pomelo_with<S>(app: App<S>, setup: Setup) -> TestServer {
    serve(app, setup, [CodecSource::pomelo(json!({}))]).await
}

/// Starts a server with a listener for each codec.
pub async fn serve<S>(
    app: App<S>,
    setup: Setup,
    codecs: impl IntoIterator<Item = CodecSource>,
) -> TestServer {
    try_serve(app, setup, codecs).await.expect("the server starts")
}

/// Does what [`serve`] does, for a server that may not start.
///
/// # Errors
/// Returns the error of a server that does not start.
pub async fn try_serve<S>(
    app: App<S>,
    setup: Setup,
    codecs: impl IntoIterator<Item = CodecSource>,
) -> anyhow::Result<TestServer> {
    log::init();
    let mut server = Server::new(app).config(setup.server.clone()).compile(setup.compile.clone());
    for codec in codecs {
        server = server.listener(listener(&setup, codec));
    }
    Ok(TestServer(server.start().await?))
}

/// Starts a server that speaks Pomelo at two listeners. The first has the limits of the setup. The
/// second has ordinary limits, for clients that must not be affected.
pub async fn with_neighbours(app: App, setup: Setup, options: Value) -> TestServer {
    log::init();
    let codec = CodecSource::pomelo(options);
    let ordinary = self::setup();
    let neighbours = Setup {
        access: AccessConfig::default(),
        client: ordinary.client,
        url: ordinary.url,
        ..setup.clone()
    };
    let server = Server::new(app)
        .config(setup.server.clone())
        .compile(setup.compile.clone())
        .listener(listener(&setup, codec.clone()))
        .listener(listener(&neighbours, codec));
    TestServer(server.start().await.expect("the server starts"))
}

fn listener(setup: &Setup, codec: CodecSource) -> Listener {
    let mut listener =
        Listener::new(setup.url, codec.limits(setup.codec).swaps(setup.swap).faults(setup.faults));
    (listener.access, listener.limits) = (setup.access.clone(), setup.client);
    listener
}

impl TestServer {
    /// Returns `HOST:PORT` of a listener.
    pub fn address(&self, listener: usize) -> String {
        self.urls()[listener].split_once("://").expect("a URL has a scheme").1.to_owned()
    }

    /// Returns the URL of the first listener for TCP clients.
    pub fn tcp(&self) -> String {
        self.tcp_of(0)
    }

    /// Returns the URL of a listener for TCP clients.
    pub fn tcp_of(&self, listener: usize) -> String {
        format!("tcp://{}", self.address(listener))
    }

    /// Returns the URL of the first listener for WebSocket clients.
    pub fn ws(&self) -> String {
        format!("ws://{}", self.address(0))
    }

    /// Waits until the counts satisfy `reached`.
    pub async fn until(&self, what: &str, reached: impl Fn(&Stats) -> bool) -> Stats {
        let wait = async {
            loop {
                let stats = self.stats();
                if reached(&stats) {
                    return stats;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        within(what, wait).await
    }

    /// Waits until this many connections have ended for this cause.
    pub async fn until_closed(&self, cause: &str, count: u64) -> Stats {
        let what = format!("{count} closed by {cause}");
        self.until(&what, |stats| stats.closes.get(cause).copied().unwrap_or(0) >= count).await
    }

    /// Waits until this many packets were rejected and nothing else was dropped. (A connection adds
    /// its counts after it has written.)
    pub async fn until_rejected(&self, count: u64) -> Stats {
        let drops = [("rejected", count)].into();
        self.until(&format!("{count} rejected packets"), |stats| stats.drops == drops).await
    }

    /// Does what [`RunningServer::shutdown`] does, within a time limit.
    pub async fn shutdown(self) -> Stats {
        within("the server to stop", self.0.shutdown()).await
    }
}

impl Deref for TestServer {
    type Target = RunningServer;

    fn deref(&self) -> &RunningServer {
        &self.0
    }
}
