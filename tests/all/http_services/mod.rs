//! Services over HTTP: real servers, and servers that misbehave. `docs/http-services.md` is the
//! contract.

mod answers;
mod balance;
mod circuit;
mod connections;
mod events;
mod hello;
mod misbehaving;
mod reload;
mod service;

use std::time::Duration;

use serde_json::{Value, json};
use wireplug::app::{Error, Json};
use wireplug::config::{HttpConfig, ServerConfig, ServiceConfig, SessionsPerUser};
use wireplug::{App, CodecSource, RunningServer, Server, Session, User};
use wireplug_tests::client::Client;
use wireplug_tests::{log, server};

use self::service::Service;

/// Returns an application that binds sessions and sets their settings.
fn app() -> App {
    App::new()
        .route("local.bind", |Json(name): Json<User>, session: Session| async move {
            session.bind(&name).map_err(Error::from)
        })
        .route("local.set", |Json(room): Json<String>, session: Session| async move {
            session.set("room", Some(&room));
        })
        .route("local.echo", |body: bytes::Bytes| async move { body })
}

/// Starts a server with these services.
async fn node<const N: usize>(services: [(&str, ServiceConfig); N]) -> RunningServer {
    node_with(app(), SessionsPerUser::Many, services).await
}

/// Starts a server with an application and these services.
async fn node_with<const N: usize>(
    app: App,
    sessions_per_user: SessionsPerUser,
    services: [(&str, ServiceConfig); N],
) -> RunningServer {
    log::init();
    let server = Server::new(app)
        .config(ServerConfig { max_connections: 50, sessions_per_user, ..ServerConfig::default() })
        .compile(server::setup().compile)
        .services(services)
        .listen("hybrid://127.0.0.1:0", CodecSource::pomelo(json!({})));
    server.start().await.expect("it starts")
}

async fn client(node: &RunningServer) -> Client {
    Client::connect(&node.urls()[0].replace("hybrid", "tcp")).await
}

/// Returns the configuration of a service at this URL that waits for as long as a test may take,
/// and whose URL is never left out.
fn patient(url: &str) -> ServiceConfig {
    patient_at(&[url])
}

fn patient_at(urls: &[&str]) -> ServiceConfig {
    let urls: Vec<String> = urls.iter().map(|url| (*url).to_owned()).collect();
    ServiceConfig {
        timeout: wireplug_tests::PATIENCE,
        http: HttpConfig { circuit_failures: 0, ..HttpConfig::default() },
        ..ServiceConfig::at(urls)
    }
}

/// Returns the configuration of a service that soon answers too late.
fn impatient(url: &str) -> ServiceConfig {
    ServiceConfig { timeout: Duration::from_millis(300), ..patient(url) }
}

/// Returns what a client gets if a request has this status and no body.
fn code(code: u16) -> Value {
    json!({ "code": code })
}

/// Returns a URL at which nobody listens, and the socket that keeps others from listening there.
fn nobody() -> (String, tokio::net::TcpSocket) {
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
    (format!("http://{}", socket.local_addr().expect("it is bound")), socket)
}
