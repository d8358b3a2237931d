//! A push to many sessions is encoded once for all sessions of a class, and keeps its place among
//! the other messages.

use serde_json::{Value, json};
use wireplug::config::LiveSessions::Handoff;
use wireplug::session::{Message, SessionId};
use wireplug_tests::app::{self, ECHO, ON_CHAT};
use wireplug_tests::client::Client;
use wireplug_tests::raw::{DATA, Raw, package};
use wireplug_tests::server::{self, TestServer};

use super::{generation, pomelo, pomelo_with, slot};

async fn established(server: &TestServer, count: usize) {
    server.until("all established", |_| server.sessions().len() == count).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_of_a_class_share_one_encoding() {
    const CLIENTS: usize = 40;
    let server = server::serve(app::demo(), server::setup(), [pomelo(1)]).await;
    let slot = &slot(&server);
    let mut clients = Vec::new();
    for n in 0..CLIENTS {
        clients.push(Client::connect(&if n % 2 == 0 { server.tcp() } else { server.ws() }).await);
    }
    established(&server, CLIENTS).await;
    for n in 0..50 {
        let message = Message::push(ON_CHAT, json!({ "n": n, "text": "\u{1f600}" }).to_string());
        assert_eq!(server.sessions().all().send(&message), CLIENTS);
    }
    for client in &mut clients {
        for n in 0..50 {
            assert_eq!(client.next_push().await, (ON_CHAT.into(), json!({ "n": n, "text": "\u{1f600}" })));
        }
    }
    assert_eq!(generation(slot, 1).shared, 50, "by whichever connection came first");
    // Sessions that have moved share encodings of their new generation.
    slot.swap(&pomelo(2), Some(Handoff)).await.expect("a good codec");
    assert_eq!(server.sessions().all().send(&Message::push(ON_CHAT, "1")), CLIENTS);
    for client in &mut clients {
        assert_eq!(client.next_push().await, (ON_CHAT.to_owned(), json!(1)));
    }
    assert_eq!((generation(slot, 1).shared, generation(slot, 2).shared), (50, 1));
    let stats = server.until("all counted", |stats| stats.messages_out == 51 * CLIENTS as u64).await;
    assert_eq!(stats.drops, [].into());
}

/// Shared and single pushes arrive in the order of the calls, also before and after a handoff.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_order_is_that_of_the_calls() {
    const ROUNDS: u64 = 200;
    let server = server::serve(app::demo(), server::setup(), [pomelo(1)]).await;
    let slot = &slot(&server);
    let mut clients = Vec::new();
    for n in 0..6 {
        clients.push(Client::connect(&if n % 2 == 0 { server.tcp() } else { server.ws() }).await);
    }
    established(&server, clients.len()).await;
    let sessions: Vec<_> =
        (1..=6).map(|id| server.sessions().get(SessionId(id)).expect("it is there")).collect();
    let sources = [pomelo(2), pomelo(3)];
    let push = async {
        for n in 0..ROUNDS {
            server.sessions().all().send(&Message::push(ON_CHAT, (2 * n).to_string()));
            for session in &sessions {
                session.push(ON_CHAT, &(2 * n + 1)).expect("there is room");
            }
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    };
    let swap = async {
        for source in &sources {
            assert_eq!(slot.swap(source, Some(Handoff)).await.expect("a good codec").moved, 6);
        }
    };
    futures_util::join!(push, swap);
    for client in &mut clients {
        for n in 0..2 * ROUNDS {
            assert_eq!(client.next_push().await, (ON_CHAT.to_owned(), json!(n)));
        }
    }
}

/// Clients that were sent the earlier dictionary have an encoding of their own, and the others
/// share one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_knows_another_dictionary_gets_its_own_bytes() {
    let options = |code: u16| json!({ "dictionary": { ON_CHAT: code, ECHO: 7 } });
    let server = server::serve(app::demo(), server::setup(), [pomelo_with(1, options(2))]).await;
    let slot = &slot(&server);
    let mut old = [Raw::pomelo(&server.tcp()).await, Raw::pomelo(&server.tcp()).await];
    established(&server, 2).await;
    slot.swap(&pomelo_with(1, options(3)), Some(Handoff)).await.expect("a good codec");
    let mut new = [Raw::pomelo(&server.tcp()).await, Raw::pomelo(&server.tcp()).await];
    established(&server, 4).await;
    for n in 1..=20_u64 {
        assert_eq!(server.sessions().all().send(&Message::push(ON_CHAT, n.to_string())), 4);
    }
    for n in 1..=20_u64 {
        for (clients, code) in [(&mut old, 2), (&mut new, 3)] {
            for client in clients {
                client.expect(&package(DATA, [&[7, 0, code][..], n.to_string().as_bytes()].concat())).await;
            }
        }
    }
    assert_eq!((generation(slot, 1).shared, generation(slot, 2).shared), (0, 20));
    // The first dictionary is active again, so only the clients that were sent it share an
    // encoding.
    slot.swap(&pomelo_with(1, options(2)), Some(Handoff)).await.expect("a good codec");
    server.sessions().all().send(&Message::push(ON_CHAT, Value::Null.to_string()));
    for (clients, code) in [(&mut old, 2), (&mut new, 3)] {
        for client in clients {
            client.expect(&package(DATA, [&[7, 0, code][..], b"null"].concat())).await;
        }
    }
    assert_eq!(generation(slot, 3).shared, 1);
}

/// A new instance costs more than a few encodings.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn few_receivers_encode_for_themselves() {
    let mut setup = server::setup();
    setup.codec.min_broadcast = 4;
    let server = server::serve(app::demo(), setup, [pomelo(1)]).await;
    let mut clients = Vec::new();
    for count in 1..=5 {
        clients.push(Client::connect(&server.tcp()).await);
        established(&server, count).await;
        let message = Message::push(ON_CHAT, count.to_string());
        assert_eq!(server.sessions().all().send(&message), count);
        for client in &mut clients {
            assert_eq!(client.next_push().await, (ON_CHAT.to_owned(), json!(count)));
        }
        assert_eq!(generation(&slot(&server), 1).shared, count.saturating_sub(3) as u64);
    }
}
