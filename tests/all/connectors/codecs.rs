//! The codec of a listener: its own, its connector's, or one with overrides.

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message as Frame;
use wireplug::{CodecSource, Listener};
use wireplug_tests::within;

use super::netstring::Netstrings;
use super::overrides::{AsPairs, ByRoute};
use super::{LineClient, address, app, app_and_ends, lines, serve, try_serve, websocket};

#[tokio::test]
async fn a_native_codec_of_ones_own_is_served() {
    let server = serve(app(), Listener::new("tcp://127.0.0.1:0", lines())).await;
    let mut client = LineClient::connect(&address(&server)).await;
    assert_eq!(client.ask("7 echo hello everybody").await, "7 200 hello everybody");
    assert_eq!(client.ask("8 no.such").await, "8 404 ");
    // An invalid packet is dropped, and the client can continue.
    assert_eq!(client.ask("seven echo\n9 echo on").await, "9 200 on");
    assert_eq!(client.ask("- kick").await, "bye you asked for it");
    assert_eq!(client.hear().await, "");
    let stats = server.shutdown().await;
    assert_eq!((stats.drops, stats.closes), ([("rejected", 1)].into(), [("kicked", 1)].into()));
}

/// Packets are binary or text, as the codec describes them.
#[tokio::test]
async fn a_packet_is_bytes_and_whether_they_are_text() {
    let pomelo = CodecSource::pomelo(json!({}));
    for (codec, hello, text) in [(lines(), "1 echo a", true), (pomelo, "\x01\0\0\x02{}", false)] {
        let server = serve(app(), Listener::new("ws://127.0.0.1:0", codec)).await;
        let mut client = websocket(&server).await;
        client.send(Frame::binary(hello)).await.expect("it reads");
        let answer = within("an answer", client.next()).await.expect("one").expect("whole");
        assert_eq!(answer.is_text(), text, "{answer:?}");
        server.shutdown().await;
    }
}

#[tokio::test]
async fn a_decode_half_wins_over_the_codec() {
    let server = serve(app(), Listener::new("tcp://127.0.0.1:0", lines()).decode(ByRoute)).await;
    let mut client = LineClient::connect(&address(&server)).await;
    client.say("no route\n").await;
    // Encoding, framing and the farewell still come from the codec.
    assert_eq!(client.ask("kick=me").await, "bye you asked for it");
    assert_eq!(server.shutdown().await.drops, [("rejected", 1)].into());
}

#[tokio::test]
async fn an_encode_half_wins_over_the_codec() {
    let app = app().route("all", |sessions: wireplug::session::Sessions| async move {
        sessions.all().send(&wireplug::session::Message::push("onAll", "of you"));
    });
    let server = serve(app, Listener::new("tcp://127.0.0.1:0", lines()).encode(AsPairs)).await;
    let mut client = LineClient::connect(&address(&server)).await;
    assert_eq!(client.ask("1 echo hello").await, "echo=hello");
    // The override also encodes a push to many, which is encoded once for all.
    assert_eq!(client.ask("- all").await, "onAll=of you");
    assert_eq!(client.ask("- kick").await, "bye you asked for it");
    server.shutdown().await;
}

/// Overrides also work with a codec that comes from the connector.
#[tokio::test]
async fn a_half_wins_over_the_connectors_own_codec() {
    let connector = Netstrings::new("127.0.0.1:0", Default::default());
    let server = serve(app(), Listener::from(connector).encode(AsPairs)).await;
    let mut client = LineClient::connect(&address(&server)).await;
    client.say("12:1 echo hello,").await;
    assert_eq!(client.hear_exactly(14).await, "10:echo=hello,");
    server.shutdown().await;
}

#[tokio::test]
async fn both_overrides_need_no_codec() {
    let (app, mut ends) = app_and_ends();
    let server = serve(app, Listener::at("tcp://127.0.0.1:0").decode(ByRoute).encode(AsPairs)).await;
    let mut client = LineClient::connect(&address(&server)).await;
    client.say("kick=\n").await;
    assert_eq!(client.hear().await, "", "they have no farewell");
    assert_eq!(within("its end", ends.recv()).await.expect("one").cause(), "kicked");

    let mut client = LineClient::connect(&address(&server)).await;
    client.say_bytes(b"\xff\n").await;
    assert_eq!(client.hear().await, "");
    let reason = within("its end", ends.recv()).await.expect("one");
    assert_eq!(reason.to_string(), "protocol: not UTF-8");
    server.shutdown().await;
}

/// An override stays active after a swap to another version.
#[tokio::test]
async fn an_override_stays_when_the_codec_is_swapped() {
    let server = serve(app(), Listener::new("tcp://127.0.0.1:0", lines()).encode(AsPairs)).await;
    let slot = server.slot("lines").expect("its name");
    slot.swap(&lines(), None).await.expect("it fits");
    let mut client = LineClient::connect(&address(&server)).await;
    assert_eq!(client.ask("1 echo hello").await, "echo=hello");
    server.shutdown().await;
}

#[tokio::test]
async fn without_any_codec_start_fails_and_says_what_to_set() {
    let refused = async |listener: Listener| {
        let error = try_serve(app(), listener).await.err().expect("it has no codec");
        format!("{error:#}")
    };
    let bare = || Listener::at("tcp://127.0.0.1:0");
    let neither = refused(bare()).await;
    assert_eq!(
        neither,
        "tcp://127.0.0.1:0: it has no codec, and its connector none of its own: set one (Listener::codec, in \
         a configuration the key `codec` of [[listeners]]), or Listener::decode and Listener::encode"
    );
    let decode = refused(bare().decode(ByRoute)).await;
    assert!(decode.ends_with("or Listener::encode beside the decode override that it has"), "{decode}");
    let encode = refused(bare().encode(AsPairs)).await;
    assert!(encode.ends_with("or Listener::decode beside the encode override that it has"), "{encode}");
}

#[tokio::test]
async fn a_decode_half_cannot_finish_a_handshake() {
    let listener = Listener::new("tcp://127.0.0.1:0", CodecSource::pomelo(json!({}))).decode(ByRoute);
    let refused = try_serve(app(), listener).await.err().expect("they do not go together");
    let refused = format!("{refused:#}");
    assert!(refused.contains("pomelo has a handshake, which a decode override"), "{refused}");
    // An encode override works with any codec.
    let listener = Listener::new("tcp://127.0.0.1:0", CodecSource::pomelo(json!({}))).encode(AsPairs);
    serve(app(), listener).await.shutdown().await;
}
