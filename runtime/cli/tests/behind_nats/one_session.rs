//! With one session for each user, a new session of a user ends the older one on any node.

use std::time::{Duration, Instant};

use serde_json::json;
use wireplug::app::Json;
use wireplug::config::{ServiceConfig, SessionsPerUser};
use wireplug::{App, RunningServer, Session, User};
use wireplug_tests::client::Client;
use wireplug_tests::nats::NatsServer;
use wireplug_tests::until;

use super::{client, node_with};

const BIND: &str = "entry.entryHandler.enter";
const DISPLACED: &str = "the user has another session now";

async fn strict(nats: &NatsServer) -> RunningServer {
    let app = App::new().route(BIND, |Json(name): Json<User>, session: Session| async move {
        session.bind(&name).map_err(wireplug::app::Error::from)
    });
    node_with(nats, app, SessionsPerUser::One, ServiceConfig::default()).await
}

/// Connects a client and binds its session to a user.
async fn enter(node: &RunningServer, name: &str) -> Client {
    let mut client = client(node).await;
    assert_eq!(client.call(BIND, &json!(name)).await, json!({}));
    client
}

fn users(node: &RunningServer, name: &str) -> usize {
    node.sessions().user(name).len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_later_one_stays_wherever_it_is() {
    let nats = NatsServer::start();
    let (one, other) = (strict(&nats).await, strict(&nats).await);
    let mut first = enter(&one, "ann").await;
    let mut second = enter(&other, "ann").await;
    first.kicked(DISPLACED).await;
    let mut third = enter(&one, "ann").await;
    second.kicked(DISPLACED).await;
    let _fourth = enter(&one, "ann").await;
    third.kicked(DISPLACED).await;
    until("one to be left", || async { users(&one, "ann") == 1 && users(&other, "ann") == 0 }).await;
    until("two to be counted", || async { one.stats().closes.get("displaced") == Some(&2) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happened_while_nats_was_away_is_put_right() {
    let mut nats = NatsServer::start();
    let (one, other) = (strict(&nats).await, strict(&nats).await);
    let mut first = enter(&one, "ann").await;
    nats.kill();
    let away = || async { !connected(&one).await && !connected(&other).await };
    until("both to see that it is gone", away).await;
    // While NATS is gone, each node applies the rule to its own sessions only.
    let mut second = enter(&other, "ann").await;
    let _third = enter(&other, "ann").await;
    second.kicked(DISPLACED).await;
    assert_eq!((users(&one, "ann"), users(&other, "ann")), (1, 1));
    nats.start_again();
    until("both to be back", || async { connected(&one).await && connected(&other).await }).await;
    let back = Instant::now();
    first.kicked(DISPLACED).await;
    assert_eq!((users(&one, "ann"), users(&other, "ann")), (0, 1));
    // docs/nats.md states a sixth of this time. The machine may be busy.
    assert!(back.elapsed() < Duration::from_secs(30), "{:?}", back.elapsed());
}

async fn connected(node: &RunningServer) -> bool {
    node.nodes().status().await[0].nats.as_ref().is_some_and(|nats| nats.connected)
}
