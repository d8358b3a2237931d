//! Text that JavaScript clients write and read in a way of their own.
//!
//! Pomelo's JavaScript clients make UTF-8 of UTF-16 unit by unit. What lies beyond the basic plane, such as
//! an emoji, comes from them as two surrogates of three bytes each (CESU-8), which is no valid UTF-8; and
//! they misread the four bytes that it takes in UTF-8. So surrogates are joined on the way in, and on the way
//! out JSON text says `\uD83D\uDE00`, which every JSON parser reads alike.

use std::borrow::Cow;

/// The first byte of U+D000 to U+DFFF, of which a second byte from 0xA0 on makes a surrogate.
const SURROGATE_LEAD: u8 = 0xed;

/// The least first byte of a character of four bytes.
const FOUR_BYTE_LEAD: u8 = 0xf0;

/// U+FFFD in UTF-8. It takes as many bytes as the lone surrogate that it stands for.
const REPLACEMENT: [u8; 3] = [0xef, 0xbf, 0xbd];

/// `bytes` with its surrogate pairs as UTF-8 and its lone surrogates as U+FFFD. Other faults stay as they
/// are. Allocates only where there is a surrogate.
pub(crate) fn repair(bytes: &[u8]) -> Cow<'_, [u8]> {
    let Some(first) = find_surrogate(bytes) else {
        return Cow::Borrowed(bytes);
    };
    let mut repaired = Vec::with_capacity(bytes.len());
    let (mut done, mut next) = (0, Some(first));
    while let Some(at) = next {
        repaired.extend_from_slice(&bytes[done..at]);
        let high = surrogate(&bytes[at..]);
        let low = bytes.get(at + 3..).and_then(surrogate);
        done = at + 3;
        match (high, low) {
            (Some(high @ 0xd800..0xdc00), Some(low @ 0xdc00..)) => {
                let unit = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                let joined = char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER);
                repaired.extend_from_slice(joined.encode_utf8(&mut [0; 4]).as_bytes());
                done += 3;
            }
            _ => repaired.extend_from_slice(&REPLACEMENT),
        }
        next = find_surrogate(&bytes[done..]).map(|offset| done + offset);
    }
    repaired.extend_from_slice(&bytes[done..]);
    Cow::Owned(repaired)
}

/// Where the first surrogate stands.
fn find_surrogate(bytes: &[u8]) -> Option<usize> {
    memchr::memchr_iter(SURROGATE_LEAD, bytes).find(|&at| surrogate(&bytes[at..]).is_some())
}

/// The surrogate that `bytes` begins with.
fn surrogate(bytes: &[u8]) -> Option<u32> {
    match *bytes {
        [SURROGATE_LEAD, second @ 0xa0..=0xbf, third @ 0x80..=0xbf, ..] => {
            Some(0xd000 | u32::from(second & 0x3f) << 6 | u32::from(third & 0x3f))
        }
        _ => None,
    }
}

/// Appends the JSON text `json`, with each character of four bytes as two `\u` escapes. Such a character can
/// only stand inside a JSON string, where the escapes mean the same.
pub(crate) fn escape(json: &[u8], out: &mut Vec<u8>) {
    let mut rest = json;
    while let Some(at) = find_four_byte_lead(rest) {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        let character = rest.first_chunk::<4>().and_then(|four| str::from_utf8(four).ok()?.chars().next());
        match character {
            Some(character) => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    out.extend_from_slice(b"\\u");
                    out.extend(
                        [12, 8, 4, 0].map(|shift| b"0123456789abcdef"[usize::from(*unit >> shift & 15)]),
                    );
                }
                rest = &rest[4..];
            }
            // Not UTF-8. Whoever wrote it shall see it as it was.
            None => {
                out.push(rest[0]);
                rest = &rest[1..];
            }
        }
    }
    out.extend_from_slice(rest);
}

/// Where the first byte from 0xF0 on stands: the first byte of a character of four.
///
/// Nearly no body has one, and every body is searched: so by blocks first, of which the compiler makes vectors.
fn find_four_byte_lead(bytes: &[u8]) -> Option<usize> {
    let (blocks, _) = bytes.as_chunks::<64>();
    let clean = blocks.iter().take_while(|block| !has_four_byte_lead(block)).count() * 64;
    let (words, _) = bytes[clean..].as_chunks::<8>();
    let clean = clean + words.iter().take_while(|word| !has_four_byte_lead(word)).count() * 8;
    bytes[clean..].iter().position(|&byte| byte >= FOUR_BYTE_LEAD).map(|offset| clean + offset)
}

fn has_four_byte_lead<const N: usize>(bytes: &[u8; N]) -> bool {
    bytes.iter().fold(0, |top: u8, &byte| top.max(byte)) >= FOUR_BYTE_LEAD
}

/// Appends `text` as a JSON string.
pub(crate) fn quote(text: &str, out: &mut Vec<u8>) {
    // A string has no key to be refused and memory no error to give.
    let _ = serde_json::to_writer(out, text);
}

/// `text` as a JSON string.
pub(crate) fn quoted(text: &str) -> String {
    // A string has no key to be refused and memory no error to give.
    serde_json::to_string(text).unwrap_or_default()
}
