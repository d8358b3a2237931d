//! The commands, one file each.

mod call;
mod demo;
mod link;
mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

/// A connector runtime: native sockets and framing, the wire protocol as a sandboxed WebAssembly component.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the demo application: without options, over Pomelo on 127.0.0.1:3010. The default.
    Serve(serve::Args),
    /// Send one request to a Pomelo server, and print the response.
    Call(call::Args),
}

pub(crate) fn main() -> ExitCode {
    let command = Cli::parse().command.unwrap_or_else(|| Command::Serve(serve::Args::default()));
    // Logs are for standard error: what a command prints is its output.
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info")))
        .with_writer(std::io::stderr)
        .init();
    let ran = tokio::runtime::Runtime::new().map_err(anyhow::Error::from).and_then(|runtime| {
        runtime.block_on(async {
            match command {
                Command::Serve(args) => serve::run(args).await,
                Command::Call(args) => call::run(args).await,
            }
        })
    });
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("wireplug: {error:#}");
            ExitCode::FAILURE
        }
    }
}
