//! Pomelo's message format over Socket.IO as a component: a thin cover over `wireplug_sio`.

use std::mem;

use wireplug_guest::{
    Broadcast, Codec, Description, Encoded, Events, Farewell, Fault, Handoff, Message, Packet, Packets, Peer,
    Session,
};
use wireplug_sio::{self as sio, Options};

wireplug_guest::export!(Sio: Farewell + Broadcast + Handoff);

struct Sio(Options);

/// Has nothing to remember but what the options say.
struct Client(Options);

/// All there is to hand over: the number of a format without anything in it.
const STATE: &[u8] = &[1];

/// Clients differ in nothing, so all share.
const CLASS: u32 = 0;

impl Codec for Sio {
    type Session = Client;

    fn describe() -> Description {
        Description {
            text: true,
            json: true,
            merges: true,
            ..Description::new("sio", env!("CARGO_PKG_VERSION"))
        }
    }

    fn configure(options: &str) -> Result<Self, String> {
        Options::parse(options).map(Self)
    }

    fn open(&self, _peer: Peer, _now_ms: u64) -> Result<Client, String> {
        Ok(Client(self.0))
    }
}

impl Session for Client {
    fn decode(&mut self, packet: &[u8], _now_ms: u64, events: &mut Events) -> Result<(), Fault> {
        let sio::Request { id, route, body } = sio::decode(packet).map_err(Fault::rejected)?;
        events.message(id, route, body);
        Ok(())
    }

    fn encode(&mut self, message: &Message, _now_ms: u64, packet: &mut Packet) -> Result<Encoded, Fault> {
        sio::encode(&translated(message), packet.buffer()).map_err(Fault::rejected)?;
        Ok(Encoded::Packet)
    }

    fn encode_batch<'a>(
        &mut self,
        messages: impl Iterator<Item = Message<'a>>,
        _now_ms: u64,
        packets: &mut Packets,
    ) -> Result<(), String> {
        let mut merged = sio::Batch::new(self.0.max_batch, mem::take(&mut packets.bytes));
        for (index, message) in (0..).zip(messages) {
            if let Err(reason) = merged.push(&translated(&message)) {
                packets.refuse(index, reason);
            }
        }
        (packets.bytes, packets.ends) = merged.finish();
        Ok(())
    }
}

impl Farewell for Client {
    fn farewell(&mut self, reason: &str, _now_ms: u64, packet: &mut Packet) -> Encoded {
        sio::farewell(reason, packet.buffer());
        Encoded::Packet
    }
}

impl Broadcast for Sio {
    fn share_class(_client: &Client) -> Option<u32> {
        Some(CLASS)
    }

    fn encode_shared(&self, class: u32, message: &Message, packet: &mut Packet) -> Result<Encoded, String> {
        if class != CLASS {
            return Err(format!("there is no class {class}"));
        }
        sio::encode(&translated(message), packet.buffer())?;
        Ok(Encoded::Packet)
    }
}

impl Handoff for Sio {
    fn save(_client: &Client) -> Result<Vec<u8>, String> {
        Ok(STATE.to_vec())
    }

    fn restore(&self, _peer: Peer, state: &[u8], _now_ms: u64) -> Result<Client, String> {
        if state != STATE {
            return Err("a state of another format".to_owned());
        }
        Ok(Client(self.0))
    }
}

fn translated<'a>(message: &Message<'a>) -> sio::Message<'a> {
    sio::Message { id: message.id, route: message.route, body: message.body, status: message.status }
}
