//! {{name}}: a message a line. A request is `ID ROUTE BODY`, its response `ID STATUS BODY`; what is no request, and a push, has `-`
//! in the place of the id.

use std::io::Write as _;

use wireplug_guest::{Description, Encoded, Events, Fault, Framing, Message, Packet, Session, Simple};

wireplug_guest::export!(Client);

/// What the codec knows of one client: nothing, so far. What is put here stays from packet to packet.
#[derive(Debug, Default)]
struct Client;

impl Simple for Client {
    fn describe() -> Description {
        let framing = Some(Framing::Delimiter(b"\n"));
        Description { framing, text: true, json: true, ..Description::new("{{name}}", env!("CARGO_PKG_VERSION")) }
    }
}

impl Session for Client {
    fn decode(&mut self, packet: &[u8], _now_ms: u64, events: &mut Events) -> Result<(), Fault> {
        let Some((id, route, body)) = parse(packet) else {
            return Err(Fault::rejected("a line is `ID ROUTE BODY`"));
        };
        events.message(id, route, body.as_bytes());
        Ok(())
    }

    fn encode(&mut self, message: &Message, _now_ms: u64, packet: &mut Packet) -> Result<Encoded, Fault> {
        match message.id {
            Some(id) => write!(packet, "{id} {} ", message.status)?,
            None => write!(packet, "- {} ", message.route)?,
        }
        packet.extend(message.body);
        // In JSON a line break is nothing but space, and it would end the packet.
        packet.iter_mut().filter(|byte| **byte == b'\n').for_each(|byte| *byte = b' ');
        Ok(Encoded::Packet)
    }
}

/// Id, route and body of a line, if it has them.
fn parse(packet: &[u8]) -> Option<(Option<u64>, &str, &str)> {
    let line = str::from_utf8(packet).ok()?;
    let (id, rest) = line.strip_suffix('\r').unwrap_or(line).split_once(' ')?;
    let (route, body) = rest.split_once(' ').unwrap_or((rest, ""));
    // `parse` would take `+7` too.
    let id = if id == "-" { None } else { Some(id.parse().ok().filter(|_| !id.starts_with('+'))?) };
    (!route.is_empty()).then_some((id, route, body))
}

#[cfg(test)]
mod tests {
    use wireplug_guest::Event;
    use wireplug_guest::testing;

    use super::Client;

    #[test]
    fn a_request_and_its_response() {
        let mut client = testing::Client::<Client>::open("{}").unwrap();
        let request = Event::Message { id: Some(7), route: "chat.say".to_owned(), body: b"{\"a\": 1}".to_vec() };
        assert_eq!(client.decode(b"7 chat.say {\"a\": 1}\r"), Ok(vec![request]));
        assert_eq!(client.respond(7, "chat.say", b"{}"), Ok(Some(b"7 200 {}".to_vec())));
    }

    #[test]
    fn what_is_none() {
        let mut client = testing::Client::<Client>::open("{}").unwrap();
        for line in [&b""[..], b"7", b"x chat.say {}", b"-1 chat.say {}", b"+1 chat.say {}", b"\xff"] {
            assert!(client.decode(line).is_err(), "{line:?}");
        }
    }
}
