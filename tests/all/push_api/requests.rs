//! Requests of services to clients.

use serde_json::json;
use wireplug_tests::digits::{Digits, Form, frame};
use wireplug_tests::push_api::{PushAnswer, PushClient};

use super::{MAX_REQUESTS, Scene};

const ROUTE: (&str, &str) = ("wireplug-route", "firmware.update");

/// Connects a client that can be asked. Returns it with the address of its session.
async fn digits(scene: &Scene) -> (Digits, String) {
    let client = Digits::connect(&scene.server.urls()[1]).await;
    wireplug_tests::until("the session", || async { !scene.server.sessions().is_empty() }).await;
    (client, scene.latest().1)
}

/// Sends a request, and waits until the client has it.
async fn asked(scene: &Scene, client: &mut Digits, address: &str, id: u32) -> PushClient {
    let mut pusher = scene.pusher().await;
    pusher.send("POST", &format!("/clients/request/session/{address}"), &[ROUTE], "\"2.1\"").await;
    assert_eq!(client.next().await, frame("REQ", id, "firmware.update", "\"2.1\""));
    pusher
}

async fn respond(client: &mut Digits, id: u32, status: &str, body: &str) {
    client.send(Form::Text.write(&frame("RES", id, status, body))).await;
}

fn response(answer: &PushAnswer) -> (u16, Option<&str>, &[u8]) {
    (answer.status, answer.header("wireplug-status"), &answer.body)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_response_of_the_client_is_the_answer() {
    let scene = Scene::new("push-requests").await;
    let (mut client, address) = digits(&scene).await;
    let mut first = asked(&scene, &mut client, &address, 1).await;
    let mut second = asked(&scene, &mut client, &address, 2).await;
    // There may be no more of them.
    let why = scene.pusher().await.refused(&format!("request/session/{address}"), &[ROUTE], "", 429).await;
    assert!(why.starts_with(&format!("{MAX_REQUESTS} requests to this client wait")), "{why}");
    respond(&mut client, 2, "507", "the second").await;
    assert_eq!(response(&second.answer().await), (200, Some("507"), &b"the second"[..]));
    respond(&mut client, 1, "200", "").await;
    assert_eq!(response(&first.answer().await), (200, Some("200"), &b""[..]));
    // The connection is used again.
    assert_eq!(first.done("leave/all", "room").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_response_the_code_says_why() {
    let scene = Scene::new("push-no-response").await;
    let (mut client, address) = digits(&scene).await;
    let request = format!("request/session/{address}");
    let mut pusher = scene.pusher().await;
    let why = pusher.refused(&request, &[ROUTE, ("wireplug-timeout", "200")], "", 504).await;
    assert_eq!(why, "the client did not answer in time");
    for headers in [&[][..], &[ROUTE, ("wireplug-timeout", "0")], &[ROUTE, ("wireplug-timeout", "1 s")]] {
        let why = pusher.refused(&request, headers, "", 400).await;
        assert!(
            why.contains(if headers.is_empty() { "Wireplug-Route" } else { "Wireplug-Timeout" }),
            "{why}"
        );
    }
    assert_eq!(client.next().await, frame("REQ", 1, "firmware.update", ""));
    assert_eq!(client.next().await, frame("CAN", 1, "", ""));
    // Whoever gives up the connection gives up the request.
    drop(asked(&scene, &mut client, &address, 2).await);
    assert_eq!(client.next().await, frame("CAN", 2, "", ""));

    let mut open = asked(&scene, &mut client, &address, 3).await;
    client.send(Form::Text.write(&frame("BYE", 0, "", ""))).await;
    let answer = open.answer().await;
    assert_eq!((answer.status, &answer.json()["error"]), (404, &json!("the session is closed")));
    scene.until_gone().await;
    assert_eq!(pusher.refused(&request, &[ROUTE], "", 404).await, "the session has ended");
    let (_ann, _, pomelo) = scene.client().await;
    let why = pusher.refused(&format!("request/session/{pomelo}"), &[ROUTE], "", 501).await;
    assert!(why.contains("has no requests to the client"), "{why}");
    assert_eq!((scene.counted("request", 504), scene.counted("request", 404)), (1, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_answers_out_of_order_by_id() {
    let scene = Scene::new("push-stream-requests").await;
    let (mut client, address) = digits(&scene).await;
    let mut stream = scene.pusher().await.stream().await;
    let target = format!("session.{address}");
    let ask = |id: u32| json!({ "id": id, "verb": "request", "target": target, "route": "ask", "body": { "n": id }, "timeout": 60_000 });
    stream.send([&ask(1), &ask(2), &ask(3)]).await;
    let full = stream.answer().await;
    assert_eq!((&full["id"], &full["code"]), (&json!(3), &json!(429)), "{full}");
    for id in [1, 2] {
        assert_eq!(client.next().await, frame("REQ", id, "ask", format!("{{\"n\":{id}}}")));
    }
    // Other commands do not wait for the requests.
    stream.send([&json!({ "id": "x", "verb": "join", "target": target, "text": "room" })]).await;
    assert_eq!(stream.answer().await, json!({ "id": "x", "sessions": 1 }));
    respond(&mut client, 2, "200", "{\"ok\":\n true}").await;
    assert_eq!(stream.answer().await, json!({ "id": 2, "status": 200, "body": { "ok": true } }));
    // At the end of the commands, the answers that are missing still come.
    stream.end().await;
    respond(&mut client, 1, "404", "no JSON").await;
    assert_eq!(stream.answer().await, json!({ "id": 1, "status": 404, "text": "no JSON" }));
    assert_eq!(stream.next().await, None);
    assert_eq!(stream.into_client().done("leave/all", "room").await, 1);
}
