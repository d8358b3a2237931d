//! The arguments of `wireplug bench`.

use std::thread::available_parallelism;
use std::time::Duration;

use anyhow::bail;
use clap::value_parser;

use super::super::link::Trust;
use super::body::Numbered;

/// The messages that are sent each second for the fan-out, unless `--rate` is given.
const FAN_OUT_RATE: f64 = 100.0;

/// The part of the help that follows the options.
const HOW: &str = "\
Each connection keeps --pipeline requests in flight: it sends that many in one write, then in one write as
many as the last read brought answers. Latency is from that write to the answer.

With --rate the load does not follow the server: each request has its time, evenly spread over the
connections, and latency counts from that time, also where the request had to wait until an earlier one was
answered (no coordinated omission). Requests whose time came and that were not sent by the end are reported.

The load while connections are opened is not measured. Every body has a number of its own, and every answer
is compared with its request. Errors are counted by cause, from the first connection on; with any of them the
exit code is 1.";

/// The options.
#[derive(clap::Args)]
#[command(after_help = HOW)]
pub(crate) struct Args {
    /// A server that speaks Pomelo: tcp://HOST:PORT, ws://HOST:PORT, tls://HOST:PORT,
    /// wss://HOST:PORT, unix:///PATH or udp://HOST:PORT.
    pub(super) url: String,
    #[command(flatten)]
    pub(super) trust: Trust,
    /// How many connections.
    #[arg(long, default_value_t = 50, value_name = "COUNT", value_parser = value_parser!(u32).range(1..))]
    pub(super) connections: u32,
    /// How many requests of a connection are in flight at most.
    #[arg(long, default_value_t = 1, value_name = "COUNT", value_parser = value_parser!(u32).range(1..))]
    pub(super) pipeline: u32,
    /// The size of a request's body.
    #[arg(long, default_value_t = 64, value_name = "BYTES")]
    pub(super) body: usize,
    /// How long to measure.
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = time)]
    pub(super) duration: Duration,
    /// The time over which the connections are opened.
    #[arg(long, default_value = "1s", value_name = "TIME", value_parser = time)]
    pub(super) ramp: Duration,
    /// How long to wait for a handshake and for each answer. A connection that waits longer is
    /// given up.
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = time)]
    pub(super) timeout: Duration,
    /// Where requests go, a route that answers with the request's body.
    #[arg(long, default_value = "connector.entryHandler.echo", conflicts_with = "push_fan_out")]
    pub(super) route: String,
    /// Take any answer: for a route that does not answer with the request's body.
    #[arg(long, conflicts_with = "push_fan_out")]
    pub(super) no_compare: bool,
    /// Requests a second, over all connections. Without it each connection sends as the server
    /// answers.
    #[arg(long, value_name = "REQUESTS", value_parser = rate)]
    rate: Option<f64>,
    /// Measure pushes: every connection joins a chat, one of them sends --rate messages a second
    /// (100 unless given), and every one receives them all. Latency is from a message's time to its
    /// receipt.
    #[arg(long, conflicts_with = "pipeline")]
    pub(super) push_fan_out: bool,
    /// Where a connection joins the chat, with the body {"name": …}.
    #[arg(long, default_value = "chat.chatHandler.join", value_name = "ROUTE", requires = "push_fan_out")]
    pub(super) join: String,
    /// Where a message goes, with the body {"text": …}.
    #[arg(long, default_value = "chat.chatHandler.send", value_name = "ROUTE", requires = "push_fan_out")]
    pub(super) send: String,
    /// The push that brings a message, its text somewhere in the body.
    #[arg(long, default_value = "onChat", value_name = "ROUTE", requires = "push_fan_out")]
    pub(super) push: String,
    /// The server's process: its CPU time for each request and its memory are reported as well. On
    /// a busy machine that CPU time is the figure to compare.
    #[arg(long)]
    pub(super) pid: Option<u32>,
    /// Threads of the load generator, half of the CPUs unless given.
    #[arg(long, value_name = "COUNT", value_parser = value_parser!(u32).range(1..))]
    threads: Option<u32>,
    /// Print the report as one JSON object.
    #[arg(long)]
    pub(super) json: bool,
}

impl Args {
    /// Checks the lengths of bodies and routes.
    ///
    /// # Errors
    /// Returns an error if a length is outside of its bounds.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let least = self.numbered().least();
        if self.body < least {
            bail!("--body {}: a body needs {least} bytes, to differ from all others", self.body);
        }
        for (option, route) in
            [("route", &self.route), ("join", &self.join), ("send", &self.send), ("push", &self.push)]
        {
            if !(1..=wireplug_pomelo::message::MAX_ROUTE).contains(&route.len()) {
                bail!("--{option}: a route has 1 to 255 bytes, not {}", route.len());
            }
        }
        let most = wireplug_pomelo::package::MAX_BODY - 512;
        if self.body > most {
            bail!("--body {}: a Pomelo package holds no more than {most} bytes of it", self.body);
        }
        Ok(())
    }

    /// Returns the requests a second, or with `--push-fan-out` the messages a second. Returns
    /// `None` if the server sets the pace.
    pub(super) fn rate(&self) -> Option<f64> {
        self.rate.or(self.push_fan_out.then_some(FAN_OUT_RATE))
    }

    /// Returns the number of threads, which is at most the number of connections.
    pub(super) fn threads(&self) -> u32 {
        let half = || (available_parallelism().map_or(1, usize::from) / 2).max(1) as u32;
        self.threads.unwrap_or_else(half).min(self.connections)
    }

    /// Returns the generator of the bodies of requests or messages.
    pub(super) fn numbered(&self) -> Numbered {
        Numbered::new(if self.push_fan_out { "text" } else { "number" }, self.body)
    }
}

/// Parses a time above zero as people write it: 250ms, 10s, 2m.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let worth = match &text[number.len()..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => 0,
    };
    let time = number.parse::<u32>().map_or(0, |number| u64::from(number) * worth);
    if time == 0 {
        return Err("a time above zero has a whole number and a unit, such as 250ms, 10s or 2m".into());
    }
    Ok(Duration::from_millis(time))
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| (0.001..=1e9).contains(rate));
    rate.ok_or_else(|| "a rate is a number from 0.001 to 1000000000".into())
}
