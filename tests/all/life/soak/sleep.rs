//! Sessions that sleep at each pause, beside sessions that never sleep: each pair of clients sends
//! the same bytes to both servers, and must get the same answers. There are fewer sandboxes than
//! sessions, and both servers swap their codecs now and then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};
use wireplug::CodecSource;
use wireplug::config::LiveSessions::Handoff;
use wireplug::session::Message;
use wireplug::slot::GenerationStatus;
use wireplug_tests::app::GUEST;
use wireplug_tests::digits::{Digits, Form, frame};
use wireplug_tests::raw::{DATA, Raw, request};
use wireplug_tests::server::{self, TestServer};
use wireplug_tests::soak_time;
use wireplug_tests::versions::{DIGITS, POMELO, version};
use wireplug_wasm::{WasmEngine, WasmLoader};

use super::super::guests::marked;
use super::{ON_ALL, app, setup};

/// The pairs of clients of each protocol.
const PAIRS: usize = 40;

/// The sandboxes of the server whose sessions sleep, for three times as many sessions as pairs.
const AWAKE: u32 = 30;

/// The sandboxes beside them, for sessions that move and for shared encodings.
const SPARE: u32 = 8;

/// The least number of steps of each pair, however short the soak is.
const LEAST: u64 = 20;

/// The time between two swaps, and between two broadcasts.
const SWAP: Duration = Duration::from_millis(500);
const BROADCAST: Duration = Duration::from_millis(50);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Pomelo,
    Digits,
    Lines,
}

const PROTOCOLS: [Protocol; 3] = [Protocol::Pomelo, Protocol::Digits, Protocol::Lines];

/// Two versions of the codec of each protocol, which are loaded already, so that swaps do not
/// compile.
type Codecs = [[CodecSource; 2]; 3];

/// Returns the codecs for a server with this number of sandboxes.
fn codecs(sandboxes: u32) -> Codecs {
    let limits = setup().codec;
    let engine = WasmEngine::new(sandboxes, limits.memory).expect("room for the sandboxes");
    PROTOCOLS.map(|protocol| {
        [1, 2].map(|number| {
            let wasm = match protocol {
                Protocol::Pomelo => version(POMELO, number),
                Protocol::Digits => version(DIGITS, number),
                Protocol::Lines => version(&marked("lines").build(), number),
            };
            let codec = WasmLoader::new(&engine, limits).load(&wasm, "{}".to_owned().into());
            CodecSource::native(Arc::new(codec.expect("a good codec"))).named(&format!("{protocol:?}"))
        })
    })
}

/// A client of one of the servers.
enum Client {
    Pomelo(Raw),
    Digits(Digits),
    Lines(Raw),
}

impl Client {
    async fn connect(protocol: Protocol, server: &TestServer) -> Self {
        let url = server.tcp_of(protocol as usize);
        match protocol {
            Protocol::Pomelo => Self::Pomelo(Raw::pomelo(&url).await),
            Protocol::Digits => Self::Digits(Digits::connect(&url).await),
            Protocol::Lines => Self::Lines(Raw::connect(&url).await),
        }
    }

    async fn send(&mut self, bytes: &[u8]) {
        match self {
            Self::Pomelo(raw) | Self::Lines(raw) => raw.send(bytes).await,
            Self::Digits(digits) => digits.send(bytes).await,
        }
    }

    /// Returns the next packet, as text.
    async fn next(&mut self) -> String {
        match self {
            Self::Pomelo(raw) => {
                let (kind, body) = raw.package().await;
                assert_eq!(kind, DATA);
                body.escape_ascii().to_string()
            }
            Self::Digits(digits) => {
                let frame = digits.next().await;
                let body = String::from_utf8_lossy(&frame.body);
                format!("{} {} {} {body}", frame.kind, frame.id, frame.argument)
            }
            Self::Lines(raw) => raw.line().await,
        }
    }
}

