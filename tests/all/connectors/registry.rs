//! Connectors are found by the schemes of their URLs, in code and in the configuration.

use std::path::Path;

use serde_json::{Map, json};
use wireplug::connector::Connectors;
use wireplug::{Config, Listener, Server};
use wireplug_connectors::ListenOptions;

use super::netstring;
use super::{LineClient, address, app, lines, serve, try_serve};

fn connectors() -> Connectors {
    Connectors::new().register("netstring", netstring::factory())
}

fn parse(text: &str) -> Result<Config, String> {
    Config::parse_with(text, Path::new("w.toml"), &connectors()).map_err(|problems| problems.to_string())
}

const LISTENER: &str = "[[listeners]]\nurl = 'netstring://127.0.0.1:0'\noptions.delay = true\n";

/// Two listeners with one scheme share the loaded codec.
#[tokio::test]
async fn a_registered_scheme_is_usable_in_the_configuration() {
    let config = parse(&LISTENER.repeat(2)).expect("the scheme is registered");
    let server = Server::new(app())
        .connectors(connectors())
        .default_codec("lines", lines())
        .configured(&config, Path::new(""));
    let server = server.expect("the same").start().await.expect("it starts");
    assert!(server.urls().iter().all(|url| url.starts_with("netstring://127.0.0.1:")));
    assert_ne!(server.urls()[0], "netstring://127.0.0.1:0", "the port that was bound");
    assert_eq!(server.slots().iter().map(|slot| slot.name()).collect::<Vec<_>>(), ["lines"]);

    let mut client = LineClient::connect(&address(&server)).await;
    client.say("11:1 echo true,").await;
    assert_eq!(client.hear_exactly(14).await, "10:1 200 true,");
    drop(client);
    server.shutdown().await;
}

#[test]
fn a_scheme_that_nobody_registered_is_refused_with_those_there_are() {
    let text = LISTENER.replace("netstring", "netstrings");
    let refused = parse(&text).expect_err("unknown");
    assert!(
        refused.starts_with(
            "w.toml:2:1: listeners[0].url: netstrings://127.0.0.1:0: unknown transport \"netstrings\""
        ),
        "{refused}"
    );
    for scheme in connectors().schemes() {
        assert!(refused.contains(scheme), "{refused}");
    }
    // Another registry does not know schemes that were registered in this one.
    assert!(Config::parse(LISTENER, Path::new("w.toml")).is_err());
}

#[test]
fn a_connector_refuses_its_address_and_its_options_before_anything_starts() {
    let wrong = [
        (LISTENER.replace("delay", "dely"), "its options: unknown field `dely`, expected `delay`"),
        (LISTENER.replace(":0'", "'"), "netstring://127.0.0.1: the port is missing"),
    ];
    for (text, why) in wrong {
        let refused = parse(&text).expect_err(why);
        assert!(refused.contains(why), "{refused}");
    }
    let twice = format!("{0}{0}", LISTENER.replace(":0'", ":1'"));
    let refused = parse(&twice).expect_err("one address for two");
    assert!(refused.contains("listeners[1].url: another listener has netstring://127.0.0.1:1"), "{refused}");
}

#[tokio::test]
async fn in_code_a_url_takes_options_too() {
    let listener = Listener::at("netstring://127.0.0.1:0").options(json!({ "delay": 1 }));
    let refused = try_serve(app(), listener).await.err().expect("1 is no bool");
    assert!(format!("{refused:#}").contains("its options: invalid type"), "{refused:#}");
    let listener = Listener::at("netstring://127.0.0.1:0").options(json!({ "delay": true }));
    serve(app(), listener).await.shutdown().await;
}

/// A connector can be used without a server.
#[tokio::test]
async fn a_connector_is_made_started_and_stopped_by_hand() {
    let mut connector = connectors().create("netstring://127.0.0.1:0", &Map::new()).expect("it is one");
    assert_eq!(connector.url(), "netstring://127.0.0.1:0");
    connector.stop();
    connector.start(&ListenOptions::default()).await.expect("it listens");
    assert_ne!(connector.url(), "netstring://127.0.0.1:0");
    assert_eq!(connector.default_codec(), Some("lines"));
}

#[tokio::test]
async fn listeners_own_codecs_take_names_that_are_free() {
    let server = Server::new(app())
        .listener(Listener::new("tcp://127.0.0.1:0", lines()))
        .register_connector("netstring", netstring::factory())
        .default_codec("lines", lines())
        .listener(Listener::at("netstring://127.0.0.1:0"))
        .start()
        .await
        .expect("it starts");
    assert_eq!(server.slots().iter().map(|slot| slot.name()).collect::<Vec<_>>(), ["lines", "lines-2"]);
    server.shutdown().await;
}
