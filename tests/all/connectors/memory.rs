//! The connector `memory`, for streams within the process.

use std::io::ErrorKind;

use wireplug::Listener;
use wireplug_connectors::memory::connect;
use wireplug_tests::within;

use super::{LineClient, app, app_and_ends, lines, serve, try_serve};

fn listener(name: &str) -> Listener {
    Listener::new(&format!("memory://{name}"), lines())
}

#[tokio::test]
async fn a_client_within_the_process() {
    let refused = connect("here").await.expect_err("nobody listens");
    assert_eq!(
        (refused.kind(), refused.to_string().as_str()),
        (ErrorKind::ConnectionRefused, "nobody listens at memory://here")
    );
    let (app, mut ends) = app_and_ends();
    let server = serve(app, listener("here")).await;
    assert_eq!(server.urls(), ["memory://here"]);
    let mut clients = Vec::new();
    for n in 0..3 {
        let mut client = LineClient::over(connect("here").await.expect("it listens"));
        assert_eq!(client.ask(&format!("{n} echo hello")).await, format!("{n} 200 hello"));
        clients.push(client);
    }
    // More than the buffers between the two ends hold. The ends wait for each other, and nothing is
    // lost.
    let long = "x".repeat(60_000);
    let mut client = clients.pop().expect("three");
    let all: String = (0..10).map(|n| format!("{n} echo {long}\n")).collect();
    let (read, write) = tokio::io::split(client.0);
    let (mut hear, mut say) = (LineClient::over(tokio::io::join(read, tokio::io::sink())), write);
    let said =
        async { tokio::io::AsyncWriteExt::write_all(&mut say, all.as_bytes()).await.expect("it reads") };
    let heard = async {
        for n in 0..10 {
            assert_eq!(hear.hear().await, format!("{n} 200 {long}"));
        }
    };
    within("all of it", async { futures_util::join!(said, heard) }).await;
    drop((hear, say));
    assert_eq!(within("its end", ends.recv()).await.expect("one").cause(), "client-closed");

    server.shutdown().await;
    assert_eq!(clients[0].hear().await, "bye the server stops");
    assert!(connect("here").await.is_err(), "nobody listens any more");
    client = clients.remove(1);
    assert_eq!(client.hear().await, "bye the server stops");
}

#[tokio::test]
async fn a_name_is_one_listeners() {
    let server = serve(app(), listener("one")).await;
    let refused = try_serve(app(), listener("one")).await.err().expect("it is taken");
    let refused = format!("{refused:#}");
    assert_eq!(refused, "cannot listen on memory://one: another listener of this process has the name");
    // The refused listener has not taken the name from the first one.
    let mut client = LineClient::over(connect("one").await.expect("it listens"));
    assert_eq!(client.ask("1 echo a").await, "1 200 a");
    server.shutdown().await;
    serve(app(), listener("one")).await.shutdown().await;
}
