//! Schemas and bodies that Pomelo's library has written and read.

use serde_json::{Map, Value};

use super::{decoded_body, notify};
use crate::rig::{Event, Server, hex};

const GOLDEN: &str = include_str!("pomelo.golden");

/// The schemas of the bodies in the file. The tests use those of the server in both directions.
const SCHEMAS: &str = r#"{
        "server": {
            "message Pos": {"required uInt32 x": 1, "required uInt32 y": 2},
            "numbers": {"optional uInt32 u": 1, "optional sInt32 s": 2, "optional int32 i": 3, "optional float f": 4, "optional double d": 5},
            "onMove": {"required string name": 1, "optional Pos at": 2, "repeated Pos path": 3},
            "tags": {"optional uInt32 a": 15, "optional uInt32 b": 16, "optional uInt32 c": 2048, "optional uInt32 d": 268435455, "optional string e": 3},
            "arrays": {"repeated uInt32 u": 1, "repeated sInt32 s": 2, "repeated float f": 3, "repeated double d": 4, "repeated string t": 5, "repeated Item m": 6, "message Item": {"required uInt32 id": 1, "repeated string tags": 2, "message Deep": {"optional double w": 1}, "repeated Deep deep": 3}},
            "text": {"optional string t": 1}
        },
        "client": {
            "chat": {"required string msg": 1, "optional uInt32 n": 2}
        }
    }"#;

fn lines() -> impl Iterator<Item = &'static str> {
    GOLDEN.lines().filter(|line| !line.starts_with('#'))
}

#[test]
fn the_handshake_contains_the_schemas_as_pomelo_parses_them() {
    let mut server = Server::greeted(&format!("{{\"protos\":{SCHEMAS}}}"));
    let answer = server.answer(200, b"");
    let [Event::Reply(packet)] = &answer[..] else { panic!("{answer:?}") };
    let protos = lines().next().expect("the schemas are the first line");
    let expected = format!("\x01{{\"code\":200,\"sys\":{{\"protos\":{protos},\"useProto\":true}}}}");
    assert_eq!(str::from_utf8(packet), Ok(&*expected));

    let protos: Value = serde_json::from_str(protos).unwrap();
    let version = protos["version"].as_str().unwrap();
    let mut server = Server::open(&format!("{{\"protos\":{SCHEMAS}}}"));
    server.decode(format!("\x01{{\"sys\":{{\"protoVersion\":\"{version}\"}}}}").as_bytes()).unwrap();
    let short = Event::Reply(b"\x01{\"code\":200,\"sys\":{\"useProto\":true}}".to_vec());
    assert_eq!(server.answer(200, b""), [short], "the client has kept them");
}

#[test]
fn bodies_equal_those_of_pomelo_in_both_directions() {
    let schemas: Map<String, Value> = serde_json::from_str(SCHEMAS).unwrap();
    let server = &schemas["server"];
    let options = serde_json::json!({ "protos": { "server": server, "client": server } }).to_string();
    let mut session = Server::working(&options);
    for line in lines().skip(1) {
        let columns: Vec<_> = line.split('\t').collect();
        let [route, json, bytes, decoded @ ..] = &columns[..] else { panic!("{line}") };
        let bytes = hex(bytes);
        let head = [&[4, 6, route.len() as u8], route.as_bytes()].concat();
        let pushed = session.push(route, json.as_bytes());
        assert_eq!(pushed, Ok([head, bytes.clone()].concat()), "{json}");

        let expected: Value = serde_json::from_str(decoded.first().unwrap_or(json)).unwrap();
        let body = decoded_body(&mut session, &notify(route, &bytes));
        assert!(same(&body, &expected), "{body} of {bytes:02x?}, not {expected}");
    }
}

/// Compares two bodies. A float here has the digits of a float; JavaScript prints those of a
/// double.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().zip(other).all(|((name, one), (its_name, other))| {
                    let as_floats = |value: &Value| value.as_f64().map(|value| value as f32);
                    let floats =
                        name == "f" && as_floats(one).is_some() && as_floats(one) == as_floats(other);
                    name == its_name && (floats || same(one, other))
                })
        }
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        _ => one == other,
    }
}
