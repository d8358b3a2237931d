//! The session: which packets are allowed when, and what they mean. Section 3 of the specification.

use std::rc::Rc;

use serde::{Deserialize, Serialize};
use serde_json::json;
use wireplug_guest::{Clock, Events, Fault, Handshake, Instant, Message, Packets, Role, Session};

use crate::connect::{self, Code, Refused};
use crate::options::Options;
use crate::reader::Reader;
use crate::topic;

/// The number of filters that a client may have subscribed to, and that one packet may grant.
pub(crate) const MAX_FILTERS: usize = 64;

/// The largest filter, in bytes.
pub(crate) const MAX_FILTER: usize = 1024;

// The first byte of each control packet: its type, and the flags that it must have.
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

/// The quality of service that is granted to every filter: the server sends each push once.
const QOS_0: u8 = 0;
const NOT_GRANTED: u8 = 0x80;

/// The session of one client.
#[derive(Debug)]
pub(crate) struct Client {
    options: Rc<Options>,
    pub(crate) state: State,
}

/// Everything that a session knows.
#[derive(Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct State {
    /// CONNECT was accepted.
    is_connected: bool,
    /// The milliseconds of silence after which the connection is closed [MQTT-3.1.2-24]. 0: never.
    silence: u64,
    /// When the client last sent a packet or was accepted, in milliseconds since the session
    /// opened.
    last_seen: u64,
    filters: Vec<String>,
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
                events.close("the client disconnected");
                Ok(())
            }
            _ if first & 0xf0 == PUBLISH => publish(first, Reader(body), events),
            // [MQTT-3.1.0-2]
            CONNECT => Err(Fault::fatal("the client sent a second CONNECT")),
            // [MQTT-2.2.2-2]
            _ => Err(Fault::fatal(format!("a packet of a client cannot begin with {first:#04x}"))),
        }
    }

    fn subscribe(&mut self, mut body: Reader<'_>, events: &mut Events) -> Result<(), Fault> {
        let id = body.packet_id()?;
        let mut wanted = Vec::new();
        // At least one [MQTT-3.8.3-3].
        while wanted.is_empty() || !body.is_empty() {
            let (filter, qos) = (body.text()?, body.u8()?);
            if !topic::is_filter(filter) || qos > 2 {
                return Err(Fault::fatal("a subscription has an invalid filter or quality of service"));
            }
            wanted.push((filter, qos));
        }
        let mut granted = Vec::new();
        for (index, (filter, _)) in wanted.iter().enumerate() {
            // Each granted filter becomes a message. Without this limit, a packet that repeats a
            // filter could become thousands of messages.
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
                events.notice(route, json!({ "filter": filter, "qos": qos }).to_string().as_bytes());
            }
        }
        Ok(())
    }

    /// Adds a subscription, if it can be granted. A filter with a dot cannot: topics with dots have
    /// no routes.
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
                return Err(Fault::fatal("an unsubscription has an invalid filter"));
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
                events.notice(route, json!({ "filter": filter }).to_string().as_bytes());
            }
        }
        Ok(())
    }

    /// Writes a push, if the client has subscribed to its topic.
    fn push(&self, message: &Message, packets: &mut Packets) -> Result<(), Fault> {
        if !self.state.filters.iter().any(|filter| topic::matches(filter, message.route)) {
            return Ok(());
        }
        let topic = topic::of_route(message.route);
        if topic.is_empty() || topic.contains(['+', '#', '\0']) {
            return Err(Fault::rejected("the route is not a topic"));
        }
        let mut packet = packets.begin();
        packet.push(PUBLISH);
        packet.extend(u16::try_from(topic.len())?.to_be_bytes());
        packet.extend(&topic);
        packet.extend(message.body);
        Ok(())
    }
}

/// Passes a message to the application. A message of quality of service 1 is a request, so that the
/// codec acknowledges it when the application has handled it.
fn publish(first: u8, mut body: Reader<'_>, events: &mut Events) -> Result<(), Fault> {
    let (duplicate, qos) = (first & 8 != 0, first >> 1 & 3);
    if qos > 1 {
        return Err(Fault::fatal("a message has a quality of service over 1, which is not supported"));
    }
    // [MQTT-3.3.1-2]
    if duplicate && qos == 0 {
        return Err(Fault::fatal("a message of quality of service 0 is marked as a duplicate"));
    }
    let route = topic::route(body.text()?)?;
    if qos == 0 {
        events.notice(&route, body.0);
    } else {
        let id = body.packet_id()?;
        events.request(id.into(), &route, body.0);
    }
    Ok(())
}

/// Acknowledges a message of quality of service 1.
///
/// MQTT 3.1.1 has no negative answer. A status of 5xx ends the connection, because the client sends
/// the message again when it is back [MQTT-3.3.5-2]. Other failures are acknowledged, because the
/// same message would fail again.
fn acknowledge(message: &Message, packets: &mut Packets) -> Result<(), Fault> {
    if message.status >= 500 {
        return Err(Fault::fatal(format!("the application answered with status {}", message.status)));
    }
    let mut packet = packets.begin();
    packet.push(PUBACK);
    packet.extend(u16::try_from(message.id)?.to_be_bytes());
    Ok(())
}

impl Session for Client {
    fn decode(&mut self, packet: &[u8], now: Instant, events: &mut Events) -> Result<(), Fault> {
        self.state.last_seen = now.session_ms;
        let Some((&first, body)) = packet.split_first() else {
            return Err(Fault::fatal("a packet is empty"));
        };
        if self.state.is_connected {
            return self.packet(first, body, events);
        }
        // Nothing comes between CONNECT and its answer: the runtime holds back what the client
        // sends.
        match first {
            CONNECT => self.connect(body, events),
            // [MQTT-3.1.0-1]
            _ => Err(Fault::fatal("the first packet is not a CONNECT")),
        }
    }

    fn encode(&mut self, message: &Message, _now: Instant, packets: &mut Packets) -> Result<(), Fault> {
        match message.role {
            Role::Notice => self.push(message, packets),
            Role::Response => acknowledge(message, packets),
            // The description does not say `client_requests`, so the runtime never asks for this.
            Role::Request => Err(Fault::rejected("MQTT has no requests to the client")),
        }
    }
}

impl Handshake for Client {
    fn answer(&mut self, status: u16, _body: &[u8], now: Instant, events: &mut Events) {
        let code = Code::of(status);
        events.reply(&code.packet());
        if code != Code::Accepted {
            events.close("the application refused the client");
            return;
        }
        self.state.is_connected = true;
        // A client that waits for the answer to its CONNECT need not send anything.
        self.state.last_seen = now.session_ms;
        events.established();
        self.tick(now, events);
    }
}

impl Clock for Client {
    fn tick(&mut self, now: Instant, events: &mut Events) {
        let State { is_connected, silence, last_seen, .. } = self.state;
        if !is_connected || silence == 0 {
            return;
        }
        match (last_seen + silence).checked_sub(now.session_ms) {
            None | Some(0) => events.close("the client was silent for one and a half times its keep alive"),
            Some(left) => events.timer(left as u32),
        }
    }
}
