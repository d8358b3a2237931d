//! Walks that nobody wrote: those of the vectors, changed here and there; and some made from nothing.

use super::bytes::{Corpus, invented, mutated};
use super::rng::Rng;
use super::walk::{Ask, MESSAGES, Message, STREAM, Step, Walk};
use super::wire::{joiner, mend};
use crate::codec::{Codec, Peer};

/// A walk grows no longer than this by what is put into it.
const MAX_STEPS: usize = 400;

/// Steps of a walk that is made from nothing, at most.
const INVENTED_STEPS: usize = 12;

/// Later by less than any time-out, and a number that is nothing else.
const ODD_MS: u64 = 777;

/// A step is repeated so often at most: more than a batch holds, so that what a codec gathers for each shows.
const REPEATS: usize = 300;

/// Where walks come from.
pub(super) struct Source<'a> {
    codec: &'a dyn Codec,
    max_packet: usize,
    seeds: Vec<Walk>,
    corpus: Corpus,
}

impl<'a> Source<'a> {
    pub(super) fn new(codec: &'a dyn Codec, max_packet: usize, seeds: Vec<Walk>) -> Self {
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

    /// The walk of one case. First come those of the vectors as they are; then the same in batches, with a handoff between any
    /// two; then each up to each of its steps, from where it goes on in another place. After them no two are alike.
    pub(super) fn walk(&self, seed: u64, case: u64) -> Walk {
        let mut rng = Rng::of_case(seed, case);
        let seeds = self.seeds.len() as u64;
        if case < seeds {
            return self.seeds[case as usize].clone();
        }
        if case < 2 * seeds {
            let mut walk = self.seeds[(case - seeds) as usize].clone();
            gather(&mut walk);
            hand_over_everywhere(&mut walk);
            return walk;
        }
        if let Some(walk) = self.in_another_place(case - 2 * seeds) {
            return walk;
        }
        // The longer of two: there is more to it.
        let picked = [rng.pick(&self.seeds), rng.pick(&self.seeds)];
        let mut walk = match picked.into_iter().flatten().max_by_key(|seed| seed.steps.len()) {
            Some(seed) if !rng.one_in(16) => seed.clone(),
            _ => self.invented(&mut rng),
        };
        // Few changes leave more of what the vectors know of the protocol; many go further.
        let most = if rng.one_in(4) { 16 } else { 4 };
        let changes = 1 + rng.below(most);
        for _ in 0..changes {
            self.change(&mut walk, &mut rng);
        }
        if rng.one_in(3) {
            gather(&mut walk);
        }
        self.mend(&mut walk);
        walk
    }

    /// A walk of the vectors up to one of its steps, counted over all of them, which is asked once more at an odd time; a handoff
    /// then, and what time brings. A random change seldom has all of that in a row.
    fn in_another_place(&self, mut step: u64) -> Option<Walk> {
        let seed = self.seeds.iter().find(|seed| {
            let steps = seed.steps.len() as u64;
            let is_there = step < steps;
            step -= if is_there { 0 } else { steps };
            is_there
        })?;
        let mut walk = seed.clone();
        walk.steps.truncate(step as usize + 1);
        let Step { at, ask } = walk.steps.last()?.clone();
        let at = at + ODD_MS;
        walk.steps.extend([ask, Ask::Handoff, Ask::Tick, Ask::Tick].map(|ask| Step { at, ask }));
        Some(walk)
    }

    /// A walk from nothing.
    fn invented(&self, rng: &mut Rng) -> Walk {
        let transport = if rng.one_in(2) { STREAM } else { MESSAGES };
        let mut walk = Walk::new(transport, Vec::new());
        for _ in 0..rng.below(INVENTED_STEPS) {
            let ask = self.ask(rng);
            walk.steps.push(Step { at: 0, ask });
        }
        walk
    }

    /// Anything that can be asked.
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

    /// Changes one thing.
    fn change(&self, walk: &mut Walk, rng: &mut Rng) {
        let at = rng.below(walk.steps.len());
        let now = walk.steps.get(at).map_or(0, |step| step.at);
        let has_room = walk.steps.len() < MAX_STEPS;
        match rng.below(16) {
            0..=6 => self.change_step(walk, at, rng),
            7 if !walk.steps.is_empty() => drop(walk.steps.remove(at)),
            8 if walk.steps.len() > 1 => {
                let other = rng.below(walk.steps.len());
                let (a, b) = (walk.steps[at].ask.clone(), walk.steps[other].ask.clone());
                (walk.steps[at].ask, walk.steps[other].ask) = (b, a);
            }
            9 if has_room && !walk.steps.is_empty() => {
                let step = walk.steps[at].clone();
                let times = if rng.one_in(20) { REPEATS } else { 1 + rng.below(3) };
                walk.steps.splice(at..at, std::iter::repeat_n(step, times));
            }
            10 => {
                let jump = *rng.pick(&[1, 999, 1000, 30_000, 60_001, 3_600_000, 1 << 33]).unwrap_or(&1);
                walk.steps[at..].iter_mut().for_each(|step| step.at += jump);
            }
            11 if has_room => {
                // What another session was asked in the middle of its life.
                if let Some(other) = rng.pick(&self.seeds) {
                    let from = rng.below(other.steps.len());
                    let steps = other.steps[from..].iter().take(1 + rng.below(8)).cloned();
                    walk.steps.splice(at..at, steps);
                }
            }
            12 => {
                if rng.one_in(2) {
                    walk.peer.entropy = std::array::from_fn(|_| rng.byte());
                } else if let Some(other) = rng.pick(&self.seeds) {
                    let Peer { attributes, entropy, .. } = walk.peer.clone();
                    walk.peer = Peer { attributes, entropy, ..other.peer.clone() };
                }
            }
            _ if has_room => walk.steps.insert(at, Step { at: now, ask: self.ask(rng) }),
            _ => {}
        }
    }

    fn change_step(&self, walk: &mut Walk, at: usize, rng: &mut Rng) {
        let Some(step) = walk.steps.get_mut(at) else { return };
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

    /// Makes packets such as the client can send: what breaks the framing would only be left out.
    fn mend(&self, walk: &mut Walk) {
        let joiner = joiner(self.codec, &walk.peer, self.max_packet);
        let mut delimiter = Vec::new();
        let _ = joiner.join(b"", &mut delimiter);
        for step in &mut walk.steps {
            if let Ask::Packets(packets) = &mut step.ask {
                packets.iter_mut().for_each(|packet| mend(packet, &joiner, &delimiter));
            }
        }
    }
}

/// Puts packets that follow each other into one batch, and messages too.
fn gather(walk: &mut Walk) {
    let mut gathered: Vec<Step> = Vec::new();
    for step in walk.steps.drain(..) {
        match (gathered.last_mut().map(|last| &mut last.ask), step.ask) {
            (Some(Ask::Packets(last)), Ask::Packets(packets)) => last.extend(packets),
            (Some(Ask::Messages(last)), Ask::Messages(messages)) => last.extend(messages),
            (_, ask) => gathered.push(Step { at: step.at, ask }),
        }
    }
    walk.steps = gathered;
}

fn hand_over_everywhere(walk: &mut Walk) {
    let handoff = |step: Step| [Step { at: step.at, ask: Ask::Handoff }, step];
    walk.steps = std::mem::take(&mut walk.steps).into_iter().flat_map(handoff).collect();
}
