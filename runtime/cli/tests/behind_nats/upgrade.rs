//! A server behind NATS is upgraded while a service pushes to its clients.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;
use wireplug_tests::client::Client;
use wireplug_tests::folder::Folder;
use wireplug_tests::nats::NatsServer;
use wireplug_tests::running::{Signal, finish, send};
use wireplug_tests::served::Served;

use super::{ON_CHAT, address, ask, echo_headers, push, serve, tell};
use crate::program::wireplug;

const CLIENTS: usize = 200;

/// Every push of the service reaches each session once and in order, on its way from one process to
/// the other, and under its old name as long as the old process runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pushes_of_services_reach_the_sessions_that_move() {
    let (nats, folder) = (NatsServer::start(), Folder::new("nats-upgrade"));
    let service = nats.client().await;
    serve(&service, "wireplug.requests.chat.>", echo_headers).await;
    let control = format!("unix://{}", folder.text("control.sock"));
    let listener = "[[listeners]]\nurl = 'tcp://127.0.0.1:0'\ncodec = 'pomelo'";
    let configuration = format!(
        "[nats]\nservers = ['{}']\n[services.chat]\n[control]\nlisten = '{control}'\n[codecs.pomelo]\nbuiltin = 'pomelo'\n{listener}",
        nats.url()
    );
    let two = format!("{configuration}\n[[listeners]]\nurl = 'ws://127.0.0.1:0'\ncodec = 'pomelo'");
    let file = folder.write("wireplug.toml", two);
    let mut old = Served::start(wireplug(["serve"]).arg(&file));
    let (mut clients, mut names) = (Vec::new(), Vec::new());
    for number in 0..CLIENTS {
        let mut client = Client::connect(&old.urls[0]).await;
        let name = address(&mut client).await;
        assert_eq!(ask(&service, &format!("bind.session.{name}"), &format!("user {number}")).await, None);
        assert_eq!(ask(&service, &format!("join.session.{name}"), "room").await, None);
        clients.push(client);
        names.push(name);
    }
    // One stays in the old process, which runs as long as this one.
    let mut stays = Client::connect(&old.urls[1]).await;
    let name = address(&mut stays).await;
    assert_eq!(ask(&service, &format!("join.session.{name}"), "room").await, None);

    let stop = Arc::new(AtomicBool::new(false));
    let pushing = {
        let (service, stop) = (service.clone(), Arc::clone(&stop));
        tokio::spawn(async move {
            let mut number = 0_usize;
            while !stop.load(Ordering::Relaxed) {
                push(&service, "group.room", &json!({ "room": number })).await;
                push(&service, &format!("user.user%20{}", number % CLIENTS), &json!({ "user": number }))
                    .await;
                number += 1;
                sleep(Duration::from_millis(2)).await;
            }
            number
        })
    };
    folder.write("wireplug.toml", &configuration);
    sleep(Duration::from_millis(100)).await;
    let report = finish(&mut wireplug(["upgrade", "--json", "--control", &control])).result();
    let report: Value = serde_json::from_str(&report.expect("it is upgraded")).expect("it is JSON");
    assert_eq!(report["moved"], json!(CLIENTS), "{report}");
    sleep(Duration::from_millis(100)).await;
    stop.store(true, Ordering::Relaxed);
    let pushed = pushing.await.expect("no panic");
    assert!(pushed > 50, "{pushed}");

    // Under their old names the old process answers.
    for name in &names[..3] {
        let code = ask(&service, &format!("push.session.{name}"), "\"late\"").await;
        assert_eq!(code, Some(400), "a push has a route");
        assert_eq!(ask(&service, &format!("set.session.{name}"), r#"{"seen":"yes"}"#).await, None);
        tell(&service, &format!("push.session.{name}"), "\"late\"", &[("Wireplug-Route", ON_CHAT)]).await;
    }
    for (own, client) in clients.iter_mut().enumerate() {
        let (mut room, mut user) = (0, own);
        while room < pushed || user < pushed {
            let (_, body) = client.next_push().await;
            match (body["room"].as_u64(), body["user"].as_u64()) {
                (Some(number), _) => {
                    assert_eq!(number as usize, room, "client {own}");
                    room += 1;
                }
                (_, Some(number)) => {
                    assert_eq!(number as usize, user, "client {own}");
                    user += CLIENTS;
                }
                _ => panic!("client {own}: {body}"),
            }
        }
        if own < 3 {
            assert_eq!(client.next_push().await.1, json!("late"));
        }
    }
    for number in 0..pushed {
        assert_eq!(stays.next_push().await.1, json!({ "room": number }));
    }
    // It has another name now, on another node.
    assert_ne!(address(&mut clients[0]).await, names[0]);
    drop(stays);
    assert_eq!(old.exit_code(), Some(0));
    send(report["pid"].as_u64().expect("a number") as u32, Signal::TERM);
    clients[0].closed().await;
}
