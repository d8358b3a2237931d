//! Measures what the sandbox costs. The same packets go through the Pomelo component and through
//! the native codec of the same protocol.
//!
//! Run it with `cargo bench -p wireplug --bench codec`. Times on a busy machine vary. So the two
//! are measured in turns, the best of many rounds counts, and the ratio is what to compare. Words
//! after `--` select the rows whose names contain one of them, such as `message`. With `--quick`,
//! or run as a test, each row only runs once.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, json};
use wireplug::codec::NativePomelo;
use wireplug_core::codec::batch_bytes;
use wireplug_core::codec::{self, Codec, CodecSession, Encoded, Events, MessageRef, Messages, Peer};
use wireplug_core::framing::Packets;
use wireplug_tests::figures::report;
use wireplug_tests::versions::POMELO;
use wireplug_wasm::{WasmEngine, WasmLoader};

/// The options of a real game: a dictionary of 300 routes, and schemas for the bodies of 50. No
/// heartbeats, so that a tick has nothing to do.
const ROUTES: usize = 300;
const PROTOS: usize = 50;

const ROUTE: &str = "connector.entryHandler.echo";

/// The sizes of the bodies, in bytes.
const BODIES: [usize; 3] = [64, 1 << 10, 16 << 10];

/// A route whose bodies are protobuf, and one body in the form that the application sees.
const TYPED: &str = "game.roomHandler.action1";
const TYPED_BODY: &[u8] = br#"{"x":1042,"y":-311,"action":"move","target":"npc-20417","t":918}"#;

/// How many items go into one call.
const BATCHES: [usize; 4] = [1, 4, 16, 64];

/// The number of rounds of a row for each codec. The codecs take turns.
const ROUNDS: usize = 60;

/// How long a round is.
const ROUND: Duration = Duration::from_millis(15);

/// A call that is measured, and the best time of an item, in nanoseconds.
struct Measured<'a> {
    best: f64,
    calls: u32,
    items: usize,
    call: Box<dyn FnMut() + 'a>,
}

/// The row in which each call decodes a request and encodes its response.
const MESSAGE: &str = "a message, decode and encode";

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick" || argument == "--test");
    let words: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let wanted = |what: &str| words.is_empty() || words.iter().any(|word| what.contains(word.as_str()));
    let limits = wireplug::config::CodecLimits::default();
    let options = options();
    let engine = WasmEngine::new(8, limits.memory).expect("room for few sandboxes");
    let wasm =
        WasmLoader::new(&engine, limits).load(POMELO, options.as_str().into()).expect("the codec is good");
    let native = NativePomelo::new(&options).expect("the options are good");
    let codecs: [&dyn Codec; 2] = [&native, &wasm];

    println!(
        "Nanoseconds an item, best of {ROUNDS} rounds each; {ROUTES} routes in the dictionary, schemas for {PROTOS}."
    );
    println!();
    println!("| what | body, bytes | batch | native ns | wasm ns | wasm : native | wasm : empty call |");
    println!("|---|---:|---:|---:|---:|---:|---:|");
    // A tick has nothing to do, because there are no heartbeats.
    let empty = row("empty call", 0, 1, quick, codecs.map(|codec| tick(open(codec))), None)[1];
    if wanted(MESSAGE) {
        let measured = codecs.map(|codec| message(open(codec), &text(BODIES[0])));
        let [native, wasm] = row(MESSAGE, BODIES[0], 1, quick, measured, Some(empty));
        report("codec-message", wasm / native);
    }
    if wanted("open and drop") {
        row("open and drop", 0, 1, quick, codecs.map(open_and_drop), Some(empty));
    }
    let mut decoded = Vec::new();
    for body in BODIES.into_iter().filter(|_| wanted("decode")) {
        for batch in BATCHES.into_iter().filter(|batch| fits(body, *batch, limits.max_packet)) {
            let measured = codecs.map(|codec| decode(open(codec), &packet(ROUTE, &text(body)), batch));
            decoded.push((body, batch, row("decode", body, batch, quick, measured, Some(empty))));
        }
    }
    for batch in BATCHES.into_iter().filter(|_| wanted("decode protobuf")) {
        let packet = packet(TYPED, &protobuf());
        let measured = codecs.map(|codec| decode(open(codec), &packet, batch));
        row("decode protobuf", protobuf().len(), batch, quick, measured, Some(empty));
    }
    for body in BODIES.into_iter().filter(|_| wanted("encode")) {
        for batch in BATCHES.into_iter().filter(|batch| fits(body, *batch, limits.max_packet)) {
            let measured = codecs.map(|codec| encode(open(codec), ROUTE, &text(body), batch));
            row("encode", body, batch, quick, measured, Some(empty));
        }
    }
    for batch in BATCHES.into_iter().filter(|_| wanted("encode protobuf")) {
        let measured = codecs.map(|codec| encode(open(codec), TYPED, TYPED_BODY, batch));
        row("encode protobuf", TYPED_BODY.len(), batch, quick, measured, Some(empty));
    }
    if decoded.is_empty() {
        return;
    }
    let of = |batch| decoded.iter().find(|row| (row.0, row.1) == (BODIES[0], batch)).expect("a row").2;
    println!();
    println!("decode in a batch of 64, wasm : native single call | {:.2}", of(64)[1] / of(1)[0]);
}

