//! Bodies in protobuf: they equal those of Pomelo byte for byte, and no other body is accepted.

mod bodies;
mod golden;
mod handoff;
mod options;
mod properties;

use serde_json::{Value, json};

use crate::rig::{Event, Server};

/// Schemas for the requests and responses of `chat`, for the pushes of `onChat`, and others.
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

/// Decodes a notification, and returns the body that the application gets.
fn decoded_body(server: &mut Server, packet: &[u8]) -> Value {
    let events = server.decode(packet).expect("the packet is valid");
    let [Event::Notice(_, body)] = &events[..] else { panic!("{events:?}") };
    serde_json::from_slice(body).expect("the body is JSON")
}

/// Returns a notification with its route as text.
fn notify(route: &str, body: &[u8]) -> Vec<u8> {
    [&[4, 2, route.len() as u8], route.as_bytes(), body].concat()
}

/// Returns a server with this schema for the route `r` in both directions.
fn both_ways(schema: &Value) -> Server {
    Server::working(
        &json!({ "protos": { "server": { "r": schema }, "client": { "r": schema } } }).to_string(),
    )
}
