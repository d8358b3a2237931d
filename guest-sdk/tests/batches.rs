//! That a batch is what the loop of its items is.

use std::io::Write as _;

use wireplug_guest::__private::{Flat, Head, Kind, decode_batch, encode_batch};
use wireplug_guest::testing::Client;
use wireplug_guest::{
    Clock, Description, Encoded, Event, Events, Fault, Message, Packet, Packets, Session, Simple,
};

/// Does what its packets say.
#[derive(Debug, Default)]
struct Obedient {
    asked: u32,
}

impl Simple for Obedient {
    fn describe() -> Description {
        Description::new("obedient", "1")
    }
}

impl Session for Obedient {
    fn decode(&mut self, packet: &[u8], now_ms: u64, events: &mut Events) -> Result<(), Fault> {
        self.asked += 1;
        match packet {
            b"hello" => events.hello(b"me"),
            b"established" => events.established(),
            b"reply" => events.reply_with(|reply| write!(reply, "at {now_ms}").expect("there is room")),
            b"owned" => events.reply_owned(b"owned".to_vec()),
            b"wake" => events.wake(5),
            b"close" => events.close("enough"),
            b"rejected" => {
                events.message(None, "never", b"seen");
                return Err(Fault::rejected("no"));
            }
            b"fatal" => {
                events.reply(b"never seen");
                return Err(Fault::fatal("never"));
            }
            // Any error is a rejection.
            [0xff, ..] => str::from_utf8(packet).map(|_| ())?,
            _ => {
                events.message(Some(7), "one", packet);
                events.message(None, "two", b"");
            }
        }
        Ok(())
    }

    fn encode(&mut self, message: &Message, _now_ms: u64, packet: &mut Packet) -> Result<Encoded, Fault> {
        packet.push(b'<');
        packet.extend(message.route);
        // What was written so far, though other packets lie before it.
        packet[0] = b'[';
        packet.extend(message.json());
        match message.route {
            "rejected" => Err(Fault::rejected("no")),
            "fatal" => Err(Fault::fatal("never")),
            "nothing" => Ok(Encoded::Nothing),
            _ => Ok(Encoded::Packet),
        }
    }
}

impl Clock for Obedient {
    fn tick(&mut self, _now_ms: u64, events: &mut Events) {
        events.wake(1);
    }
}

fn flat(items: &[&[u8]]) -> (Vec<u8>, Vec<u32>) {
    let mut end = 0;
    let ends = items.iter().map(|item| {
        end += item.len() as u32;
        end
    });
    let ends = ends.collect();
    (items.concat(), ends)
}

/// The events of a batch as they would come one by one, each with its packet.
fn unflattened(Flat { bytes, heads, .. }: &Flat) -> Vec<(u32, Result<Event, Fault>)> {
    let mut start = 0;
    let event = |head: &Head| {
        let route = &bytes[start..head.route_end as usize];
        let body = &bytes[head.route_end as usize..head.body_end as usize];
        start = head.body_end as usize;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let event = match head.kind {
            Kind::Hello => Ok(Event::Hello(body.to_vec())),
            Kind::Established => Ok(Event::Established),
            Kind::Message => Ok(Event::Message { id: head.id, route: text(route), body: body.to_vec() }),
            Kind::Reply => Ok(Event::Reply(body.to_vec())),
            Kind::Wake => Ok(Event::Wake(head.id.unwrap() as u32)),
            Kind::Close => Ok(Event::Close(text(body))),
            Kind::Rejected => Err(Fault::rejected(text(body))),
            Kind::Fatal => Err(Fault::fatal(text(body))),
        };
        (head.packet, event)
    };
    heads.iter().map(event).collect()
}

#[test]
fn a_batch_of_packets_is_the_loop_of_them() {
    let all: &[&[u8]] = &[
        b"hello",
        b"rejected",
        b"established",
        b"",
        b"reply",
        b"\xff",
        b"owned",
        b"wake",
        b"rejected",
        b"text",
    ];
    for end in [&b"close"[..], b"fatal", b"last"] {
        let packets = [all, &[end, b"behind"]].concat();
        let (bytes, ends) = flat(&packets);
        let mut session = Obedient::default();
        let batch = unflattened(&decode_batch(&mut session, &bytes, &ends, 3));

        let mut client = Client::<Obedient>::open("{}").unwrap();
        client.now_ms = 3;
        let mut singles = Vec::new();
        for (index, packet) in (0..).zip(&packets) {
            match client.decode(packet) {
                Ok(events) => singles.extend(events.into_iter().map(|event| (index, Ok(event)))),
                Err(fault) => singles.push((index, Err(fault))),
            }
            if matches!(singles.last(), Some((_, Ok(Event::Close(_)) | Err(Fault::Fatal(_))))) {
                break;
            }
        }
        assert_eq!(batch, singles);
        assert_eq!(session.asked, client.session.asked);
    }
}

#[test]
fn a_batch_of_messages_is_the_loop_of_them() {
    let routes = ["a", "rejected", "bb", "nothing", "rejected", "c"];
    let mut bytes = Vec::new();
    let mut heads = Vec::new();
    for (id, route) in (0..).zip(routes) {
        bytes.extend_from_slice(route.as_bytes());
        let route_end = bytes.len() as u32;
        bytes.extend_from_slice(if id == 2 { b"" } else { b"{}" });
        heads.push((Some(id), 200, route_end, bytes.len() as u32));
    }
    let packets = encode_batch(&mut Obedient::default(), &bytes, heads.into_iter(), 0).unwrap();
    let Packets { bytes, ends, refused } = packets;
    assert_eq!(bytes, b"[a{}[bbnull[c{}");
    assert_eq!(ends, [4, 11, 15]);
    assert_eq!(refused, [(1, "no".to_owned()), (4, "no".to_owned())]);

    let heads = [(None, 200, 1, 1), (None, 200, 6, 6)];
    let fatal = encode_batch(&mut Obedient::default(), b"afatal", heads.into_iter(), 0);
    assert_eq!(fatal.unwrap_err(), "never");
}

#[test]
fn options() {
    #[derive(Debug, serde::Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Options {
        #[serde(default)]
        heartbeat: u32,
    }
    let routes = r#"{"heartbeat":3,"routes":["a","b"]}"#;
    let read = wireplug_guest::options_and_routes(routes).unwrap();
    assert_eq!(read, (Options { heartbeat: 3 }, vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(wireplug_guest::options::<Options>("{}"), Ok(Options { heartbeat: 0 }));
    let unknown = wireplug_guest::options::<Options>(r#"{"heart":3}"#).unwrap_err();
    assert!(unknown.contains("heart") && unknown.contains("heartbeat"), "{unknown}");
    assert!(wireplug_guest::options::<Options>("[]").is_err());
    assert!(wireplug_guest::options::<Options>(r#"{"routes":3}"#).is_err());
    assert_eq!(
        Client::<Obedient>::open(r#"{"routes":["a"]}"#).map(|mut client| client.tick()),
        Ok(vec![Event::Wake(1)])
    );
    assert!(Client::<Obedient>::open(r#"{"heartbeat":3}"#).is_err());
}
