mod chaos;
mod client_requests;
mod clients;
mod commands;
mod deadlines;
mod events;
mod flood;
mod guide;
mod hello;
mod objects;
mod one_session;
mod operator;
mod permissions;
mod push_api;
mod requests;
mod rollouts;
mod servers;
mod services;
mod status;
mod traces;
mod upgrade;

use std::path::PathBuf;

use async_nats::{Client as Nats, HeaderMap, Message};
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use wireplug::config::{NatsConfig, ServerConfig, ServiceConfig, SessionsPerUser};
use wireplug::{App, CodecSource, RunningServer, Server};
use wireplug_tests::client::Client;
use wireplug_tests::nats::NatsServer;
use wireplug_tests::within;

use crate::program::PROGRAM;

const JOIN: &str = "chat.chatHandler.join";
const SEND: &str = "chat.chatHandler.send";
const ON_CHAT: &str = "onChat";

/// Returns the directory in which cargo puts the examples.
fn programs() -> PathBuf {
    PathBuf::from(PROGRAM).with_file_name("examples")
}

/// Starts a node with the service `chat` and an application.
async fn node_with(
    nats: &NatsServer,
    app: App,
    per_user: SessionsPerUser,
    service: ServiceConfig,
) -> RunningServer {
    wireplug_tests::log::init();
    let config = ServerConfig { max_connections: 50, sessions_per_user: per_user, ..ServerConfig::default() };
    Server::new(app)
        .config(config)
        .nats(NatsConfig { node: Some("test".to_owned()), ..NatsConfig::at(&nats.url()) })
        .services([("chat", service)])
        .listen("hybrid://127.0.0.1:0", CodecSource::pomelo(json!({})))
        .start()
        .await
        .expect("it starts")
}

async fn node(nats: &NatsServer) -> RunningServer {
    node_with(nats, App::new(), SessionsPerUser::Many, ServiceConfig::default()).await
}

/// Connects a client to a node over TCP.
async fn client(node: &RunningServer) -> Client {
    Client::connect(&tcp(node)).await
}

fn tcp(node: &RunningServer) -> String {
    node.urls()[0].replace("hybrid", "tcp")
}

/// Starts a service that answers each request with the status and body that `answer` returns.
async fn serve(nats: &Nats, subject: &str, answer: impl Fn(&Message) -> (u16, String) + Send + 'static) {
    let mut requests =
        nats.queue_subscribe(subject.to_owned(), "chat".to_owned()).await.expect("a subscription");
    heard(nats).await;
    let nats = nats.clone();
    tokio::spawn(async move {
        while let Some(request) = requests.next().await {
            let (status, body) = answer(&request);
            let mut headers = HeaderMap::new();
            if status != 200 {
                headers.insert("Nats-Service-Error-Code", status.to_string());
                headers.insert("Nats-Service-Error", "as the test wants it");
            }
            if let Some(reply) = request.reply {
                let _ = nats.publish_with_headers(reply, headers, body.into()).await;
            }
        }
    });
}

/// Waits until the NATS server has processed all earlier subscriptions of this connection.
async fn heard(nats: &Nats) {
    let inbox = nats.new_inbox();
    let mut own = nats.subscribe(inbox.clone()).await.expect("a subscription");
    nats.publish(inbox, "".into()).await.expect("it is connected");
    within("the server", own.next()).await.expect("it is connected");
}

/// Answers with the headers of the request.
fn echo_headers(request: &Message) -> (u16, String) {
    let headers = request.headers.as_ref().expect("a node sends headers");
    let headers: serde_json::Map<String, Value> = headers
        .iter()
        .map(|(name, values)| (name.to_string(), values[0].as_str().into()))
        .chain([("subject".to_owned(), request.subject.as_str().into())])
        .collect();
    (200, Value::Object(headers).to_string())
}

/// Returns the address by which services reach the client's session. The service of its node must
/// answer with [`echo_headers`].
async fn address(client: &mut Client) -> String {
    let headers = client.call("chat.any.who", &json!({})).await;
    headers["Wireplug-Session"].as_str().expect("a session has an address").to_owned()
}

/// Publishes a command for clients.
async fn tell(nats: &Nats, rest: &str, payload: &str, headers: &[(&'static str, &str)]) {
    let mut map = HeaderMap::new();
    headers.iter().for_each(|&(name, value)| map.insert(name, value));
    let subject = format!("wireplug.clients.{rest}");
    nats.publish_with_headers(subject, map, payload.to_owned().into()).await.expect("it is connected");
}

/// Pushes a JSON body.
async fn push(nats: &Nats, target: &str, body: &Value) {
    tell(nats, &format!("push.{target}"), &body.to_string(), &[("Wireplug-Route", ON_CHAT)]).await;
}

/// Requests a command for a session. Returns the code of the refusal, if the command was refused.
async fn ask(nats: &Nats, rest: &str, payload: &str) -> Option<u16> {
    let request = nats.request(format!("wireplug.clients.{rest}"), payload.to_owned().into());
    let reply = within("a node's reply", request).await.expect("the node replies");
    let code = reply.headers.as_ref().and_then(|headers| headers.get("Nats-Service-Error-Code"));
    code.map(|code| code.as_str().parse().expect("a code is a number"))
}
