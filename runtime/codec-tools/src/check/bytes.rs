//! Bytes that nobody wrote: known ones with something changed, and others made up.

use super::rng::Rng;

/// Bytes at which lengths, counts and flags turn over.
const TURNS: &[u8] = &[0, 1, 2, 0x7f, 0x80, 0x81, 0xfe, 0xff];

/// What text protocols and JSON are made of, and what they stumble over.
const TEXTS: &[&str] = &[
    "{}",
    "[]",
    "null",
    "\"\"",
    "{\"a\":",
    "[[[[[[[[",
    "0",
    "-1",
    "1e999",
    "4294967296",
    "18446744073709551616",
    " ",
    "\t",
    "\r",
    "\n",
    "\r\n",
    "\\",
    "\"",
    "\\u0000",
    "\\ud800",
    "é",
    "😀",
    "\u{2028}",
    ":",
    "#",
    "*",
    "$",
    "+",
    "/",
    "%00",
    "../",
    "a.b.c",
];

/// One change in so many makes something as long as it may be.
const HUGE: usize = 48;

/// What the vectors know: parts to make others of.
#[derive(Default)]
pub(super) struct Corpus {
    pub(super) max_packet: usize,
    pub(super) packets: Vec<Vec<u8>>,
    pub(super) bodies: Vec<Vec<u8>>,
    pub(super) routes: Vec<String>,
}

impl Corpus {
    pub(super) fn packet(&self, rng: &mut Rng) -> Vec<u8> {
        self.part(&self.packets, rng)
    }

    pub(super) fn body(&self, rng: &mut Rng) -> Vec<u8> {
        if rng.one_in(4) {
            return rng.pick(TEXTS).map_or_else(Vec::new, |text| text.as_bytes().to_vec());
        }
        self.part(&self.bodies, rng)
    }

    pub(super) fn route(&self, rng: &mut Rng) -> String {
        match rng.below(8) {
            0 => String::new(),
            1 => "r".repeat(1 + rng.below(600)),
            2 => String::from_utf8_lossy(&invented(rng, 64)).into_owned(),
            3 => rng.pick(TEXTS).map_or_else(String::new, |text| (*text).to_owned()),
            _ => rng.pick(&self.routes).cloned().unwrap_or_else(|| "onEvent".to_owned()),
        }
    }

    fn part(&self, known: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
        match rng.pick(known) {
            Some(part) if !rng.one_in(4) => {
                let mut part = part.clone();
                if rng.one_in(2) {
                    mutated(&mut part, known, self.max_packet, rng);
                }
                part
            }
            _ => invented(rng, self.max_packet),
        }
    }
}

/// Bytes from nothing: mostly few.
pub(super) fn invented(rng: &mut Rng, max: usize) -> Vec<u8> {
    let length = match rng.below(HUGE) {
        0 => max,
        1..=4 => rng.below(max.min(4096)),
        _ => rng.below(40),
    };
    match rng.below(4) {
        0 => (0..length).map(|_| rng.byte()).collect(),
        1 => vec![rng.byte(); length],
        2 => (0..length).map(|_| b' ' + rng.byte() % 95).collect(),
        _ => {
            let mut text = Vec::new();
            while text.len() < length {
                text.extend_from_slice(rng.pick(TEXTS).map_or(b"", |text| text.as_bytes()));
            }
            text.truncate(length);
            text
        }
    }
}

/// Changes one thing. It stays within `max` bytes if it was.
pub(super) fn mutated(bytes: &mut Vec<u8>, others: &[Vec<u8>], max: usize, rng: &mut Rng) {
    let length = bytes.len();
    let at = rng.below(length);
    match rng.below(14) {
        0 | 1 if length > 0 => bytes[at] ^= 1 << rng.below(8),
        2 | 3 if length > 0 => bytes[at] = *rng.pick(TURNS).unwrap_or(&0),
        4 if length > 0 => bytes[at] = bytes[at].wrapping_add(if rng.one_in(2) { 1 } else { 0xff }),
        5 | 6 => bytes.truncate(at),
        7 => bytes.extend((0..=rng.below(8)).map(|_| rng.byte())),
        8 => drop(bytes.drain(at..length.min(at + 1 + rng.below(8)))),
        9 => {
            let part = bytes[at..length.min(at + 1 + rng.below(16))].to_vec();
            bytes.splice(at..at, part);
        }
        10 => {
            if let Some(other) = rng.pick(others) {
                let from = rng.below(other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
        }
        11 => {
            if let Some(text) = rng.pick(TEXTS) {
                bytes.splice(at..at, text.bytes());
            }
        }
        12 if length > 0 => {
            // A number of several bytes, as lengths are, or of digits, as texts have them.
            let end = length.min(at + 1 + rng.below(4));
            let value = if bytes[at].is_ascii_digit() { b'9' } else { *rng.pick(TURNS).unwrap_or(&0) };
            bytes[at..end].fill(value);
        }
        _ if rng.one_in(HUGE / 8) && length > 0 => {
            // As long as may be, by one byte, by a part that may be an element of a list, or by all
            // of it again.
            let room = max.saturating_sub(length);
            let (from, to) = match rng.below(3) {
                0 => (at, at + 1),
                1 => (at, length.min(at + 2 + rng.below(24))),
                _ => (0, length),
            };
            let again: Vec<u8> = bytes[from..to].iter().copied().cycle().take(room).collect();
            bytes.splice(to..to, again);
        }
        _ => bytes.splice(at..at, [rng.byte()]).for_each(drop),
    }
    bytes.truncate(max.max(length));
}
