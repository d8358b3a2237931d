//! How a node shows NATS who it is, and sees that NATS is who it should be.

use std::fs;
use std::path::PathBuf;

use serde_json::json;
use wireplug::app::App;
use wireplug::config::{NatsConfig, ServerConfig, ServiceConfig};
use wireplug::server::{CodecSource, Server};
use wireplug_tests::log;
use wireplug_tests::nats::NatsServer;

use crate::connectors::Place;
use crate::connectors::tls::AUTHORITY;

/// Whether a node with this configuration reaches its NATS.
async fn reaches(config: NatsConfig) -> bool {
    log::init();
    let server = Server::new(App::new())
        .config(ServerConfig { max_connections: 10, ..ServerConfig::default() })
        .nats(config, [("chat", ServiceConfig::default())])
        .listen("tcp://127.0.0.1:0", CodecSource::pomelo(json!({})));
    let server = server.start().await.expect("it starts, with NATS or without");
    let status = server.nodes().status().await;
    server.shutdown().await;
    status[0].nats.as_ref().expect("it has one").connected
}

fn secret(place: &Place, name: &str, text: &str) -> Option<PathBuf> {
    let path = place.path(name);
    fs::write(&path, format!("{text}\n")).expect("a place");
    Some(path)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_a_token() {
    let (nats, place) = (NatsServer::with(&["--auth", "a-token-of-tests"]), Place::new("nats-token"));
    let with = |token_file| NatsConfig { token_file, ..NatsConfig::at(&nats.url()) };
    assert!(reaches(with(secret(&place, "token", "a-token-of-tests"))).await);
    assert!(!reaches(with(secret(&place, "wrong", "another"))).await);
    assert!(!reaches(with(None)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_a_user_and_his_password() {
    let (nats, place) =
        (NatsServer::with(&["--user", "ann", "--pass", "secret"]), Place::new("nats-password"));
    let with = |password_file| NatsConfig {
        user: Some("ann".to_owned()),
        password_file,
        ..NatsConfig::at(&nats.url())
    };
    assert!(reaches(with(secret(&place, "password", "secret"))).await);
    assert!(!reaches(with(secret(&place, "wrong", "another"))).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls_with_certificates_on_both_sides() {
    let place = Place::new("nats-tls");
    let (root, server) = (AUTHORITY.root(&place), AUTHORITY.issue(&place, "nats"));
    let own = AUTHORITY.issue(&place, "node");
    let path = |path: &PathBuf| path.to_str().expect("text").to_owned();
    let (certificate, key, ca) = (path(&server.certificate), path(&server.key), path(&root));
    let nats = NatsServer::with(&[
        "--tls",
        "--tlscert",
        &certificate,
        "--tlskey",
        &key,
        "--tlsverify",
        "--tlscacert",
        &ca,
    ]);
    let url = nats.url().replace("nats://", "tls://");
    let good = NatsConfig {
        ca_file: Some(root),
        certificate_file: Some(own.certificate),
        key_file: Some(own.key),
        ..NatsConfig::at(&url)
    };
    assert!(reaches(good.clone()).await);
    assert!(
        !reaches(NatsConfig { ca_file: None, ..good.clone() }).await,
        "it trusts nobody it does not know"
    );
    let anonymous = NatsConfig { certificate_file: None, key_file: None, ..good };
    assert!(!reaches(anonymous).await, "nobody is let in who does not show who it is");
}
