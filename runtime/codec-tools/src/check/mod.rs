//! The conformance kit: checks whether a codec has the properties that every codec must have,
//! whatever its protocol is.
//!
//! The kit knows only what the vectors show about the protocol. It makes sessions from them, called
//! cases, and runs the cases by the rules of the runtime. A property is broken if a case shows
//! that. The report shows the smallest such case as vectors.
//!
//! The seed determines all cases. The available time only determines how many of them run.
//! `docs/check.md` describes the properties.

mod bytes;
mod case;
mod harness;
mod mutate;
mod observed;
mod options;
mod property;
mod report;
mod rng;
mod script;
mod shrink;
mod stateless;
mod steady;
#[cfg(test)]
mod tests;
mod wire;

use std::time::{Duration, Instant};

use anyhow::Context as _;

pub use property::Property;
pub use report::{Failure, Finding, Outcome, Report};

use self::case::Case;
use self::mutate::Source;
use self::observed::FaultKind;
use self::property::{Subject, Verdict};
use self::script::Evidence;
use self::steady::Long;
use wireplug_base::Chain;
use wireplug_core::codec::{Codec as _, CodecError, CodecLimits, Reason};
use wireplug_core::vectors::Vectors;
use wireplug_wasm::{LoadError, Singly, WasmCodec, WasmEngine, WasmLoader};

/// The number of cases that [`assert_conforms`] runs.
const CASES: u64 = 2000;

/// Panics with the report if a codec breaks a property that every codec must have. It is for tests:
/// it always runs the same cases, however long that takes.
///
/// `vectors` is the text of the codec's vectors, or `""` if the codec has none. The codec gets the
/// options in the vectors.
///
/// # Panics
/// Panics if the codec breaks a property, or if the vectors cannot be read.
pub fn assert_conforms(wasm: &[u8], vectors: &str) {
    let vectors = Vectors::parse(vectors).unwrap_or_else(|bad| panic!("the vectors are wrong:\n{bad}"));
    let report = Check::new(wasm).vectors(&vectors).cases(CASES).run(&mut |_| {});
    assert!(report.holds(), "the codec does not keep what every codec promises\n\n{report}");
}

/// A conformance check of a component.
#[must_use]
pub struct Check<'a> {
    wasm: &'a [u8],
    vectors: Option<&'a Vectors>,
    options: Option<String>,
    loader: Option<WasmLoader>,
    seed: u64,
    bound: Bound,
}

/// The point at which a check ends.
#[derive(Clone, Copy)]
enum Bound {
    Cases(u64),
    Time(Duration),
    Only(u64),
}

/// The progress of a check.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// The number of cases that have run.
    pub cases: u64,
    /// The number of properties that have failed.
    pub failed: usize,
    /// The completed part of the check, from 0 to 1.
    pub part: f64,
}

impl<'a> Check<'a> {
    /// The number of sandboxes that a check needs: a session, one that takes it over, two for
    /// shared encodings, and the same number again for sandboxes that are being dropped.
    pub const SANDBOXES: u32 = 8;

    /// Creates a check of a component that takes 10 seconds, with the seed 1 and the default limits
    /// of a codec.
    pub fn new(wasm: &'a [u8]) -> Self {
        let bound = Bound::Time(Duration::from_secs(10));
        Self { wasm, vectors: None, options: None, loader: None, seed: 1, bound }
    }

    /// Sets the vectors. The check makes cases from them, checks the codec's answers to them, and
    /// uses their options.
    pub fn vectors(mut self, vectors: &'a Vectors) -> Self {
        self.vectors = Some(vectors);
        self
    }

    /// Sets the codec's options, as a JSON object, instead of those of the vectors. The answers in
    /// the vectors are not checked then, because they hold for other options.
    pub fn options(mut self, options: impl Into<String>) -> Self {
        self.options = Some(options.into());
        self
    }

    /// Sets the loader, for other limits of sandboxes and another largest packet. Its engine must
    /// have room for [`SANDBOXES`](Self::SANDBOXES).
    pub fn loader(mut self, loader: WasmLoader) -> Self {
        self.loader = Some(loader);
        self
    }

