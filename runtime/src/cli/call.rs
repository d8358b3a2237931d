//! `wireplug call`: a Pomelo client that sends requests and prints what comes back.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::time::{Instant, sleep_until};
use wireplug_pomelo::client::{Client, Incoming};

use super::link::{Link, Target};

#[derive(clap::Args)]
pub(super) struct Args {
    /// The server: tcp://HOST:PORT or ws://HOST:PORT.
    url: String,
    /// Where the request goes: <serverType>.<handler>.<method>.
    route: String,
    /// The request's body, JSON.
    #[arg(default_value = "{}", value_parser = check_json)]
    body: String,
    /// A second request over the same connection, once the first is answered.
    #[arg(long, num_args = 2, value_names = ["ROUTE", "JSON"])]
    then: Option<Vec<String>>,
    /// Stay connected and print pushes until the server closes or Ctrl-C.
    #[arg(long)]
    listen: bool,
    /// How long to wait for the handshake and for each response, in seconds.
    #[arg(long, default_value_t = 10, value_name = "SECONDS")]
    timeout: u64,
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
    let mut link = Link::connect(&Target::find(&args.url).await?).await?;
    let (mut client, mut incoming) = (Client::new(), Vec::new());
    let (mut out, mut bytes) = (Vec::new(), Vec::new());
    client.connect(None, &mut out);

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
                    bail!("{} refused the handshake with code {code}", args.url)
                }
                Incoming::Response { body, .. } => {
                    println!("{}", readable(&body));
                    true
                }
                Incoming::Push { route, body } => {
                    println!("{route} {}", readable(&body));
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

/// A JSON body with its escapes undone, so that a person can read it; anything else as it is.
fn readable(body: &[u8]) -> String {
    let mut text = Vec::new();
    let from = &mut serde_json::Deserializer::from_slice(body);
    match serde_transcode::transcode(from, &mut serde_json::Serializer::new(&mut text)) {
        Ok(()) => String::from_utf8_lossy(&text).into_owned(),
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    }
}

/// At that time, or never.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
