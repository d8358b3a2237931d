//! The session: which packet is allowed when, and what it means. Section 3 of the specification.

use std::rc::Rc;

use serde::{Deserialize, Serialize};
use serde_json::json;
use wireplug_guest::{Clock, Encoded, Events, Fault, Handshake, Message, Packet, Session};

use crate::connect::{self, Code, Refused};
use crate::options::Options;
use crate::reader::Reader;
use crate::topic;

/// Filters that a client may have subscribed to, and that are looked at in one packet.
pub(crate) const MAX_FILTERS: usize = 64;

/// Bytes of a filter.
pub(crate) const MAX_FILTER: usize = 1024;

/// Packets, and bytes of them, that a client may send before its CONNECT is answered.
pub(crate) const MAX_EARLY: (usize, usize) = (64, 64 << 10);

/// The first byte of each control packet, with the flags that it must have.
const CONNECT: u8 = 0x10;
const PUBLISH: u8 = 0x30;
const PUBACK: u8 = 0x40;
const SUBSCRIBE: u8 = 0x82;
const SUBACK: u8 = 0x90;
const UNSUBSCRIBE: u8 = 0xa2;
const UNSUBACK: u8 = 0xb0;
const PINGREQ: u8 = 0xc0;
const PINGRESP: u8 = 0xd0;
const DISCONNECT: u8 = 0xe0;

/// Granted to every filter: pushes are sent once.
const QOS_0: u8 = 0;
const NOT_GRANTED: u8 = 0x80;

#[derive(Debug)]
pub(crate) struct Client {
    options: Rc<Options>,
    pub(crate) state: State,
}

/// All that a session knows.
#[derive(Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct State {
    phase: Phase,
    /// After so many milliseconds of silence the client is given up [MQTT-3.1.2-24]; 0: never.
    silence: u64,
    /// When it last sent anything.
    last_seen: u64,
    filters: Vec<String>,
    /// What came before CONNECT was answered [MQTT-3.1.4-5].
    early: Vec<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
enum Phase {
    #[default]
    Opened,
    /// CONNECT came; the application has not answered it.
    Greeted,
    Connected,
}

impl Client {
    pub(crate) fn new(options: Rc<Options>) -> Self {
        Self::with(options, State::default())
    }

    pub(crate) fn with(options: Rc<Options>, state: State) -> Self {
        Self { options, state }
    }

    fn connect(&mut self, body: &[u8], events: &mut Events) -> Result<(), Fault> {
        match connect::read(body) {
            Ok(client) => {
                self.state.phase = Phase::Greeted;
                self.state.silence = u64::from(client.keep_alive) * 1500;
                events.hello(json!(client).to_string().as_bytes());
                Ok(())
            }
            Err(Refused::Answered(code, reason)) => {
                events.reply(&code.packet());
                events.close(reason);
                Ok(())
            }
            Err(Refused::Broken(fault)) => Err(fault),
        }
    }

    /// Keeps a packet until CONNECT is answered.
    fn keep(&mut self, packet: &[u8]) -> Result<(), Fault> {
        let bytes: usize = self.state.early.iter().map(Vec::len).sum();
        if self.state.early.len() == MAX_EARLY.0 || bytes + packet.len() > MAX_EARLY.1 {
            return Err(Fault::fatal("too much before its CONNECT was answered"));
        }
        self.state.early.push(packet.to_vec());
        Ok(())
    }

    fn packet(&mut self, first: u8, body: &[u8], events: &mut Events) -> Result<(), Fault> {
        match first {
            SUBSCRIBE => self.subscribe(Reader(body), events),
            UNSUBSCRIBE => self.unsubscribe(Reader(body), events),
            PINGREQ => {
                Reader(body).end()?;
                events.reply(&[PINGRESP]);
                Ok(())
            }
            DISCONNECT => {
                Reader(body).end()?;
                events.close("the client says goodbye");
                Ok(())
            }
            _ if first & 0xf0 == PUBLISH => publish(first, Reader(body), events),
            // [MQTT-3.1.0-2]
            CONNECT => Err(Fault::fatal("a second CONNECT")),
            // [MQTT-2.2.2-2]
            _ => Err(Fault::fatal(format!("no packet of a client begins with {first:#04x}"))),
        }
    }

    fn subscribe(&mut self, mut body: Reader<'_>, events: &mut Events) -> Result<(), Fault> {
        let id = body.packet_id()?;
        let mut wanted = Vec::new();
        // At least one [MQTT-3.8.3-3].
        while wanted.is_empty() || !body.is_empty() {
            let (filter, qos) = (body.text()?, body.u8()?);
            if !topic::is_filter(filter) || qos > 2 {
                return Err(Fault::fatal(
                    "a subscription to what is no filter, or with what is no quality of service",
                ));
            }
            wanted.push((filter, qos));
        }
        let mut granted = Vec::new();
        for (index, (filter, _)) in wanted.iter().enumerate() {
            // Each that is granted costs a message: a packet that repeats one could ask for thousands.
            let is_granted = index < MAX_FILTERS && self.add(filter);
            granted.push(if is_granted { QOS_0 } else { NOT_GRANTED });
        }
        events.reply_with(|packet| {
            packet.push(SUBACK);
            packet.extend(id.to_be_bytes());
            packet.extend(&granted);
        });
        if let Some(route) = &self.options.on_subscribe {
            let granted = wanted.iter().zip(&granted).filter(|(_, granted)| **granted == QOS_0);
            for ((filter, qos), _) in granted {
                events.message(None, route, json!({ "filter": filter, "qos": qos }).to_string().as_bytes());
            }
        }
        Ok(())
    }