    /// Sets the seed, for other cases.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Runs this number of cases, however long that takes.
    pub fn cases(mut self, cases: u64) -> Self {
        self.bound = Bound::Cases(cases);
        self
    }

    /// Runs cases for this time. Making a failing case smaller takes additional time.
    pub fn time(mut self, time: Duration) -> Self {
        self.bound = Bound::Time(time);
        self
    }

    /// Runs only the case with this number.
    pub fn only(mut self, case: u64) -> Self {
        self.bound = Bound::Only(case);
        self
    }

    /// Checks all properties, and reports the progress after each case.
    pub fn run(&self, progress: &mut dyn FnMut(Progress)) -> Report {
        let loaded = self.chosen_loader().and_then(|loader| {
            let codec =
                loader.load(self.wasm, self.chosen_options().into()).context("the codec does not load")?;
            Ok((codec, loader))
        });
        let (codec, loader) = match loaded {
            Ok(loaded) => loaded,
            Err(error) => return self.not_loaded(&error),
        };
        let (decode_singly, encode_singly) = (codec.singly(Singly::Decode), codec.singly(Singly::Encode));
        let patient = codec.patient();
        let subject = Subject {
            codec: &codec,
            patient: &patient,
            decode_singly: &decode_singly,
            encode_singly: &encode_singly,
            broadcast: &|| {
                let mut broadcaster = codec.broadcaster()?;
                Ok(Box::new(move |class, message| broadcaster.encode(class, message)))
            },
            max_packet: max_packet(&codec, &loader),
        };
        let started = Instant::now();
        let mut report = self.report();
        report.findings.push(Finding { property: Property::Loads, outcome: held(1) });
        report.findings.push(Finding { property: Property::Options, outcome: self.try_options(&codec) });
        report.findings.push(Finding { property: Property::Vectors, outcome: self.hold_to_vectors(&codec) });
        let steady = self.last_long(&codec, &patient, &loader, started);
        self.run_cases(&subject, &mut report, started, progress);
        report.findings.push(Finding { property: Property::Steady, outcome: steady });
        report
    }

    fn report(&self) -> Report {
        Report { seed: self.seed, cases: 0, findings: Vec::new(), unknown: 0 }
    }

    fn chosen_loader(&self) -> anyhow::Result<WasmLoader> {
        if let Some(loader) = &self.loader {
            return Ok(loader.clone());
        }
        let limits = CodecLimits::default();
        Ok(WasmLoader::new(&WasmEngine::new(Self::SANDBOXES, limits.memory)?, limits))
    }

    fn chosen_options(&self) -> String {
        let of_vectors = || self.vectors.map(|vectors| vectors.options().to_owned());
        self.options.clone().or_else(of_vectors).unwrap_or_else(|| "{}".to_owned())
    }

    fn not_loaded(&self, error: &anyhow::Error) -> Report {
        let failure = Failure { what: format!("{error:#}"), script: NOT_LOADED.to_owned(), case: None };
        let finding = Finding { property: Property::Loads, outcome: Outcome::Failed(failure) };
        Report { findings: vec![finding], ..self.report() }
    }

    fn try_options(&self, codec: &WasmCodec) -> Outcome {
        if let Bound::Only(_) = self.bound {
            return Outcome::NotAsked(ONE_CASE.to_owned());
        }
        options::outcome(&self.chosen_options(), |options| {
            let configured = codec.with_options(options.into()).map(drop);
            configured.map_err(|error| match error {
                LoadError::Configure(error) => error,
                error => CodecError::Refused(Reason::new(Chain::of(&error).to_string())),
            })
        })
    }

