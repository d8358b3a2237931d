//! Calls a component and its twins, and describes their answers as text. The answers of the
//! component that cuts its stream itself are described without the lengths of packets.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use proptest::sample::Index;
use wireplug::codec::NativePomelo;
use wireplug::config::CodecLimits;
use wireplug_core::codec::{
    Codec, CodecError, CodecSession, Encoded, Event, Events, Frames, Instant, Messages, Next, Peer, Reason,
    Role,
};
use wireplug_core::framing::Packets;
use wireplug_tests::versions::POMELO;
use wireplug_wasm::{WasmCodec, WasmEngine, WasmLoader};

use super::calls::{Blob, Call, Message};

/// The component of `guest-examples/pomelo/framer`, which cuts its stream itself.
const FRAMER: &[u8] = include_bytes!("../../pomelo_framer.wasm");

/// The number of bytes of a package before its body.
const HEAD: usize = 4;

/// A component and its twins, with the same options.
pub(super) struct Twins {
    pub(super) wasm: WasmCodec,
    /// The same component, called through the component API.
    pub(super) component: WasmCodec,
    pub(super) framer: WasmCodec,
    pub(super) native: NativePomelo,
}

/// A protobuf schema for one of the routes that are called, in both directions.
const PROTO: &str = r#""a.b.c":{"required uInt32 code":1,"optional string text":2,"repeated M m":3,"repeated double d":4,"message M":{"optional sInt32 x":1,"optional float y":2}}"#;