/// A client of one server, with the number of the last broadcast that it got.
struct Side {
    client: Client,
    broadcast: u64,
}

impl Side {
    /// Returns the next packet that is no broadcast. Each broadcast must follow the one before.
    async fn answer(&mut self) -> String {
        loop {
            let packet = self.client.next().await;
            let Some((_, number)) = packet.split_once("broadcast ") else { return packet };
            let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
            self.broadcast += 1;
            assert_eq!(digits, self.broadcast.to_string(), "{packet}");
        }
    }

    /// Reads until this broadcast has come.
    async fn until_broadcast(&mut self, number: u64) {
        while self.broadcast < number {
            let packet = self.client.next().await;
            assert!(packet.contains(&format!("broadcast {}", self.broadcast + 1)), "{packet}");
            self.broadcast += 1;
        }
    }
}

/// Random numbers that are the same in each run (xorshift64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// Two clients that do the same.
struct Pair {
    protocol: Protocol,
    sides: [Side; 2],
    random: Random,
    form: Form,
    sent: u64,
}

impl Pair {
    /// Sends some requests in two pieces with a pause between them, and compares the answers.
    async fn step(&mut self) {
        if self.protocol == Protocol::Digits
            && self.form == Form::Text
            && self.sent > 0
            && self.random.below(10) == 0
        {
            // The framing of the stream changes.
            let bytes = Form::Text.write(&frame("BIN", 0, "", ""));
            self.exchange(&bytes, 1).await;
            self.form = Form::Binary;
        }
        let count = 1 + self.random.below(4);
        let mut bytes = Vec::new();
        for _ in 0..count {
            self.sent += 1;
            let filling = "x".repeat(self.random.below(200) as usize);
            let body = format!("{} {filling}", self.sent);
            bytes.extend(match self.protocol {
                Protocol::Pomelo => request(self.sent, GUEST, body),
                Protocol::Digits => self.form.write(&frame("REQ", self.sent as u32, GUEST, body)),
                Protocol::Lines => format!("{body}\n").into_bytes(),
            });
        }
        // A push comes before each answer.
        self.exchange(&bytes, 2 * count).await;
    }