    /// Repeats the steps of the vectors for a long session, in a part of the available time.
    fn last_long(
        &self,
        codec: &WasmCodec,
        patient: &WasmCodec,
        loader: &WasmLoader,
        started: Instant,
    ) -> Outcome {
        let deadline = match self.bound {
            Bound::Only(_) => return Outcome::NotAsked(ONE_CASE.to_owned()),
            Bound::Cases(_) => None,
            Bound::Time(time) => Some(started + time / PART_FOR_LONG),
        };
        let long = Long {
            codec: patient,
            max_packet: max_packet(codec, loader),
            memory: &|| codec.memory(),
            limit: loader.max_memory(),
            options: &self.chosen_options(),
            deadline,
        };
        long.outcome(&self.vectors.map_or_else(Vec::new, Case::of))
    }

    fn hold_to_vectors(&self, codec: &WasmCodec) -> Outcome {
        let Some(vectors) = self.vectors.filter(|vectors| !vectors.is_empty()) else {
            return Outcome::NotAsked("there are none, so the cases know nothing of the protocol".to_owned());
        };
        if self.options.is_some() {
            return Outcome::NotAsked("they are for other options".to_owned());
        }
        let mismatches: Vec<_> = vectors.replay(codec).collect();
        match mismatches.first() {
            None => held(vectors.len() as u64),
            Some(first) => Outcome::Failed(Failure {
                what: format!(
                    "{} of {} steps are not answered as they should be",
                    mismatches.len(),
                    vectors.len()
                ),
                script: format!("`wireplug codec test` shows all differences, the first:\n{first}"),
                case: None,
            }),
        }
    }

    /// Runs cases until the bound, and adds their results to the report.
    fn run_cases(
        &self,
        subject: &Subject<'_>,
        report: &mut Report,
        started: Instant,
        progress: &mut dyn FnMut(Progress),
    ) {
        let seeds = self.vectors.map_or_else(Vec::new, Case::of);
        let source = Source::new(subject.codec, subject.max_packet, seeds);
        let mut tallies = Property::BY_CASES.map(|property| Tally::new(subject, property));
        let first = if let Bound::Only(number) = self.bound { number } else { 0 };
        let mut failed = report.failures().count();
        loop {
            let part = match self.bound {
                Bound::Cases(cases) => report.cases as f64 / cases.max(1) as f64,
                Bound::Time(time) => started.elapsed().as_secs_f64() / time.as_secs_f64().max(0.001),
                Bound::Only(_) => report.cases as f64,
            };
            progress(Progress { cases: report.cases, failed, part: part.min(1.0) });
            if part >= 1.0 {
                break;
            }
            let number = first + report.cases;
            let case = source.case(self.seed, number);
            let reference = subject.reference(&case);
            let mut known = true;
            for tally in tallies.iter_mut().filter(|tally| tally.is_open) {
                match subject.verdict(tally.property, &case, &reference) {
                    Verdict::Held => tally.held += 1,
                    Verdict::Untouched => {}
                    Verdict::Declined(reason) => {
                        tally.declined.get_or_insert((0, reason)).0 += 1;
                    }
                    Verdict::Unknown => known = false,
                    Verdict::Slow(_) if tally.slow.is_some() => tally.held += 1,
                    Verdict::Slow(evidence) => {
                        tally.held += 1;
                        tally.slow = Some(self.slowest(*evidence, number));
                    }
                    Verdict::Broken(evidence) => {
                        tally.fail(self.smallest(subject, tally.property, *evidence), number);
                        failed += 1;
                    }
                }
            }
            report.unknown += u64::from(!known);
            report.cases += 1;
        }
        report.findings.extend(tallies.map(Tally::finding));
    }

    /// Reports a case whose calls take too long on this machine. The case is not made smaller,
    /// because a smaller case that just meets the limit shows nothing.
    fn slowest(&self, evidence: Evidence, number: u64) -> Failure {
        let script = format!("{TOO_SLOW_HERE}{}", evidence.script(&self.chosen_options()));
        Failure { what: evidence.headline(), script, case: Some(number) }
    }

