//! Single commands: each verb and target, and what is refused.

use serde_json::json;

use super::{ADMIN, READ, Scene};
use wireplug_tests::push_api::PushClient;
use wireplug_tests::until;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_verb_reaches_its_target_and_nobody_else() {
    let scene = Scene::new("push-verbs").await;
    let mut pusher = scene.pusher().await;
    let (mut ann, session, address) = scene.client().await;
    let (mut bob, ..) = scene.client().await;
    let session_of = |verb: &str| format!("{verb}/session/{address}");

    assert_eq!(pusher.done(&session_of("bind"), "zo\u{eb}/1 %").await, 1);
    assert_eq!(session.user().as_deref(), Some("zo\u{eb}/1 %"));
    assert_eq!(pusher.done(&session_of("join"), "room 1").await, 1);
    assert_eq!(pusher.done("join/user/zo%C3%AB%2F1%20%25", "a/b").await, 1);
    assert_eq!(pusher.done(&session_of("set"), r#"{"a":"1","b":null}"#).await, 1);
    assert_eq!(session.setting("a").as_deref(), Some("1"));

    assert_eq!(pusher.done("push/user/zo%C3%AB%2F1%20%25", "\"to the user\"").await, 1);
    assert_eq!(pusher.done("push/group/room%201", "\"to room 1\"").await, 1);
    assert_eq!(pusher.done("push/group/a%2Fb", "\"to a/b\"").await, 1);
    assert_eq!(pusher.done("push/group/nobody", "\"to nobody\"").await, 0);
    assert_eq!(pusher.done("push/user/nobody", "\"to nobody\"").await, 0);
    assert_eq!(pusher.done(&session_of("push"), "\"to the session\"").await, 1);
    assert_eq!(pusher.done("push/all", "\"to all\"").await, 2);
    for body in ["to the user", "to room 1", "to a/b", "to the session", "to all"] {
        assert_eq!(ann.next_push().await, ("onChat".to_owned(), json!(body)));
    }

    assert_eq!(pusher.done(&session_of("leave"), "room 1").await, 1);
    assert_eq!(pusher.done(&session_of("unbind"), "").await, 1);
    assert_eq!((session.user(), session.groups().len()), (None, 1));
    assert_eq!(pusher.done("leave/group/a%2Fb", "a/b").await, 1);
    assert_eq!(pusher.done("push/group/room%201", "0").await, 0);
    assert_eq!(pusher.done("join/all", "everybody").await, 2);
    // The route is decoded as services get it.
    let route = [("wireplug-route", "on%C3%84")];
    assert_eq!(pusher.command("push/group/everybody", &route, "1").await.json(), json!({ "sessions": 2 }));
    assert_eq!(ann.next_push().await, ("on\u{c4}".to_owned(), json!(1)));
    assert_eq!(bob.next_push().await.1, json!("to all"));

    assert_eq!(pusher.done(&session_of("kick"), "be gone").await, 1);
    ann.kicked("be gone").await;
    until("the session to be gone", || async { scene.server.sessions().len() == 1 }).await;
    assert_eq!(pusher.done("kick/all", "all of you").await, 1);
    bob.kicked("all of you").await;
    scene.until_gone().await;
    let why = pusher.refused(&session_of("kick"), &[], "", 404).await;
    assert_eq!(why, "the session has ended, or its outbox is full");
    assert_eq!((scene.counted("kick", 200), scene.counted("kick", 404)), (2, 1));
    assert_eq!(scene.counted("set", 200), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_valid_is_refused_with_what_to_do() {
    let scene = Scene::new("push-refused").await;
    let mut pusher = scene.pusher().await;
    let (mut ann, _, address) = scene.client().await;
    let of = |verb: &str| format!("{verb}/session/{address}");
    let long = "x".repeat(201);
    let cases = [
        ("shout/all".to_owned(), "", "the verb is none of push, request"),
        ("push/room/1".to_owned(), "", "the target is none of session NODE.NUMBER"),
        ("push/user".to_owned(), "", "1 to 200 bytes"),
        ("push/all/x".to_owned(), "", "the target is none of"),
        ("push/user/%FF".to_owned(), "", "percent-encoded"),
        ("push/session/7".to_owned(), "", "NODE.NUMBER"),
        ("push/all".to_owned(), "1", "Wireplug-Route"),
        (of("bind"), "", "1 to 200 bytes"),
        (of("bind"), &long, "1 to 200 bytes"),
        ("bind/all".to_owned(), "ann", "one session only"),
        ("set/user/ann".to_owned(), "{}", "one session only"),
        (of("set"), r#"{"a":1}"#, "JSON object of strings"),
        ("join/all".to_owned(), "a\nb", "1 to 200 bytes"),
        ("request/all".to_owned(), "", "one session only"),
    ];
    for (command, payload, wanted) in cases {
        let why = pusher.refused(&command, &[], payload, 400).await;
        assert!(why.contains(wanted), "{command}: {why}");
    }
    let why = pusher.refused("push/all", &[("wireplug-route", "%FF")], "", 400).await;
    assert!(why.contains("Wireplug-Route"), "{why}");
    let other = format!("kick/session/other-1.{}", address.rsplit('.').next().expect("a number"));
    let why = pusher.refused(&other, &[], "", 404).await;
    assert!(why.starts_with("there is no node other-1"), "{why}");
    // None of them has harmed the client.
    assert_eq!(pusher.done("push/all", "\"the end\"").await, 1);
    assert_eq!(ann.next_push().await.1, json!("the end"));
    assert_eq!((scene.counted("bind", 400), scene.counted("push", 200)), (3, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payload_has_a_limit() {
    let scene = Scene::new("push-limit").await;
    let most = vec![b'x'; 1 << 20];
    let mut pusher = scene.pusher().await;
    assert_eq!(pusher.done("push/all", &most).await, 0);
    let why = pusher.refused("push/all", &[], [&most[..], b"x"].concat(), 413).await;
    assert!(why.contains("1048576 bytes"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_role_does_what_it_may() {
    let scene = Scene::new("push-roles").await;
    for (token, status) in [(READ, 403), (ADMIN, 200), ("wrong-wrong-wrong", 401)] {
        let mut client = PushClient::connect(&scene.control, token).await;
        let answer = client.command("leave/all", &[], "room").await;
        assert_eq!(answer.status, status, "{token}: {answer:?}");
        if status != 200 {
            client.closed().await;
        }
    }
    for (method, path) in [
        ("GET", "/codecs"),
        ("GET", "/sessions"),
        ("GET", "/metrics"),
        ("POST", "/drain"),
        ("DELETE", "/sessions"),
    ] {
        let mut pusher = scene.pusher().await;
        let answer = pusher.ask(method, path).await;
        assert_eq!(answer.status, 403, "{method} {path}");
        assert!(answer.json()["error"].as_str().is_some_and(|why| why.contains("has only `push`")));
    }
    assert_eq!(scene.pusher().await.done("leave/all", "room").await, 0);
}
