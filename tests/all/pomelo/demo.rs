//! The demo application, over both transports.

use serde_json::json;
use wireplug_tests::app::{self, ECHO, JOIN, ON_CHAT, SAY, TIME};
use wireplug_tests::client::Client;
use wireplug_tests::server;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn demo_serves_tcp_and_websocket() {
    let server = server::pomelo(app::demo(), json!({})).await;
    for url in [server.tcp(), server.ws()] {
        let mut client = Client::connect(&url).await;
        let body = json!({ "text": "wörld 😀", "n": 1 });
        assert_eq!(client.call(ECHO, &body).await, body);
        assert!(
            client.call(TIME, &json!({})).await["time"].as_u64().is_some_and(|ms| ms > 1_600_000_000_000)
        );
        assert_eq!(client.call("connector.entryHandler.nope", &json!({})).await, json!({ "code": 404 }));
        assert_eq!(client.call(SAY, &json!({ "text": "hi" })).await, json!({ "code": 403 }));
        assert_eq!(client.call(JOIN, &json!({ "name": "ann" })).await, json!({ "members": ["ann"] }));
        client.notify(SAY, json!({ "text": "hi 😀" }).to_string()).await;
        let said = json!({ "from": "ann", "text": "hi 😀" });
        assert_eq!(client.next_push().await, (ON_CHAT.to_owned(), said));
        drop(client);
        server.until("all gone", |stats| stats.connections_open == 0).await;
    }
    let stats = server.shutdown().await;
    assert_eq!(stats.closes, [("client-closed", 2)].into());
    assert_eq!(stats.drops, [].into());
}
