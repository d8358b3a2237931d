//! A reload replaces services while requests are under way.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Semaphore;
use wireplug::{Config, Server};
use wireplug_tests::{chain, log, server};

use super::service::Protocol;
use super::{Service, app, client, code};

fn config(services: &Value) -> Config {
    let config = json!({
        "server": { "max-connections": 50 },
        "services": services,
        "codecs": { "pomelo": { "builtin": "pomelo" } },
        "listeners": [{ "url": "hybrid://127.0.0.1:0", "codec": "pomelo" }],
    });
    serde_json::from_value(config).expect("it is valid")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_come_change_and_go() {
    log::init();
    let permits = Arc::new(Semaphore::new(0));
    let (held, other) = (Service::holding(Protocol::Http1, &permits).await, Service::echo().await);
    let first = config(&json!({ "chat": { "url": held.url("") }, "same": { "url": other.url("/same") } }));
    let server = Server::new(app()).compile(server::setup().compile).configured(&first, Path::new(""));
    let node = server.expect("it is valid").start().await.expect("it starts");
    let mut ann = client(&node).await;
    let asked = ann.ask("chat.a", "1").await;
    held.until(1).await;
    let mut bob = client(&node).await;
    assert_eq!(bob.call("same.a", &json!(1)).await, json!(1));

    let second = config(&json!({
        "chat": { "url": [other.url("/chat")] },
        "new": { "url": other.url("/new") },
        "same": { "url": other.url("/same") },
    }));
    node.reload(&second, Path::new("")).await.expect("it is applied");
    assert_eq!(bob.call("chat.a", &json!(2)).await, json!(2));
    assert_eq!(bob.call("new.a", &json!(3)).await, json!(3));
    assert_eq!(bob.call("same.a", &json!(4)).await, json!(4));
    let received = other.received();
    let paths: Vec<_> = received.iter().map(|request| &*request.path).collect();
    assert_eq!(paths, ["/same/a", "/chat/a", "/new/a", "/same/a"]);
    assert_eq!(received[0].connection, received[3].connection, "what stays keeps its connections");
    permits.add_permits(1);
    assert_eq!(ann.response(asked).await, b"1", "a request goes on as it has begun");

    let missing = json!({ "chat": { "url": "https://a", "http": { "ca-file": "no-such" } } });
    let refused = node.reload(&config(&missing), Path::new("")).await.expect_err("it is refused");
    assert!(chain(&refused).contains("services.chat.http.ca-file: there is no file no-such"), "{refused}");
    assert_eq!(bob.call("chat.a", &json!(5)).await, json!(5), "nothing has changed");

    node.reload(&config(&json!({})), Path::new("")).await.expect("it is applied");
    assert_eq!(bob.call("chat.a", &json!(6)).await, code(404));
    node.shutdown().await;
}
