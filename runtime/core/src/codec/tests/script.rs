//! A codec that executes the commands in its packets.
//!
//! A packet is a line of commands: `reply pong; message 7 a.b.c body; close done`.

use std::sync::Arc;

use crate::codec::{
    Abilities, Codec, CodecError, CodecSession, Description, Encoded, Events, Kind, MessageRef, Messages,
    Peer, Reason, Refusal,
};
use crate::framing::Packets;

pub(crate) struct Script {
    pub(crate) description: Description,
    pub(crate) abilities: Abilities,
}

impl Default for Script {
    fn default() -> Self {
        let description = Description {
            name: "script".into(),
            version: String::new(),
            framing: None,
            message: None,
            text: false,
            json: false,
            handshake: true,
            merges: false,
        };
        let abilities = Abilities {
            batch: true,
            handshake: true,
            clock: true,
            farewell: true,
            broadcast: true,
            handoff: true,
        };
        Self { description, abilities }
    }
}

fn refused(reason: &str) -> CodecError {
    CodecError::Refused(Reason::new(reason))
}

fn trap() -> CodecError {
    CodecError::Trap(Reason::new("scripted"))
}

impl Codec for Script {
    fn description(&self) -> &Description {
        &self.description
    }

    fn abilities(&self) -> Abilities {
        self.abilities
    }

    fn open(&self, peer: Peer) -> Result<Box<dyn CodecSession>, CodecError> {
        assert_eq!(peer.entropy, [0; 32]);
        match &*peer.transport {
            "banned" => Err(refused("no such clients")),
            "trap" => Err(trap()),
            _ => Ok(Box::new(ScriptSession { peer, packets: 0 })),
        }
    }

    /// The state is the number of packets so far. The codec refuses a state of 13 packets.
    fn restore(&self, peer: Peer, state: &[u8], _now_ms: u64) -> Result<Box<dyn CodecSession>, CodecError> {
        match state {
            [13] => Err(refused("an unlucky state")),
            [99] => Err(trap()),
            state => Ok(Box::new(ScriptSession { peer, packets: state[0] })),
        }
    }

    fn encode_shared(&self, class: u32, message: MessageRef<'_>) -> Result<Option<Vec<u8>>, CodecError> {
        assert_eq!((message.id, message.status), (None, 200));
        match message.body {
            b"formless" => Ok(None),
            b"refuse" => Err(refused("not this")),
            b"trap" => Err(trap()),
            body => Ok(Some([format!("{class} {} ", message.route).as_bytes(), body].concat())),
        }
    }
}

struct ScriptSession {
    peer: Peer,
    packets: u8,
}

impl CodecSession for ScriptSession {
    fn decode(&mut self, packets: &Arc<Packets>, now_ms: u64, events: &mut Events) -> Result<(), CodecError> {
        packets.iter().enumerate().try_for_each(|(index, packet)| {
            self.packets += 1;
            let mut commands = str::from_utf8(packet).unwrap().split(';');
            commands.try_for_each(|command| self.perform(command.trim(), index as u32, now_ms, events))
        })
    }

    fn encode(
        &mut self,
        messages: &Arc<Messages>,
        now: u64,
        encoded: &mut Encoded,
    ) -> Result<(), CodecError> {
        for (index, MessageRef { id, route, body, status }) in messages.iter().enumerate() {
            match body {
                b"formless" => {}
                b"refuse" => {
                    encoded.refused.push(Refusal { message: index as u32, reason: "not this".into() })
                }
                b"die" => return Err(refused("cannot go on")),
                b"trap" => return Err(trap()),
                b"twice" => encoded.packets = [&b"1"[..], b"2"].into_iter().collect(),
                body => {
                    let head = format!("{id:?} {route} {status} at {now}: ");
                    encoded.packets.push(&[head.as_bytes(), body].concat());
                }
            }
        }
        Ok(())
    }

    fn answer(&mut self, status: u16, body: &[u8], _: u64, events: &mut Events) -> Result<(), CodecError> {
        events.push(0, Kind::Reply, &[status.to_string().as_bytes(), body].concat());
        events.push(0, Kind::Established, b"");
        Ok(())
    }

    fn tick(&mut self, now_ms: u64, events: &mut Events) -> Result<(), CodecError> {
        self.perform("time", 0, now_ms, events)
    }

    fn farewell(&mut self, reason: &str, _now_ms: u64) -> Result<Option<Vec<u8>>, CodecError> {
        Ok((reason != "silent").then(|| format!("bye {reason}").into_bytes()))
    }

    fn share_class(&mut self) -> Result<Option<u32>, CodecError> {
        Ok((self.packets > 0).then_some(self.packets.into()))
    }

    fn save(&mut self) -> Result<Vec<u8>, CodecError> {
        match self.packets {
            12 => Err(refused("in the middle of it")),
            packets => Ok(vec![packets]),
        }
    }
}

impl ScriptSession {
    fn perform(
        &mut self,
        command: &str,
        packet: u32,
        now_ms: u64,
        events: &mut Events,
    ) -> Result<(), CodecError> {
        let (verb, rest) = command.split_once(' ').unwrap_or((command, ""));
        match verb {
            "hello" => events.push(packet, Kind::Hello, rest.as_bytes()),
            "established" => events.push(packet, Kind::Established, b""),
            "message" => {
                let mut words = rest.splitn(3, ' ');
                let mut word = || words.next().unwrap_or_default();
                let (id, route, body) = (word().parse().ok(), word(), word());
                events.push_message(packet, id, route, body.as_bytes());
            }
            "reply" => events.push(packet, Kind::Reply, rest.as_bytes()),
            "wake" => events.push_wake(packet, rest.parse().unwrap()),
            "close" => events.push(packet, Kind::Close, rest.as_bytes()),
            "rejected" => events.push(packet, Kind::Rejected, rest.as_bytes()),
            "fatal" => events.push(packet, Kind::Fatal, rest.as_bytes()),
            "time" => events.push(packet, Kind::Reply, now_ms.to_string().as_bytes()),
            "peer" => events.push(packet, Kind::Reply, format!("{:?}", self.peer).as_bytes()),
            "packets" => events.push(packet, Kind::Reply, &[self.packets]),
            "set" => self.packets = rest.parse().unwrap(),
            "wrong" => events.push(packet + 1, Kind::Reply, b""),
            "trap" => return Err(trap()),
            _ => panic!("no such command: {command}"),
        }
        Ok(())
    }
}
