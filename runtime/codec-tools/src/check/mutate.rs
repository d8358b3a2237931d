//! Generated cases: those of the vectors with changes, and some random ones.

use super::bytes::{Corpus, invented, mutated};
use super::case::{Ask, Case, MESSAGES, Message, STREAM, Step};
use super::rng::Rng;
use super::wire::{joiner, mend};
use wireplug_core::codec::{Codec, Peer};

/// The number of steps from which on a change adds no steps to a case.
const MAX_STEPS: usize = 400;

/// The number of steps below which a random case stays.
const INVENTED_STEPS: usize = 12;

/// The delay of a repeated step. It is shorter than any time-out, and this number has no other
/// meaning.
const ODD_MS: u64 = 777;

/// The largest number of repetitions of a step. It is more than a batch holds, so that memory that
/// a codec keeps for each item shows.
const REPEATS: usize = 300;

/// The source of cases.
pub(super) struct Source<'a> {
    codec: &'a dyn Codec,
    max_packet: usize,
    seeds: Vec<Case>,
    corpus: Corpus,
}

impl<'a> Source<'a> {
    pub(super) fn new(codec: &'a dyn Codec, max_packet: usize, seeds: Vec<Case>) -> Self {
        let mut corpus = Corpus { max_packet, ..Corpus::default() };
        for step in seeds.iter().flat_map(|seed| &seed.steps) {
            match &step.ask {
                Ask::Packets(packets) => corpus.packets.extend(packets.iter().cloned()),
                Ask::Messages(messages) => {
                    corpus.routes.extend(messages.iter().map(|message| message.route.clone()));
                    corpus.bodies.extend(messages.iter().map(|message| message.body.clone()));
                }
                Ask::Answer { body, .. } => corpus.bodies.push(body.clone()),
                Ask::Tick | Ask::Farewell(_) | Ask::Handoff => {}
            }
        }
        Self { codec, max_packet, seeds, corpus }
    }

    /// Returns the case with this number. The first cases are those of the vectors as they are.
    /// Then the same cases follow in batches, with a handoff between any two steps. Then each case
    /// follows up to each of its steps, and continues in another sandbox. After these, no two cases
    /// are alike.
    pub(super) fn case(&self, seed: u64, number: u64) -> Case {
        let mut rng = Rng::of_case(seed, number);
        let seeds = self.seeds.len() as u64;
        if number < seeds {
            return self.seeds[number as usize].clone();
        }
        if number < 2 * seeds {
            let mut case = self.seeds[(number - seeds) as usize].clone();
            gather(&mut case);
            hand_over_everywhere(&mut case);
            return case;
        }
        if let Some(case) = self.in_another_place(number - 2 * seeds) {
            return case;
        }
        // The longer one of two has more to change.
        let picked = [rng.pick(&self.seeds), rng.pick(&self.seeds)];
        let mut case = match picked.into_iter().flatten().max_by_key(|seed| seed.steps.len()) {
            Some(seed) if !rng.one_in(16) => seed.clone(),
            _ => self.invented(&mut rng),
        };
        // With few changes, a case still follows the protocol; with many, it tests what lies
        // beyond.
        let most = if rng.one_in(4) { 16 } else { 4 };
        let changes = 1 + rng.below(most);
        for _ in 0..changes {
            self.change(&mut case, &mut rng);
        }
        if rng.one_in(3) {
            gather(&mut case);
        }
        self.mend(&mut case);
        case
    }

    /// Returns a case of the vectors up to one of its steps, where `step` counts the steps of all
    /// cases. The case repeats its last step at an odd time, and then has a handoff and two ticks.
    /// Random changes seldom give all of that in a row.
    fn in_another_place(&self, mut step: u64) -> Option<Case> {
        let seed = self.seeds.iter().find(|seed| {
            let steps = seed.steps.len() as u64;
            let is_there = step < steps;
            step -= if is_there { 0 } else { steps };
            is_there
        })?;
        let mut case = seed.clone();
        case.steps.truncate(step as usize + 1);
        let Step { at, ask } = case.steps.last()?.clone();
        let at = at + ODD_MS;
        case.steps.extend([ask, Ask::Handoff, Ask::Tick, Ask::Tick].map(|ask| Step { at, ask }));
        Some(case)
    }

    /// Returns a random case.
    fn invented(&self, rng: &mut Rng) -> Case {
        let transport = if rng.one_in(2) { STREAM } else { MESSAGES };
        let mut case = Case::new(transport, Vec::new());
        for _ in 0..rng.below(INVENTED_STEPS) {
            let ask = self.ask(rng);
            case.steps.push(Step { at: 0, ask });
        }
        case
    }

    /// Returns a random call.
    fn ask(&self, rng: &mut Rng) -> Ask {
        match rng.below(12) {
            0..=3 => Ask::Packets((0..=rng.below(3)).map(|_| self.corpus.packet(rng)).collect()),
            4 | 5 => Ask::Messages((0..=rng.below(3)).map(|_| self.message(rng)).collect()),
            6 => Ask::Messages(vec![Message::push(self.corpus.route(rng), self.corpus.body(rng))]),
            7 => {
                let status = if rng.one_in(2) { 200 } else { rng.next() as u16 };
                Ask::Answer { status, body: self.corpus.body(rng) }
            }
            8 | 9 => Ask::Tick,
            10 => Ask::Handoff,
            _ if rng.one_in(4) => {
                Ask::Farewell(String::from_utf8_lossy(&invented(rng, self.max_packet)).into_owned())
            }
            _ => Ask::Handoff,
        }
    }

