//! What the sandbox costs: the Pomelo component beside its native twin, the same packets through both.
//!
//! `cargo bench -p wireplug --bench codec`. Times of a busy machine vary: the two are measured in turns, the
//! best of many rounds counts, and the ratio is what is to be read. With `--quick` (or run as a test) it only
//! tries each once.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wireplug::codec::native::NativePomelo;
use wireplug::codec::wasm::{POMELO, WasmEngine, WasmLoader};
use wireplug::codec::{Codec, CodecSession, Encoded, Events, MessageRef, Messages, Peer};
use wireplug::framing::Packets;

/// Without heartbeats, and without a dictionary: routes go as text.
const OPTIONS: &str = r#"{"dictionary":false}"#;

const ROUTE: &str = "connector.entryHandler.echo";

/// 64 bytes of JSON, as a game might send them.
const BODY: &[u8; 64] = br#"{"x":1042,"y":-311,"action":"move","target":"npc-20417","t":918}"#;

/// How many items go into one call.
const BATCHES: [usize; 3] = [1, 16, 64];

/// Rounds of a row; one of each codec in turn.
const ROUNDS: usize = 60;

/// How long a round is.
const ROUND: Duration = Duration::from_millis(15);

/// Nanoseconds an item, and the call that is measured.
struct Measured<'a> {
    best: f64,
    calls: u32,
    items: usize,
    call: Box<dyn FnMut() + 'a>,
}

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick" || argument == "--test");
    let limits = wireplug::config::CodecLimits::default();
    let engine = WasmEngine::new(8, limits.memory).expect("room for few sandboxes");
    let wasm = WasmLoader::new(&engine, limits).load(POMELO, OPTIONS.into()).expect("the codec is good");
    let native = NativePomelo::new(OPTIONS).expect("the options are good");

    println!("{} bytes a packet, {} of them body; best of {ROUNDS} rounds each", packet().len(), BODY.len());
    println!();
    println!("| what | batch | native ns | wasm ns | ratio |");
    println!("|---|---:|---:|---:|---:|");
    // A call that has nothing to do: a tick where there are no heartbeats.
    row("empty call", 1, quick, &mut [tick(open(&native)), tick(open(&wasm))]);
    for batch in BATCHES {
        row("decode", batch, quick, &mut [decode(open(&native), batch), decode(open(&wasm), batch)]);
    }
    for batch in BATCHES {
        row("encode", batch, quick, &mut [encode(open(&native), batch), encode(open(&wasm), batch)]);
    }
}

/// Measures both in turns and prints a row of the table.
fn row(what: &str, batch: usize, quick: bool, both: &mut [Measured<'_>; 2]) {
    if !quick {
        both.iter_mut().for_each(Measured::calibrate);
        for _ in 0..ROUNDS {
            both.iter_mut().for_each(Measured::round);
        }
    } else {
        both.iter_mut().for_each(Measured::round);
    }
    let [native, wasm] = [both[0].best, both[1].best];
    println!("| {what} | {batch} | {native:.1} | {wasm:.1} | {:.2} |", wasm / native);
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
        session.tick(black_box(5), &mut events).expect("nothing can fail");
    })
}

/// As a connection does it: the events are read, and their buffers are gone then.
fn decode<'a>(mut session: Box<dyn CodecSession>, batch: usize) -> Measured<'a> {
    let packet = packet();
    let packets: Arc<Packets> = Arc::new(std::iter::repeat_n(&packet[..], batch).collect());
    let mut events = Events::new();
    Measured::new(batch, move || {
        session.decode(black_box(&packets), 5, &mut events).expect("the packets are good");
        let mut read = events.read(batch);
        let mut count = 0;
        while let Some(event) = read.next_event() {
            black_box(event.expect("the answer is good"));
            count += 1;
        }
        assert_eq!(count, batch);
    })
}

fn encode<'a>(mut session: Box<dyn CodecSession>, batch: usize) -> Measured<'a> {
    let mut messages = Messages::new();
    for id in 0..batch {
        messages.push(MessageRef { id: Some(1000 + id as u64), route: ROUTE, body: BODY, status: 200 });
    }
    let messages = Arc::new(messages);
    let mut encoded = Encoded::default();
    Measured::new(batch, move || {
        encoded.clear();
        session.encode(black_box(&messages), 5, &mut encoded).expect("the messages are good");
        assert_eq!(black_box(&encoded).packets.len(), batch);
    })
}

/// A session whose handshake is over.
fn open(codec: &dyn Codec) -> Box<dyn CodecSession> {
    let peer =
        Peer { transport: "tcp".into(), address: "127.0.0.1:1".into(), entropy: [0; 32], attributes: vec![] };
    let mut session = codec.open(peer).expect("every client is welcome");
    let mut events = Events::new();
    let hello: Packets = [&b"\x01{\"sys\":{}}"[..]].into_iter().collect();
    let ack: Packets = [&b"\x02"[..]].into_iter().collect();
    session.decode(&Arc::new(hello), 1, &mut events).expect("a good handshake");
    events.clear();
    session.answer(200, b"", 2, &mut events).expect("a good answer");
    events.clear();
    session.decode(&Arc::new(ack), 3, &mut events).expect("a good acknowledgement");
    session
}

/// A request: package type, flag, id 1000, route, body.
fn packet() -> Vec<u8> {
    let head = [4, 0, 0xe8, 0x07, ROUTE.len() as u8];
    [&head[..], ROUTE.as_bytes(), BODY].concat()
}
