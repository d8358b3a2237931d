//! Bodies as protobuf: byte for byte those of Pomelo, and nothing else gets through.

mod bodies;
mod golden;
mod handoff;
mod options;
mod properties;

use serde_json::{Value, json};

use crate::rig::{Event, Server};

/// Requests of `chat` and pushes of `onChat` have schemas, and the responses to `chat`.
const OPTIONS: &str = r#"{
    "dictionary": {"chat": 1, "onChat": 2},
    "protos": {
        "client": {
            "chat": {"required string text": 1, "optional uInt32 n": 2, "repeated sInt32 list": 3},
            "path": {"repeated Pos path": 1, "message Pos": {"optional sInt32 x": 1, "optional double y": 2}}
        },
        "server": {
            "chat": {"optional uInt32 code": 1, "required string text": 2},
            "onChat": {"required string from": 1, "optional Body body": 2},
            "silent": {"required string code": 1},
            "message Body": {"required float size": 7, "repeated string words": 8}
        }
    }
}"#;

/// The body that the application gets to see.
fn heard(server: &mut Server, packet: &[u8]) -> Value {
    let events = server.decode(packet).expect("it is sound");
    let [Event::Message(_, _, body)] = &events[..] else { panic!("{events:?}") };
    serde_json::from_slice(body).expect("it is JSON")
}

/// A notification by text.
fn notify(route: &str, body: &[u8]) -> Vec<u8> {
    [&[4, 2, route.len() as u8], route.as_bytes(), body].concat()
}

/// A listener with this one schema, both ways, for the route `r`.
fn both_ways(schema: &Value) -> Server {
    Server::working(
        &json!({ "protos": { "server": { "r": schema }, "client": { "r": schema } } }).to_string(),
    )
}