    /// Subscribes, if that can be granted. A topic that no route has is granted to nobody.
    fn add(&mut self, filter: &str) -> bool {
        let filters = &mut self.state.filters;
        if filters.iter().any(|known| known == filter) {
            return true;
        }
        let fits = filters.len() < MAX_FILTERS && filter.len() <= MAX_FILTER && !filter.contains('.');
        if fits {
            filters.push(filter.to_owned());
        }
        fits
    }

    fn unsubscribe(&mut self, mut body: Reader<'_>, events: &mut Events) -> Result<(), Fault> {
        let id = body.packet_id()?;
        let mut unwanted = Vec::new();
        // At least one [MQTT-3.10.3-2].
        while unwanted.is_empty() || !body.is_empty() {
            let filter = body.text()?;
            if !topic::is_filter(filter) {
                return Err(Fault::fatal("what is to be unsubscribed is no filter"));
            }
            unwanted.push(filter);
        }
        events.reply_with(|packet| {
            packet.push(UNSUBACK);
            packet.extend(id.to_be_bytes());
        });
        for filter in unwanted {
            let Some(index) = self.state.filters.iter().position(|known| known == filter) else { continue };
            self.state.filters.remove(index);
            if let Some(route) = &self.options.on_unsubscribe {
                events.message(None, route, json!({ "filter": filter }).to_string().as_bytes());
            }
        }
        Ok(())
    }
}

/// A message for the application. With quality of service 1 it is a request, so that what is acknowledged has been dealt with.
fn publish(first: u8, mut body: Reader<'_>, events: &mut Events) -> Result<(), Fault> {
    let (duplicate, qos) = (first & 8 != 0, first >> 1 & 3);
    if qos > 1 {
        return Err(Fault::fatal("a quality of service over 1, which is not offered here"));
    }
    // [MQTT-3.3.1-2]
    if duplicate && qos == 0 {
        return Err(Fault::fatal("a duplicate of what is sent only once"));
    }
    let route = topic::route(body.text()?)?;
    let id = if qos == 0 { None } else { Some(body.packet_id()?.into()) };
    events.message(id, &route, body.0);
    Ok(())
}

impl Session for Client {
    fn decode(&mut self, packet: &[u8], now_ms: u64, events: &mut Events) -> Result<(), Fault> {
        self.state.last_seen = now_ms;
        let Some((&first, body)) = packet.split_first() else {
            return Err(Fault::fatal("a packet without a type"));
        };
        match self.state.phase {
            Phase::Opened if first == CONNECT => self.connect(body, events),
            // [MQTT-3.1.0-1]
            Phase::Opened => Err(Fault::fatal("the first packet is no CONNECT")),
            Phase::Greeted => self.keep(packet),
            Phase::Connected => self.packet(first, body, events),
        }
    }

    fn encode(&mut self, message: &Message, _now_ms: u64, packet: &mut Packet) -> Result<Encoded, Fault> {
        if let Some(id) = message.id {
            // There is no way to say no. What the application could not deal with now the client sends again when it is back
            // [MQTT-3.3.5-2]; what it will never take must not come back.
            if message.status >= 500 {
                return Err(Fault::fatal(format!("a message was answered with status {}", message.status)));
            }
            packet.push(PUBACK);
            packet.extend(u16::try_from(id)?.to_be_bytes());
            return Ok(Encoded::Packet);
        }
        if !self.state.filters.iter().any(|filter| topic::matches(filter, message.route)) {
            return Ok(Encoded::Nothing);
        }
        let topic = topic::of_route(message.route);
        if topic.is_empty() || topic.contains(['+', '#', '\0']) {
            return Err(Fault::rejected("its route is no topic"));
        }
        packet.push(PUBLISH);
        packet.extend(u16::try_from(topic.len())?.to_be_bytes());
        packet.extend(&topic);
        packet.extend(message.body);
        Ok(Encoded::Packet)
    }
}

impl Handshake for Client {
    fn answer(&mut self, status: u16, _body: &[u8], now_ms: u64, events: &mut Events) {
        let code = Code::of(status);
        events.reply(&code.packet());
        if code != Code::Accepted {
            events.close("the application refuses it");
            return;
        }
        self.state.phase = Phase::Connected;
        // It has nothing to say before it is let in, however long that takes.
        self.state.last_seen = now_ms;
        events.established();
        self.tick(now_ms, events);
        for packet in std::mem::take(&mut self.state.early) {
            if let Some((&first, body)) = packet.split_first()
                && let Err(Fault::Fatal(reason) | Fault::Rejected(reason)) = self.packet(first, body, events)
            {
                return events.close(&reason);
            }
        }
    }
}

impl Clock for Client {
    fn tick(&mut self, now_ms: u64, events: &mut Events) {
        let State { phase, silence, last_seen, .. } = self.state;
        if phase != Phase::Connected || silence == 0 {
            return;
        }
        match (last_seen + silence).checked_sub(now_ms) {
            None | Some(0) => events.close("it was silent for one and a half times its keep alive"),
            Some(left) => events.wake(left as u32),
        }
    }
}
