//! JSON lines, the smallest complete codec. The README describes the protocol.

use serde_json::{json, value::RawValue};
use wireplug_guest::{
    Description, Events, Fault, Framing, Instant, Message, Packets, Payload, Role, Session, Simple,
};

wireplug_guest::export!(JsonLines);
#[derive(Default)]
struct JsonLines;

#[derive(serde::Deserialize)]
struct Line {
    id: Option<u64>,
    route: String,
    body: Option<Box<RawValue>>,
}

impl Simple for JsonLines {
    fn describe() -> Description {
        let (framing, payload) = (Some(Framing::Delimiter(b"\n")), Payload::Text);
        Description { framing, payload, json: true, ..Description::new("json-lines", "1.0.0") }
    }
}

impl Session for JsonLines {
    fn decode(&mut self, packet: &[u8], _now: Instant, events: &mut Events) -> Result<(), Fault> {
        let Line { id, route, body } = serde_json::from_slice(packet)?;
        let body = body.as_deref().map_or("", RawValue::get).as_bytes();
        match id {
            Some(id) => events.request(id, &route, body),
            None => events.notice(&route, body),
        }
        Ok(())
    }

    fn encode(&mut self, message: &Message, _now: Instant, packets: &mut Packets) -> Result<(), Fault> {
        // A line feed in the body would end the packet.
        let body = serde_json::from_slice::<&RawValue>(message.json())?.get().replace('\n', " ");
        let packet = match message.role {
            Role::Response => format!(r#"{{"id":{},"status":{},"body":{body}}}"#, message.id, message.status),
            _ => format!(r#"{{"route":{},"body":{body}}}"#, json!(message.route)),
        };
        packets.push(packet.as_bytes());
        Ok(())
    }
}
