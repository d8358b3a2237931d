//! The codec xmpp: one message in each line.
//!
//! A request is `ID ROUTE BODY`, and its response is `ID STATUS BODY`. A notification from the
//! client and a push are `- ROUTE BODY`.

use std::io::Write as _;

use wireplug_guest::{
    Description, Events, Fault, Framing, Instant, Message, Packets, Payload, Role, Session, Simple,
};

wireplug_guest::export!(Client);

/// The state of one connection: nothing so far. Fields of this type stay from packet to packet.
#[derive(Debug, Default)]
struct Client;

impl Simple for Client {
    fn describe() -> Description {
        Description {
            framing: Some(Framing::Delimiter(b"\n")),
            payload: Payload::Text,
            json: true,
            ..Description::new("xmpp", env!("CARGO_PKG_VERSION"))
        }
    }
}

impl Session for Client {
    fn decode(&mut self, packet: &[u8], _now: Instant, events: &mut Events) -> Result<(), Fault> {
        let Some((id, route, body)) = parse(packet) else {
            return Err(Fault::rejected("a line is `ID ROUTE BODY`"));
        };
        match id {
            Some(id) => events.request(id, route, body.as_bytes()),
            None => events.notice(route, body.as_bytes()),
        }
        Ok(())
    }

    fn encode(&mut self, message: &Message, _now: Instant, packets: &mut Packets) -> Result<(), Fault> {
        let mut packet = packets.begin();
        match message.role {
            Role::Response => write!(packet, "{} {} ", message.id, message.status)?,
            Role::Notice => write!(packet, "- {} ", message.route)?,
            // The description does not say `client_requests`, so the runtime never asks for this.
            Role::Request => return Err(Fault::rejected("the protocol has no requests to the client")),
        }
        packet.extend(message.body);
        // In JSON a line break is only white space, and in a packet it would end the line.
        packet.iter_mut().filter(|byte| **byte == b'\n').for_each(|byte| *byte = b' ');
        Ok(())
    }
}

/// Returns the id, the route and the body of a line, or `None` if the line is wrong.
fn parse(packet: &[u8]) -> Option<(Option<u64>, &str, &str)> {
    let line = str::from_utf8(packet).ok()?;
    let (id, rest) = line.strip_suffix('\r').unwrap_or(line).split_once(' ')?;
    let (route, body) = rest.split_once(' ').unwrap_or((rest, ""));
    // `parse` would accept `+7`.
    let id = if id == "-" { None } else { Some(id.parse().ok().filter(|_| !id.starts_with('+'))?) };
    (!route.is_empty()).then_some((id, route, body))
}

#[cfg(test)]
mod tests {
    use wireplug_guest::testing;
    use wireplug_guest::{Event, Message};

    use super::Client;

    #[test]
    fn a_request_gets_its_response() {
        let mut client = testing::Client::<Client>::open("{}").unwrap();
        let request = Event::Request { id: 7, route: "chat.say".into(), body: b"{\"a\": 1}".into() };
        assert_eq!(client.decode(b"7 chat.say {\"a\": 1}\r"), Ok(vec![request]));
        let response = Message::response(7, "chat.say", 200, b"{}");
        assert_eq!(client.encode(response), Ok(vec![b"7 200 {}".to_vec()]));
    }

    #[test]
    fn wrong_lines_are_rejected() {
        let mut client = testing::Client::<Client>::open("{}").unwrap();
        for line in [&b""[..], b"7", b"x chat.say {}", b"-1 chat.say {}", b"+1 chat.say {}", b"\xff"] {
            assert!(client.decode(line).is_err(), "{line:?}");
        }
    }
}