pub(super) static TWINS: LazyLock<Vec<Twins>> = LazyLock::new(|| {
    let long = "x".repeat(300);
    let options = [
        r#"{"routes":["a.b.c","connector.entryHandler.echo","onChat"]}"#.to_owned(),
        r#"{"heartbeat":30,"routes":["a.b.c","onChat"]}"#.to_owned(),
        r#"{"heartbeat":0.5,"timeout":2,"dictionary":false,"routes":["a.b.c"]}"#.to_owned(),
        format!(r#"{{"dictionary":{{"a.b.c":3,"onChat":258,"{long}":65535,"é😀":1}}}}"#),
        r#"{"heartbeat":1,"dictionary":["onChat"]}"#.to_owned(),
        format!(r#"{{"routes":["a.b.c","onChat"],"protos":{{"client":{{{PROTO}}},"server":{{{PROTO}}}}}}}"#),
    ];
    // The limits of time are lifted, because these tests do not test them.
    let limits = CodecLimits {
        call_cpu: Duration::from_secs(10),
        call_wall: Duration::from_secs(60),
        open_cpu: Duration::from_secs(10),
        ..CodecLimits::default()
    };
    // In addition to those of the sessions, each codec needs one for shared encodings.
    let engine = WasmEngine::new(24, limits.memory).expect("room for few sandboxes");
    let load = |component, options: &str| {
        WasmLoader::new(&engine, limits).load(component, options.into()).expect("good options")
    };
    let twins = options.map(|options| {
        let wasm = load(POMELO, &options);
        Twins {
            native: NativePomelo::new(&options).expect("good options"),
            component: wasm.component_calls(),
            wasm,
            framer: load(FRAMER, &options),
        }
    });
    twins.into()
});

/// A session on one of the sides.
pub(super) struct Driven {
    pub(super) side: fn(&'static Twins) -> &'static dyn Codec,
    codec: &'static dyn Codec,
    session: Box<dyn CodecSession>,
}

fn peer() -> Peer {
    wireplug_tests::peer()
}

fn open(side: fn(&'static Twins) -> &'static dyn Codec, which: &Index) -> Driven {
    let codec = side(which.get(&TWINS));
    Driven {
        side,
        codec,
        session: codec.open(peer(), Instant::for_test(0)).expect("every client is welcome"),
    }
}

pub(super) fn wasm(which: &Index) -> Driven {
    open(|twins| &twins.wasm, which)
}

pub(super) fn component(which: &Index) -> Driven {
    open(|twins| &twins.component, which)
}

pub(super) fn framer(which: &Index) -> Driven {
    open(|twins| &twins.framer, which)
}

pub(super) fn native(which: &Index) -> Driven {
    open(|twins| &twins.native, which)
}

impl Driven {
    /// Makes a call and returns the answers as text.
    pub(super) fn perform(&mut self, call: &Call, now: Instant) -> Vec<String> {
        let is_framer = self.is_framer();
        let session = &mut self.session;
        let mut events = Events::new();
        let (called, packets) = match call {
            Call::Decode(packets) if is_framer => {
                (decode_stream(&mut **session, packets, now, &mut events), packets.len())
            }
            Call::Decode(packets) => {
                let batch: Packets = packets.iter().map(|packet| packet.0.as_slice()).collect();
                (session.decode(&Arc::new(batch), now, &mut events), packets.len())
            }
            Call::Answer(status, body) => (session.answer(*status, &body.0, now, &mut events), 1),
            Call::Tick => (session.tick(now, &mut events), 1),
            Call::Farewell(cause, reason) => (session.farewell(*cause, reason, now, &mut events), 1),
            Call::Encode(messages) => return self.encode(messages, now),
            Call::Share(class, message) => return self.share(*class, message, now),
            Call::Handoff(handoff) => return self.hand_over(&handoff.to, now),
        };
        let mut given = vec![format!("{called:?}")];
        let mut events = events.read(packets);
        while let Some(event) = events.next_event() {
            let reply;
            let event = match event {
                Ok(Event::Reply(package)) if is_framer => {
                    reply = bare(package);
                    Ok(Event::Reply(&reply))
                }
                event => event,
            };
            given.push(format!("{event:?}"));
        }
        given
    }

    fn is_framer(&self) -> bool {
        self.codec.abilities().framer
    }

    fn encode(&mut self, messages: &[Message], now: Instant) -> Vec<String> {
        let mut batch = Messages::new();
        messages.iter().for_each(|message| batch.push(message.borrowed()));
        let mut encoded = Encoded::default();
        let called = self.session.encode(&Arc::new(batch), now, &mut encoded);
        assert_eq!(encoded.check(messages.len()), Ok(()));
        let mut given = vec![format!("{called:?}")];
        let packets = self.without_lengths(&encoded.packets);
        let packets = packets.iter().zip(&encoded.sources);
        given.extend(packets.map(|(packet, source)| format!("{packet:?} of message {source}")));
        given.extend(encoded.refused.iter().map(|refusal| format!("{refusal:?}")));
        given
    }

    /// Encodes a push for a class. Also checks that a session of the class would have encoded the
    /// push to the same bytes.
    fn share(&mut self, class: u32, message: &Message, now: Instant) -> Vec<String> {
        let shared = self.codec.encode_shared(class, message.borrowed());
        let own_class = self.session.broadcast_class();
        if own_class == Ok(Some(class)) && message.role == Role::Notice {
            let mut batch = Messages::new();
            batch.push(message.borrowed());
            let mut alone = Encoded::default();
            self.session.encode(&Arc::new(batch), now, &mut alone).expect("no message is fatal");
            let refused = alone.refused.pop();
            let alone = match refused {
                Some(refusal) => Err(CodecError::Refused(Reason::new(refusal.reason))),
                None => Ok(alone.packets),
            };
            assert_eq!(shared, alone, "shared and alone");
        }
        let shared = shared.map(|packets| self.without_lengths(&packets));
        vec![format!("class: {own_class:?}"), format!("shared: {shared:?}")]
    }

    fn without_lengths(&self, packets: &Packets) -> Packets {
        if !self.is_framer() {
            return packets.clone();
        }
        let mut without = Packets::new();
        packets.iter().for_each(|package| without.push(&bare(package)));
        without
    }

    fn hand_over(&mut self, to: &Index, now: Instant) -> Vec<String> {
        let state = self.session.save().expect("every session can be saved");
        self.codec = (self.side)(to.get(&TWINS));
        self.session = self.codec.restore(peer(), &state, now).expect("it was saved by a session");
        vec![format!("saved: {state:?}")]
    }
}

/// Passes packets as a stream. Each packet has a type.
fn decode_stream(
    session: &mut dyn CodecSession,
    packets: &[Blob],
    now: Instant,
    events: &mut Events,
) -> Result<(), CodecError> {
    let (mut bytes, mut ends) = (Vec::new(), Vec::new());
    for Blob(packet) in packets {
        let (kind, body) = packet.split_first().expect("a type");
        let [0, length @ ..] = (body.len() as u32).to_be_bytes() else { panic!("a long body") };
        bytes.extend([&[*kind][..], &length, body].concat());
        ends.push(bytes.len() as u32);
    }
    let mut frames = Frames::default();
    session.decode_stream(&Arc::new(bytes), now, &mut frames)?;
    assert_eq!(frames.ends, ends[..frames.ends.len()], "it cuts where packets end");
    let expected = match frames.ends.len() == ends.len() && !frames.events.ends_call() {
        true if ends.len() < Packets::MAX => Next::Need(HEAD as u32),
        _ => Next::Full,
    };
    assert_eq!(frames.next, expected);
    *events = frames.events;
    Ok(())
}

/// Removes the length from a package.
fn bare(package: &[u8]) -> Vec<u8> {
    let (&[kind, length @ ..], body) = package.split_first_chunk::<HEAD>().expect("a whole package");
    assert_eq!(u32::from_be_bytes([0, length[0], length[1], length[2]]) as usize, body.len());
    [&[kind], body].concat()
}

/// Returns whether this is the last event that counts.
pub(super) fn is_end(given: &str) -> bool {
    given.starts_with("Ok(Close {") || given.starts_with("Ok(Fatal(")
}

/// Returns whether this is a hello, behind which nothing is decoded before its answer.
pub(super) fn is_hello(given: &str) -> bool {
    given.starts_with("Ok(Hello(")
}
