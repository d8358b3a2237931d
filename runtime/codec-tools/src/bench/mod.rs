//! The cost of a codec, compared with a codec that does nothing: time and fuel for a packet, memory
//! of a session, and the time to open one.
//!
//! The questions come from the codec's vectors: packets and messages that can be repeated in the
//! state of their session. Both codecs are measured alternately within one run, because the times
//! of a busy machine vary from minute to minute. The best of many rounds counts, and the ratio of
//! the two codecs is the result to rely on.

mod asking;
mod memory;
mod question;
mod round;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::Serialize;

use self::asking::Asking;
use self::memory::SessionMemory;
pub use self::question::Direction;
use self::question::{Question, Questions, questions};
use self::round::{Lane, Work};
use wireplug_core::codec::{Codec, Description, batch_bytes};
use wireplug_core::vectors::Vectors;
use wireplug_wasm::{CompileError, LoadError, Singly, WasmCodec, WasmLoader};

/// The codec that does nothing, built from `guest-examples/nothing`. A packet is a message without
/// a route, and the packet of a message is its body.
pub const NOTHING: &[u8] = include_bytes!("../../nothing.wasm");

/// The number of places that an engine needs for a benchmark.
pub const SANDBOXES: u32 = memory::SESSIONS + 8;

/// The numbers of items in a call that are measured.
pub const BATCHES: [usize; 3] = [1, 16, 64];

/// The largest number of packets that are measured, and of messages. Further ones are only counted.
pub const MAX_QUESTIONS: usize = 8;

/// The largest number of compilations to measure the time to compile a component.
const COMPILATIONS: u32 = 5;

/// The total time of the compilations after which no further one begins.
const COMPILING: Duration = Duration::from_millis(500);

/// The effort of the measurements.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// The number of rounds of each codec. The codecs take turns.
    pub rounds: u32,
    /// The duration of a round.
    pub round: Duration,
}

impl Default for Effort {
    /// Returns an effort of a few milliseconds for each round, with so many rounds that at least
    /// one is undisturbed.
    fn default() -> Self {
        Self { rounds: 40, round: Duration::from_millis(2) }
    }
}

/// The result of a benchmark.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// The codec.
    pub codec: Subject,
    /// The codec that does nothing.
    pub nothing: Subject,
    /// Whether the codec exports `batch`. If not, each item of a batch is a call of its own.
    pub batch: bool,
    /// The cost of each packet or message, in the order of the vectors.
    pub costs: Vec<Cost>,
    /// The number of packets and messages in the vectors that cannot be repeated, and so are not
    /// measured.
    pub not_repeatable: usize,
    /// The number of packets and messages that could be measured and are not: they exceed the
    /// largest number, or occur in the vectors before.
    pub left_out: usize,
    /// The number of steps of the vectors that the codec answers in another way. If there are some,
    /// the measured answers may not be the intended ones.
    pub mismatches: usize,
}

/// The costs of a codec that do not depend on a packet or message.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Subject {
    /// The name of the protocol.
    pub name: String,
    /// The codec's own version.
    pub version: String,
    /// The size of the file, in bytes.
    pub size: usize,
    /// The time to compile the component without the cache, in microseconds.
    pub compile_us: u64,
    /// The time to open and close a session, in nanoseconds.
    pub open_ns: f64,
    /// The memory that an open session is charged for, in bytes.
    pub memory: usize,
    /// The memory that an open session adds to the process, in bytes. It includes the runtime's own
    /// memory for the session, and excludes memory that sessions share. `None` if the system does
    /// not report it.
    pub resident: Option<usize>,
}

/// The cost of a packet or message.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Cost {
    /// The line of its step in the vectors, counted from 1.
    pub line: usize,
    /// The text of the step in the vectors.
    pub step: String,
    /// Whether the item is decoded or encoded.
    pub direction: Direction,
    /// The number of items in one call. 1 stands for `decode` and `encode`, larger numbers for
    /// `decode-batch` and `encode-batch`.
    pub batch: usize,
    /// The size of the packet, or of the message's body, in bytes.
    pub bytes: usize,
    /// The cost in the codec.
    pub codec: Spent,
    /// The cost of the same packet or message in the codec that does nothing.
    pub nothing: Spent,
}

/// The time and fuel for one packet or message.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Spent {
    /// The time in nanoseconds.
    pub ns: f64,
    /// The fuel: roughly the number of instructions that the guest executed.
    pub fuel: u64,
}

