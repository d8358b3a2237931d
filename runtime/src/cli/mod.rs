//! The commands, one file each.

// They panic where nobody reads any more, as behind `| head`.
#![deny(clippy::print_stderr, clippy::print_stdout)]

/// Prints a line, or does not where nobody reads any more: a server must not end for that, and the verdict of a
/// command is its exit code.
macro_rules! say {
    ($($line:tt)*) => {{
        let _ = std::io::Write::write_fmt(&mut std::io::stdout(), format_args!("{}\n", format_args!($($line)*)));
    }};
}

/// The same on standard error.
macro_rules! complain {
    ($($line:tt)*) => {{
        let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("{}\n", format_args!($($line)*)));
    }};
}

mod bench;
mod cache;
mod call;
mod codec;
mod compile;
mod config;
mod control;
mod demo;
mod link;
mod log;
mod progress;
mod reload;
mod serve;
mod signals;
mod status;
mod table;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use wireplug::codec::wasm::run_worker;
use wireplug::config::{LogConfig, Problems};

/// How long threads that still work may take when a command is done: to reap a process that was killed, for
/// one. What takes longer ends with the process.
const LAST_WORK: Duration = Duration::from_millis(500);

/// A connector runtime: native sockets and framing, the wire protocol as a sandboxed WebAssembly component.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve what a configuration file says; without one, the demo application over Pomelo on 127.0.0.1:3010. The
    /// default.
    Serve(serve::Args),
    /// Send one request to a server in Pomelo's protocol, and print the response. It speaks no other protocol.
    Call(call::Args),
    /// Make, build, test, check and measure codecs; list, swap, try and roll back those of a server at work.
    Codec(codec::Args),
    /// Tell how a server is, and those that serve with it as one.
    Status(status::Args),
    /// Measure a server under load in Pomelo's protocol. It speaks no other protocol.
    Bench(bench::Args),
    /// Check a configuration file, or print the schema of such files.
    Config(config::Args),
    /// Compile the component on standard input. wireplug starts itself so, to compile under limits.
    #[command(name = compile::WORKER, hide = true)]
    CompileWorker,
}

pub(crate) fn main() -> ExitCode {
    let command = Cli::parse().command.unwrap_or_else(|| Command::Serve(serve::Args::default()));
    if let Command::CompileWorker = command {
        return run_worker();
    }
    let ran = tokio::runtime::Runtime::new().map_err(anyhow::Error::from).and_then(|runtime| {
        let ran = runtime.block_on(async {
            match command {
                Command::CompileWorker => unreachable!("it has returned"),
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
                Command::Config(args) => config::run(args).await,
            }
        });
        // Dropping the runtime would wait for threads that may work for minutes.
        runtime.shutdown_timeout(LAST_WORK);
        ran
    });
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            match error.downcast_ref::<Problems>() {
                // Lines that editors and people know: each begins with the file and the line.
                Some(problems) => complain!("{problems}"),
                None => complain!("wireplug: {error:#}"),
            }
            error.downcast_ref().map_or(ExitCode::FAILURE, call::Failure::exit_code)
        }
    }
}
