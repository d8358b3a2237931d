//! Servers under test.

use std::ops::Deref;
use std::time::Duration;

use serde_json::{Value, json};
use wireplug::app::App;
use wireplug::config::Config;
use wireplug::server::{CodecSource, RunningServer, Server};
use wireplug::stats::Stats;

use crate::{log, within};

/// A server on free ports of this machine.
pub struct TestServer(RunningServer);

/// The configuration of most test servers: room for few connections, which starts sooner, and calls that a
/// busy machine may interrupt for long.
pub fn config() -> Config {
    let mut config = Config { max_connections: 300, ..Config::default() };
    config.limits.call_wall = Duration::from_secs(20);
    config
}

/// A server that speaks Pomelo, with these options, over TCP and WebSocket.
pub async fn pomelo(app: App, options: Value) -> TestServer {
    serve(app, config(), [CodecSource::pomelo(options)]).await
}

/// [`pomelo`] with a configuration of its own.
pub async fn pomelo_with(app: App, config: Config) -> TestServer {
    serve(app, config, [CodecSource::pomelo(json!({}))]).await
}

/// A server with a listener for each codec, hybrid where the codec allows.
pub async fn serve(app: App, config: Config, codecs: impl IntoIterator<Item = CodecSource>) -> TestServer {
    try_serve(app, config, codecs).await.expect("the server starts")
}

/// [`serve`], for a server that may not start.
///
/// # Errors
/// Why it does not.
pub async fn try_serve(
    app: App,
    config: Config,
    codecs: impl IntoIterator<Item = CodecSource>,
) -> anyhow::Result<TestServer> {
    log::init();
    let server = Server::new(app).config(config);
    let server =
        codecs.into_iter().fold(server, |server, codec| server.listen("hybrid://127.0.0.1:0", codec));
    Ok(TestServer(server.start().await?))
}

impl TestServer {
    /// `HOST:PORT` of a listener.
    pub fn address(&self, listener: usize) -> &str {
        self.urls()[listener].split_once("://").expect("a URL has a scheme").1
    }

    /// The first listener for TCP clients.
    pub fn tcp(&self) -> String {
        self.tcp_of(0)
    }

    /// A listener for TCP clients.
    pub fn tcp_of(&self, listener: usize) -> String {
        format!("tcp://{}", self.address(listener))
    }

    /// The first listener for WebSocket clients.
    pub fn ws(&self) -> String {
        format!("ws://{}", self.address(0))
    }

    /// Waits until the counts are as `reached` wants them.
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

    /// Waits until so many connections ended for this cause.
    pub async fn until_closed(&self, cause: &str, count: u64) -> Stats {
        let what = format!("{count} closed by {cause}");
        self.until(&what, |stats| stats.closes.get(cause).copied().unwrap_or(0) >= count).await
    }

    /// Waits until so many packets were rejected, and nothing else was lost. (A connection adds up what it
    /// counted after it has written.)
    pub async fn until_rejected(&self, count: u64) -> Stats {
        let drops = [("rejected", count)].into();
        self.until(&format!("{count} rejected packets"), |stats| stats.drops == drops).await
    }

    /// [`RunningServer::shutdown`], within bounds.
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
