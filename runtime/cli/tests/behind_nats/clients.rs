//! The application of one node pushes to, binds and kicks clients of all nodes.

use serde_json::json;
use wireplug::app::Json;
use wireplug::config::{ServiceConfig, SessionsPerUser};
use wireplug::{App, Session, Sessions, User};
use wireplug_tests::client::Client;
use wireplug_tests::nats::NatsServer;
use wireplug_tests::until;

use super::{JOIN, ON_CHAT, SEND, client, node_with};

/// The chat as an application in the process, without a service.
fn chat() -> App {
    App::new()
        .route(JOIN, |Json(name): Json<User>, session: Session| async move {
            session.bind(&name)?;
            session.join("chat")?;
            Ok::<_, wireplug::app::Error>(())
        })
        .route(SEND, |Json(n): Json<u32>, sessions: Sessions| async move {
            sessions.group("chat").push(ON_CHAT, &n)?;
            Ok::<_, wireplug::app::Error>(())
        })
        .route("chat.chatHandler.kick", |Json(name): Json<String>, sessions: Sessions| async move {
            sessions.user(&name).kick("out");
        })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_and_users_are_those_of_all_nodes() {
    let nats = NatsServer::start();
    let mut nodes = Vec::new();
    for _ in 0..3 {
        let service = ServiceConfig::default();
        nodes.push(node_with(&nats, chat(), SessionsPerUser::Many, service).await);
    }
    let mut clients: Vec<Client> = Vec::new();
    for (number, node) in nodes.iter().enumerate() {
        let mut client = client(node).await;
        client.call(JOIN, &json!(format!("user {number}"))).await;
        clients.push(client);
    }
    for n in 0..100 {
        clients[0].call(SEND, &json!(n)).await;
    }
    for client in &mut clients {
        for n in 0..100 {
            assert_eq!(client.next_push().await, (ON_CHAT.to_owned(), json!(n)));
        }
    }
    clients[0].call("chat.chatHandler.kick", &json!("user 2")).await;
    clients[2].kicked("out").await;
    until("the session to be gone", || async { nodes[2].sessions().is_empty() }).await;
    // Each push came once: the next push after the last one is the message that is sent now.
    clients[1].call(SEND, &json!("again".len())).await;
    assert_eq!(clients[0].next_push().await.1, json!(5));
    assert_eq!(clients[1].next_push().await.1, json!(5));
}
