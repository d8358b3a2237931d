//! The Pomelo component against its native twin: the same calls give the same events and packets, byte for
//! byte. What is proven of the library is so proven of the component, and of the border between them.

use std::fmt;
use std::mem;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use wireplug::codec::native::NativePomelo;
use wireplug::codec::wasm::{POMELO, WasmCodec, WasmEngine, WasmLoader};
use wireplug::codec::{
    Codec, CodecError, CodecSession, Encoded, Events, MessageRef, Messages, Peer, Reason, batch_bytes,
};
use wireplug::config::CodecLimits;
use wireplug::framing::Packets;

/// What is called, and how long after the call before it.
#[derive(Clone, Debug)]
struct Step {
    after_ms: u64,
    call: Call,
}

#[derive(Clone, Debug)]
enum Call {
    Decode(Vec<Blob>),
    Encode(Vec<Message>),
    Answer(u16, Blob),
    Tick,
    Farewell(String),
    /// A push to all sessions of a class.
    Share(u32, Message),
    Handoff(Handoff),
}

/// The session is saved, and restored by a codec with options that may be others.
#[derive(Clone, Debug)]
struct Handoff {
    to: Index,
    /// Whether component and twin change places: the state that one has saved, the other restores.
    across: bool,
}

#[derive(Clone, Debug)]
struct Message {
    id: Option<u64>,
    route: String,
    body: Blob,
    status: u16,
}

impl Message {
    fn borrowed(&self) -> MessageRef<'_> {
        MessageRef { id: self.id, route: &self.route, body: &self.body.0, status: self.status }
    }
}

/// Bytes that a failure shows in a line.
#[derive(Clone)]
struct Blob(Vec<u8>);

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

/// A component and its twin, with the same options.
struct Twins {
    wasm: WasmCodec,
    native: NativePomelo,
}

