//! JSON lines: `{"id":1,"route":"a.b.c","body":{}}` in, `{"id":1,"status":200,"body":{}}` and `{"route":"onX","body":{}}` out.

use serde_json::{json, value::RawValue};
use wireplug_guest::{Description, Encoded, Events, Fault, Framing, Message, Packet, Session, Simple};

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
        let framing = Some(Framing::Delimiter(b"\n"));
        Description { framing, text: true, json: true, ..Description::new("json-lines", "1.0.0") }
    }
}

impl Session for JsonLines {
    fn decode(&mut self, packet: &[u8], _now_ms: u64, events: &mut Events) -> Result<(), Fault> {
        let Line { id, route, body } = serde_json::from_slice(packet)?;
        events.message(id, &route, body.as_deref().map_or("", RawValue::get).as_bytes());
        Ok(())
    }

    fn encode(&mut self, message: &Message, _now_ms: u64, packet: &mut Packet) -> Result<Encoded, Fault> {
        let body = serde_json::from_slice::<&RawValue>(message.json())?.get().replace('\n', " "); // it would end the packet
        packet.extend(&match message.id {
            Some(id) => format!(r#"{{"id":{id},"status":{},"body":{body}}}"#, message.status),
            None => format!(r#"{{"route":{},"body":{body}}}"#, json!(message.route)),
        });
        Ok(Encoded::Packet)
    }
}
