//! What a codec costs, beside one that does nothing: time and fuel a packet, memory a session, time
//! to open.
//!
//! What is asked of it comes from its vectors: packets and messages that can be asked again and
//! again, at the moment of their session. Both codecs are measured in turns within one run, since a
//! busy machine's times vary from minute to minute: the best of many rounds counts, and the ratio
//! is what is to be read.

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

/// The codec that does nothing, built from `guest-examples/nothing`: a packet is a message without
/// a route, a message's packet is its body.
pub const NOTHING: &[u8] = include_bytes!("../../nothing.wasm");

/// The places that an engine needs for this.
pub const SANDBOXES: u32 = memory::SESSIONS + 8;

/// How many items go into one call.
pub const BATCHES: [usize; 3] = [1, 16, 64];

/// So many packets are measured, and so many messages; the rest is only counted.
pub const MAX_QUESTIONS: usize = 8;

/// A component is compiled so often at most, to see how long it takes,
const COMPILATIONS: u32 = 5;

/// and no more once it took so long.
const COMPILING: Duration = Duration::from_millis(500);

/// How hard it is measured.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Rounds of each codec, in turns.
    pub rounds: u32,
    /// How long a round is.
    pub round: Duration,
}

impl Default for Effort {
    /// Some milliseconds a figure, often enough that one round is not disturbed.
    fn default() -> Self {
        Self { rounds: 40, round: Duration::from_millis(2) }
    }
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// The codec.
    pub codec: Subject,
    /// The codec that does nothing.
    pub nothing: Subject,
    /// Whether the codec exports `batch`. If not, a batch is so many calls.
    pub batch: bool,
    /// What a packet or message costs, in the order of the vectors.
    pub costs: Vec<Cost>,
    /// Packets and messages of the vectors that cannot be asked again and again, and so are not
    /// measured.
    pub not_repeatable: usize,
    /// Those that could be measured and are not: they are over the most, or stand in the vectors
    /// twice.
    pub left_out: usize,
    /// Steps of the vectors that the codec does not answer as they say: what is measured may not be
    /// what was meant.
    pub mismatches: usize,
}

/// What a codec costs, whatever it is asked.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Subject {
    /// The protocol's name.
    pub name: String,
    /// The codec's own version.
    pub version: String,
    /// The file's size, in bytes.
    pub size: usize,
    /// How long it takes to compile, without the cache, in microseconds.
    pub compile_us: u64,
    /// How long a session takes to open and to close, in nanoseconds.
    pub open_ns: f64,
    /// The memory that a session at work is charged for, in bytes.
    pub memory: usize,
    /// What a session at work adds to the memory that the process really has, in bytes: with what
    /// the runtime keeps for it, and without what sessions share. None where the system does not
    /// tell.
    pub resident: Option<usize>,
}

/// What a packet or message costs.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Cost {
    /// The line of its step in the vectors, counted from 1.
    pub line: usize,
    /// The step as it is written there.
    pub step: String,
    /// Whether it is decoded or encoded.
    pub direction: Direction,
    /// How many go into one call: 1 is `decode` and `encode`, more are `decode-batch` and
    /// `encode-batch`.
    pub batch: usize,
    /// The bytes of the packet, or of the message's body.
    pub bytes: usize,
    /// What it costs in the codec.
    pub codec: Spent,
    /// What the same packet or message costs in the codec that does nothing.
    pub nothing: Spent,
}

/// What is spent on one packet or message.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Spent {
    /// Time, in nanoseconds.
    pub ns: f64,
    /// Fuel: roughly the instructions that the guest carried out.
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
    /// Nothing in the vectors can be asked again and again.
    #[error("{0}")]
    NothingToAsk(String),
    /// The component refuses sessions.
    #[error("{0}")]
    RefusesSessions(&'static str),
}

/// Measures a component.
///
/// `metered` loads for a [metered](wireplug_wasm::WasmEngine::metered) engine, `loader` for
/// another; both have [`SANDBOXES`] free places. Takes some seconds, and holds the thread.
///
/// # Errors
/// Returns an error if the component is refused, or if nothing in the vectors can be asked again
/// and again: with what to do.
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
    // Before all else, as long as no place in the pool was ever used by a session at work.
    let memory = pair_of(first, &timed, 1).map(|asking| memory::of_sessions(&asking));
    let open_ns = opening(&timed, first, effort)?;
    let metered = pair(metered)?;
    let mut costs = Vec::new();
    for question in &questions {
        match cost(question, &timed, &metered, loader.max_packet(), effort) {
            Ok(measured) => costs.extend(measured),
            // It went well some hundred times, and not some thousand.
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

/// A codec in its two ways to be asked.
struct Loaded {
    batched: WasmCodec,
    singly: WasmCodec,
}

impl Loaded {
    fn new(codec: WasmCodec) -> Self {
        Self { singly: codec.singly(Singly::Both), batched: codec }
    }

    /// The codec as it is asked for so many at a time.
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

/// A question that was answered often, and then no longer as at first.
struct Unrepeatable;

/// How a codec and the one that does nothing are asked the same, so many times a call.
fn pair_of<'a>(question: &'a Question<'a>, both: &'a [Loaded; 2], batch: usize) -> [Asking<'a>; 2] {
    let [codec, nothing] = both.each_ref().map(|loaded| loaded.asked(batch));
    [Asking::new(codec, question, batch), Asking::of_nothing(nothing, question, batch)]
}

/// How long a session takes to open and to close, in nanoseconds.
fn opening(both: &[Loaded; 2], question: &Question<'_>, effort: Effort) -> Result<[f64; 2], BenchError> {
    let lanes = both.each_ref().map(|loaded| Lane::new(Work::Open(&loaded.batched, question.peer())));
    let refuses = |_| BenchError::RefusesSessions("it refuses sessions that are opened one after the other");
    round::best(lanes, effort).map_err(refuses)
}

/// What one question costs, in each size of batch that a connection would make of it.
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

/// How long it takes to compile: the best of some times, for what is compiled soon.
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
         message (`out`) that gives a packet, a push for one; `wireplug codec test --update` writes the answers"
    )
}