/// Returns the options of a codec in a game's configuration.
fn options() -> String {
    let action = |number| format!("game.roomHandler.action{number}");
    let routes: Vec<String> = [ROUTE.to_owned()].into_iter().chain((1..ROUTES).map(action)).collect();
    let schema = json!({
        "required sInt32 x": 1, "required sInt32 y": 2, "required string action": 3, "required string target": 4,
        "required uInt32 t": 5,
    });
    let protos: Map<_, _> = (1..=PROTOS).map(|number| (action(number), schema.clone())).collect();
    json!({ "routes": routes, "protos": { "client": &protos, "server": &protos } }).to_string()
}

/// Returns whether a connection would put this many bytes into one batch.
fn fits(body: usize, batch: usize, max_packet: usize) -> bool {
    body * batch < batch_bytes(max_packet)
}

/// Measures both codecs in turns and prints a row of the table. Returns the nanoseconds of an item,
/// native and in the sandbox.
fn row(
    what: &str,
    body: usize,
    batch: usize,
    quick: bool,
    mut both: [Measured<'_>; 2],
    empty: Option<f64>,
) -> [f64; 2] {
    if !quick {
        both.iter_mut().for_each(Measured::calibrate);
        for _ in 0..ROUNDS {
            both.iter_mut().for_each(Measured::round);
        }
    } else {
        both.iter_mut().for_each(Measured::round);
    }
    let [native, wasm] = both.map(|measured| measured.best);
    let over_empty = wasm * batch as f64 / empty.unwrap_or(wasm);
    println!(
        "| {what} | {body} | {batch} | {native:.1} | {wasm:.1} | {:.2} | {over_empty:.2} |",
        wasm / native
    );
    [native, wasm]
}

impl<'a> Measured<'a> {
    fn new(items: usize, call: impl FnMut() + 'a) -> Self {
        Self { best: f64::INFINITY, calls: 1, items, call: Box::new(call) }
    }

    /// Finds how many calls fill a round.
    fn calibrate(&mut self) {
        while self.time() < ROUND {
            self.calls = self.calls.saturating_mul(2);
        }
    }

    fn round(&mut self) {
        let items = f64::from(self.calls) * self.items as f64;
        self.best = self.best.min(self.time().as_nanos() as f64 / items);
    }

    fn time(&mut self) -> Duration {
        let begun = Instant::now();
        for _ in 0..self.calls {
            (self.call)();
        }
        begun.elapsed()
    }
}

// === what is measured ===

fn tick<'a>(mut session: Box<dyn CodecSession>) -> Measured<'a> {
    let mut events = Events::new();
    Measured::new(1, move || {
        session.tick(black_box(at(5)), &mut events).expect("nothing can fail");
    })
}

fn open_and_drop(codec: &dyn Codec) -> Measured<'_> {
    Measured::new(1, move || drop(codec.open(peer(), at(0)).expect("every client is welcome")))
}