static TWINS: LazyLock<Vec<Twins>> = LazyLock::new(|| {
    let long = "x".repeat(300);
    let options = [
        r#"{"routes":["a.b.c","connector.entryHandler.echo","onChat"]}"#.to_owned(),
        r#"{"heartbeat":30,"routes":["a.b.c","onChat"]}"#.to_owned(),
        r#"{"heartbeat":0.5,"timeout":2,"dictionary":false,"routes":["a.b.c"]}"#.to_owned(),
        format!(r#"{{"dictionary":{{"a.b.c":3,"onChat":258,"{long}":65535,"é😀":1}}}}"#),
        r#"{"heartbeat":1,"dictionary":["onChat"]}"#.to_owned(),
    ];
    // Time is not what is tested here.
    let limits = CodecLimits {
        call_cpu: Duration::from_secs(10),
        call_wall: Duration::from_secs(60),
        open_cpu: Duration::from_secs(10),
        ..CodecLimits::default()
    };
    // Besides those of the sessions each codec keeps one for what is shared.
    let engine = WasmEngine::new(16, limits.memory).expect("room for few sandboxes");
    let twins = options.map(|options| Twins {
        native: NativePomelo::new(&options).expect("good options"),
        wasm: WasmLoader::new(&engine, limits).load(POMELO, options).expect("good options"),
    });
    twins.into()
});

/// A session, on one of the two sides.
struct Driven {
    side: fn(&'static Twins) -> &'static dyn Codec,
    codec: &'static dyn Codec,
    session: Box<dyn CodecSession>,
}

fn peer() -> Peer {
    Peer { transport: "tcp".into(), address: "[::1]:1".into(), entropy: [7; 32], attributes: vec![] }
}

fn open(side: fn(&'static Twins) -> &'static dyn Codec, which: &Index) -> Driven {
    let codec = side(which.get(&TWINS));
    Driven { side, codec, session: codec.open(peer()).expect("every client is welcome") }
}

fn wasm(which: &Index) -> Driven {
    open(|twins| &twins.wasm, which)
}

fn native(which: &Index) -> Driven {
    open(|twins| &twins.native, which)
}

// === what a call gives ===

impl Driven {
    /// Makes a call and puts all that it gives into words.
    fn perform(&mut self, call: &Call, now_ms: u64) -> Vec<String> {
        let session = &mut self.session;
        let mut events = Events::new();
        let (called, packets) = match call {
            Call::Decode(packets) => {
                let batch: Packets = packets.iter().map(|packet| packet.0.as_slice()).collect();
                (session.decode(&Arc::new(batch), now_ms, &mut events), packets.len())
            }
            Call::Answer(status, body) => (session.answer(*status, &body.0, now_ms, &mut events), 1),
            Call::Tick => (session.tick(now_ms, &mut events), 1),
            Call::Farewell(reason) => return vec![format!("{:?}", session.farewell(reason, now_ms))],
            Call::Encode(messages) => return self.encode(messages, now_ms),
            Call::Share(class, message) => return self.share(*class, message, now_ms),
            Call::Handoff(handoff) => return self.hand_over(&handoff.to, now_ms),
        };
        let mut given = vec![format!("{called:?}")];
        let mut events = events.read(packets);
        while let Some(event) = events.next_event() {
            given.push(format!("{event:?}"));
        }
        given
    }

    fn encode(&mut self, messages: &[Message], now_ms: u64) -> Vec<String> {
        let mut batch = Messages::new();
        messages.iter().for_each(|message| batch.push(message.borrowed()));
        let mut encoded = Encoded::default();
        let called = self.session.encode(&Arc::new(batch), now_ms, &mut encoded);
        let mut given = vec![format!("{called:?}")];
        given.extend(encoded.packets.iter().map(|packet| format!("{packet:?}")));
        given.extend(encoded.refused.iter().map(|refusal| format!("{refusal:?}")));
        given
    }

    /// Checks besides that a session of the class would have encoded the push to the same bytes.
    fn share(&mut self, class: u32, message: &Message, now_ms: u64) -> Vec<String> {
        let shared = self.codec.encode_shared(class, message.borrowed());
        let own_class = self.session.share_class();
        if own_class == Ok(Some(class)) && message.id.is_none() {
            let mut batch = Messages::new();
            batch.push(message.borrowed());
            let mut alone = Encoded::default();
            self.session.encode(&Arc::new(batch), now_ms, &mut alone).expect("no message is fatal");
            let refused = alone.refused.pop();
            let alone = match refused {
                Some(refusal) => Err(CodecError::Refused(Reason::new(refusal.reason))),
                None => Ok(alone.packets.iter().next().map(<[u8]>::to_vec)),
            };
            assert_eq!(shared, alone, "shared and alone");
        }
        vec![format!("class: {own_class:?}"), format!("shared: {shared:?}")]
    }

    fn hand_over(&mut self, to: &Index, now_ms: u64) -> Vec<String> {
        let state = self.session.save().expect("every session can be saved");
        self.codec = (self.side)(to.get(&TWINS));
        self.session = self.codec.restore(peer(), &state, now_ms).expect("it was saved by a session");
        vec![format!("saved: {state:?}")]
    }
}

/// Whether this is the last event that counts.
fn is_end(given: &str) -> bool {
    given.starts_with("Ok(Close(") || given.starts_with("Ok(Fatal(")
}

// === what is called ===

fn any_route() -> impl Strategy<Value = Vec<u8>> {
    let known = ["a.b.c", "onChat", "connector.entryHandler.echo", "é😀", "", "a"];
    prop_oneof![
        8 => select(known.to_vec()).prop_map(|route| route.as_bytes().to_vec()),
        1 => Just(vec![b'x'; 300]),
        1 => vec(any::<u8>(), 0..8),
    ]
}

fn any_body() -> impl Strategy<Value = Vec<u8>> {
    let some = [
        "",
        "null",
        " null ",
        "{}",
        r#"{"text":"wörld 😀"}"#,
        r#""\ud83d\ude00""#,
        r#""\ud83d""#,
        "[1,2,3]",
        "no json",
        "\"\u{2028}\u{7f}\u{0}\"",
    ];
    prop_oneof![
        6 => select(some.to_vec()).prop_map(|body| body.as_bytes().to_vec()),
        // CESU-8: a pair, and half of one.
        1 => Just(b"\"\xed\xa0\xbd\xed\xb8\x80\"".to_vec()),
        1 => Just(b"\"\xed\xa0\xbd\xed\xb8\"".to_vec()),
        2 => ".{0,40}".prop_map(String::into_bytes),
        1 => vec(any::<u8>(), 0..200),
        1 => (any::<u8>(), 0..6000_usize).prop_map(|(byte, length)| vec![byte; length]),
    ]
}

fn any_id() -> impl Strategy<Value = u64> {
    prop_oneof![3 => 0..300_u64, 1 => any::<u64>(), 1 => any::<u32>().prop_map(u64::from), 1 => Just(u64::MAX)]
}

/// A DATA packet: flag, id, route, body, as the flag wants them.
fn data() -> impl Strategy<Value = Vec<u8>> {
    let kind = prop_oneof![6 => Just(0_u8), 4 => Just(1), 1 => 2..8_u8];
    let code = prop_oneof![4 => 0..4_u16, 1 => Just(258), 1 => any::<u16>()];
    let flags = prop_oneof![4 => Just(0_u8), 1 => 0..16_u8];
    (kind, any_id(), proptest::option::of(code), any_route(), any_body(), flags).prop_map(
        |(kind, mut id, code, route, body, flags)| {
            let mut packet = vec![4, flags << 4 | kind << 1 | u8::from(code.is_some())];
            if kind % 2 == 0 {
                while id >= 0x80 {
                    packet.push(id as u8 | 0x80);
                    id >>= 7;
                }
                packet.push(id as u8);
            }
            match code {
                Some(code) => packet.extend(code.to_be_bytes()),
                None => {
                    packet.push(route.len() as u8);
                    packet.extend(route);
                }
            }
            packet.extend(body);
            packet
        },
    )
}

fn hello() -> impl Strategy<Value = Vec<u8>> {
    let some = [
        r#"{"sys":{}}"#,
        r#"{"sys":{"version":"0.0.1","type":"js-websocket"},"user":{"name":"😀"}}"#,
        r#"{"sys":{"dictVersion":"nonsense"}}"#,
        r#"{"sys":{"dictVersion":1}}"#,
        r#"{"sys":0}"#,
        "{}",
        "{",
    ];
    select(some.to_vec()).prop_map(|body| [b"\x01", body.as_bytes()].concat())
}

fn sound_packet() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![20 => data(), 2 => hello(), 2 => Just(vec![2]), 4 => Just(vec![3])]
}

fn packet() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        40 => sound_packet(),
        // Cut short.
        4 => (sound_packet(), any::<Index>()).prop_map(|(mut packet, at)| {
            packet.truncate(at.index(packet.len()));
            packet
        }),
        // A bit turned over: mostly behind the type, which would end all too soon.
        4 => (data(), any::<Index>(), 0..8_u8).prop_map(|(mut packet, at, bit)| {
            let at = 1 + at.index(packet.len() - 1);
            packet[at] ^= 1 << bit;
            packet
        }),
        1 => (sound_packet(), 0..8_u8).prop_map(|(mut packet, bit)| {
            packet[0] ^= 1 << bit;
            packet
        }),
        1 => vec(any::<u8>(), 0..40),
    ]
}

