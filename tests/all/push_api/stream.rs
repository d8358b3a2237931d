//! Streams of commands.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;
use wireplug_tests::push_api::chunk;

use super::Scene;

fn push(target: &str, body: &Value) -> Value {
    json!({ "verb": "push", "target": target, "route": "onChat", "body": body })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_commands_keep_their_order_over_all_targets() {
    const LINES: usize = 8000;
    let scene = Scene::new("push-order").await;
    let (mut ann, _, address) = scene.client().await;
    let mut stream = scene.pusher().await.stream().await;
    let target = format!("session.{address}");
    stream.send([&json!({ "verb": "bind", "target": target, "text": "a.nn \u{f6}" })]).await;
    stream.send([&json!({ "verb": "join", "target": target, "text": "room 1" })]).await;
    for _ in 0..2 {
        assert_eq!(stream.answer().await, json!({ "sessions": 1 }));
    }
    let targets = ["all", "group.room 1", "user.a.nn \u{f6}", &target];
    // The client reads all the time, and so does the service: nothing overflows.
    for begin in (0..LINES).step_by(100) {
        let lines: Vec<_> = (begin..begin + 100)
            .map(|n| {
                let mut line = push(targets[n % 4], &json!(n));
                line["id"] = json!(n);
                line
            })
            .collect();
        stream.send(&lines).await;
        for n in begin..begin + 100 {
            assert_eq!(stream.answer().await, json!({ "id": n, "sessions": 1 }));
            assert_eq!(ann.next_push().await.1, json!(n));
        }
    }
    stream.end().await;
    assert_eq!(stream.next().await, None);
    assert_eq!(scene.counted("push", 200), LINES as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_form_of_a_payload_reaches_the_client() {
    let scene = Scene::new("push-payloads").await;
    let (mut ann, ..) = scene.client().await;
    let mut stream = scene.pusher().await.stream().await;
    // Lines may come in any parts, and empty lines say nothing.
    for part in [
        "\n{\"verb\":\"push\",\"target\":\"all\",\"route\":\"onChat\",\"bo",
        "dy\":{\"b\":1.50,\"a\":null}}\r\n\r\n{\"verb\":\"push\",",
        "\"target\":\"all\",\"route\":\"onChat\",\"text\":\"w\\u00f6rld\"}\n",
        "{\"verb\":\"push\",\"target\":\"all\",\"route\":\"onChat\",\"base64\":\"AP8=\"}\n",
        "{\"verb\":\"push\",\"target\":\"all\",\"route\":\"onChat\"}",
    ] {
        stream.write(part).await;
    }
    stream.end().await;
    for _ in 0..4 {
        assert_eq!(stream.answer().await, json!({ "sessions": 1 }));
    }
    assert_eq!(stream.next().await, None);
    for body in [&br#"{"b":1.50,"a":null}"#[..], "w\u{f6}rld".as_bytes(), b"\x00\xff", b""] {
        assert_eq!(ann.next_push_body().await, body);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_line_has_an_error_and_the_stream_goes_on() {
    let scene = Scene::new("push-wrong-lines").await;
    let mut stream = scene.pusher().await.stream().await;
    let long = "x".repeat(300);
    let cases = [
        ("nonsense".to_owned(), Value::Null, 400, "no command in JSON"),
        (r#"{"id":1,"verb":"shout","target":"all"}"#.to_owned(), json!(1), 400, "the verb is none of"),
        (r#"{"id":null,"verb":"kick","target":"room.1"}"#.to_owned(), Value::Null, 400, "the target is none"),
        (r#"{"id":"a","verb":"push","target":"all"}"#.to_owned(), json!("a"), 400, "a route"),
        (
            r#"{"id":2,"verb":"kick","target":"all","why":"x"}"#.to_owned(),
            json!(2),
            400,
            "unknown field `why`",
        ),
        (r#"{"id":3,"verb":"kick","target":"session.x.1"}"#.to_owned(), json!(3), 404, "no node x"),
        (
            format!(r#"{{"id":"{long}","verb":"kick","target":"all"}}"#),
            Value::Null,
            400,
            "an `id` has at most",
        ),
    ];
    for (line, id, code, wanted) in cases {
        stream.write(&format!("{line}\n")).await;
        let answer = stream.answer().await;
        assert_eq!((&answer["id"], &answer["code"]), (&id, &json!(code)), "{line}: {answer}");
        assert!(answer["error"].as_str().is_some_and(|why| why.contains(wanted)), "{line}: {answer}");
    }
    stream.send([&json!({ "verb": "kick", "target": "all" })]).await;
    assert_eq!(stream.answer().await, json!({ "sessions": 0 }));
    // Nothing can be read behind a line whose end is too far away.
    stream.write(&"x".repeat((3 << 19) + 1)).await;
    let answer = stream.answer().await;
    assert_eq!(answer["code"], json!(413), "{answer}");
    assert_eq!(stream.next().await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_names_its_content_type() {
    let scene = Scene::new("push-content-type").await;
    let mut pusher = scene.pusher().await;
    for headers in [&[][..], &[("content-type", "application/json")]] {
        pusher.send("POST", "/clients", headers, "{}\n").await;
        let answer = pusher.answer().await;
        assert_eq!(answer.status, 415, "{answer:?}");
        assert!(answer.json()["error"].as_str().is_some_and(|why| why.contains("application/x-ndjson")));
        pusher = scene.pusher().await;
    }
    // A stream may also come as a whole, and the client may wait for the word to send it.
    let headers = [("content-type", "application/x-ndjson; charset=utf-8"), ("expect", "100-continue")];
    pusher.send("POST", "/clients", &headers, "{\"verb\":\"kick\",\"target\":\"all\"}").await;
    let mut answer = pusher.answer_head().await;
    if answer.0 == 100 {
        answer = pusher.answer_head().await;
    }
    assert_eq!(answer.0, 200, "{answer:?}");
}

/// A service that does not read its answers is not read either, so that its answers need no memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_read_answers_is_not_read() {
    // More than all buffers of sockets between the two take.
    const MOST: usize = 128 << 20;
    let scene = Scene::new("push-slow-reader").await;
    let mut stream = scene.pusher().await.stream().await;
    let mut line =
        json!({ "id": "x".repeat(150), "verb": "leave", "target": "all", "text": "room" }).to_string();
    line.push('\n');
    let part = chunk(&line.repeat(100));
    let (mut sent, mut parts) = (0, 0);
    while sent < MOST {
        // The server has had room all the time, so a second without room means that it has stopped.
        let written =
            timeout(Duration::from_secs(1), stream.socket().write(&part[sent % part.len()..])).await;
        let Ok(written) = written else { break };
        sent += written.expect("it is open");
        parts = sent / part.len();
    }
    assert!(sent < MOST, "the server has read {sent} bytes, and none of its answers was read");
    assert!(parts > 0, "the server has read nothing");
    // Once the service reads, the rest is executed.
    let rest = part[sent % part.len()..].to_vec();
    let lines = (parts + usize::from(!rest.is_empty())) * 100;
    let mut read = 0;
    while read < parts * 100 - 100 {
        assert_eq!(stream.answer().await["sessions"], json!(0));
        read += 1;
    }
    stream.socket().write_all(&rest).await.expect("it is open");
    stream.end().await;
    while let Some(answer) = stream.next().await {
        assert_eq!(answer["sessions"], json!(0));
        read += 1;
    }
    assert_eq!(read, lines);
    assert_eq!(scene.counted("leave", 200), lines as u64);
}
