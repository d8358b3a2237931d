//! Connections of the push API: how long they stay, and how they end.

use std::time::Duration;

use serde_json::json;
use wireplug_tests::push_api::PushClient;

use super::{ADMIN, Scene};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_on_one_connection_take_effect_in_order() {
    let scene = Scene::new("push-keep-alive").await;
    let (mut ann, ..) = scene.client().await;
    let mut pusher = scene.pusher().await;
    let route = [("wireplug-route", "onChat")];
    // They are all sent before the first answer is read.
    for n in 0..50 {
        pusher.send("POST", "/clients/push/all", &route, n.to_string()).await;
    }
    for n in 0..50 {
        let answer = pusher.answer().await;
        assert_eq!((answer.status, answer.header("connection")), (200, None));
        assert_eq!(ann.next_push().await.1, json!(n));
    }
    // An error of a command leaves the connection open.
    pusher.refused("push/all", &[], "", 400).await;
    assert_eq!(pusher.done("push/all", "50").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_requests_close_the_connection() {
    let scene = Scene::new("push-closed").await;
    let mut client = PushClient::connect(&scene.control, ADMIN).await;
    assert_eq!(client.done("leave/all", "room").await, 0);
    let answer = client.ask("GET", "/codecs").await;
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    client.closed().await;
}

/// Many idle connections keep nobody out, and do not cut a stream.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_make_room() {
    let scene = Scene::new("push-idle").await;
    let mut stream = scene.pusher().await.stream().await;
    let mut idle = Vec::new();
    for _ in 0..100 {
        let mut pusher = scene.pusher().await;
        assert_eq!(pusher.done("leave/all", "room").await, 0);
        idle.push(pusher);
    }
    // The connections of services do not count as those of operators of the same machine.
    for _ in 0..20 {
        let mut client = PushClient::connect(&scene.control, ADMIN).await;
        assert_eq!(client.ask("GET", "/codecs").await.status, 200);
    }
    stream.send([&json!({ "verb": "leave", "target": "all", "text": "room" })]).await;
    assert_eq!(stream.answer().await, json!({ "sessions": 0 }));
    idle.remove(0).closed().await;
}

/// No time-out of the control API ends a stream.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_connection_ends_and_an_idle_stream_does_not() {
    let scene = Scene::new("push-idle-stream").await;
    let mut stream = scene.pusher().await.stream().await;
    let mut pusher = scene.pusher().await;
    assert_eq!(pusher.done("leave/all", "room").await, 0);
    pusher.closed().await;
    stream.send([&json!({ "verb": "leave", "target": "all", "text": "room" })]).await;
    assert_eq!(stream.answer().await, json!({ "sessions": 0 }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_ends_streams_after_the_sessions() {
    let scene = Scene::new("push-drain").await;
    let (mut ann, ..) = scene.client().await;
    let mut stream = scene.pusher().await.stream().await;
    stream.send([&json!({ "verb": "push", "target": "all", "route": "onChat", "body": 1 })]).await;
    assert_eq!(stream.answer().await, json!({ "sessions": 1 }));
    scene.server.drain(Duration::ZERO).await;
    assert_eq!(stream.next().await, None);
    assert_eq!(ann.next_push().await.1, json!(1));
    ann.closed().await;
    // Single commands are answered as long as the control API serves.
    assert_eq!(scene.pusher().await.done("push/all", "2").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_ends_streams_and_idle_connections() {
    let scene = Scene::new("push-stop").await;
    let mut stream = scene.pusher().await.stream().await;
    let mut idle = scene.pusher().await;
    assert_eq!(idle.done("leave/all", "room").await, 0);
    stream.send([&json!({ "id": 1, "verb": "leave", "target": "all", "text": "room" })]).await;
    assert_eq!(stream.answer().await, json!({ "id": 1, "sessions": 0 }));
    scene.handle.stop().await;
    assert_eq!(stream.next().await, None);
    idle.closed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_address_is_left_without_waiting_for_streams() {
    let scene = Scene::new("push-leave").await;
    let mut stream = scene.pusher().await.stream().await;
    scene.handle.leave().await;
    assert_eq!(stream.next().await, None);
}
