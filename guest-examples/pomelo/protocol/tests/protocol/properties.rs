//! Properties that hold for every input.

use proptest::collection::vec;
use proptest::prelude::*;
use wireplug_pomelo::client::{Client, Incoming};
use wireplug_pomelo::{Message, Options, Role};

use crate::rig::{Event, Pair, Server, push, raw, response};

const OPTIONS: &str = r#"{"heartbeat":1,"routes":["chat.room.send","area.hero.move"]}"#;

/// Packets in which bytes with a meaning are frequent.
fn packet() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![0..8_u8, Just(0x80), Just(0xed), Just(0xff), any::<u8>()];
    vec(byte, 0..40)
}

fn route() -> impl Strategy<Value = String> {
    prop_oneof![Just("chat.room.send".to_owned()), Just("area.hero.move".to_owned()), "\\PC{1,60}"]
        .prop_filter("a route has at most 255 bytes", |route| route.len() <= 255)
}

fn body() -> impl Strategy<Value = String> {
    "\\PC{0,40}".prop_map(|text| serde_json::json!({ "text": text }).to_string())
}

proptest! {
    #[test]
    fn no_packet_panics(packets in vec(packet(), 0..20), working: bool) {
        let mut server = if working { Server::working(OPTIONS) } else { Server::open(OPTIONS) };
        for packet in packets {
            server.now += 100;
            let _ = server.decode(&packet);
            let _ = server.tick();
            let _ = server.answer(u16::from(packet.first() == Some(&0)) * 200, &packet);
        }
    }

    #[test]
    fn no_message_panics(
        role in prop::sample::select(vec![Role::Notice, Role::Request, Role::Response]),
        id: u64,
        route in ".{0,300}",
        body in vec(any::<u8>(), 0..60),
        status: u16,
    ) {
        let _ = Server::working(OPTIONS).encode(&Message { role, id, route: &route, body: &body, status });
        let _ = Server::working(OPTIONS).farewell(&route);
    }

    #[test]
    fn no_options_panic(text in ".{0,60}", key in "heartbeat|timeout|dictionary|routes", value in "[-0-9.e\\[\\]{}\":a]{0,12}") {
        let _ = Options::parse(&text);
        let _ = Options::parse(&format!("{{\"heartbeat\":1,\"{key}\":{value}}}"));
    }

    #[test]
    fn no_bytes_panic_the_client(chunks in vec(packet(), 0..20), ready: bool) {
        let mut client = if ready { Pair::connect(Client::new(), OPTIONS, None, 64).0.client } else { Client::new() };
        if !ready {
            client.connect(None, &mut Vec::new());
        }
        for chunk in chunks {
            let _ = client.receive(&chunk, &mut Vec::new(), &mut Vec::new());
        }
    }

    #[test]
    fn messages_travel_both_ways(
        messages in vec((any::<bool>(), route(), body(), body()), 1..12),
        chunk in 1..50_usize,
        dictionary: bool,
    ) {
        let options = if dictionary { OPTIONS } else { "{}" };
        let (mut pair, _) = Pair::connect(Client::new(), options, None, chunk);
        let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
        let (mut events, mut incoming) = (Vec::new(), Vec::new());
        for (request, route, there, back) in &messages {
            let (id, message) = if *request {
                let id = pair.client.request(route, there.as_bytes(), &mut to_server).unwrap();
                events.push(Event::request(id, route, there));
                (Some(id), response(id, route, 200, back.as_bytes()))
            } else {
                pair.client.notify(route, there.as_bytes(), &mut to_server).unwrap();
                events.push(Event::notice(route, there));
                (None, push(route, back.as_bytes()))
            };
            to_client.extend(raw(&pair.server.encode(&message).unwrap()));
            let (route, body) = (route.clone(), serde_json::from_str::<serde_json::Value>(back).unwrap());
            incoming.push((id, route, body));
        }
        prop_assert_eq!(pair.send(&to_server), events);
        // Bodies are compared as JSON, because the session escapes emoji.
        let read: Vec<_> = pair.receive(&to_client).0.into_iter().map(|incoming| match incoming {
            Incoming::Response { id, route, body } => (Some(id), route, serde_json::from_slice(&body).unwrap()),
            Incoming::Push { route, body } => (None, route, serde_json::from_slice(&body).unwrap()),
            other => panic!("{other:?}"),
        }).collect();
        prop_assert_eq!(read, incoming);
    }

    #[test]
    fn text_of_a_javascript_client_is_read(text: String) {
        // Such a client converts each UTF-16 unit separately.
        let json = serde_json::Value::from(text.as_str()).to_string();
        let mut notify = b"\x04\x02\x01a".to_vec();
        for unit in json.encode_utf16() {
            match char::from_u32(unit.into()) {
                Some(character) => notify.extend(character.encode_utf8(&mut [0; 4]).bytes()),
                None => notify.extend([0xe0 | (unit >> 12) as u8, 0x80 | (unit >> 6 & 63) as u8, 0x80 | (unit & 63) as u8]),
            }
        }
        prop_assert_eq!(Server::working("{}").decode(&notify), Ok(vec![Event::notice("a", &json)]));
    }
}
