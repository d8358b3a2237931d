//! `wireplug call`: a Pomelo client that sends requests and prints the answers.

use std::collections::VecDeque;
use std::fmt;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;
use tokio::time::{Instant, sleep_until};
use wireplug_pomelo::client::{Client, Incoming};

use super::link::{Link, Target, Trust};

/// The part of the help that follows the options.
const HOW: &str = "\
The client speaks Pomelo's protocol with JSON bodies, and no other: for a server with another codec take a client of that
protocol. Over UDP nothing is sent again that gets lost after the opening.

Exit codes: 0 if all requests are answered, 4 or 5 if a response or the answer to the handshake has a `code` from 400 to
499 or from 500 to 599, and then no further request is sent; 1 if there is no answer, 2 if the arguments are wrong.";

#[derive(clap::Args)]
#[command(after_help = HOW)]
pub(super) struct Args {
    /// A server that speaks Pomelo: tcp://HOST:PORT, ws://HOST:PORT, tls://HOST:PORT,
    /// wss://HOST:PORT, unix:///PATH or udp://HOST:PORT.
    url: String,
    /// Where the request goes: <serverType>.<handler>.<method>.
    route: String,
    /// The request's body, JSON.
    #[arg(default_value = "{}", value_parser = check_json)]
    body: String,
    /// A second request over the same connection, once the first is answered.
    #[arg(long, num_args = 2, value_names = ["ROUTE", "JSON"])]
    then: Option<Vec<String>>,
    /// The object `user` of the handshake, JSON. The application may decide by it who connects.
    #[arg(long, value_name = "JSON", value_parser = parse_json)]
    user: Option<Value>,
    /// Stay connected and print pushes until the server closes or Ctrl-C.
    #[arg(long)]
    listen: bool,
    /// How long to wait for the handshake and for each response, in seconds.
    #[arg(long, default_value_t = 10, value_name = "SECONDS")]
    timeout: u64,
    #[command(flatten)]
    trust: Trust,
}

/// An answer with an error code.
#[derive(Debug, thiserror::Error)]
#[error("{what} code {code}")]
pub(super) struct Failure {
    what: String,
    /// The error code, 400 to 599.
    code: u16,
}

impl Failure {
    /// Returns the code if it is that of an error.
    fn code(code: &Value) -> Option<u16> {
        code.as_u64().filter(|code| (400..600).contains(code)).and_then(|code| code.try_into().ok())
    }

    /// Returns the exit code: 4 or 5, the first digit of the error code.
    pub(super) fn exit_code(&self) -> ExitCode {
        ExitCode::from(if self.code < 500 { 4 } else { 5 })
    }
}

fn parse_json(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str(text)
}

fn check_json(text: &str) -> Result<String, serde_json::Error> {
    serde_json::from_str::<serde::de::IgnoredAny>(text).map(|_| text.to_owned())
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let mut requests = VecDeque::from([(args.route, args.body)]);
    if let Some([route, body]) = args.then.as_deref() {
        check_json(body).context("the second body is not JSON")?;
        requests.push_back((route.clone(), body.clone()));
    }
    let patience = Duration::from_secs(args.timeout);
    let mut link = Link::connect(&Target::find(&args.url, &args.trust).await?).await?;
    let (mut client, mut incoming) = (Client::new(), Vec::new());
    let (mut out, mut bytes) = (Vec::new(), Vec::new());
    client.connect(args.user.as_ref(), &mut out);

    let mut answer_by = Some(Instant::now() + patience);
    let mut heartbeat_at = None;
    loop {
        bytes.clear();
        let received = tokio::select! {
            received = link.exchange(&mut out, &mut bytes) => received?,
            () = at(answer_by) => bail!("{} has not answered in {} s", args.url, args.timeout),
            () = at(heartbeat_at) => {
                client.heartbeat(&mut out);
                heartbeat_at = client.heartbeat_interval().map(|interval| Instant::now() + interval);
                continue;
            }
            _ = tokio::signal::ctrl_c() => return Ok(()),
        };
        if received == 0 {
            bail!("{} has closed the connection", args.url);
        }
        client
            .receive(&bytes, &mut out, &mut incoming)
            .with_context(|| format!("{} does not speak Pomelo", args.url))?;
        for event in incoming.drain(..) {
            let answered = match event {
                Incoming::Ready { .. } => {
                    heartbeat_at = client.heartbeat_interval().map(|interval| Instant::now() + interval);
                    true
                }
                Incoming::Refused { code, .. } => {
                    let what = format!("{} refused the handshake with", args.url);
                    match Failure::code(&code.into()) {
                        Some(code) => return Err(Failure { what, code }.into()),
                        None => bail!("{what} code {code}"),
                    }
                }
                Incoming::Response { route, body, .. } => {
                    let is_read = print(format_args!("{}", readable(&body)));
                    let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
                    if let Some(code) = Failure::code(&answer["code"]) {
                        // The request has failed, so an error while closing does not matter.
                        let _ = link.close().await;
                        return Err(Failure { what: format!("{route} answered with"), code }.into());
                    }
                    if !is_read {
                        return link.close().await;
                    }
                    true
                }
                Incoming::Push { route, body } => {
                    if !print(format_args!("{route} {}", readable(&body))) {
                        return link.close().await;
                    }
                    false
                }
                Incoming::Heartbeat => false,
                Incoming::Kick { reason } => {
                    bail!("{} kicked: {}", args.url, reason.as_deref().unwrap_or("no reason given"))
                }
            };
            if !answered {
                continue;
            }
            match requests.pop_front() {
                Some((route, body)) => {
                    client.request(&route, body.as_bytes(), &mut out)?;
                    answer_by = Some(Instant::now() + patience);
                }
                None if args.listen => answer_by = None,
                None => return link.close().await,
            }
        }
    }
}

/// Prints a line. Returns whether standard output still has a reader.
fn print(line: fmt::Arguments<'_>) -> bool {
    writeln!(std::io::stdout(), "{line}").is_ok()
}

/// Returns a JSON body with its escapes undone, for people to read. Returns any other body as it
/// is.
fn readable(body: &[u8]) -> String {
    let mut text = Vec::new();
    let from = &mut serde_json::Deserializer::from_slice(body);
    match serde_transcode::transcode(from, &mut serde_json::Serializer::new(&mut text)) {
        Ok(()) => String::from_utf8_lossy(&text).into_owned(),
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    }
}

/// Waits until this time, or for ever if there is none.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