/// At most 256 items, and at most so many bytes as the runtime puts into a batch: what the answer to more
/// might be, a sandbox may not hand back.
fn batch_of<T: Clone + fmt::Debug>(
    item: BoxedStrategy<T>,
    size: fn(&T) -> usize,
) -> impl Strategy<Value = Vec<T>> {
    let items =
        prop_oneof![4 => vec(item.clone(), 1..5), 2 => vec(item.clone(), 1..40), 1 => vec(item, 200..=256)];
    items.prop_map(move |mut items| {
        let mut room = batch_bytes(CodecLimits::default().max_packet);
        let fit = items.iter().take_while(|item| {
            let fits = size(item) <= room;
            room = room.saturating_sub(size(item));
            fits
        });
        items.truncate(fit.count().max(1));
        items
    })
}

fn message() -> impl Strategy<Value = Message> {
    let route = any_route().prop_map(|route| String::from_utf8_lossy(&route).into_owned());
    let status = prop_oneof![3 => Just(200_u16), 1 => select(vec![404, 500]), 1 => any::<u16>()];
    (proptest::option::of(any_id()), route, any_body(), status)
        .prop_map(|(id, route, body, status)| Message { id, route, body: Blob(body), status })
}

fn call() -> impl Strategy<Value = Call> {
    let status = prop_oneof![4 => Just(200_u16), 1 => any::<u16>()];
    let class = prop_oneof![6 => Just(0), 1 => any::<u32>()];
    prop_oneof![
        8 => batch_of(packet().prop_map(Blob).boxed(), |packet| packet.0.len()).prop_map(Call::Decode),
        6 => batch_of(message().boxed(), |message| message.route.len() + message.body.0.len())
            .prop_map(Call::Encode),
        2 => (status, any_body()).prop_map(|(status, body)| Call::Answer(status, Blob(body))),
        3 => Just(Call::Tick),
        1 => ".{0,20}".prop_map(Call::Farewell),
        4 => (class, message()).prop_map(|(class, message)| Call::Share(class, message)),
        3 => handoff(),
    ]
}

