//! Generated cases: those of the vectors with changes, and some random ones.

use super::bytes::{Corpus, invented, mutated};
use super::case::{Ask, Case, Message, STREAM, Step};
use super::rng::Rng;
use super::wire::{Wire, transports};
use wireplug_core::codec::{Cause, Codec, MessageRef, Peer, Role};

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

/// The roles of messages, in the proportion in which they are generated.
const ROLES: &[Role] = &[Role::Notice, Role::Response, Role::Response];

/// The same for a codec whose application may send requests to the client.
const ROLES_WITH_REQUESTS: &[Role] = &[Role::Notice, Role::Response, Role::Response, Role::Request];

/// The statuses of responses, in the proportion in which they are generated: those that
/// applications use, and the ends of the range.
const STATUSES: &[u16] = &[200, 200, 200, 404, 500, 100, 599];

/// The source of cases.
pub(super) struct Source<'a> {
    codec: &'a dyn Codec,
    max_packet: usize,
    /// The transports of clients that the runtime accepts.
    transports: Vec<&'static str>,
    roles: &'static [Role],
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
                Ask::Stream(bytes) => corpus.packets.push(bytes.clone()),
                Ask::Answer { body, .. } => corpus.bodies.push(body.clone()),
                Ask::Secured(_) | Ask::Abandon(_) | Ask::Tick | Ask::Farewell { .. } | Ask::Handoff => {}
            }
        }
        let roles = if codec.description().client_requests > 0 { ROLES_WITH_REQUESTS } else { ROLES };
        Self { codec, max_packet, transports: transports(codec), roles, seeds, corpus }
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
        let transport = rng.pick(&self.transports).unwrap_or(&STREAM);
        let mut case = Case::new(transport, Vec::new());
        for _ in 0..rng.below(INVENTED_STEPS) {
            let ask = self.ask(rng);
            case.steps.push(Step { at: 0, ask });
        }
        case
    }

    /// Returns a random call.
    fn ask(&self, rng: &mut Rng) -> Ask {
        let abilities = self.codec.abilities();
        if abilities.requests && rng.one_in(12) {
            return Ask::Abandon(rng.next());
        }
        if abilities.tls_upgrade && rng.one_in(12) {
            return Ask::Secured(Vec::new());
        }
        match rng.below(12) {
            0..=3 => Ask::Packets((0..=rng.below(3)).map(|_| self.corpus.packet(rng)).collect()),
            4 | 5 => Ask::Messages((0..=rng.below(3)).map(|_| self.message(rng)).collect()),
            6 => Ask::Messages(vec![Message::notice(self.corpus.route(rng), self.corpus.body(rng))]),
            7 => {
                let status = if rng.one_in(2) { 200 } else { rng.next() as u16 };
                Ask::Answer { status, body: self.corpus.body(rng) }
            }
            8 | 9 => Ask::Tick,
            10 => Ask::Handoff,
            _ if rng.one_in(4) => {
                let reason = String::from_utf8_lossy(&invented(rng, self.max_packet)).into_owned();
                Ask::Farewell { cause: any_cause(rng), reason }
            }
            _ => Ask::Handoff,
        }
    }

    /// Returns a message of any role. The harness gives it an id and a status that its role may
    /// have.
    fn message(&self, rng: &mut Rng) -> Message {
        let (role, id) = self.role(rng);
        let status = any_status(rng);
        Message { role, id, status, route: self.corpus.route(rng), body: self.corpus.body(rng) }
    }

    /// Returns the role of a message, and the id of a response. The harness counts the ids of
    /// requests.
    fn role(&self, rng: &mut Rng) -> (Role, u64) {
        let role = *rng.pick(self.roles).unwrap_or(&Role::Notice);
        (role, if role == Role::Response { rng.next() } else { 0 })
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
                    case.peer.random_seed = std::array::from_fn(|_| rng.byte());
                } else if let Some(other) = rng.pick(&self.seeds) {
                    let Peer { attributes, random_seed, .. } = case.peer.clone();
                    case.peer = Peer { attributes, random_seed, ..other.peer.clone() };
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
            Ask::Stream(bytes) => mutated(bytes, &self.corpus.packets, self.max_packet, rng),
            Ask::Messages(messages) => {
                let index = rng.below(messages.len());
                match rng.below(8) {
                    0 => messages.insert(index, self.message(rng)),
                    1 => messages[index].route = self.corpus.route(rng),
                    2 => messages[index].status = any_status(rng),
                    3 => (messages[index].role, messages[index].id) = self.role(rng),
                    _ => mutated(&mut messages[index].body, &self.corpus.bodies, self.max_packet, rng),
                }
            }
            Ask::Answer { status, .. } if rng.one_in(2) => *status = rng.next() as u16,
            Ask::Answer { body, .. } => mutated(body, &self.corpus.bodies, self.max_packet, rng),
            Ask::Farewell { cause, .. } if rng.one_in(2) => *cause = any_cause(rng),
            ask @ (Ask::Secured(_) | Ask::Abandon(_) | Ask::Tick | Ask::Farewell { .. } | Ask::Handoff) => {
                *ask = self.ask(rng)
            }
        }
    }

    /// Changes packets so that the client can send them. Packets that break the framing would only
    /// be left out.
    fn mend(&self, case: &mut Case) {
        let wire = Wire::new(self.codec, &case.peer, self.max_packet);
        for step in &mut case.steps {
            match &mut step.ask {
                Ask::Packets(packets) => packets.iter_mut().for_each(|packet| wire.mend(packet)),
                Ask::Stream(bytes) => wire.mend(bytes),
                _ => {}
            }
        }
    }
}

fn any_cause(rng: &mut Rng) -> Cause {
    *rng.pick(&Cause::ALL).unwrap_or(&Cause::Kicked)
}

/// Returns the status of a response.
fn any_status(rng: &mut Rng) -> u16 {
    if rng.one_in(4) {
        return 100 + rng.below(500) as u16;
    }
    *rng.pick(STATUSES).unwrap_or(&MessageRef::OK)
}

/// Joins consecutive packets into one batch, and consecutive bytes of a stream and messages too.
fn gather(case: &mut Case) {
    let mut gathered: Vec<Step> = Vec::new();
    for step in case.steps.drain(..) {
        match (gathered.last_mut().map(|last| &mut last.ask), step.ask) {
            (Some(Ask::Packets(last)), Ask::Packets(packets)) => last.extend(packets),
            (Some(Ask::Stream(last)), Ask::Stream(bytes)) => last.extend(bytes),
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
