//! More messages than a node handles.

use std::time::Duration;

use wireplug_tests::log;
use wireplug_tests::nats::NatsServer;
use wireplug_tests::until;

use super::{address, ask, client, echo_headers, node, serve};

/// What does not fit is lost. The log reports it, but not each time. The client library has an
/// event for each message that it drops, and drops events too: so what the node knows of its
/// connection must not hang on them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_come_too_fast_are_logged_and_the_node_goes_on() {
    let mut nats = NatsServer::start();
    let service = nats.client().await;
    serve(&service, "wireplug.requests.chat.>", echo_headers).await;
    let node = node(&nats).await;
    let mut ann = client(&node).await;
    let lines = || log::lines(&["messages from NATS came faster than they were handled"]);
    while lines().is_empty() {
        for _ in 0..50_000 {
            service.publish("wireplug.nodes.flood", "".into()).await.expect("it is connected");
        }
        service.flush().await.expect("it is connected");
        // It is logged by another task.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(lines().len() <= 4, "{:?}", lines());
    until("the node to hear all", || async { node.nodes().problem().is_none() }).await;
    let session = address(&mut ann).await;
    assert_eq!(ask(&service, &format!("bind.session.{session}"), "ann").await, None);

    nats.kill();
    until("it to be seen that NATS is gone", || async { node.nodes().problem().is_some() }).await;
    nats.start_again();
    until("NATS to be used again", || async { node.nodes().problem().is_none() }).await;
    let service = nats.client().await;
    serve(&service, "wireplug.requests.chat.>", echo_headers).await;
    assert_eq!(address(&mut ann).await, session);
}
