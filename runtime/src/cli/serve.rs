//! `wireplug serve`: the demo application over any codec, as options say, or a configuration file.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use wireplug::config::{Builtin, Config, LogConfig};
use wireplug::server::{CodecSource, RunningServer, Server};

use super::{demo, log};

/// Where the demo listens.
const DEMO: &str = "hybrid://127.0.0.1:3010";

#[derive(clap::Args, Default)]
pub(super) struct Args {
    /// A configuration file, in TOML: docs/configuration.md tells its keys.
    #[arg(conflicts_with_all = ["codec", "options", "listen"])]
    file: Option<PathBuf>,
    /// A codec, a WebAssembly component that implements codec.wit. Without it the built-in Pomelo codec
    /// serves.
    #[arg(long, value_name = "FILE.wasm")]
    codec: Option<PathBuf>,
    /// The codec's options, a JSON object. Its keys are the codec's own.
    #[arg(long, value_name = "JSON", value_parser = parse_json)]
    options: Option<Value>,
    /// Where to listen: tcp://HOST:PORT, ws://HOST:PORT, or hybrid://HOST:PORT for both on one port. May be
    /// given more than once.
    #[arg(long, value_name = "URL", default_value = DEMO)]
    listen: Vec<String>,
}

fn parse_json(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str(text)
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let (server, pomelo) = match &args.file {
        Some(file) => configured(file)?,
        None => assembled(args),
    };
    let server = server.start().await?;
    greet(&server, pomelo);
    wait_for_the_end(&server).await?;
    say!("stopping");
    say!("{}", server.shutdown().await);
    Ok(())
}

/// The server of a configuration file, and whether the first listener speaks Pomelo.
fn configured(file: &Path) -> anyhow::Result<(Server, bool)> {
    let config = Config::load(file)?;
    log::start(&config.log);
    let directory = file.parent().unwrap_or(Path::new(""));
    let server = Server::from_config(demo::app(), &config, directory)?;
    let first = config.listeners.first().and_then(|listener| config.codecs.get(&listener.codec));
    Ok((server, first.is_some_and(|codec| codec.builtin == Some(Builtin::Pomelo))))
}

/// The server of the options, and whether it speaks Pomelo.
fn assembled(args: Args) -> (Server, bool) {
    log::start(&LogConfig::default());
    let listen = if args.listen.is_empty() { vec![DEMO.to_owned()] } else { args.listen };
    let codec = match &args.codec {
        Some(file) => CodecSource::file(file, args.options.unwrap_or_else(|| json!({}))),
        None => CodecSource::pomelo(args.options.unwrap_or_else(|| json!({ "heartbeat": 30 }))),
    };
    let server =
        listen.iter().fold(Server::new(demo::app()), |server, url| server.listen(url, codec.clone()));
    (server, args.codec.is_none())
}

/// Returns at Ctrl-C and SIGTERM; prints the counts at each SIGUSR1.
async fn wait_for_the_end(server: &RunningServer) -> anyhow::Result<()> {
    let handler = |kind| signal(kind).context("cannot handle signals");
    let (mut interrupt, mut terminate) =
        (handler(SignalKind::interrupt())?, handler(SignalKind::terminate())?);
    let mut user = handler(SignalKind::user_defined1())?;
    loop {
        tokio::select! {
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
            _ = user.recv() => say!("{}", server.stats()),
        }
    }
}

/// Says where clients reach the server, and what to try next.
fn greet(server: &RunningServer, pomelo: bool) {
    say!("wireplug {} serves the demo application", env!("CARGO_PKG_VERSION"));
    for url in server.urls() {
        say!("  {url}");
    }
    say!("  process {}: SIGUSR1 prints the counts, Ctrl-C stops", std::process::id());
    let Some(url) = server.urls().first().filter(|_| pomelo) else {
        return;
    };
    let (tcp, ws) = match url.split_once("://") {
        Some(("hybrid", address)) => (format!("tcp://{address}"), format!("ws://{address}")),
        _ => (url.clone(), url.clone()),
    };
    say!(
        "\nTry it from another terminal (target/release/wireplug, or cargo run --release -- …):
  wireplug call {tcp} connector.entryHandler.echo '{{\"hello\":\"wörld 😀\"}}'
  wireplug call {ws} connector.entryHandler.time
  wireplug call {ws} chat.chatHandler.join '{{\"name\":\"ann\"}}' --listen
  wireplug call {tcp} chat.chatHandler.join '{{\"name\":\"bob\"}}' --then chat.chatHandler.send '{{\"text\":\"hi\"}}'\n"
    );
}
