//! The chat as a service over HTTP, in three languages: it decides who connects, pushes outside of
//! requests, and asks clients. There is no NATS.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use wireplug::admin::ControlApi;
use wireplug::config::{ControlConfig, HttpConfig, ServerConfig, ServiceConfig, ServiceEvent};
use wireplug::{App, CodecSource, RunningServer, Server};
use wireplug_pomelo::client::Incoming;
use wireplug_tests::chats;
use wireplug_tests::client::Client;
use wireplug_tests::digits::{Digits, Form, frame};
use wireplug_tests::folder::Folder;
use wireplug_tests::running::{Running, Signal, finish};
use wireplug_tests::{log, versions, within};

use crate::program::{PROGRAM, wireplug};

const JOIN: &str = "chat.chatHandler.join";
const SEND: &str = "chat.chatHandler.send";
const ASK: &str = "chat.chatHandler.ask";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// Starts the chat in a language and a server in front of it, and lets clients chat.
async fn chats(language: &str) {
    log::init();
    let folder = Folder::new(&format!("chat-http-{language}"));
    folder.write_secret("tokens", format!("chat push {TOKEN}\n"));
    let address = "http://127.0.0.1:0".parse().expect("an address");
    let mut config = ControlConfig::at(address);
    config.token_file = Some("tokens".into());
    let control = ControlApi::bind(&config, folder.root()).await.expect("it can be bound");
    let programs: PathBuf = Path::new(PROGRAM).with_file_name("examples");
    let (service, url) = chats::over_http(language, &control.address().to_string(), TOKEN, &programs);
    let chat = ServiceConfig {
        hello: true,
        events: vec![ServiceEvent::Closed],
        // Between the time that the chat gives a client and the 10 s that the node would give it.
        timeout: Duration::from_secs(8),
        http: HttpConfig { circuit_failures: 1, ..HttpConfig::default() },
        ..ServiceConfig::at(&*url)
    };
    let server = Server::new(App::new())
        .config(ServerConfig { max_connections: 50, ..ServerConfig::default() })
        .services([("chat", chat)])
        .listen("hybrid://127.0.0.1:0", CodecSource::pomelo(json!({})))
        .listen("tcp://127.0.0.1:0", CodecSource::bytes("digits", versions::DIGITS, json!({})))
        .start()
        .await
        .expect("it starts");
    tokio::select! {
        () = control.serve(&server) => panic!("the control API has ended"),
        () = converse(&server, service) => {}
    }
}

async fn converse(server: &RunningServer, mut service: Running) {
    let url = server.urls()[0].replace("hybrid", "tcp");
    let hello = async |name: &str| {
        let mut client = Client::open(&url).await;
        let answer = client.handshake(Some(&json!({ "name": name }))).await;
        (client, answer)
    };
    let call = ["call", &*url, SEND, "--user", r#"{"name":"mallory"}"#];
    let (code, why) = finish(&mut wireplug(call)).failed();
    assert!(code == Some(4) && why.contains("refused the handshake with code 403"), "{code:?} {why}");
    let mut nameless = Client::open(&url).await;
    let accepted = nameless.handshake(Some(&json!({ "name": [1] }))).await;
    assert!(matches!(accepted, Incoming::Ready { .. }), "{accepted:?}");
    assert_eq!(server.sessions().users(), 0, "this is no name");
    let (mut ann, accepted) = hello("ann \u{1f600}").await;
    assert!(matches!(accepted, Incoming::Ready { .. }), "{accepted:?}");
    assert_eq!(server.sessions().user("ann \u{1f600}").len(), 1, "the hello has bound the session");

    assert_eq!(ann.call(SEND, &json!({ "text": "hi" })).await, json!({ "code": 403 }));
    for bad in [r#"{"name":7}"#, "null", "no {json"] {
        let answer: Value = serde_json::from_slice(&ann.request(JOIN, bad).await).expect("it is JSON");
        assert_eq!(answer, json!({ "code": 400 }), "{bad}");
    }
    // The node refuses the name, and the service passes the refusal on.
    assert_eq!(ann.call(JOIN, &json!({ "name": "x".repeat(201) })).await, json!({ "code": 400 }));
    assert_eq!(ann.call("chat.chatHandler.shout", &json!({})).await, json!({ "code": 404 }));

    assert_eq!(ann.call(JOIN, &json!({ "name": "ann \u{1f600}" })).await, json!({ "name": "ann \u{1f600}" }));
    let mut bob = Client::connect(&url.replace("tcp://", "ws://")).await;
    assert_eq!(bob.call(JOIN, &json!({ "name": "bob" })).await, json!({ "name": "bob" }));
    for n in 0..20 {
        let (from, sender) = if n % 2 == 0 { ("ann \u{1f600}", &mut ann) } else { ("bob", &mut bob) };
        assert_eq!(sender.call(SEND, &json!({ "text": n.to_string() })).await, json!({}));
        let said = pushed(from, &n.to_string());
        assert_eq!(ann.next_push().await, said);
        assert_eq!(bob.next_push().await, said);
    }

    // A device, whose protocol has requests to the client.
    let mut device = Digits::connect(&server.urls()[1]).await;
    device.send(Form::Text.write(&frame("REQ", 1, JOIN, r#"{"name":"device"}"#))).await;
    assert_eq!(device.next().await.argument, "200");
    let version = json!({ "version": "2.1" });
    // The last one has no answer. This does not open the circuit of the service.
    for (id, status, answer) in [
        (1, Some("200"), version.clone()),
        (2, Some("501"), json!({ "code": 501 })),
        (3, Some("302"), json!({ "code": 502 })),
        (4, None, json!({ "code": 504 })),
    ] {
        let asking = async { ann.call(ASK, &json!({ "name": "device", "question": "\"version?\"" })).await };
        let answering = async {
            assert_eq!(device.next().await, frame("REQ", id, "onAsk", "\"version?\""));
            if let Some(status) = status {
                device.send(Form::Text.write(&frame("RES", id, status, version.to_string()))).await;
            }
        };
        assert_eq!(tokio::join!(asking, answering).0, answer, "{status:?}");
    }
    let cannot = ann.call(ASK, &json!({ "name": "bob", "question": "{}" })).await;
    assert_eq!(cannot, json!({ "code": 501 }), "Pomelo has no requests to the client");

    // The push comes from an event, and not from a request.
    drop(bob);
    assert_eq!(ann.next_push().await, pushed("bob", "(left)"));

    service.signal(Signal::TERM);
    // uvicorn ends by the signal, after it has answered its requests.
    let code = service.exit_code();
    assert!(matches!(code, Some(0) | None), "{code:?}");
    let gone = within("an answer", ann.call(SEND, &json!({ "text": "hi" }))).await;
    assert_eq!(gone, json!({ "code": 503 }));
}

fn pushed(from: &str, text: &str) -> (String, Value) {
    ("onChat".to_owned(), json!({ "from": from, "text": text }))
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
