//! Checks whether the memory of a long session stops growing.
//!
//! Cases are short. Here each step of the vectors is repeated, as by a client that stays connected:
//! a codec that keeps some memory for each packet ends every long session. Each request gets a
//! response, so no codec needs to keep it.

use std::fmt;
use std::time::Instant;

use super::case::{Ask, Case, Message, Step};
use super::harness::{Handoffs, Harness, ObservedStep, Run};
use super::observed::{self, Fault, FaultKind};
use super::report::{Failure, Outcome};
use super::script::remarked;
use wireplug_core::codec::{Codec, MessageRef, Messages, Role};

/// The number of repetitions that every session must survive. A session that ends sooner is a
/// failure. A session whose memory grows, but that lasts longer, is a warning.
const SHORT: usize = 4096;

/// The numbers of repetitions after which memory is measured. At the first measurement, memory that
/// is kept once is already allocated. Memory grows if each measurement is higher than the one
/// before.
const LOOKS: [usize; 3] = [SHORT / 2, SHORT, 2 * SHORT];

/// Later measurements, for one packet and one message: a codec that allocates memory in large
/// pieces hides for long that it keeps some of it for each packet.
const LATE_LOOKS: [usize; 3] = [SHORT, 16 * SHORT, 32 * SHORT];

/// The number of repetitions in one call.
const BATCH: usize = 16;

/// The largest number of steps that are repeated.
const STEPS: usize = 48;

/// The codec whose long sessions are checked, and how their memory is measured.
pub(super) struct Long<'a> {
    pub(super) codec: &'a dyn Codec,
    /// The largest packet, in bytes.
    pub(super) max_packet: usize,
    /// Returns the memory of all sandboxes of the codec now, in bytes.
    pub(super) memory: &'a dyn Fn() -> usize,
    /// The memory limit of one sandbox, in bytes.
    pub(super) limit: usize,
    pub(super) options: &'a str,
    /// The time after which no step is repeated.
    pub(super) deadline: Option<Instant>,
}

/// The kind of a repeated step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Packet,
    Message,
    Tick,
}

/// The growth of memory.
struct Growth {
    what: What,
    /// The number of bytes that are kept for each repetition.
    each: usize,
    /// The number of repetitions until the memory limit.
    times: usize,
    /// The session whose last step is repeated.
    case: Case,
}

/// The results so far: the sessions whose memory stops growing, and the fastest growth.
#[derive(Default)]
struct Found {
    steady: Vec<(What, Case)>,
    worst: Option<Growth>,
}

/// The result of repeating a step.
enum End {
    Steady,
    /// The codec stops answering the step, or never answered it.
    Unanswered,
    /// The machine was at its limits.
    Unknown,
    Grows {
        each: usize,
        times: usize,
    },
    Failed {
        times: usize,
        fault: Fault,
    },
}