fn handoff() -> impl Strategy<Value = Call> {
    (any::<Index>(), any::<bool>()).prop_map(|(to, across)| Call::Handoff(Handoff { to, across }))
}

/// Calls in a row; mostly the handshake comes first, so that there is something to see. Sometimes the session is
/// handed over in the middle of it.
fn calls() -> impl Strategy<Value = Vec<Step>> {
    let after_ms = prop_oneof![5 => 0..20_u64, 2 => 0..3_000_u64, 1 => 0..100_000_u64];
    let steps = vec((after_ms, call()).prop_map(|(after_ms, call)| Step { after_ms, call }), 1..12);
    let early = proptest::option::weighted(0.3, (0..5_usize, handoff()));
    (prop::bool::weighted(0.85), any_body(), early, steps).prop_map(|(handshake, user, early, mut steps)| {
        if handshake {
            let first = [
                Call::Tick,
                Call::Decode(vec![Blob(b"\x01{\"sys\":{}}".to_vec())]),
                Call::Answer(200, Blob(user)),
                Call::Decode(vec![Blob(vec![2])]),
            ];
            steps.splice(0..0, first.map(|call| Step { after_ms: 1, call }));
            if let Some((at, call)) = early {
                steps.insert(at, Step { after_ms: 1, call });
            }
        }
        steps
    })
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, max_shrink_iters: 5_000, ..ProptestConfig::default() }
}

// === the properties ===

proptest! {
    #![proptest_config(config(400))]

    #[test]
    fn the_component_does_what_its_twin_does(which in any::<Index>(), steps in calls()) {
        let (mut wasm, mut native) = (wasm(&which), native(&which));
        let mut now_ms = 0;
        for (i, Step { after_ms, call }) in steps.iter().enumerate() {
            now_ms += after_ms;
            if let Call::Handoff(Handoff { across: true, .. }) = call {
                mem::swap(&mut wasm.side, &mut native.side);
            }
            prop_assert_eq!(wasm.perform(call, now_ms), native.perform(call, now_ms), "call {}", i);
        }
    }

    /// `decode-batch` equals the loop of decoding, and `encode-batch` that of encoding.
    #[test]
    fn a_batch_does_what_a_loop_does(which in any::<Index>(), steps in calls()) {
        let (mut batched, mut looped) = (wasm(&which), wasm(&which));
        let mut now_ms = 0;
        for (i, Step { after_ms, call }) in steps.iter().enumerate() {
            now_ms += after_ms;
            let given = batched.perform(call, now_ms);
            let wanted = perform_one_by_one(&mut looped, call, now_ms);
            prop_assert_eq!(&given, &wanted, "call {}", i);
            if given.last().is_some_and(|last| is_end(last)) {
                // Behind the end a batch and a loop need not agree: nobody calls them.
                break;
            }
        }
    }
}