    fn message(&self, rng: &mut Rng) -> Message {
        let status = *rng.pick(&[200, 200, 200, 404, 500, 0, u16::MAX]).unwrap_or(&200);
        let id = (!rng.one_in(3)).then(|| rng.next());
        Message { id, status, route: self.corpus.route(rng), body: self.corpus.body(rng) }
    }

    /// Makes one change.
    fn change(&self, case: &mut Case, rng: &mut Rng) {
        let at = rng.below(case.steps.len());
        let now = case.steps.get(at).map_or(0, |step| step.at);
        let has_room = case.steps.len() < MAX_STEPS;
        match rng.below(16) {
            0..=6 => self.change_step(case, at, rng),
            7 if !case.steps.is_empty() => drop(case.steps.remove(at)),
            8 if case.steps.len() > 1 => {
                let other = rng.below(case.steps.len());
                let (a, b) = (case.steps[at].ask.clone(), case.steps[other].ask.clone());
                (case.steps[at].ask, case.steps[other].ask) = (b, a);
            }
            9 if has_room && !case.steps.is_empty() => {
                let step = case.steps[at].clone();
                let times = if rng.one_in(20) { REPEATS } else { 1 + rng.below(3) };
                case.steps.splice(at..at, std::iter::repeat_n(step, times));
            }
            10 => {
                let jump = *rng.pick(&[1, 999, 1000, 30_000, 60_001, 3_600_000, 1 << 33]).unwrap_or(&1);
                case.steps[at..].iter_mut().for_each(|step| step.at += jump);
            }
            11 if has_room => {
                // Steps from the middle of another session.
                if let Some(other) = rng.pick(&self.seeds) {
                    let from = rng.below(other.steps.len());
                    let steps = other.steps[from..].iter().take(1 + rng.below(8)).cloned();
                    case.steps.splice(at..at, steps);
                }
            }
            12 => {
                if rng.one_in(2) {
                    case.peer.entropy = std::array::from_fn(|_| rng.byte());
                } else if let Some(other) = rng.pick(&self.seeds) {
                    let Peer { attributes, entropy, .. } = case.peer.clone();
                    case.peer = Peer { attributes, entropy, ..other.peer.clone() };
                }
            }
            _ if has_room => case.steps.insert(at, Step { at: now, ask: self.ask(rng) }),
            _ => {}
        }
    }

    fn change_step(&self, case: &mut Case, at: usize, rng: &mut Rng) {
        let Some(step) = case.steps.get_mut(at) else { return };
        match &mut step.ask {
            Ask::Packets(packets) => {
                let index = rng.below(packets.len());
                match rng.below(8) {
                    0 => packets.insert(index, self.corpus.packet(rng)),
                    1 if packets.len() > 1 => drop(packets.remove(index)),
                    _ => mutated(&mut packets[index], &self.corpus.packets, self.max_packet, rng),
                }
            }
            Ask::Messages(messages) => {
                let index = rng.below(messages.len());
                match rng.below(8) {
                    0 => messages.insert(index, self.message(rng)),
                    1 => messages[index].route = self.corpus.route(rng),
                    2 => messages[index].status = rng.next() as u16,
                    3 => messages[index].id = messages[index].id.is_none().then(|| rng.next()),
                    _ => mutated(&mut messages[index].body, &self.corpus.bodies, self.max_packet, rng),
                }
            }
            Ask::Answer { status, .. } if rng.one_in(2) => *status = rng.next() as u16,
            Ask::Answer { body, .. } => mutated(body, &self.corpus.bodies, self.max_packet, rng),
            ask @ (Ask::Tick | Ask::Farewell(_) | Ask::Handoff) => *ask = self.ask(rng),
        }
    }

    /// Changes packets so that the client can send them. Packets that break the framing would only
    /// be left out.
    fn mend(&self, case: &mut Case) {
        let joiner = joiner(self.codec, &case.peer, self.max_packet);
        let mut delimiter = Vec::new();
        let _ = joiner.join(b"", &mut delimiter);
        for step in &mut case.steps {
            if let Ask::Packets(packets) = &mut step.ask {
                packets.iter_mut().for_each(|packet| mend(packet, &joiner, &delimiter));
            }
        }
    }
}

/// Joins consecutive packets into one batch, and consecutive messages too.
fn gather(case: &mut Case) {
    let mut gathered: Vec<Step> = Vec::new();
    for step in case.steps.drain(..) {
        match (gathered.last_mut().map(|last| &mut last.ask), step.ask) {
            (Some(Ask::Packets(last)), Ask::Packets(packets)) => last.extend(packets),
            (Some(Ask::Messages(last)), Ask::Messages(messages)) => last.extend(messages),
            (_, ask) => gathered.push(Step { at: step.at, ask }),
        }
    }
    case.steps = gathered;
}

fn hand_over_everywhere(case: &mut Case) {
    let handoff = |step: Step| [Step { at: step.at, ask: Ask::Handoff }, step];
    case.steps = std::mem::take(&mut case.steps).into_iter().flat_map(handoff).collect();
}
