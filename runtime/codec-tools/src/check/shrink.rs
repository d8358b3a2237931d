//! Makes a failing case as small as possible.

use std::ops::Range;

use super::case::{Ask, Case, Message, Step, peer};
use wireplug_core::codec::{Peer, Role};

/// The random seed of sessions in vectors.
const ZEROS: [u8; 32] = [0; 32];

/// The number of bytes of a field that are simplified one by one. A longer field would use up all
/// tries.
const SIMPLIFIED: usize = 128;

/// Shrinks a case step by step, with at most `tries` tries. `plain` is the transport of the
/// simplest client. `fails` runs a case. If the case fails in the same way as the first, `fails`
/// returns the part of it that was run.
pub(super) fn shrunk(
    case: Case,
    plain: &'static str,
    tries: usize,
    fails: &mut dyn FnMut(&Case) -> Option<Case>,
) -> Case {
    let mut shrinker = Shrinker { case, plain, tries, fails };
    loop {
        let before = shrinker.tries;
        let found = shrinker.round();
        if !found || shrinker.tries == 0 || before == shrinker.tries {
            return shrinker.case;
        }
    }
}

struct Shrinker<'a> {
    /// The smallest case so far.
    case: Case,
    /// The transport of the simplest client.
    plain: &'static str,
    tries: usize,
    fails: &'a mut dyn FnMut(&Case) -> Option<Case>,
}

impl Shrinker<'_> {
    /// Tries every change once. Returns false if none made the case smaller.
    fn round(&mut self) -> bool {
        let mut found = self.thin(|case| case.steps.len(), |case, range| drop(case.steps.drain(range)));
        for step in (0..self.case.steps.len()).rev() {
            found |= self.thin(
                |case| case.steps.get(step).map_or(0, |step| items(&step.ask)),
                |case, range| take_items(&mut case.steps[step].ask, range),
            );
        }
        let mut field = 0;
        while field < fields(&mut self.case).len() {
            found |= self.thin(
                |case| fields(&mut case.clone()).get(field).map_or(0, |field| field.get().len()),
                |case, range| {
                    edit(case, field, |bytes| drop(bytes.drain(range)));
                },
            );
            found |= self.shorten(field);
            found |= self.simplify(field);
            field += 1;
        }
        found | self.split() | self.notify() | self.settle()
    }

    /// Removes as many of the items as possible: half of them first, single ones last, from the end
    /// to the front.
    fn thin(&mut self, count: impl Fn(&Case) -> usize, take: impl Fn(&mut Case, Range<usize>)) -> bool {
        let mut found = false;
        let mut chunk = count(&self.case);
        while chunk > 0 {
            let mut end = count(&self.case);
            while end > 0 {
                let start = end.saturating_sub(chunk);
                if self.attempt(|case| take(case, start..end)) {
                    found = true;
                }
                // Items that did not run are removed too.
                end = start.min(count(&self.case));
            }
            chunk /= 2;
        }
        found
    }

    /// Removes bytes after a byte that may be their count, and reduces the count by the same
    /// number.
    fn shorten(&mut self, field: usize) -> bool {
        let mut found = false;
        for at in 0..SIMPLIFIED {
            let Some((count, behind)) = fields(&mut self.case).get(field).and_then(|field| {
                let count = field.get().get(at)?;
                Some((usize::from(*count), field.get().len() - at - 1))
            }) else {
                break;
            };
            let mut less = count.min(behind);
            while less > 0 {
                let shortened = self.attempt(|case| {
                    edit(case, field, |bytes| {
                        bytes[at] -= less as u8;
                        bytes.drain(at + 1..at + 1 + less);
                    });
                });
                found |= shortened;
                less = if shortened { 0 } else { less / 2 };
            }
        }
        found
    }

    /// Replaces bytes with zeros or invalid UTF-8, letters with `a`, and digits with `0`.
    fn simplify(&mut self, field: usize) -> bool {
        let simple = |byte: u8| -> &[u8] {
            match byte {
                b'1'..=b'9' => b"0",
                b'b'..=b'z' | b'A'..=b'Z' => b"a",
                0 | b'0' | b'a' | 0x80 => b"",
                b' '..=b'~' => b"\0",
                _ => b"\0\x80",
            }
        };
        let mut found = false;
        for at in 0..SIMPLIFIED {
            let Some(byte) = fields(&mut self.case).get(field).and_then(|field| field.get().get(at).copied())
            else {
                break;
            };
            found |= simple(byte)
                .iter()
                .any(|simple| self.attempt(|case| edit(case, field, |bytes| bytes[at] = *simple)));
        }
        found
    }

    /// Splits batches into single steps, because vectors have no batches.
    fn split(&mut self) -> bool {
        let mut found = false;
        for index in (0..self.case.steps.len()).rev() {
            let Some(step) = self.case.steps.get(index).cloned() else { continue };
            let single: Vec<Ask> = match step.ask {
                Ask::Packets(packets) if packets.len() > 1 => {
                    packets.into_iter().map(|packet| Ask::Packets(vec![packet])).collect()
                }
                Ask::Messages(messages) if messages.len() > 1 => {
                    messages.into_iter().map(|message| Ask::Messages(vec![message])).collect()
                }
                _ => continue,
            };
            let steps = single.into_iter().map(|ask| Step { at: step.at, ask });
            found |= self.attempt(|case| drop(case.steps.splice(index..=index, steps)));
        }
        found
    }

    /// Turns requests and responses into notices, which need no other message.
    fn notify(&mut self) -> bool {
        let mut found = false;
        for index in 0..self.case.steps.len() {
            let is_notice = |message: &Message| message.role == Role::Notice;
            let Some(Step { ask: Ask::Messages(messages), .. }) = self.case.steps.get(index) else {
                continue;
            };
            if messages.iter().all(is_notice) {
                continue;
            }
            found |= self.attempt(|case| {
                if let Ask::Messages(messages) = &mut case.steps[index].ask {
                    let notice = |Message { route, body, .. }| Message::notice(route, body);
                    *messages = std::mem::take(messages).into_iter().map(notice).collect();
                }
            });
        }
        found
    }

    /// Replaces the client with the simplest one, and removes the time between steps.
    fn settle(&mut self) -> bool {
        let mut found = false;
        if !self.case.peer.attributes.is_empty() {
            found |= self.attempt(|case| case.peer.attributes.clear());
        }
        if self.case.peer.random_seed != ZEROS {
            found |= self.attempt(|case| case.peer.random_seed = ZEROS);
        }
        let plain = self.plain;
        if self.case.peer.transport != plain {
            found |= self.attempt(|case| {
                case.peer = Peer { random_seed: case.peer.random_seed, ..peer(plain) };
            });
        }
        for index in 0..self.case.steps.len() {
            let before = index.checked_sub(1).map_or(0, |before| self.case.steps[before].at);
            if self.case.steps.get(index).is_some_and(|step| step.at > before) {
                found |= self.attempt(|case| case.steps[index].at = before);
            }
        }
        found
    }

    /// Returns whether the case still fails after this change. If it does, it becomes the smallest
    /// case.
    fn attempt(&mut self, change: impl FnOnce(&mut Case)) -> bool {
        if self.tries == 0 {
            return false;
        }
        self.tries -= 1;
        let mut case = self.case.clone();
        change(&mut case);
        match (self.fails)(&case) {
            // The part that ran may be the same case as before.
            Some(case) if !is_same(&case, &self.case) => {
                self.case = case;
                true
            }
            _ => false,
        }
    }
}