/// What [`Driven::perform`] gives for a batch, from a call for each of its items.
fn perform_one_by_one(driven: &mut Driven, call: &Call, now_ms: u64) -> Vec<String> {
    let mut given = vec!["Ok(())".to_owned()];
    match call {
        Call::Decode(packets) => {
            for packet in packets {
                given.extend(driven.perform(&Call::Decode(vec![packet.clone()]), now_ms).drain(1..));
                if given.last().is_some_and(|last| is_end(last)) {
                    break;
                }
            }
            given
        }
        Call::Encode(messages) => {
            let mut refused = Vec::new();
            for (i, message) in messages.iter().enumerate() {
                for item in driven.perform(&Call::Encode(vec![message.clone()]), now_ms).drain(1..) {
                    if item.starts_with("Refusal") {
                        refused.push(item.replace("message: 0", &format!("message: {i}")));
                    } else {
                        given.push(item);
                    }
                }
            }
            given.extend(refused);
            given
        }
        other => driven.perform(other, now_ms),
    }
}

#[test]
fn they_say_the_same_of_themselves() {
    for Twins { wasm, native } in &*TWINS {
        assert_eq!(wasm.description(), native.description());
        assert_eq!(wasm.abilities(), native.abilities());
    }
}

#[test]
fn they_refuse_the_same_options() {
    let engine = WasmEngine::new(4, 16 << 20).expect("room for few sandboxes");
    let cases = [
        r#"{"nope":1}"#,
        r#"{"heartbeat":0}"#,
        r#"{"heartbeat":"30"}"#,
        r#"{"timeout":3}"#,
        r#"{"heartbeat":3,"timeout":3}"#,
        r#"{"dictionary":"yes"}"#,
        r#"{"dictionary":{"a":1,"b":1}}"#,
        r#"{"routes":[""]}"#,
        "[]",
        "{",
    ];
    for options in cases {
        let native = NativePomelo::new(options).err().expect("refused").to_string();
        let wasm = WasmLoader::new(&engine, CodecLimits::default()).load(POMELO, options.into());
        let wasm = format!("{:#}", wasm.err().expect("refused"));
        assert_eq!(wasm, format!("it refuses its options: {native}"), "{options}");
    }
}

/// What the random calls must not miss: each kind of event, and packets both ways.
#[test]
fn the_random_calls_reach_everything() {
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config(1), rng);
    let strategy = (any::<Index>(), calls());
    let mut seen = Vec::new();
    for _ in 0..100 {
        let (which, steps) = strategy.new_tree(&mut runner).expect("nothing is filtered").current();
        let mut driven = native(&which);
        let mut now_ms = 0;
        for Step { after_ms, call } in &steps {
            now_ms += after_ms;
            seen.extend(driven.perform(call, now_ms));
        }
    }
    let wanted = [
        "Ok(Hello(",
        "Ok(Established)",
        "Ok(Message {",
        "Ok(Reply(",
        "Ok(Wake(",
        "Ok(Close(",
        "Ok(Rejected(",
        "Ok(Fatal(",
        "Refusal {",
        "Ok(Some([5, ",
        "[4, 4, ",
        "[4, 6, ",
        "[4, 7, ",
        "class: Ok(None)",
        "class: Ok(Some(0))",
        "shared: Ok(Some([4, 6, ",
        "shared: Ok(Some([4, 7, ",
        "shared: Err(Refused(",
        // In each state: the second byte.
        "saved: [1, 0, ",
        "saved: [1, 1, ",
        "saved: [1, 2, ",
        "saved: [1, 3, ",
        "saved: [1, 4, ",
        "saved: [1, 5, ",
    ];
    for wanted in wanted {
        assert!(seen.iter().any(|given| given.starts_with(wanted)), "{wanted}");
    }
}
