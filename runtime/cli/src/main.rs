//! The `wireplug` command. Each of its commands is a file.

// `println!` and `eprintln!` panic if the stream has been closed, as behind `| head`.
#![deny(clippy::print_stderr, clippy::print_stdout)]

/// Prints a line to standard output. Ignores an error if the stream has been closed, because a
/// command reports its result by its exit code. The macro waits for the reader, so a server must
/// not use it.
macro_rules! say {
    ($($line:tt)*) => {{
        let _ = std::io::Write::write_fmt(&mut std::io::stdout(), format_args!("{}\n", format_args!($($line)*)));
    }};
}

/// Prints a line to standard error, in the same way.
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
mod counts;
mod demo;
mod drain;
mod kick;
mod link;
mod log;
mod output;
mod progress;
mod reload;
mod rollout;
mod serve;
mod sessions;
mod signals;
mod status;
mod systemd;
mod table;
mod trace;
mod traces;
mod upgrade;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use serde_json::json;
use tracing::Level;
use wireplug::config::{LogConfig, Problems};
use wireplug_wasm::run_worker;

use self::output::Output;

/// How long threads may continue to work after a command has finished, for example to reap a
/// process that was killed. Work that takes longer ends with the process.
const LAST_WORK: Duration = Duration::from_millis(500);

/// A connector runtime: native sockets and framing, the wire protocol as a sandboxed WebAssembly
/// component.
#[derive(Parser)]
#[command(name = "wireplug", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve what a configuration file says; without one, the demo application over Pomelo on
    /// 127.0.0.1:3010. The default.
    Serve(serve::Args),
    /// Send one request to a server in Pomelo's protocol, and print the response. It speaks no
    /// other protocol.
    Call(call::Args),
    /// Make, build, test, check and measure codecs; list, swap, try and roll back those of a server
    /// at work.
    Codec(codec::Args),
    /// Bring a version of a codec to all nodes in steps, and take it back if it fails on one.
    Rollout(rollout::Args),
    /// Make a running server read its configuration file again, and apply what has changed.
    Reload(reload::Args),
    /// Upgrade a running server under its live sessions, to another version of this program.
    Upgrade(upgrade::Args),
    /// Take a server out of service: no new clients, and the sessions are closed over a time.
    Drain(drain::Args),
    /// Tell how a server is, and those that serve with it as one.
    Status(status::Args),
    /// List the sessions of a server, or show one in full.
    Sessions(sessions::Args),
    /// End sessions of a server: one, those of a user, or those from an address.
    Kick(kick::Args),
    /// Show what passes on sessions, packet by packet, or save a session as test vectors.
    Trace(trace::Args),
    /// Measure a server under load in Pomelo's protocol. It speaks no other protocol.
    Bench(bench::Args),
    /// Check a configuration file, compare one with that of a running server, or print the schema.
    Config(config::Args),
    /// Compile the component on standard input. wireplug starts itself so, to compile under limits.
    #[command(name = compile::WORKER, hide = true)]
    CompileWorker,
}

fn main() -> ExitCode {
    let command = Cli::parse().command.unwrap_or_else(|| Command::Serve(serve::Args::default()));
    let command = match command {
        Command::CompileWorker => return run_worker(),
        Command::Serve(args) => return serve_through_queues(args),
        command => command,
    };
    let ran = block_on(async {
        match command {
            Command::CompileWorker | Command::Serve(_) => unreachable!("they have returned"),
            Command::Call(args) => {
                log::start(&LogConfig::default());
                call::run(args).await
            }
            Command::Codec(args) => {
                log::start(&LogConfig::default());
                codec::run(args).await
            }
            Command::Rollout(args) => rollout::run(args).await,
            Command::Reload(args) => reload::run(args).await,
            Command::Drain(args) => drain::run(args).await,
            Command::Upgrade(args) => upgrade::run(args).await,
            Command::Status(args) => status::run(args).await,
            Command::Sessions(args) => sessions::run(args).await,
            Command::Kick(args) => kick::run(args).await,
            Command::Trace(args) => trace::run(args).await,
            Command::Bench(args) => bench::run(args).await,
            Command::Config(args) => config::run(args).await,
        }
    });
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain!("{}", explain(&error));
            error.downcast_ref().map_or(ExitCode::FAILURE, call::Failure::exit_code)
        }
    }
}

/// Runs `wireplug serve`. All output goes through queues, so that the server never waits for a
/// reader.
fn serve_through_queues(args: serve::Args) -> ExitCode {
    let (output, _flushed) = match Output::start() {
        Ok(started) => started,
        Err(error) => {
            complain!("{}", explain(&error));
            return ExitCode::FAILURE;
        }
    };
    match block_on(serve::run(args, &output)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let error = explain(&error);
            output.complain(Level::ERROR, &error, &error, json!({}));
            ExitCode::FAILURE
        }
    }
}

fn block_on(command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let ran = runtime.block_on(command);
    // Dropping the runtime would wait for threads that may work for minutes.
    runtime.shutdown_timeout(LAST_WORK);
    ran
}

/// Returns the text of the error with which a command failed.
fn explain(error: &anyhow::Error) -> String {
    match error.downcast_ref::<Problems>() {
        // Each line begins with the file and the line number, the form that editors recognize.
        Some(problems) => problems.to_string(),
        None => format!("wireplug: {error:#}"),
    }
}
