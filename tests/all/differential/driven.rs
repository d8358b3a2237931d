//! Calls a component and its twin, and describes their answers as text.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use proptest::sample::Index;
use wireplug::codec::native::NativePomelo;
use wireplug::config::CodecLimits;
use wireplug_core::codec::{
    Codec, CodecError, CodecSession, Encoded, Events, Instant, Messages, Peer, Reason, Role,
};
use wireplug_core::framing::Packets;
use wireplug_tests::versions::POMELO;
use wireplug_wasm::{WasmCodec, WasmEngine, WasmLoader};

use super::calls::{Call, Message};

/// A component and its twin, with the same options.
pub(super) struct Twins {
    pub(super) wasm: WasmCodec,
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
    let engine = WasmEngine::new(16, limits.memory).expect("room for few sandboxes");
    let twins = options.map(|options| Twins {
        native: NativePomelo::new(&options).expect("good options"),
        wasm: WasmLoader::new(&engine, limits).load(POMELO, options.into()).expect("good options"),
    });
    twins.into()
});

/// A session on one of the two sides.
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

pub(super) fn native(which: &Index) -> Driven {
    open(|twins| &twins.native, which)
}

impl Driven {
    /// Makes a call and returns the answers as text.
    pub(super) fn perform(&mut self, call: &Call, now: Instant) -> Vec<String> {
        let session = &mut self.session;
        let mut events = Events::new();
        let (called, packets) = match call {
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
            given.push(format!("{event:?}"));
        }
        given
    }

    fn encode(&mut self, messages: &[Message], now: Instant) -> Vec<String> {
        let mut batch = Messages::new();
        messages.iter().for_each(|message| batch.push(message.borrowed()));
        let mut encoded = Encoded::default();
        let called = self.session.encode(&Arc::new(batch), now, &mut encoded);
        assert_eq!(encoded.check(messages.len()), Ok(()));
        let mut given = vec![format!("{called:?}")];
        let packets = encoded.packets.iter().zip(&encoded.sources);
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
        vec![format!("class: {own_class:?}"), format!("shared: {shared:?}")]
    }

    fn hand_over(&mut self, to: &Index, now: Instant) -> Vec<String> {
        let state = self.session.save().expect("every session can be saved");
        self.codec = (self.side)(to.get(&TWINS));
        self.session = self.codec.restore(peer(), &state, now).expect("it was saved by a session");
        vec![format!("saved: {state:?}")]
    }
}

/// Returns whether this is the last event that counts.
pub(super) fn is_end(given: &str) -> bool {
    given.starts_with("Ok(Close {") || given.starts_with("Ok(Fatal(")
}

/// Returns whether this is a hello, behind which nothing is decoded before its answer.
pub(super) fn is_hello(given: &str) -> bool {
    given.starts_with("Ok(Hello(")
}