fn is_same(one: &Case, other: &Case) -> bool {
    let peer = |case: &Case| (case.peer.transport.clone(), case.peer.attributes.len(), case.peer.random_seed);
    one.steps == other.steps && peer(one) == peer(other)
}

/// Returns the number of packets or messages in a step.
fn items(ask: &Ask) -> usize {
    match ask {
        Ask::Packets(packets) => packets.len(),
        Ask::Messages(messages) => messages.len(),
        _ => 0,
    }
}

fn take_items(ask: &mut Ask, range: Range<usize>) {
    match ask {
        Ask::Packets(packets) => drop(packets.drain(range)),
        Ask::Messages(messages) => drop(messages.drain(range)),
        _ => {}
    }
}

/// A part of a case that has a length.
enum Field<'a> {
    Bytes(&'a mut Vec<u8>),
    Text(&'a mut String),
}

impl Field<'_> {
    fn get(&self) -> &[u8] {
        match self {
            Field::Bytes(bytes) => bytes,
            Field::Text(text) => text.as_bytes(),
        }
    }
}

fn fields(case: &mut Case) -> Vec<Field<'_>> {
    let mut fields = Vec::new();
    for Step { ask, .. } in &mut case.steps {
        match ask {
            Ask::Packets(packets) => fields.extend(packets.iter_mut().map(Field::Bytes)),
            Ask::Messages(messages) => {
                for message in messages {
                    fields.push(Field::Text(&mut message.route));
                    fields.push(Field::Bytes(&mut message.body));
                }
            }
            Ask::Stream(bytes) | Ask::Answer { body: bytes, .. } => fields.push(Field::Bytes(bytes)),
            Ask::Farewell { reason, .. } => fields.push(Field::Text(reason)),
            Ask::Secured(_) | Ask::Abandon(_) | Ask::Tick | Ask::Handoff => {}
        }
    }
    fields
}

/// Changes a field. A text stays as it is if the change would make it invalid UTF-8.
fn edit(case: &mut Case, field: usize, change: impl FnOnce(&mut Vec<u8>)) {
    match fields(case).into_iter().nth(field) {
        Some(Field::Bytes(bytes)) => change(bytes),
        Some(Field::Text(text)) => {
            let mut bytes = text.clone().into_bytes();
            change(&mut bytes);
            if let Ok(changed) = String::from_utf8(bytes) {
                *text = changed;
            }
        }
        None => {}
    }
}