/// Why a component was not measured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchError {
    /// The component does not load.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The codec that does nothing does not load.
    #[error("the codec that does nothing")]
    Nothing(#[source] LoadError),
    /// No packet or message in the vectors can be repeated.
    #[error("{0}")]
    NothingToAsk(String),
    /// The component refuses sessions.
    #[error("{0}")]
    RefusesSessions(&'static str),
}

/// Measures a component.
///
/// `metered` loads components for a [metered](wireplug_wasm::WasmEngine::metered) engine, `loader`
/// for another engine. Both engines must have [`SANDBOXES`] free places. The benchmark takes some
/// seconds, and blocks the thread.
///
/// # Errors
/// Returns an error if the component is refused, or if no packet or message in the vectors can be
/// repeated. The error says what to do.
pub fn bench(
    wasm: &[u8],
    vectors: &Vectors,
    loader: &WasmLoader,
    metered: &WasmLoader,
    effort: Effort,
) -> Result<Report, BenchError> {
    let pair = |loader: &WasmLoader| -> Result<_, BenchError> {
        let load = |wasm: &[u8]| loader.load(wasm, vectors.options().into()).map(Loaded::new);
        Ok([load(wasm)?, load(NOTHING).map_err(BenchError::Nothing)?])
    };
    let timed = pair(loader)?;
    let Questions { questions, mut not_repeatable, left_out } = questions(vectors, &timed[0].batched);
    let Some(first) = questions.first() else {
        return Err(BenchError::NothingToAsk(nothing_to_ask(not_repeatable)));
    };
    // The memory is measured first, before any session has used a place of the pool.
    let memory = pair_of(first, &timed, 1).map(|asking| memory::of_sessions(&asking));
    let open_ns = opening(&timed, first, effort)?;
    let metered = pair(metered)?;
    let max_packet = timed[0].batched.description().max_packet(loader.max_packet());
    let mut costs = Vec::new();
    for question in &questions {
        match cost(question, &timed, &metered, max_packet, effort) {
            Ok(measured) => costs.extend(measured),
            // The question could be repeated a few hundred times, but not a few thousand times.
            Err(Unrepeatable) => not_repeatable += 1,
        }
    }
    let subject = |of: usize, wasm: &[u8]| -> Result<Subject, BenchError> {
        let refuses = |_| BenchError::RefusesSessions("it opens one session, and not some more");
        let memory = memory[of].as_ref().map_err(refuses)?;
        Ok(timed[of].subject(wasm, loader, *memory, open_ns[of])?)
    };
    let (codec, nothing) = (subject(0, wasm)?, subject(1, NOTHING)?);
    let batch = timed[0].batched.abilities().batch;
    let mismatches = vectors.replay(&timed[0].batched).count();
    Ok(Report { codec, nothing, batch, costs, not_repeatable, left_out, mismatches })
}

/// A codec with its two ways of being called: in batches and one by one.
struct Loaded {
    batched: WasmCodec,
    singly: WasmCodec,
}

impl Loaded {
    fn new(codec: WasmCodec) -> Self {
        Self { singly: codec.singly(Singly::Both), batched: codec }
    }

    /// Returns the codec for calls with this number of items.
    fn asked(&self, batch: usize) -> &WasmCodec {
        if batch == 1 { &self.singly } else { &self.batched }
    }

    fn subject(
        &self,
        wasm: &[u8],
        loader: &WasmLoader,
        memory: SessionMemory,
        open_ns: f64,
    ) -> Result<Subject, LoadError> {
        let Description { name, version, .. } = self.batched.description().clone();
        let compiled = compiling(wasm, loader, self.batched.compile_time())?;
        let SessionMemory { charged, resident } = memory;
        let (size, compile_us) = (wasm.len(), compiled.as_micros() as u64);
        Ok(Subject { name, version, size, compile_us, open_ns, memory: charged, resident })
    }
}

/// The error for a question whose answer changed after many repetitions.
struct Unrepeatable;

/// Returns the same question to a codec and to the codec that does nothing, with this number of
/// items in each call.
fn pair_of<'a>(question: &'a Question<'a>, both: &'a [Loaded; 2], batch: usize) -> [Asking<'a>; 2] {
    let [codec, nothing] = both.each_ref().map(|loaded| loaded.asked(batch));
    [Asking::new(codec, question, batch), Asking::of_nothing(nothing, question, batch)]
}

/// Returns the time to open and close a session, in nanoseconds.
fn opening(both: &[Loaded; 2], question: &Question<'_>, effort: Effort) -> Result<[f64; 2], BenchError> {
    let lanes = both.each_ref().map(|loaded| Lane::new(Work::Open(&loaded.batched, question.peer())));
    let refuses = |_| BenchError::RefusesSessions("it refuses sessions that are opened one after the other");
    round::best(lanes, effort).map_err(refuses)
}

/// Returns the cost of one question, for each size of batch that a connection would use for it.
fn cost(
    question: &Question<'_>,
    timed: &[Loaded; 2],
    metered: &[Loaded; 2],
    max_packet: usize,
    effort: Effort,
) -> Result<Vec<Cost>, Unrepeatable> {
    let fits = |batch: &usize| *batch == 1 || question.bytes() * batch < batch_bytes(max_packet);
    let cost = |batch: usize| {
        let ns =
            round::best(pair_of(question, timed, batch).map(|asking| Lane::new(Work::Ask(asking))), effort)?;
        let [codec, nothing] = pair_of(question, metered, batch);
        let fuel = [codec.fuel()?, nothing.fuel()?];
        let spent = |of: usize| Spent { ns: ns[of], fuel: fuel[of] };
        Ok(Cost {
            line: question.line(),
            step: question.text().to_owned(),
            direction: question.direction(),
            batch,
            bytes: question.bytes(),
            codec: spent(0),
            nothing: spent(1),
        })
    };
    BATCHES.into_iter().filter(fits).map(cost).collect()
}

/// Returns the time to compile a component: the shortest of several, if a compilation is quick.
fn compiling(wasm: &[u8], loader: &WasmLoader, first: Option<Duration>) -> Result<Duration, CompileError> {
    let mut spent = first.unwrap_or_default();
    let mut best = first;
    for _ in 0..COMPILATIONS {
        if best.is_some() && spent > COMPILING {
            break;
        }
        let took = loader.time_to_compile(wasm)?;
        spent += took;
        best = best.into_iter().chain([took]).min();
    }
    Ok(best.unwrap_or_default())
}

fn nothing_to_ask(not_repeatable: usize) -> String {
    let found = match not_repeatable {
        0 => "the vectors have no packet and no message".to_owned(),
        _ => format!(
            "of the {not_repeatable} packets and messages in the vectors none can be asked again and again"
        ),
    };
    format!(
        "{found}: there is nothing to measure. Add a session with a packet (`in`) that gives a message however often it comes, or a \
         message (`out`) that gives a packet, a push for one; `wireplug codec test --update` writes the answers. Packets of a stream \
         that the codec cuts itself are not measured"
    )
}
