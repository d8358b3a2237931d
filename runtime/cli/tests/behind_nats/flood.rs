//! A node gets more messages than it handles.

use std::time::Duration;

use wireplug_tests::log;
use wireplug_tests::nats::NatsServer;
use wireplug_tests::until;

use super::{address, ask, client, echo_headers, node, serve};

/// Messages that do not fit are lost. The log reports lost messages, but not each one. The client
/// library sends an event for each message that it drops, and drops events too. So the node must
/// not need these events to know the state of its connection.
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
        // Another task writes the log line.
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
