//! Whether a session comes to need ever more memory: what the vectors ask once it is asked again and again, and each
//! request is answered.

use super::property::Subject;
use super::said::{Cause, Fault, What};
use super::script::Evidence;
use super::stage::Played;
use super::walk::{Ask, Message, Step, Walk};

/// So often one session is asked, the next twice and the last four times as often. Memory comes in pages of 64 KiB, so a small loss
/// shows late.
const TIMES: usize = 2048;

/// So many at a time, of a codec that takes batches: those are the fast ones, of which more can be asked.
const BATCH: usize = 8;

/// So many packets of the vectors that give messages are asked again, and so many messages that give packets.
const MOST: usize = 3;

/// So much must be lost between the first session and the last, in bytes: collectors of garbage wait for less.
const CERTAIN: usize = 256 << 10;

/// What can be asked again: a step of a session, behind those before it.
pub(super) struct Repeatable {
    /// The step is its last.
    walk: Walk,
    /// Requests that come of the step each time.
    requests: usize,
}

/// What of these sessions can be asked again.
pub(super) fn repeatable(subject: &Subject<'_>, seeds: &[Walk]) -> Vec<Repeatable> {
    let (mut packets, mut messages) = (Vec::new(), Vec::new());
    for seed in seeds {
        for (index, step) in seed.steps.iter().enumerate() {
            let (Ask::Packets(_) | Ask::Messages(_)) = &step.ask else { continue };
            let walk = Walk { peer: seed.peer.clone(), steps: seed.steps[..=index].to_vec() };
            let played = subject.reference(&walk);
            let Some(last) = played.steps.last().filter(|last| last.ask == step.ask) else { continue };
            let says = |what: fn(&What) -> bool| last.said.iter().filter(|said| what(&said.what)).count();
            let requests = says(|what| matches!(what, What::Message { id: Some(_), .. }));
            let repeatable = Repeatable { walk, requests };
            if says(|what| matches!(what, What::Message { .. })) > 0 {
                packets.push(repeatable);
            } else if is_push(&step.ask) && says(|what| matches!(what, What::Packet(_))) > 0 {
                messages.push(repeatable);
            }
        }
    }
    // Messages first: what is lost with an answer is lost with a push too, which is the shorter session.
    [spread(messages), spread(packets)].into_iter().flatten().collect()
}

fn is_push(ask: &Ask) -> bool {
    matches!(ask, Ask::Messages(messages) if messages.iter().all(|message| message.id.is_none()))
}

/// Some of these, from the first to the last.
fn spread(all: Vec<Repeatable>) -> Vec<Repeatable> {
    let every = all.len().div_ceil(MOST).max(1);
    all.into_iter().step_by(every).collect()
}

impl Repeatable {
    /// A session that shows a loss of memory, and what was before the step only if it takes that. None where nothing is lost, or the
    /// step can't be asked so often.
    pub(super) fn loss(&self, subject: &Subject<'_>) -> Option<Evidence> {
        let found = self.loss_as_it_is(subject)?;
        let last = self.walk.steps.len() - 1;
        let walk = Walk { peer: self.walk.peer.clone(), steps: self.walk.steps[last..].to_vec() };
        Self { walk, ..*self }.loss_as_it_is(subject).or(Some(found))
    }

    fn loss_as_it_is(&self, subject: &Subject<'_>) -> Option<Evidence> {
        let mut held = [0; 3];
        for (held, times) in held.iter_mut().zip([TIMES, 2 * TIMES, 4 * TIMES]) {
            let played = self.played(subject, times);
            match played.fault {
                Some(fault) if fault.cause == OUT_OF_MEMORY => {
                    let text = format!("asked some thousand times in one session: {}", fault.text);
                    return Some(self.evidence(subject, text));
                }
                Some(_) => return None,
                // The session may have ended, or not be asked that any more.
                None => *held = played.memory.filter(|_| played.steps.len() > times)?,
            }
        }
        let [first, second, third] = held;
        // What is made room for once, or ever more seldom, is not lost.
        if second <= first || third < first + CERTAIN || third - second < second - first {
            return None;
        }
        let bytes = (third - first) / (3 * TIMES * batch(subject));
        Some(self.evidence(subject, format!("asked again and again, it loses some {bytes} bytes each time")))
    }

    /// The session, in which the step is asked so many times more.
    fn played(&self, subject: &Subject<'_>, times: usize) -> Played {
        let mut walk = self.walk.clone();
        let Some(Step { at, ask }) = walk.steps.last().cloned() else { return subject.reference(&walk) };
        let batch = batch(subject);
        let again = match ask {
            Ask::Packets(packets) => Ask::Packets(vec![packets; batch].concat()),
            Ask::Messages(messages) => Ask::Messages(vec![messages; batch].concat()),
            other => other,
        };
        for _ in 0..times {
            walk.steps.extend([again.clone(), self.answers(batch)].map(|ask| Step { at, ask }));
        }
        subject.reference(&walk)
    }

    /// The responses to the requests of so many of the step.
    fn answers(&self, batch: usize) -> Ask {
        let answer = Message { id: Some(0), ..Message::push("", "{}") };
        Ask::Messages(vec![answer; self.requests * batch])
    }

    fn evidence(&self, subject: &Subject<'_>, text: String) -> Evidence {
        let fault = Some(Fault { cause: OUT_OF_MEMORY, text });
        let mut walk = self.walk.clone();
        walk.steps.extend(walk.steps.last().map(|last| Step { at: last.at, ask: self.answers(1) }));
        Evidence::fault(Played { fault, ..subject.reference(&walk) })
    }
}

/// How many are asked at a time.
fn batch(subject: &Subject<'_>) -> usize {
    if subject.codec.abilities().batch { BATCH } else { 1 }
}

/// As [`CodecError::Memory`](crate::codec::CodecError::Memory) has it.
const OUT_OF_MEMORY: Cause = Cause::Codec("memory");
