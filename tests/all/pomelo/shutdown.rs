//! The end of a server.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use tokio::sync::Semaphore;
use wireplug::app::Handler as _;
use wireplug_tests::app::{self, ECHO};
use wireplug_tests::client::Client;
use wireplug_tests::raw::Raw;
use wireplug_tests::server;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_what_is_in_flight_and_says_farewell() {
    let (permits, begun) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (opened, started) = (Arc::clone(&permits), Arc::clone(&begun));
    let app = app::demo().route(
        "slow.slowHandler.wait",
        (move |body: Bytes| {
            let (permits, begun) = (Arc::clone(&permits), Arc::clone(&begun));
            async move {
                begun.add_permits(1);
                permits.acquire().await?.forget();
                Ok(body)
            }
        })
        .concurrent(),
    );
    let server = server::pomelo(app, json!({})).await;
    let mut busy = [Client::connect(&server.tcp()).await, Client::connect(&server.ws()).await];
    let mut idle = Client::connect(&server.tcp()).await;
    assert_eq!(idle.request(ECHO, "[]").await, b"[]");
    let mut asked = Vec::new();
    for client in &mut busy {
        asked.push([
            client.ask("slow.slowHandler.wait", "[1]").await,
            client.ask("slow.slowHandler.wait", "[2]").await,
        ]);
    }
    drop(wireplug_tests::within("handlers at work", started.acquire_many(4)).await);
    // A client that has not sent anything yet.
    let mut silent = Raw::connect(&server.tcp()).await;
    server.until("the silent one", |stats| stats.connections_accepted == 4).await;

    let url = server.tcp();
    let shutdown = tokio::spawn(server.shutdown());
    idle.kicked("the server stops").await;
    assert_eq!(silent.rest().await, b"");
    opened.add_permits(4);
    for (client, ids) in busy.iter_mut().zip(asked) {
        assert_eq!(client.response(ids[0]).await, b"[1]");
        assert_eq!(client.response(ids[1]).await, b"[2]");
        client.kicked("the server stops").await;
    }
    let stats = shutdown.await.expect("no panic");
    assert_eq!(stats.closes, [("shutdown", 4)].into());
    assert!(tokio::net::TcpStream::connect(url.trim_start_matches("tcp://")).await.is_err());
}

/// A handler that hangs is stopped, and its client still gets its farewell.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_hangs_costs_no_farewell() {
    let begun = Arc::new(Semaphore::new(0));
    let started = Arc::clone(&begun);
    let app = app::demo().route("slow.slowHandler.hang", move || {
        let begun = Arc::clone(&begun);
        async move {
            begun.add_permits(1);
            std::future::pending::<()>().await
        }
    });
    let mut setup = server::setup();
    setup.server.drain_timeout = Duration::from_millis(200);
    let server = server::pomelo_with(app, setup).await;
    let mut clients = [Client::connect(&server.tcp()).await, Client::connect(&server.ws()).await];
    for client in &mut clients {
        client.ask("slow.slowHandler.hang", "[]").await;
    }
    drop(wireplug_tests::within("handlers at work", started.acquire_many(2)).await);
    let shutdown = tokio::spawn(server.shutdown());
    for client in &mut clients {
        client.kicked("the server stops").await;
    }
    assert_eq!(shutdown.await.expect("no panic").closes, [("shutdown", 2)].into());
}