    async fn exchange(&mut self, bytes: &[u8], answers: u64) {
        let cut = self.random.below(bytes.len() as u64) as usize;
        let pause = Duration::from_millis(self.random.below(20));
        for piece in [&bytes[..cut], &bytes[cut..]] {
            for side in &mut self.sides {
                side.client.send(piece).await;
            }
            sleep(pause).await;
        }
        let [awake, asleep] = &mut self.sides;
        for _ in 0..answers {
            let (wanted, got) = (awake.answer().await, asleep.answer().await);
            assert_eq!(got, wanted, "{:?} after {} requests", self.protocol, self.sent);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a soak: `cargo xtask soak sleep` runs it"]
async fn in_a_process_of_its_own() {
    let [mut awake, mut asleep] = [setup(), setup()];
    awake.codec.sleep_after = Duration::ZERO;
    asleep.codec.sleep_after = Duration::from_millis(1);
    asleep.server.max_awake = Some(AWAKE);
    let clients = PAIRS * PROTOCOLS.len();
    let mut servers = Vec::new();
    for (setup, sandboxes) in [(awake, 2 * clients as u32), (asleep, AWAKE + SPARE)] {
        let codecs = codecs(sandboxes);
        let first = codecs.each_ref().map(|[first, _]| first.clone());
        servers.push((Arc::new(server::serve(app(), setup, first).await), codecs));
    }
    let (begun, stop) = (Instant::now(), Arc::new(AtomicBool::new(false)));
    let mut playing = Vec::new();
    for n in 0..clients {
        let protocol = PROTOCOLS[n % PROTOCOLS.len()];
        let mut sides = Vec::new();
        for (server, _) in &servers {
            sides.push(Side { client: Client::connect(protocol, server).await, broadcast: 0 });
        }
        let sides = sides.try_into().ok().expect("two servers");
        let random = Random((n as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        playing.push(Pair { protocol, sides, random, form: Form::Text, sent: 0 });
    }
    for (server, _) in &servers {
        server.until("all established", |_| server.sessions().len() == clients).await;
    }
    let playing: Vec<_> = playing.into_iter().map(|pair| tokio::spawn(play(pair, stop.clone()))).collect();

    let swapping = tokio::spawn(swap(servers.clone(), stop.clone()));
    let mut broadcasts = 0;
    while begun.elapsed() < soak_time() {
        broadcasts += 1;
        for (server, _) in &servers {
            let message = Message::push(ON_ALL, format!("broadcast {broadcasts}"));
            assert_eq!(server.sessions().all().send(&message), clients);
        }
        sleep(BROADCAST).await;
    }
    stop.store(true, Ordering::Relaxed);
    let swaps = swapping.await.expect("each swap succeeds");
    let (mut requests, mut played) = (0, Vec::new());
    for pair in playing {
        let mut pair = pair.await.expect("both servers gave the same answers");
        for side in &mut pair.sides {
            side.until_broadcast(broadcasts).await;
        }
        requests += pair.sent;
        // The clients stay connected until everything is counted.
        played.push(pair);
    }
    let wanted = 2 * requests + broadcasts * clients as u64;
    for (server, _) in &servers {
        let stats = server.until("all counted", |stats| stats.messages_out >= wanted).await;
        assert_eq!((stats.messages_in, stats.messages_out, stats.drops), (requests, wanted, [].into()));
        assert_eq!(stats.connections_open, clients as u64);
    }
    let [never, often] = [0, 1].map(|server: usize| slept(&servers[server].0));
    println!(
        "{requests} requests of {clients} pairs and {broadcasts} broadcasts in {:.1?}, with {swaps} swaps of each codec: \
         the same answers from {AWAKE} sandboxes as from {clients}; the last two versions: slept {} idle and {} for others, \
         woken by {} packets and {} messages",
        begun.elapsed(),
        often[0],
        often[1],
        often[2],
        often[3],
    );
    assert_eq!(never, [0; 4]);
    assert!(!often.contains(&0), "{often:?}");
}

async fn play(mut pair: Pair, stop: Arc<AtomicBool>) -> Pair {
    let mut steps = 0;
    while steps < LEAST || !stop.load(Ordering::Relaxed) {
        steps += 1;
        pair.step().await;
        sleep(Duration::from_millis(pair.random.below(100))).await;
    }
    pair
}

/// Swaps the codecs of both servers until it is stopped. Returns the number of swaps of each.
async fn swap(servers: Vec<(Arc<TestServer>, Codecs)>, stop: Arc<AtomicBool>) -> usize {
    for swaps in 1.. {
        let next = Instant::now() + SWAP;
        for (server, codecs) in &servers {
            for (slot, versions) in server.slots().iter().zip(codecs) {
                let report = slot.swap(&versions[swaps % 2], Some(Handoff)).await.expect("a good codec");
                assert_eq!((report.moved, report.staying), (PAIRS as u64, 0), "{report:?}");
            }
        }
        if stop.load(Ordering::Relaxed) {
            return swaps;
        }
        sleep_until(next).await;
    }
    unreachable!("numbers do not end")
}

/// Returns how often the sessions of the generations that are held fell asleep, idle and for
/// others, and how often packets and messages woke them.
fn slept(server: &TestServer) -> [u64; 4] {
    let generations = server.slots().into_iter().flat_map(|slot| slot.status().generations);
    generations.fold([0; 4], |sum, GenerationStatus { sleep, .. }| {
        let counts = [sleep.slept_idle, sleep.slept_pressure, sleep.woken_packet, sleep.woken_message];
        std::array::from_fn(|n| sum[n] + counts[n])
    })
}