/// Decodes as a connection does. It reads the events, and then drops their buffers.
fn decode<'a>(mut session: Box<dyn CodecSession>, packet: &[u8], batch: usize) -> Measured<'a> {
    let packets: Arc<Packets> = Arc::new(std::iter::repeat_n(packet, batch).collect());
    let mut events = Events::new();
    Measured::new(batch, move || {
        session.decode(black_box(&packets), at(5), &mut events).expect("the packets are good");
        let mut read = events.read(batch);
        let mut count = 0;
        while let Some(event) = read.next_event() {
            black_box(event.expect("the answer is good"));
            count += 1;
        }
        assert_eq!(count, batch);
    })
}

fn encode<'a>(mut session: Box<dyn CodecSession>, route: &str, body: &[u8], batch: usize) -> Measured<'a> {
    let mut messages = Messages::new();
    for id in 0..batch {
        messages.push(MessageRef::response(1000 + id as u64, route, 200, body));
    }
    let messages = Arc::new(messages);
    let mut encoded = Encoded::default();
    Measured::new(batch, move || {
        encoded.clear();
        session.encode(black_box(&messages), at(5), &mut encoded).expect("the messages are good");
        assert_eq!(black_box(&encoded).packets.len(), batch);
    })
}

/// Decodes one request and encodes its response, as a connection does whose client waits for each
/// response.
fn message<'a>(mut session: Box<dyn CodecSession>, body: &[u8]) -> Measured<'a> {
    let packets: Arc<Packets> = Arc::new([&packet(ROUTE, body)[..]].into_iter().collect());
    let mut messages = Messages::new();
    messages.push(MessageRef::response(1000, ROUTE, 200, body));
    let (messages, mut events, mut encoded) = (Arc::new(messages), Events::new(), Encoded::default());
    Measured::new(1, move || {
        session.decode(black_box(&packets), at(5), &mut events).expect("the packet is good");
        let mut read = events.read(1);
        while let Some(event) = read.next_event() {
            black_box(event.expect("the answer is good"));
        }
        encoded.clear();
        session.encode(black_box(&messages), at(5), &mut encoded).expect("the message is good");
        assert_eq!(black_box(&encoded).packets.len(), 1);
    })
}

/// Returns a session whose handshake is over.
fn open(codec: &dyn Codec) -> Box<dyn CodecSession> {
    let mut session = codec.open(peer(), at(0)).expect("every client is welcome");
    let mut events = Events::new();
    let hello: Packets = [&b"\x01{\"sys\":{}}"[..]].into_iter().collect();
    let ack: Packets = [&b"\x02"[..]].into_iter().collect();
    session.decode(&Arc::new(hello), at(1), &mut events).expect("a good handshake");
    events.clear();
    session.answer(200, b"", at(2), &mut events).expect("a good answer");
    events.clear();
    session.decode(&Arc::new(ack), at(3), &mut events).expect("a good acknowledgement");
    session
}

fn peer() -> Peer {
    wireplug_tests::peer()
}

fn at(session_ms: u64) -> codec::Instant {
    codec::Instant::for_test(session_ms)
}

/// Returns a JSON body of `length` bytes, as a game might send it.
fn text(length: usize) -> Vec<u8> {
    let head = br#"{"x":1042,"y":-311,"action":"move","text":""#;
    [&head[..], &vec![b'.'; length - head.len() - 2], b"\"}"].concat()
}

/// Returns [`TYPED_BODY`] as protobuf, by its schema.
fn protobuf() -> Vec<u8> {
    [&b"\x08\xa4\x10\x10\xed\x04"[..], b"\x1a\x04move", b"\x22\x09npc-20417", b"\x28\x96\x07"].concat()
}

/// Returns a request: package type, flag, id 1000, the route as text, body.
fn packet(route: &str, body: &[u8]) -> Vec<u8> {
    let head = [4, 0, 0xe8, 0x07, route.len() as u8];
    [&head[..], route.as_bytes(), body].concat()
}
