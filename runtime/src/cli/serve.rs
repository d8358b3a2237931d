//! `wireplug serve`: the demo application over any codec.

use std::path::PathBuf;

use anyhow::Context as _;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use wireplug::server::{CodecSource, RunningServer, Server};

use super::demo;

/// Where the demo listens.
const DEMO: &str = "hybrid://127.0.0.1:3010";

#[derive(clap::Args, Default)]
pub(super) struct Args {
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
    let listen = if args.listen.is_empty() { vec![DEMO.to_owned()] } else { args.listen };
    let pomelo = args.codec.is_none();
    let mut server = Server::new(demo::app());
    for url in &listen {
        let codec = match &args.codec {
            Some(file) => CodecSource::file(file, args.options.clone().unwrap_or_else(|| json!({}))),
            None => CodecSource::pomelo(args.options.clone().unwrap_or_else(|| json!({ "heartbeat": 30 }))),
        };
        server = server.listen(url, codec);
    }
    let server = server.start().await?;
    greet(&server, pomelo);
    wait_for_the_end(&server).await?;
    println!("stopping");
    println!("{}", server.shutdown().await);
    Ok(())
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
            _ = user.recv() => println!("{}", server.stats()),
        }
    }
}

/// Says where clients reach the server, and what to try next.
fn greet(server: &RunningServer, pomelo: bool) {
    println!("wireplug {} serves the demo application", env!("CARGO_PKG_VERSION"));
    for url in server.urls() {
        println!("  {url}");
    }
    println!("  process {}: SIGUSR1 prints the counts, Ctrl-C stops", std::process::id());
    let Some(url) = server.urls().first().filter(|_| pomelo) else {
        return;
    };
    let (tcp, ws) = match url.split_once("://") {
        Some(("hybrid", address)) => (format!("tcp://{address}"), format!("ws://{address}")),
        _ => (url.clone(), url.clone()),
    };
    println!(
        "\nTry it from another terminal (target/release/wireplug, or cargo run --release -- …):
  wireplug call {tcp} connector.entryHandler.echo '{{\"hello\":\"wörld 😀\"}}'
  wireplug call {ws} connector.entryHandler.time
  wireplug call {ws} chat.chatHandler.join '{{\"name\":\"ann\"}}' --listen
  wireplug call {tcp} chat.chatHandler.join '{{\"name\":\"bob\"}}' --then chat.chatHandler.send '{{\"text\":\"hi\"}}'\n"
    );
}
