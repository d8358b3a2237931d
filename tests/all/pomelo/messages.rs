//! Requests, notifications, pushes and kicks.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use wireplug::Session;
use wireplug::app::{Error, Handler as _, Json};
use wireplug::session::Message;
use wireplug_tests::app::{self, ECHO};
use wireplug_tests::client::Client;
use wireplug_tests::raw::{DATA, KICK, Raw, package, request, response};
use wireplug_tests::server;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn text_is_exact_both_ways() {
    let app = app::demo().route("text.textHandler.count", |Json(text): Json<String>| async move {
        Json(text.chars().map(u32::from).collect::<Vec<_>>())
    });
    let server = server::pomelo(app, json!({})).await;
    let text = "smile 😀 é 漢 \u{10ffff} \u{0} \" \\ \u{2028}";
    for url in [server.tcp(), server.ws()] {
        let mut client = Client::connect(&url).await;
        assert_eq!(client.call(ECHO, &json!(text)).await, json!(text));
        let scalars: Vec<_> = text.chars().map(u32::from).collect();
        assert_eq!(client.call("text.textHandler.count", &json!(text)).await, json!(scalars));
    }

    // Text as JavaScript clients write it (CESU-8), and the form in which they can read it.
    let mut client = Raw::pomelo(&server.tcp()).await;
    client.send(&request(1, ECHO, b"\"\xed\xa0\xbd\xed\xb8\x80\"")).await;
    client.expect(&response(1, r#""\ud83d\ude00""#)).await;
    client.send(&request(2, ECHO, "\"😀\"")).await;
    client.expect(&response(2, r#""\ud83d\ude00""#)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_are_reported_and_harm_nobody() {
    let app = app::demo()
        .route("f.failHandler.error", || async { Err::<(), Error>(anyhow::anyhow!("a test's error").into()) })
        .route("f.failHandler.status", || async { Err::<(), _>(Error::status(409)) })
        .route("f.failHandler.body", || async {
            Err::<(), _>(Error::with_body(418, r#"{"code":418,"msg":"tea"}"#))
        })
        .route("f.failHandler.panic", |body: Bytes| async move { panic!("a test's panic at {body:?}") as () })
        .route("f.failHandler.panicLate", || async {
            tokio::task::yield_now().await;
            panic!("a test's late panic") as ()
        })
        .route("f.failHandler.typed", |Json(number): Json<u32>| async move { Json(number + 1) });
    let server = server::pomelo(app, json!({})).await;
    for url in [server.tcp(), server.ws()] {
        let mut client = Client::connect(&url).await;
        let cases = [
            ("f.failHandler.error", json!({ "code": 500 })),
            ("f.failHandler.status", json!({ "code": 409 })),
            ("f.failHandler.body", json!({ "code": 418, "msg": "tea" })),
            ("f.failHandler.panic", json!({ "code": 500 })),
            ("f.failHandler.panicLate", json!({ "code": 500 })),
            ("f.failHandler.typed", json!({ "code": 400 })),
            ("f.failHandler.nope", json!({ "code": 404 })),
            ("nope", json!({ "code": 404 })),
            ("a.b.c.d.constructor", json!({ "code": 404 })),
        ];
        for (route, answer) in cases {
            assert_eq!(client.call(route, &json!({})).await, answer, "{route}");
            client.notify(route, "{}").await;
            assert_eq!(client.call(ECHO, &json!(route)).await, json!(route));
        }
        assert_eq!(client.call("f.failHandler.typed", &json!(1)).await, json!(2));
    }
    let stats = server.until_closed("client-closed", 2).await;
    assert_eq!((stats.closes.len(), stats.drops), (1, [].into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_concurrent_handler_that_waits_does_not_hold_up_a_later_one() {
    let permits = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&permits);
    let app = app::demo().route(
        "slow.slowHandler.wait",
        (move |body: Bytes| {
            let permits = Arc::clone(&permits);
            async move {
                permits.acquire().await?.forget();
                Ok(body)
            }
        })
        .concurrent(),
    );
    let server = server::pomelo(app, json!({})).await;
    let mut client = Client::connect(&server.tcp()).await;
    let slow = client.ask("slow.slowHandler.wait", "[1]").await;
    let slower = client.ask("slow.slowHandler.wait", "[2]").await;
    assert_eq!(client.request(ECHO, "[3]").await, b"[3]");
    opened.add_permits(2);
    assert_eq!(client.response(slower).await, b"[2]");
    assert_eq!(client.response(slow).await, b"[1]");
}

/// The original server's process hangs at ids of 2^31, and truncates larger ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_id_comes_back() {
    let server = server::pomelo(app::demo(), json!({})).await;
    let mut client = Raw::pomelo(&server.tcp()).await;
    for id in [1, 127, 128, 16_383, 16_384, (1 << 31) - 1, 1 << 31, (1 << 32) + 5, u64::MAX] {
        client.send(&request(id, ECHO, "{}")).await;
        client.expect(&response(id, "{}")).await;
    }
    // Id 0 means no id: the request is handled and not answered.
    client.send(&[request(0, ECHO, "{}"), request(2, ECHO, "[2]")].concat()).await;
    client.expect(&response(2, "[2]")).await;
    server.until("all counted", |stats| stats.messages_in == 11).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kick_stands_behind_all_that_was_sent() {
    let app =
        app::demo().route("k.kickHandler.kick", |Json(reason): Json<String>, session: Session| async move {
            for n in 0..3 {
                session.push("onNumber", &n)?;
            }
            session.kick(&reason);
            Ok(Json("kicked"))
        });
    let server = server::pomelo(app, json!({ "dictionary": false })).await;

    let mut client = Raw::pomelo(&server.tcp()).await;
    client.send(&request(1, "k.kickHandler.kick", "\"be gone \u{1f600}\"")).await;
    for n in 0..3 {
        client.expect(&package(DATA, format!("\x06\x08onNumber{n}"))).await;
    }
    client.expect(&response(1, "\"kicked\"")).await;
    client.expect(&package(KICK, r#"{"reason":"be gone \ud83d\ude00"}"#)).await;
    assert_eq!(client.rest().await, b"");

    let mut client = Client::connect(&server.ws()).await;
    client.ask("k.kickHandler.kick", "\"line\\nfeed\"").await;
    client.kicked(r"line\nfeed").await;
    let stats = server.until_closed("kicked", 2).await;
    assert_eq!(stats.closes.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_to_all_reaches_all() {
    let server = server::pomelo(app::demo().push_route("onAll"), json!({})).await;
    let mut clients = Vec::new();
    for i in 0..20 {
        let url = if i % 2 == 0 { server.tcp() } else { server.ws() };
        clients.push(Client::connect(&url).await);
    }
    // This client has not completed its handshake.
    let waiting = Raw::connect(&server.tcp()).await;
    server.until("all established", |_| server.sessions().len() == clients.len()).await;
    for n in 0..50 {
        let message = Message::push("onAll", json!({ "n": n }).to_string());
        assert_eq!(server.sessions().all().send(&message), clients.len());
    }
    for client in &mut clients {
        for n in 0..50 {
            assert_eq!(client.next_push().await, ("onAll".to_owned(), json!({ "n": n })));
        }
    }
    drop(waiting);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handlers_get_an_object_where_clients_have_nothing_to_say() {
    let server = server::pomelo(app::demo(), json!({})).await;
    let mut client = Raw::pomelo(&server.tcp()).await;
    for (id, body) in [(1, ""), (2, "null"), (3, " null\n")] {
        client.send(&request(id, ECHO, body)).await;
        client.expect(&response(id, "{}")).await;
    }
    // A body that is not JSON is passed to the handler.
    client.send(&request(4, ECHO, "no {json")).await;
    client.expect(&response(4, "no {json")).await;
    let mut client = Client::connect(&server.tcp()).await;
    assert_eq!(client.call(ECHO, &Value::Null).await, json!({}));
}