impl Long<'_> {
    /// Repeats each different step of these cases, and then one step of each kind for longer.
    pub(super) fn outcome(&self, cases: &[Case]) -> Outcome {
        let mut found = Found::default();
        match self.look(cases, &mut found) {
            Err(failure) => Outcome::Failed(failure),
            Ok(()) => self.outcome_of(found),
        }
    }

    fn look(&self, cases: &[Case], found: &mut Found) -> Result<(), Failure> {
        let mut asked: Vec<&Ask> = Vec::new();
        for case in cases {
            for (index, Step { ask, .. }) in case.steps.iter().enumerate() {
                if asked.contains(&ask) || asked.len() == STEPS {
                    continue;
                }
                asked.push(ask);
                let case = Case { peer: case.peer.clone(), steps: case.steps[..=index].to_vec() };
                self.look_at(&case, LOOKS, found)?;
            }
        }
        for kind in [What::Packet, What::Message] {
            let first = found.steady.iter().find(|(what, _)| *what == kind);
            if let Some((_, case)) = first.cloned() {
                self.look_at(&case, LATE_LOOKS, found)?;
            }
        }
        Ok(())
    }

    /// Repeats the last step of a case.
    ///
    /// # Errors
    /// Returns a failure if the session ends for another reason than its memory.
    fn look_at(&self, case: &Case, looks: [usize; 3], found: &mut Found) -> Result<(), Failure> {
        let Some((what, end)) = self.of_session(case, looks) else { return Ok(()) };
        match end {
            End::Steady => found.steady.push((what, case.clone())),
            End::Unanswered | End::Unknown => {}
            End::Grows { each, times } => {
                if found.worst.as_ref().is_none_or(|worst| times < worst.times) {
                    found.worst = Some(Growth { what, each, times, case: self.alone(case, looks) });
                }
            }
            End::Failed { times, fault } => {
                let what = format!("a session ends after {times} {what}: {}", fault.text);
                return Err(self.failure(&self.alone(case, looks), what));
            }
        }
        Ok(())
    }

    fn outcome_of(&self, Found { steady, worst }: Found) -> Outcome {
        let times = steady.len() as u64;
        match worst {
            Some(growth) => {
                let failure = self.failure(&growth.case, growth.to_string());
                if growth.times < SHORT {
                    Outcome::Failed(failure)
                } else {
                    Outcome::Warned { times, warning: failure }
                }
            }
            None if times > 0 => Outcome::Held { times, declined: None },
            None if self.is_out_of_time() => {
                Outcome::NotAsked("there was no time for it: give more".to_owned())
            }
            None => Outcome::NotAsked("nothing in the vectors can be asked again and again".to_owned()),
        }
    }

    fn is_out_of_time(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() > deadline)
    }

    /// Returns a case with only the last step if it fails too. Otherwise returns the whole case.
    fn alone(&self, case: &Case, looks: [usize; 3]) -> Case {
        let last = case.steps.last().cloned().into_iter();
        let alone = Case { peer: case.peer.clone(), steps: last.collect() };
        match self.of_session(&alone, looks) {
            Some((_, End::Grows { .. } | End::Failed { .. })) => alone,
            _ => case.clone(),
        }
    }

    fn failure(&self, case: &Case, what: String) -> Failure {
        let outcome = self.runner().case(case);
        let script = remarked(&outcome, self.options, "and so again and again");
        Failure { what, script, case: None }
    }

    fn runner(&self) -> Run<'_> {
        let &Self { codec, max_packet, .. } = self;
        Run { codec, max_packet, handoffs: Handoffs::LeftOut, share: false, divides: false }
    }

    /// Repeats the last step of a case.
    fn of_session(&self, case: &Case, looks: [usize; 3]) -> Option<(What, End)> {
        let (last, before) = case.steps.split_last()?;
        let (what, ask) = match &last.ask {
            Ask::Packets(packets) => {
                (What::Packet, Ask::Packets(packets.iter().cycle().take(BATCH).cloned().collect()))
            }
            Ask::Stream(bytes) => (What::Packet, Ask::Stream(bytes.repeat(BATCH))),
            Ask::Messages(messages) if messages.iter().all(|message| message.role == Role::Notice) => {
                (What::Message, Ask::Messages(messages.iter().cycle().take(BATCH).cloned().collect()))
            }
            Ask::Tick => (What::Tick, Ask::Tick),
            // A request of the client has only one response, the client answers each request only
            // once, and the other steps happen once.
            Ask::Messages(_)
            | Ask::Secured(_)
            | Ask::Answer { .. }
            | Ask::Abandon(_)
            | Ask::Farewell { .. }
            | Ask::Handoff => return None,
        };
        let mut harness = self.runner().open(case).ok()?;
        harness.run(before);
        harness.take_steps();
        if harness.fault().is_some() {
            return None;
        }
        let step = Step { at: last.at, ask };
        Some((what, self.end(looks, || again(&mut harness, &step))))
    }

    /// Repeats the step until memory has stopped growing, or has grown at each measurement. `again`
    /// returns the number of repetitions that it has made, a fault, or `None` if the step cannot be
    /// repeated any more.
    fn end(&self, looks: [usize; 3], mut again: impl FnMut() -> Result<usize, Option<Fault>>) -> End {
        let mut times = 0;
        let (mut seen_at, mut seen) = (0, (self.memory)());
        let mut each = 0;
        for look in looks {
            while times < look {
                if self.is_out_of_time() {
                    return End::Unknown;
                }
                match again() {
                    Ok(0) | Err(None) => return End::Unanswered,
                    Ok(asked) => times += asked,
                    Err(Some(fault)) => {
                        let left = self.limit.saturating_sub(seen);
                        return failed(fault, times, left / (times - seen_at).max(1));
                    }
                }
            }
            let memory = (self.memory)();
            if seen_at > 0 && memory <= seen {
                return End::Steady;
            }
            each = memory.saturating_sub(seen).div_ceil(times - seen_at);
            (seen_at, seen) = (times, memory);
        }
        End::Grows { each, times: times + self.limit.saturating_sub(seen) / each.max(1) }
    }
}

/// Returns the result for a fault after this number of repetitions. `each` is the number of bytes
/// that were kept for each repetition if memory is the cause.
fn failed(fault: Fault, times: usize, each: usize) -> End {
    match fault.kind {
        FaultKind::Time | FaultKind::Room => End::Unknown,
        FaultKind::Codec("memory") if times > 0 => End::Grows { each, times },
        // A fault of the first repetition is for the cases to find.
        _ if times == 0 => End::Unanswered,
        _ => End::Failed { times, fault },
    }
}

/// Repeats the step once, and answers the hello or the requests in it. Returns the number of
/// packets, messages or ticks.
fn again(harness: &mut Harness<'_>, step: &Step) -> Result<usize, Option<Fault>> {
    harness.run(std::slice::from_ref(step));
    let asked = harness.take_steps().iter().map(items).sum();
    if harness.hello_is_open() {
        let ask = Ask::Answer { status: MessageRef::OK, body: Vec::new() };
        harness.run(&[Step { at: step.at, ask }]);
        harness.take_steps();
    }
    while harness.open_requests() > 0 && !harness.has_ended() {
        let response = Message { role: Role::Response, ..Message::notice("", b"{}") };
        let ask = Ask::Messages(vec![response; harness.open_requests().min(Messages::MAX)]);
        harness.run(&[Step { at: step.at, ask }]);
        let is_asked = !harness.take_steps().is_empty();
        if !is_asked {
            break;
        }
    }
    match harness.fault() {
        Some(fault) => Err(Some(fault.clone())),
        None if harness.has_ended() => Err(None),
        None => Ok(asked),
    }
}

fn items(step: &ObservedStep) -> usize {
    match &step.ask {
        Ask::Packets(packets) => packets.len(),
        Ask::Stream(_) => {
            step.observed.iter().filter(|answer| matches!(answer.what, observed::What::Cut(_))).count()
        }
        Ask::Messages(messages) => messages.len(),
        _ => 1,
    }
}

/// Writes the plural of the kind.
impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Packet => "packets",
            Self::Message => "messages",
            Self::Tick => "ticks",
        })
    }
}

impl fmt::Display for Growth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, each, times, case: _ } = self;
        // The estimate is rounded, because more digits would not be accurate.
        let unit = 10_usize.pow(times.max(&1).ilog10().saturating_sub(1));
        let times = times / unit * unit;
        write!(
            f,
            "memory grows by some {each} bytes with each of many {what}: a session ends after some {times}"
        )
    }
}
