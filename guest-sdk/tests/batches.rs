//! Checks that a batch gives the same as single calls.

use std::io::Write as _;

use wireplug_guest::__private::{MessageHead, decode_batch, encode_batch, unflattened};
use wireplug_guest::testing::Client;
use wireplug_guest::{
    Description, Encoded, Event, Events, Fault, Instant, Level, Message, Packets, Session, Simple,
};

/// Does what its packets and the routes of its messages say.
#[derive(Debug, Default)]
struct Script {
    /// The number of decoded packets.
    decoded: u32,
}

impl Simple for Script {
    fn describe() -> Description {
        Description::new("script", "1")
    }
}

impl Session for Script {
    fn decode(&mut self, packet: &[u8], now: Instant, events: &mut Events) -> Result<(), Fault> {
        self.decoded += 1;
        match packet {
            b"hello" => events.hello(b"me"),
            b"established" => events.established(),
            b"reply" => events.reply_with(|reply| {
                reply.extend(now.session_ms.to_be_bytes());
                reply.push(b'-');
                // The index counts from the start of the reply, whatever lies before it.
                reply[0] = b'+';
            }),
            b"timer" => events.timer(5),
            b"verified" => events.address_verified(),
            b"log" => events.log(Level::Warn, "strange"),
            b"close" => events.close("enough"),
            b"close with" => events.close_with(4000, "enough"),
            b"rejected" => {
                events.notice("never", b"seen");
                return Err(Fault::rejected("no"));
            }
            b"rejected close" => {
                events.close("never seen");
                return Err(Fault::rejected("no"));
            }
            b"fatal" => {
                events.reply(b"never seen");
                return Err(Fault::fatal("never"));
            }
            // `?` turns any error into a rejection.
            [0xff, ..] => str::from_utf8(packet).map(|_| ())?,
            _ => {
                events.request(7, "one", packet);
                events.notice("two", b"");
                events.response(8, 404, b"three");
            }
        }
        Ok(())
    }

    fn encode(&mut self, message: &Message, _now: Instant, packets: &mut Packets) -> Result<(), Fault> {
        if message.route == "nothing" {
            return Ok(());
        }
        let mut packet = packets.begin();
        write!(packet, "<{} {} {} ", message.route, message.id, message.status)?;
        packet.extend(message.json());
        // The index counts from the start of the packet, whatever lies before it.
        packet[0] = b'[';
        match message.route {
            "rejected" => return Err(Fault::rejected("no")),
            "fatal" => return Err(Fault::fatal("never")),
            "three" => {
                packets.push(b"");
                packets.begin().push(b'3');
            }
            _ => {}
        }
        Ok(())
    }
}

const NOW: Instant = Instant { session_ms: 3, unix_ms: 1_000_000 };

fn flat(items: &[&[u8]]) -> (Vec<u8>, Vec<u32>) {
    let mut end = 0;
    let ends = items.iter().map(|item| {
        end += item.len() as u32;
        end
    });
    let ends = ends.collect();
    (items.concat(), ends)
}

#[test]
fn a_batch_of_packets_gives_the_events_of_single_calls() {
    let all: &[&[u8]] = &[
        b"rejected",
        b"established",
        b"",
        b"reply",
        b"\xff",
        b"timer",
        b"rejected close",
        b"verified",
        b"log",
        b"text",
    ];
    for end in [&b"hello"[..], b"close", b"close with", b"fatal", b"last"] {
        let packets = [all, &[end, b"behind"]].concat();
        let (bytes, ends) = flat(&packets);
        let mut session = Script::default();
        let mut events = Events::default();
        decode_batch(&mut session, &bytes, &ends, NOW, &mut events);
        let batch = unflattened(events);

        let mut client = Client::<Script>::open("{}").unwrap();
        client.now = NOW;
        let mut singles = Vec::new();
        for (index, packet) in (0..).zip(&packets) {
            match client.decode(packet) {
                Ok(events) => singles.extend(events.into_iter().map(|event| (index, Ok(event)))),
                Err(fault) => singles.push((index, Err(fault))),
            }
            let ends = |event: &Result<Event, Fault>| {
                matches!(event, Ok(Event::Hello(_) | Event::Close { .. }) | Err(Fault::Fatal(_)))
            };
            if singles.last().is_some_and(|(_, event)| ends(event)) {
                break;
            }
        }
        assert_eq!(batch, singles);
        assert_eq!(session.decoded, client.session.decoded);
    }
}

fn batch(messages: &[Message<'_>]) -> Result<Encoded, String> {
    let mut bytes = Vec::new();
    let mut heads = Vec::new();
    for Message { role, id, route, body, status } in messages {
        bytes.extend_from_slice(route.as_bytes());
        let route_end = bytes.len() as u32;
        bytes.extend_from_slice(body);
        let body_end = bytes.len() as u32;
        heads.push(MessageHead { role: *role, id: *id, status: *status, route_end, body_end });
    }
    let mut encoded = Encoded::default();
    encode_batch(&mut Script::default(), &bytes, &heads, NOW, &mut encoded).map(|()| encoded)
}

#[test]
fn a_batch_of_messages_gives_the_packets_of_single_calls() {
    let messages = [
        Message::notice("nothing", b"{}"),
        Message::response(1, "a", 200, b"{}"),
        Message::notice("rejected", b"{}"),
        Message::notice("three", b""),
        Message::notice("nothing", b"{}"),
        Message::notice("rejected", b"{}"),
        Message::request(2, "b", b"{}"),
        Message::response(3, "nothing", 404, b""),
    ];
    let Encoded { bytes, ends, sources, refused } = batch(&messages).unwrap();
    assert_eq!(bytes, b"[a 1 200 {}[three 0 200 null3[b 2 200 {}");
    assert_eq!(ends, [11, 28, 28, 29, 40]);
    assert_eq!(sources, [1, 3, 3, 3, 6]);
    assert_eq!(refused, [(2, "no".to_owned()), (5, "no".to_owned())]);

    let mut client = Client::<Script>::open("{}").unwrap();
    let singles: Vec<_> = messages.iter().map(|message| client.encode(*message)).collect();
    let starts = std::iter::once(0).chain(ends.iter().copied());
    let packets: Vec<_> =
        starts.zip(&ends).map(|(start, &end)| &bytes[start as usize..end as usize]).collect();
    assert_eq!(singles.iter().flatten().flatten().collect::<Vec<_>>(), packets);
    let faults = [2, 5].map(|index| singles[index].clone());
    assert_eq!(faults, [Err(Fault::rejected("no")), Err(Fault::rejected("no"))]);
}

#[test]
fn a_fatal_message_ends_the_batch() {
    let fatal = batch(&[Message::notice("a", b""), Message::notice("fatal", b"")]);
    assert_eq!(fatal.unwrap_err(), "never");
}
