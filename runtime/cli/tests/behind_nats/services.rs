//! The chat services of the examples.

use serde_json::{Value, json};
use wireplug_tests::chats;
use wireplug_tests::nats::NatsServer;
use wireplug_tests::running::Signal;

use super::{JOIN, ON_CHAT, SEND, client, node, programs};

async fn chats(language: &str) {
    let nats = NatsServer::start();
    let (one, other) = (node(&nats).await, node(&nats).await);
    let mut service = chats::over_nats(language, &nats, &programs());
    let (mut ann, mut bob) = (client(&one).await, client(&other).await);

    assert_eq!(ann.call(SEND, &json!({ "text": "hi" })).await, json!({ "code": 403 }));
    assert_eq!(ann.call(JOIN, &json!({ "name": 7 })).await, json!({ "code": 400 }));
    assert_eq!(ann.request(JOIN, "no {json").await, br#"{"code":400}"#);
    // The node refuses the name, and the service passes the refusal on.
    assert_eq!(ann.call(JOIN, &json!({ "name": "x".repeat(201) })).await, json!({ "code": 400 }));
    assert_eq!(ann.call("chat.chatHandler.shout", &json!({})).await, json!({ "code": 404 }));

    assert_eq!(ann.call(JOIN, &json!({ "name": "ann \u{1f600}" })).await, json!({ "name": "ann \u{1f600}" }));
    assert_eq!(bob.call(JOIN, &json!({ "name": "bob" })).await, json!({ "name": "bob" }));
    assert_eq!(one.sessions().user("ann \u{1f600}").len(), 1);
    for n in 0..20 {
        let (from, sender) = if n % 2 == 0 { ("ann \u{1f600}", &mut ann) } else { ("bob", &mut bob) };
        assert_eq!(sender.call(SEND, &json!({ "text": n.to_string() })).await, json!({}));
        let said: Value = json!({ "from": from, "text": n.to_string() });
        assert_eq!(ann.next_push().await, (ON_CHAT.to_owned(), said.clone()));
        assert_eq!(bob.next_push().await, (ON_CHAT.to_owned(), said));
    }
    service.signal(Signal::TERM);
    assert_eq!(service.exit_code(), Some(0));
    assert_eq!(ann.call(SEND, &json!({ "text": "hi" })).await, json!({ "code": 503 }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_rust() {
    chats("rust").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_javascript() {
    chats("javascript").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_python() {
    chats("python").await;
}
