//! The chat of the demo as a service behind NATS: `cargo run --release --example chat_nats`.
//!
//! It uses no code of wireplug: `docs/nats.md` tells what the subjects and headers mean.

use std::env;

use anyhow::Context as _;
use async_nats::{Client, ConnectOptions, HeaderMap, Message};
use bytes::Bytes;
use futures_util::StreamExt as _;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

const CHAT: &str = "chat";

#[derive(Deserialize)]
struct Join {
    name: String,
}

#[derive(Deserialize)]
struct Say {
    text: String,
}

/// A status other than 200, and why.
type Refusal = (u16, String);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let server = env::var("NATS_URL").unwrap_or_else(|_| "nats://127.0.0.1:4222".to_owned());
    let nc = ConnectOptions::new().max_reconnects(None).connect(server).await?;
    let subject = "wireplug.requests.chat.chatHandler.*";
    let mut requests = nc.queue_subscribe(subject, "chat".to_owned()).await?;
    nc.flush().await?;
    let mut terminate = signal(SignalKind::terminate())?;
    println!("ready");
    loop {
        tokio::select! {
            Some(request) = requests.next() => drop(tokio::spawn(answer(nc.clone(), request))),
            _ = terminate.recv() => return nc.drain().await.context("what was under way is lost"),
        }
    }
}

async fn answer(nc: Client, request: Message) {
    let answer = match request.subject.rsplit('.').next() {
        Some("join") => join(&nc, &request).await,
        Some("send") => send(&nc, &request).await,
        _ => Err((404, "there is no such action".to_owned())),
    };
    let mut headers = HeaderMap::new();
    let body = answer.map(|body| body.to_string()).unwrap_or_else(|(code, why)| {
        headers.insert("Nats-Service-Error-Code", code.to_string());
        headers.insert("Nats-Service-Error", why);
        String::new()
    });
    if let Some(reply) = request.reply {
        let _ = nc.publish_with_headers(reply, headers, body.into()).await;
    }
}

/// Binds the session to a user of that name, and lets it in.
async fn join(nc: &Client, request: &Message) -> Result<Value, Refusal> {
    let Join { name } =
        serde_json::from_slice(&request.payload).map_err(|_| (400, "a member has a name".to_owned()))?;
    let session = header(request, "Wireplug-Session").ok_or((400, "there is no session".to_owned()))?;
    tell(nc, "bind", session, &name).await?;
    tell(nc, "join", session, CHAT).await?;
    Ok(json!({ "name": name }))
}

/// Asks the node of a session to do something with it.
async fn tell(nc: &Client, verb: &str, session: &str, payload: &str) -> Result<(), Refusal> {
    let done =
        nc.request(format!("wireplug.clients.{verb}.session.{session}"), payload.to_owned().into()).await;
    let done = done.map_err(|error| (500, error.to_string()))?;
    match header(&done, "Nats-Service-Error-Code").map(str::parse) {
        None => Ok(()),
        Some(code) => Err((code.unwrap_or(500), format!("the node did not {verb}"))),
    }
}

/// Pushes what a member says to all members.
async fn send(nc: &Client, request: &Message) -> Result<Value, Refusal> {
    let from = header(request, "Wireplug-User").ok_or((403, "only members may speak".to_owned()))?;
    let Say { text } =
        serde_json::from_slice(&request.payload).map_err(|_| (400, "there is no text".to_owned()))?;
    let mut headers = HeaderMap::new();
    headers.insert("Wireplug-Route", "onChat");
    let said = Bytes::from(json!({ "from": from, "text": text }).to_string());
    let pushed = nc.publish_with_headers(format!("wireplug.clients.push.group.{CHAT}"), headers, said).await;
    pushed.map_err(|error| (500, error.to_string()))?;
    Ok(json!({}))
}

fn header<'a>(request: &'a Message, name: &str) -> Option<&'a str> {
    Some(request.headers.as_ref()?.get(name)?.as_str())
}
