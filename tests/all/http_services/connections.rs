//! Connections to services: kept open, shared, encrypted.

use std::sync::Arc;
use std::time::Duration;

use hyper::Version;
use serde_json::json;
use tokio::sync::Semaphore;
use wireplug::config::{HttpConfig, ServiceConfig};
use wireplug_tests::folder::Folder;
use wireplug_tests::{log, until};

use super::service::{Protocol, answer};
use super::{Service, client, code, node, patient};
use crate::connectors::tls::{AUTHORITY, Authority};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_connection_serves_many_requests() {
    let service = Service::echo().await;
    let node = node([("chat", patient(&service.url("/chat")))]).await;
    let (mut ann, mut bob) = (client(&node).await, client(&node).await);
    for number in 0..5 {
        assert_eq!(ann.call("chat.a", &json!(number)).await, json!(number));
        assert_eq!(bob.call("chat.a", &json!(number)).await, json!(number));
    }
    let received = service.received();
    assert!(received.iter().all(|request| request.connection == 0 && request.version == Version::HTTP_11));
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_without_requests_is_closed() {
    let service = Service::echo().await;
    let mut config = patient(&service.url("/chat"));
    config.http.keep_alive = Duration::from_millis(50);
    let node = node([("chat", config)]).await;
    let mut ann = client(&node).await;
    assert_eq!(ann.call("chat.a", &json!(1)).await, json!(1));
    service.until_open(0).await;
    assert_eq!(ann.call("chat.a", &json!(2)).await, json!(2));
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http2_shares_one_connection() {
    let permits = Arc::new(Semaphore::new(1));
    let service = Service::holding(Protocol::Http2, &permits).await;
    let mut config = patient(&service.url("/chat"));
    config.http.http2 = true;
    let node = node([("chat", config)]).await;
    let mut clients = [client(&node).await, client(&node).await, client(&node).await];
    assert_eq!(clients[0].call("chat.a", &json!(0)).await, json!(0));
    let mut asked = Vec::new();
    for client in &mut clients {
        asked.push(client.ask("chat.a", "7").await);
    }
    service.until(4).await;
    permits.add_permits(3);
    for (client, asked) in clients.iter_mut().zip(asked) {
        assert_eq!(client.response(asked).await, b"7");
    }
    let received = service.received();
    assert!(received.iter().all(|request| request.connection == 0 && request.version == Version::HTTP_2));
    node.shutdown().await;
}

/// Returns a service over TLS, and the configuration of a node that trusts it.
async fn encrypted(folder: &Folder, protocols: &[&str]) -> (Service, ServiceConfig) {
    let files = AUTHORITY.issue(folder, "service");
    let protocol = Protocol::tls(&files, protocols);
    let service = Service::start(protocol, |request| async move { answer(200, request.body) }).await;
    let url = format!("https://localhost:{}/chat", service.address.port());
    let http = HttpConfig { ca_file: Some(AUTHORITY.root(folder)), ..patient(&url).http };
    (service, ServiceConfig { http, ..patient(&url) })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_handshake_of_tls_chooses_the_version() {
    let folder = Folder::new("http-services-alpn");
    let cases: [(&[&str], _); 3] =
        [(&["h2", "http/1.1"], Version::HTTP_2), (&["http/1.1"], Version::HTTP_11), (&[], Version::HTTP_11)];
    for (protocols, version) in cases {
        let (service, config) = encrypted(&folder, protocols).await;
        let node = node([("chat", config)]).await;
        let mut ann = client(&node).await;
        assert_eq!(ann.call("chat.a", &json!(1)).await, json!(1));
        assert_eq!(service.received()[0].version, version, "{protocols:?}");
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_somebody_else_is_refused() {
    let (folder, other) = (Folder::new("http-services-ca"), Folder::new("http-services-other-ca"));
    let (service, mut config) = encrypted(&folder, &[]).await;
    config.http.ca_file = Some(Authority::new().root(&other));
    let node = node([("chat", config)]).await;
    let mut ann = client(&node).await;
    assert_eq!(ann.call("chat.a", &json!(1)).await, code(503));
    assert!(service.received().is_empty());
    let url = format!("https://localhost:{}/chat", service.address.port());
    let words =
        ["a request to a service failed", "service=\"chat\"", &url, "status=503", "invalid peer certificate"];
    until("the line", || async { !log::lines(&words).is_empty() }).await;
    node.shutdown().await;
}
