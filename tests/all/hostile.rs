//! Guests that mean harm: each ends its own connection and nothing else.

use serde_json::json;
use wireplug::server::CodecSource;
use wireplug_tests::app;
use wireplug_tests::hostile::Guest;
use wireplug_tests::raw::Raw;
use wireplug_tests::server;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_honest_guest_echoes() {
    let source = CodecSource::bytes("honest", Guest::new("honest").build(), json!({}));
    let server = server::serve(app::with_guests(), server::config(), [source]).await;
    let mut client = Raw::connect(&server.tcp()).await;
    client.send(b"one\ntwo\n").await;
    assert_eq!(client.line().await, "one");
    assert_eq!(client.line().await, "two");
}
