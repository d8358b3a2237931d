//! Whether a session that lasts keeps to its memory.
//!
//! Cases are short. Here each step of the vectors is asked again and again, as by a client that
//! stays: what a codec keeps of each packet ends every long session. A request has its response
//! each time, so nothing need be kept.

use std::fmt;
use std::time::Instant;

use super::case::{Ask, Case, Message, Step};
use super::harness::{Handoffs, Harness, ObservedStep, Run};
use super::observed::{Cause, Fault};
use super::report::{Failure, Outcome};
use super::script::remarked;
use wireplug_core::codec::{Codec, Messages};

/// A session that ends sooner than after so many times is no long one: that is a failure. One that
/// grows and lasts longer is reported as a warning.
const SHORT: usize = 4096;

/// Memory is looked at after so many times; the first time, what is kept once is there. It grows if
/// there is more each time.
const LOOKS: [usize; 3] = [SHORT / 2, SHORT, 2 * SHORT];

/// The same for one packet and one message, since memory that was taken in large pieces hides for
/// long what is kept of each.
const LATE_LOOKS: [usize; 3] = [SHORT, 16 * SHORT, 32 * SHORT];

/// A step is asked so often in one call.
const BATCH: usize = 16;

/// Steps that are asked at most.
const STEPS: usize = 48;

/// What is asked for long, and how its memory is known.
pub(super) struct Long<'a> {
    pub(super) codec: &'a dyn Codec,
    /// The largest packet, in bytes.
    pub(super) max_packet: usize,
    /// What all sandboxes of the codec take now, in bytes.
    pub(super) memory: &'a dyn Fn() -> usize,
    /// What one of them may have.
    pub(super) limit: usize,
    pub(super) options: &'a str,
    /// Nothing is asked later than this.
    pub(super) deadline: Option<Instant>,
}

/// What is asked again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Packet,
    Message,
    Tick,
}

/// What memory has come to.
struct Growth {
    what: What,
    /// Bytes that are kept each time.
    each: usize,
    /// How often it can be asked before the limit is met.
    times: usize,
    /// The session whose last step is asked.
    case: Case,
}

/// What was found so far: the sessions that keep to their memory, and the one that does so least.
#[derive(Default)]
struct Found {
    steady: Vec<(What, Case)>,
    worst: Option<Growth>,
}

/// How it ends that something is asked for long.
enum End {
    Steady,
    /// The codec does not answer it for long, or at all.
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
    /// Asks every step of these cases for long, each once; and then one of each kind for longer.
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

    /// Asks the last step of a case for long. The error is how a session ends by more than its
    /// memory.
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

    /// The last step without those before it, if it comes to no good end so as well.
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
        Run { codec, max_packet, handoffs: Handoffs::LeftOut, share: false }
    }

    /// The last step of a case, again and again.
    fn of_session(&self, case: &Case, looks: [usize; 3]) -> Option<(What, End)> {
        let (last, before) = case.steps.split_last()?;
        let (what, ask) = match &last.ask {
            Ask::Packets(packets) => {
                (What::Packet, Ask::Packets(packets.iter().cycle().take(BATCH).cloned().collect()))
            }
            Ask::Messages(messages) if messages.iter().all(|message| message.id.is_none()) => {
                (What::Message, Ask::Messages(messages.iter().cycle().take(BATCH).cloned().collect()))
            }
            Ask::Tick => (What::Tick, Ask::Tick),
            // A response has one request, and the rest happens once.
            Ask::Messages(_) | Ask::Answer { .. } | Ask::Farewell(_) | Ask::Handoff => return None,
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

    /// Asks until memory has stayed as it was, or has grown at each look. `again` says how often it
    /// has asked now; or the fault; or none, where it cannot ask any more.
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

/// What it means that a fault came after so many times. `each` is what was kept each time if it
/// came of memory.
fn failed(fault: Fault, times: usize, each: usize) -> End {
    match fault.cause {
        Cause::Time | Cause::Room => End::Unknown,
        Cause::Codec("memory") if times > 0 => End::Grows { each, times },
        // The first time is what cases are for.
        _ if times == 0 => End::Unanswered,
        _ => End::Failed { times, fault },
    }
}

/// Asks once more, and answers the requests among it. Gives how many packets, messages or ticks it
/// was.
fn again(harness: &mut Harness<'_>, step: &Step) -> Result<usize, Option<Fault>> {
    harness.run(std::slice::from_ref(step));
    let asked = harness.take_steps().iter().map(items).sum();
    while harness.open_requests() > 0 && !harness.has_ended() {
        let response = Message { id: Some(0), ..Message::push("", b"{}") };
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
        Ask::Messages(messages) => messages.len(),
        _ => 1,
    }
}

/// Many of them.
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
        // More digits would say what nobody knows.
        let unit = 10_usize.pow(times.max(&1).ilog10().saturating_sub(1));
        let times = times / unit * unit;
        write!(
            f,
            "memory grows by some {each} bytes with each of many {what}: a session ends after some {times}"
        )
    }
}
