//! Pomelo's message format over Socket.IO as a component: a thin layer over `wireplug_sio`.

use std::mem;

use wireplug_guest::{
    Broadcast, Cause, Codec, Description, Encoded, Events, Farewell, Fault, Handoff, Instant, Message,
    Packets, Payload, Peer, Role, Session,
};
use wireplug_sio::{self as sio, Options};

wireplug_guest::export!(Sio: Farewell + Broadcast + Handoff);

struct Sio(Options);

/// The session of one client. It knows nothing but the options.
struct Client(Options);

/// The saved state of every session: the format number, and nothing else.
const STATE: &[u8] = &[1];

/// The class of every session, because all clients get the same bytes.
const CLASS: u32 = 0;

impl Codec for Sio {
    type Session = Client;

    fn describe() -> Description {
        Description {
            payload: Payload::Text,
            json: true,
            coalesces: true,
            ..Description::new("sio", env!("CARGO_PKG_VERSION"))
        }
    }

    fn configure(options: &str) -> Result<Self, String> {
        Options::parse(options).map(Self)
    }

    fn open(&self, _peer: Peer, _now: Instant) -> Result<Client, String> {
        Ok(Client(self.0))
    }
}

impl Session for Client {
    fn decode(&mut self, packet: &[u8], _now: Instant, events: &mut Events) -> Result<(), Fault> {
        let sio::Request { id, route, body } = sio::decode(packet).map_err(Fault::rejected)?;
        match id {
            Some(id) => events.request(id, route, body),
            None => events.notice(route, body),
        }
        Ok(())
    }

    fn encode(&mut self, message: &Message, _now: Instant, packets: &mut Packets) -> Result<(), Fault> {
        encode(message, packets).map_err(Fault::rejected)
    }

    fn encode_batch<'a>(
        &mut self,
        messages: impl Iterator<Item = Message<'a>>,
        _now: Instant,
        encoded: &mut Encoded,
    ) -> Result<(), String> {
        let mut batch = sio::Batch::new(self.0.max_batch, mem::take(&mut encoded.bytes));
        for (index, message) in (0..).zip(messages) {
            if let Err(reason) = translate(&message).and_then(|message| batch.push(index, &message)) {
                encoded.refuse(index, reason);
            }
        }
        let sio::Texts { bytes, ends, sources } = batch.finish();
        (encoded.bytes, encoded.ends, encoded.sources) = (bytes, ends, sources);
        Ok(())
    }
}

impl Farewell for Client {
    fn farewell(&mut self, _cause: Cause, reason: &str, _now: Instant, events: &mut Events) {
        events.reply_with(|packet| sio::farewell(reason, packet.buffer()));
    }
}

impl Broadcast for Sio {
    fn broadcast_class(_client: &Client) -> Option<u32> {
        Some(CLASS)
    }

    fn encode_shared(&self, class: u32, message: &Message, packets: &mut Packets) -> Result<(), String> {
        if class != CLASS {
            return Err(format!("there is no class {class}"));
        }
        encode(message, packets)
    }
}

impl Handoff for Sio {
    fn save(_client: &Client) -> Result<Vec<u8>, String> {
        Ok(STATE.to_vec())
    }

    fn restore(&self, _peer: Peer, state: &[u8], _now: Instant) -> Result<Client, String> {
        if state != STATE {
            return Err("the state has an unknown format".to_owned());
        }
        Ok(Client(self.0))
    }
}

fn encode(message: &Message, packets: &mut Packets) -> Result<(), String> {
    sio::encode(&translate(message)?, packets.begin().buffer())
}

/// Returns the message as the protocol knows it.
fn translate<'a>(message: &Message<'a>) -> Result<sio::Message<'a>, String> {
    let Message { role, id, route, body, status } = *message;
    match role {
        Role::Notice => Ok(sio::Message::Notice { route, body }),
        Role::Response => Ok(sio::Message::Response { id, status, body }),
        // The description does not say `client_requests`, so the runtime never asks for this.
        Role::Request => Err("the protocol has no requests to the client".to_owned()),
    }
}
