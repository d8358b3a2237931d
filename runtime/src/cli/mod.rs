//! The commands, one file each.

/// Prints a line, or does not where nobody listens any more: a server must not end for that.
macro_rules! say {
    ($($line:tt)*) => {{
        let _ = std::io::Write::write_fmt(&mut std::io::stdout(), format_args!("{}\n", format_args!($($line)*)));
    }};
}

mod bench;
mod cache;
mod call;
mod codec;
mod config;
mod control;
mod demo;
mod link;
mod log;
mod progress;
mod reload;
mod serve;
mod status;
mod table;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use wireplug::config::{LogConfig, Problems};

/// A connector runtime: native sockets and framing, the wire protocol as a sandboxed WebAssembly component.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the demo application: as a configuration file says, or without one over Pomelo on
    /// 127.0.0.1:3010. The default.
    Serve(serve::Args),
    /// Send one request to a Pomelo server, and print the response.
    Call(call::Args),
    /// Make, build, test, check and measure codecs; list, swap, try and roll back those of a server at work.
    Codec(codec::Args),
    /// Tell how a server is, and those that serve with it as one.
    Status(status::Args),
    /// Measure a Pomelo server under load.
    Bench(bench::Args),
    /// Check a configuration file, or print the schema of such files.
    Config(config::Args),
}

pub(crate) fn main() -> ExitCode {
    let command = Cli::parse().command.unwrap_or_else(|| Command::Serve(serve::Args::default()));
    let ran = tokio::runtime::Runtime::new().map_err(anyhow::Error::from).and_then(|runtime| {
        runtime.block_on(async {
            match command {
                Command::Serve(args) => serve::run(args).await,
                Command::Call(args) => {
                    log::start(&LogConfig::default());
                    call::run(args).await
                }
                Command::Codec(args) => {
                    log::start(&LogConfig::default());
                    codec::run(args).await
                }
                Command::Status(args) => status::run(args).await,
                Command::Bench(args) => bench::run(args).await,
                Command::Config(args) => config::run(args),
            }
        })
    });
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            match error.downcast_ref::<Problems>() {
                // Lines that editors and people know: each begins with the file and the line.
                Some(problems) => eprintln!("{problems}"),
                None => eprintln!("wireplug: {error:#}"),
            }
            ExitCode::FAILURE
        }
    }
}
