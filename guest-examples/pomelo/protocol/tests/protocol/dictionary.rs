//! The dictionary and its version, on the side of the server and of the client.

use serde_json::json;
use wireplug_pomelo::client::{Client, Incoming};

use crate::rig::{Event, Pair, Server, hex, json};

const ROUTES: &str = r#"{"heartbeat":3,"routes":["chat.room.send","area.hero.move","chat.room.send"]}"#;
/// The base64 MD5 of `{"area.hero.move":1,"chat.room.send":2}`.
const VERSION: &str = "hJVbUUmS7X2atSsVTjmuLQ==";

#[test]
fn the_answer_contains_the_dictionary_byte_for_byte() {
    let mut server = Server::greeted(ROUTES);
    let dict = r#"{"area.hero.move":1,"chat.room.send":2}"#;
    let routes = r#"{"1":"area.hero.move","2":"chat.room.send"}"#;
    let expected = format!(
        "\x01{{\"code\":200,\"sys\":{{\"heartbeat\":3,\"dict\":{dict},\"routeToCode\":{dict},\"codeToRoute\":{routes},\
         \"dictVersion\":\"{VERSION}\",\"useDict\":true}},\"user\":1}}"
    );
    assert_eq!(server.answer(200, b"1"), [Event::Reply(expected.into_bytes())]);
}

#[test]
fn the_dictionary_is_sent_only_to_clients_without_it() {
    for (sys, is_sent) in [
        (json!({ "dictVersion": VERSION }), false),
        (json!({ "dictVersion": "another" }), true),
        (json!({ "dictVersion": 7 }), true),
        (json!(1), true),
    ] {
        let mut server = Server::open(ROUTES);
        server.decode(format!("\x01{}", json!({ "sys": sys })).as_bytes()).unwrap();
        let answer = server.answer(200, b"");
        let [Event::Reply(packet)] = &answer[..] else { panic!("{answer:?}") };
        let answer = json(packet);
        assert_eq!(answer["sys"]["useDict"], true);
        for key in ["dict", "routeToCode", "codeToRoute", "dictVersion"] {
            assert_eq!(answer["sys"].get(key).is_some(), is_sent, "{key} for {sys}");
        }
    }
}

#[test]
fn a_client_keeps_the_dictionary_for_its_next_connection() {
    let (mut pair, _) = Pair::connect(Client::new(), ROUTES, None, 5);
    for _ in 0..2 {
        let (again, ready) = Pair::connect(pair.client, ROUTES, None, 5);
        let Incoming::Ready { sys, .. } = ready else { panic!("{ready:?}") };
        assert_eq!(sys, json!({ "heartbeat": 3, "useDict": true }));
        pair = again;
        let mut out = Vec::new();
        pair.client.notify("chat.room.send", b"{}", &mut out).unwrap();
        assert_eq!(out, hex("040000050300027b7d"));
        assert_eq!(pair.send(&out), [Event::notice("chat.room.send", "{}")]);
        let push = pair.server.push("area.hero.move", b"{}").unwrap();
        assert_eq!(push, hex("040700017b7d"));
    }
    // The client must send no codes to a server without a dictionary.
    let (mut pair, _) = Pair::connect(pair.client, "{}", None, 5);
    let mut out = Vec::new();
    pair.client.notify("chat.room.send", b"{}", &mut out).unwrap();
    assert_eq!(pair.send(&out), [Event::notice("chat.room.send", "{}")]);
}

#[test]
fn the_option_selects_the_dictionary() {
    for (options, dict) in [
        (r#"{"routes":["b","a"]}"#, json!({"a": 1, "b": 2})),
        (r#"{"routes":["b","a"],"dictionary":true}"#, json!({"a": 1, "b": 2})),
        (r#"{"routes":["b","a"],"dictionary":["z","y"]}"#, json!({"y": 1, "z": 2})),
        (r#"{"routes":["b","a"],"dictionary":{"p":65535,"q":7}}"#, json!({"q": 7, "p": 65535})),
        (r#"{"routes":["b","a"],"dictionary":false}"#, json!(null)),
        (r#"{"routes":["b","a"],"dictionary":[]}"#, json!(null)),
        (r#"{"routes":[]}"#, json!(null)),
        ("{}", json!(null)),
    ] {
        let answer = Server::greeted(options).answer(200, b"");
        let [Event::Reply(packet)] = &answer[..] else { panic!("{answer:?}") };
        assert_eq!(json(packet)["sys"]["dict"], dict, "{options}");
        assert_eq!(json(packet)["sys"].get("useDict").is_some(), dict.is_object(), "{options}");
    }
}

#[test]
fn codes_may_have_gaps() {
    let mut server = Server::working(r#"{"dictionary":{"one":1,"three":3,"last":65535}}"#);
    for (code, route) in [("0001", "one"), ("0003", "three"), ("ffff", "last")] {
        let notify = hex(&format!("0403{code}7b7d"));
        assert_eq!(server.decode(&notify), Ok(vec![Event::notice(route, "{}")]));
        assert_eq!(server.push(route, b"{}"), Ok(hex(&format!("0407{code}7b7d"))));
    }
    for code in ["0000", "0002", "0004", "fffe"] {
        assert!(server.decode(&hex(&format!("0403{code}7b7d"))).is_err(), "{code}");
    }
}

#[test]
fn routes_beyond_the_last_code_are_sent_as_text() {
    let routes: Vec<_> = (0..70_000).map(|route| format!("r{route:05}")).collect();
    let mut server = Server::working(&json!({ "routes": routes }).to_string());
    assert_eq!(server.push("r00000", b""), Ok(hex("04070001")));
    assert_eq!(server.push("r65534", b""), Ok(hex("0407ffff")));
    assert_eq!(server.push("r65535", b""), Ok(b"\x04\x06\x06r65535".to_vec()));
}

#[test]
fn a_route_too_long_for_its_length_byte_is_sent_as_a_code() {
    let route = "r".repeat(300);
    let mut server = Server::working(&json!({ "routes": [route] }).to_string());
    assert_eq!(server.push(&route, b""), Ok(hex("04070001")));
    assert_eq!(server.decode(&hex("04030001")), Ok(vec![Event::notice(&route, "{}")]));
}
