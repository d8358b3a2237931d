//! Makes a walk that shows a failure as small as it can be.

use std::ops::Range;

use super::walk::{Ask, Message, Step, Walk, peer};
use crate::codec::Peer;
use crate::codec::vectors::TRANSPORT;

/// The entropy that vectors have.
const ZEROS: [u8; 32] = [0; 32];

/// Bytes of a field that are made simpler one by one; a longer one would use up all tries.
const SIMPLIFIED: usize = 128;

/// Shrinks step by step, by so many tries at most: `fails` gives a walk back, less what was not played of it, if it fails as the first did.
pub(super) fn shrunk(walk: Walk, tries: usize, fails: &mut dyn FnMut(&Walk) -> Option<Walk>) -> Walk {
    let mut shrinker = Shrinker { walk, tries, fails };
    loop {
        let before = shrinker.tries;
        let found = shrinker.round();
        if !found || shrinker.tries == 0 || before == shrinker.tries {
            return shrinker.walk;
        }
    }
}

struct Shrinker<'a> {
    /// The smallest so far.
    walk: Walk,
    tries: usize,
    fails: &'a mut dyn FnMut(&Walk) -> Option<Walk>,
}

impl Shrinker<'_> {
    /// Tries everything once. False: nothing made it smaller.
    fn round(&mut self) -> bool {
        let mut found = self.thin(|walk| walk.steps.len(), |walk, range| drop(walk.steps.drain(range)));
        for step in (0..self.walk.steps.len()).rev() {
            found |= self.thin(
                |walk| walk.steps.get(step).map_or(0, |step| items(&step.ask)),
                |walk, range| take_items(&mut walk.steps[step].ask, range),
            );
        }
        let mut field = 0;
        while field < fields(&mut self.walk).len() {
            found |= self.thin(
                |walk| fields(&mut walk.clone()).get(field).map_or(0, |field| field.get().len()),
                |walk, range| {
                    edit(walk, field, |bytes| drop(bytes.drain(range)));
                },
            );
            found |= self.shorten(field);
            found |= self.simplify(field);
            field += 1;
        }
        found | self.split() | self.push() | self.settle()
    }

    /// Takes out as many of the items as can be: halves first, single ones at last, from the end to the front.
    fn thin(&mut self, count: impl Fn(&Walk) -> usize, take: impl Fn(&mut Walk, Range<usize>)) -> bool {
        let mut found = false;
        let mut chunk = count(&self.walk);
        while chunk > 0 {
            let mut end = count(&self.walk);
            while end > 0 {
                let start = end.saturating_sub(chunk);
                if self.attempt(|walk| take(walk, start..end)) {
                    found = true;
                }
                // What was not played is gone as well.
                end = start.min(count(&self.walk));
            }
            chunk /= 2;
        }
        found
    }

    /// Takes bytes out behind one that may be their count, and makes it so much less.
    fn shorten(&mut self, field: usize) -> bool {
        let mut found = false;
        for at in 0..SIMPLIFIED {
            let Some((count, behind)) = fields(&mut self.walk).get(field).and_then(|field| {
                let count = field.get().get(at)?;
                Some((usize::from(*count), field.get().len() - at - 1))
            }) else {
                break;
            };
            let mut less = count.min(behind);
            while less > 0 {
                let shortened = self.attempt(|walk| {
                    edit(walk, field, |bytes| {
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

    /// Makes bytes zeros, or what is no text; and letters and digits the first of their kind.
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
            let Some(byte) = fields(&mut self.walk).get(field).and_then(|field| field.get().get(at).copied())
            else {
                break;
            };
            found |= simple(byte)
                .iter()
                .any(|simple| self.attempt(|walk| edit(walk, field, |bytes| bytes[at] = *simple)));
        }
        found
    }

    /// Makes batches single steps, which is how vectors have them.
    fn split(&mut self) -> bool {
        let mut found = false;
        for index in (0..self.walk.steps.len()).rev() {
            let Some(step) = self.walk.steps.get(index).cloned() else { continue };
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
            found |= self.attempt(|walk| drop(walk.steps.splice(index..=index, steps)));
        }
        found
    }

    /// Makes responses pushes, which need no request.
    fn push(&mut self) -> bool {
        let mut found = false;
        for index in 0..self.walk.steps.len() {
            let is_response = |message: &Message| message.id.is_some();
            let Some(Step { ask: Ask::Messages(messages), .. }) = self.walk.steps.get(index) else {
                continue;
            };
            if !messages.iter().any(is_response) {
                continue;
            }
            found |= self.attempt(|walk| {
                if let Ask::Messages(messages) = &mut walk.steps[index].ask {
                    messages.iter_mut().for_each(|message| (message.id, message.status) = (None, 200));
                }
            });
        }
        found
    }

    /// Makes the client a usual one, and takes out the time that passes.
    fn settle(&mut self) -> bool {
        let mut found = false;
        if !self.walk.peer.attributes.is_empty() {
            found |= self.attempt(|walk| walk.peer.attributes.clear());
        }
        if self.walk.peer.entropy != ZEROS {
            found |= self.attempt(|walk| walk.peer.entropy = ZEROS);
        }
        if self.walk.peer.transport != TRANSPORT {
            found |= self.attempt(|walk| walk.peer = Peer { entropy: walk.peer.entropy, ..peer(TRANSPORT) });
        }
        for index in 0..self.walk.steps.len() {
            let before = index.checked_sub(1).map_or(0, |before| self.walk.steps[before].at);
            if self.walk.steps.get(index).is_some_and(|step| step.at > before) {
                found |= self.attempt(|walk| walk.steps[index].at = before);
            }
        }
        found
    }

    /// Whether the walk still fails when it is changed so. If it does, it is the smallest.
    fn attempt(&mut self, change: impl FnOnce(&mut Walk)) -> bool {
        if self.tries == 0 {
            return false;
        }
        self.tries -= 1;
        let mut walk = self.walk.clone();
        change(&mut walk);
        match (self.fails)(&walk) {
            // What is played may be what it was before.
            Some(walk) if !is_same(&walk, &self.walk) => {
                self.walk = walk;
                true
            }
            _ => false,
        }
    }
}

fn is_same(one: &Walk, other: &Walk) -> bool {
    let peer = |walk: &Walk| (walk.peer.transport.clone(), walk.peer.attributes.len(), walk.peer.entropy);
    one.steps == other.steps && peer(one) == peer(other)
}

/// How many packets or messages there are in a step.
fn items(ask: &Ask) -> usize {
    match ask {
        Ask::Packets(packets) => packets.len(),
        Ask::Messages(messages) => messages.len(),
        Ask::Answer { .. } | Ask::Tick | Ask::Farewell(_) | Ask::Handoff => 0,
    }
}

fn take_items(ask: &mut Ask, range: Range<usize>) {
    match ask {
        Ask::Packets(packets) => drop(packets.drain(range)),
        Ask::Messages(messages) => drop(messages.drain(range)),
        Ask::Answer { .. } | Ask::Tick | Ask::Farewell(_) | Ask::Handoff => {}
    }
}

/// What has a length in a walk.
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

fn fields(walk: &mut Walk) -> Vec<Field<'_>> {
    let mut fields = Vec::new();
    for Step { ask, .. } in &mut walk.steps {
        match ask {
            Ask::Packets(packets) => fields.extend(packets.iter_mut().map(Field::Bytes)),
            Ask::Messages(messages) => {
                for message in messages {
                    fields.push(Field::Text(&mut message.route));
                    fields.push(Field::Bytes(&mut message.body));
                }
            }
            Ask::Answer { body, .. } => fields.push(Field::Bytes(body)),
            Ask::Farewell(reason) => fields.push(Field::Text(reason)),
            Ask::Tick | Ask::Handoff => {}
        }
    }
    fields
}

/// Changes a field. A text that would be none any more stays as it is.
fn edit(walk: &mut Walk, field: usize, change: impl FnOnce(&mut Vec<u8>)) {
    match fields(walk).into_iter().nth(field) {
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
