//! The commands of services reach clients on whichever node they are.

use serde_json::{Value, json};
use wireplug::RunningServer;
use wireplug_tests::client::Client;
use wireplug_tests::nats::NatsServer;
use wireplug_tests::{until, within};

use super::{ON_CHAT, address, ask, client, echo_headers, node, push, serve, tell};

/// Two nodes, each with a client and the address of its session, and a service.
struct Scene {
    // Declared before the server, so that the connections are dropped before it.
    service: async_nats::Client,
    nodes: [RunningServer; 2],
    clients: [Client; 2],
    addresses: [String; 2],
    _nats: NatsServer,
}

impl Scene {
    async fn new() -> Self {
        let nats = NatsServer::start();
        let service = nats.client().await;
        serve(&service, "wireplug.requests.chat.>", echo_headers).await;
        let nodes = [node(&nats).await, node(&nats).await];
        let mut clients = [client(&nodes[0]).await, client(&nodes[1]).await];
        let addresses = [address(&mut clients[0]).await, address(&mut clients[1]).await];
        Self { service, nodes, clients, addresses, _nats: nats }
    }

    async fn ask(&self, rest: &str, payload: &str) -> Option<u16> {
        ask(&self.service, rest, payload).await
    }

    async fn push(&self, target: &str, body: Value) {
        push(&self.service, target, &body).await;
    }

    /// Expects this body as the next push of each client.
    async fn both_get(&mut self, body: Value) {
        for client in &mut self.clients {
            assert_eq!(client.next_push().await, (ON_CHAT.to_owned(), body.clone()));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pushes_reach_their_targets_and_nobody_else() {
    let mut scene = Scene::new().await;
    let [one, other] = scene.addresses.clone();
    assert_eq!(scene.ask(&format!("bind.session.{one}"), "ann@example.com").await, None);
    assert_eq!(scene.ask(&format!("bind.session.{other}"), "bob b*b > \u{f6}").await, None);
    assert_eq!(scene.ask(&format!("join.session.{one}"), "room 1").await, None);
    assert_eq!(scene.ask(&format!("join.session.{other}"), "room 1").await, None);
    assert_eq!(scene.ask(&format!("join.session.{other}"), "room 2").await, None);

    scene.push("user.ann@example.com", json!("to ann")).await;
    scene.push("user.bob%20b%2Ab%20%3E%20%C3%B6", json!("to bob")).await;
    scene.push(&format!("session.{one}"), json!("to one")).await;
    scene.push("group.room%202", json!("to room 2")).await;
    scene.push("user.nobody", json!("to nobody")).await;
    scene.push("group.room%201", json!("to room 1")).await;
    scene.push("all", json!("to all")).await;
    for body in ["to ann", "to one", "to room 1", "to all"] {
        assert_eq!(scene.clients[0].next_push().await.1, json!(body));
    }
    for body in ["to bob", "to room 2", "to room 1", "to all"] {
        assert_eq!(scene.clients[1].next_push().await.1, json!(body));
    }

    assert_eq!(scene.ask(&format!("leave.session.{one}"), "room 1").await, None);
    assert_eq!(scene.ask(&format!("unbind.session.{one}"), "").await, None);
    scene.push("group.room%201", json!("not to ann")).await;
    scene.push("user.ann@example.com", json!("not to ann")).await;
    // All sessions of a user join a group.
    tell(&scene.service, "join.user.bob%20b%2Ab%20%3E%20%C3%B6", "room 3", &[]).await;
    scene.push("group.room%203", json!("room 3")).await;
    scene.push("all", json!("the end")).await;
    assert_eq!(scene.clients[0].next_push().await.1, json!("the end"));
    for body in ["not to ann", "room 3", "the end"] {
        assert_eq!(scene.clients[1].next_push().await.1, json!(body));
    }
}

/// Each client gets the pushes of one sender once and in the order of the calls, whatever targets
/// they name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_order_holds_over_all_targets() {
    let mut scene = Scene::new().await;
    let [one, other] = scene.addresses.clone();
    for address in [&one, &other] {
        assert_eq!(scene.ask(&format!("bind.session.{address}"), "twins").await, None);
        assert_eq!(scene.ask(&format!("join.session.{address}"), "room").await, None);
    }
    for n in 0..300 {
        match n % 4 {
            0 => scene.push("all", json!(n)).await,
            1 => scene.push("group.room", json!(n)).await,
            2 => scene.push("user.twins", json!(n)).await,
            _ => {
                scene.push(&format!("session.{one}"), json!(n)).await;
                scene.push(&format!("session.{other}"), json!(n)).await;
            }
        }
    }
    for n in 0..300 {
        scene.both_get(json!(n)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_done_is_answered_with_why() {
    let mut scene = Scene::new().await;
    let [one, other] = scene.addresses.clone();
    let long = "x".repeat(201);
    for (rest, payload) in [
        (format!("bind.session.{one}"), ""),
        (format!("bind.session.{one}"), long.as_str()),
        (format!("join.session.{one}"), "a\nb"),
        (format!("set.session.{one}"), "[]"),
        (format!("set.session.{one}"), r#"{"a":1}"#),
        (format!("push.session.{one}"), "without a route"),
        (format!("shout.session.{one}"), ""),
    ] {
        assert_eq!(scene.ask(&rest, payload).await, Some(400), "{rest} {payload}");
    }
    assert_eq!(scene.ask(&format!("set.session.{one}"), r#"{"a":"1","b":null}"#).await, None);
    let session = scene.nodes[0].sessions().all().sessions().pop().expect("it is there");
    assert_eq!(session.setting("a").as_deref(), Some("1"));

    tell(&scene.service, &format!("kick.session.{other}"), "be gone", &[]).await;
    scene.clients[1].kicked("be gone").await;
    until("the session to be gone", || async { scene.nodes[1].sessions().is_empty() }).await;
    assert_eq!(scene.ask(&format!("bind.session.{other}"), "bob").await, Some(404));
    // A node that does not exist sends no answer.
    let gone = scene.service.request("wireplug.clients.bind.session.nobody-1.1", "x".into());
    let silence = tokio::time::timeout(std::time::Duration::from_millis(300), gone).await;
    assert!(silence.is_err(), "{silence:?}");
    // The invalid commands have harmed no client.
    scene.push("all", json!("the end")).await;
    assert_eq!(scene.clients[0].next_push().await.1, json!("the end"));
    let notified = within("an answer", scene.clients[0].call("chat.any.who", &json!({}))).await;
    assert_eq!(notified["Wireplug-Session"], one);
}