    /// Returns the smallest case that shows the same failure as this evidence.
    fn smallest(&self, subject: &Subject<'_>, property: Property, found: Evidence) -> Failure {
        let kind = found.kind();
        let show = |case: &Case| {
            let reference = subject.reference(case);
            match subject.verdict(property, case, &reference) {
                Verdict::Broken(evidence) if evidence.kind() == kind => Some(*evidence),
                _ => None,
            }
        };
        // Each case with a fault of time takes long to run, so fewer are tried.
        let tries = if kind == Some(FaultKind::Time) { SLOW_TRIES } else { TRIES };
        let case = found.case();
        let mut smallest = found;
        let transports = wire::transports(subject.codec);
        let plain = transports.first().copied().unwrap_or(case::STREAM);
        let case = shrink::shrunk(case, plain, tries, &mut |case| {
            let evidence = show(case)?;
            let case = evidence.case();
            smallest = evidence;
            Some(case)
        });
        let again = show(&case);
        let remark = match (again.is_some(), kind) {
            (true, _) => "",
            (false, Some(FaultKind::Time)) => AT_THE_EDGE,
            (false, _) => NOT_AGAIN,
        };
        let evidence = again.unwrap_or(smallest);
        let script = format!("{remark}{}", evidence.script(&self.chosen_options()));
        Failure { what: evidence.headline(), script, case: None }
    }
}

/// Returns the largest packet of a codec's sessions, in bytes: the codec's own limit if it has one
/// and the sandbox allows it.
fn max_packet(codec: &WasmCodec, loader: &WasmLoader) -> usize {
    codec.description().max_packet(loader.max_packet())
}

/// The number of cases to try while making a failing case smaller.
const TRIES: usize = 2000;

/// The same number for cases of which each takes the full time limit.
const SLOW_TRIES: usize = 200;

/// The divisor of the available time that gives the time for the long session.
const PART_FOR_LONG: u32 = 4;

/// Why the other properties are not checked if one case is requested.
const ONE_CASE: &str = "one case is run alone";

/// The remark on a failure that does not occur again.
const NOT_AGAIN: &str = "# Alone this case does not fail: it needs what was done before it, in another session, or it fails only at times.\n";

/// The remark on a failure of time that does not occur again.
const AT_THE_EDGE: &str = "# This is at the edge of the limit: it does not take so long each time.\n";

/// The remark on calls that take too long on this machine.
const TOO_SLOW_HERE: &str = "# Such a session ends on this machine. With several times the CPU time it goes on, as it may on a faster machine.\n\
     # Make the codec cheaper, lower `max-packet`, or raise `call-cpu` where it is served.\n";

/// What to do if nothing could be checked.
const NOT_LOADED: &str =
    "`wireplug codec inspect` tells what the file is and what it needs. Nothing else was checked.";

/// The results of the cases so far for one property.
struct Tally {
    property: Property,
    /// Whether the property is still checked: it applies to the codec, and has not failed.
    is_open: bool,
    held: u64,
    declined: Option<(u64, String)>,
    /// The first case whose calls took too long on this machine.
    slow: Option<Failure>,
    outcome: Option<Outcome>,
}

impl Tally {
    fn new(subject: &Subject<'_>, property: Property) -> Self {
        let not_asked = subject.not_asked(property);
        let outcome = not_asked.map(|reason| Outcome::NotAsked(reason.to_owned()));
        Self { property, is_open: outcome.is_none(), held: 0, declined: None, slow: None, outcome }
    }

    fn fail(&mut self, failure: Failure, number: u64) {
        self.is_open = false;
        self.outcome = Some(Outcome::Failed(Failure { case: Some(number), ..failure }));
    }

    fn finding(self) -> Finding {
        let untouched = || match &self.declined {
            None => Outcome::NotAsked("no case came to it: give vectors that do".to_owned()),
            Some((cases, first)) => {
                Outcome::NotAsked(format!("the codec declined in all {cases} cases, first: {first}"))
            }
        };
        let outcome = match self.outcome {
            Some(outcome) => outcome,
            None if self.held == 0 => untouched(),
            None if let Some(warning) = self.slow => Outcome::Warned { times: self.held, warning },
            None => Outcome::Held { times: self.held, declined: self.declined },
        };
        Finding { property: self.property, outcome }
    }
}

fn held(times: u64) -> Outcome {
    Outcome::Held { times, declined: None }
}
