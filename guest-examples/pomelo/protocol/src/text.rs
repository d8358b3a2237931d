//! The text encoding of Pomelo's JavaScript clients.
//!
//! These clients convert UTF-16 to bytes one unit at a time. They send a character beyond the basic
//! plane, such as an emoji, as two surrogates of 3 bytes each (CESU-8), which is not valid UTF-8.
//! They also misread the 4 bytes that such a character has in UTF-8.
//!
//! So the codec joins surrogates in what it receives. In the JSON that it sends, it writes an
//! escape such as `\uD83D\uDE00`, which every JSON parser reads in the same way.

use std::borrow::Cow;

/// The first byte of U+D000 to U+DFFF. It begins a surrogate if the second byte is at least 0xA0.
const SURROGATE_LEAD: u8 = 0xed;

/// The lowest first byte of a character of 4 bytes.
const FOUR_BYTE_LEAD: u8 = 0xf0;

/// U+FFFD in UTF-8. It has as many bytes as the unpaired surrogate that it replaces.
const REPLACEMENT: [u8; 3] = [0xef, 0xbf, 0xbd];

/// Returns `bytes` with each surrogate pair in UTF-8 and each unpaired surrogate as U+FFFD. Leaves
/// other invalid bytes unchanged. Allocates only if there is a surrogate.
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

/// Returns the position of the first surrogate.
fn find_surrogate(bytes: &[u8]) -> Option<usize> {
    memchr::memchr_iter(SURROGATE_LEAD, bytes).find(|&at| surrogate(&bytes[at..]).is_some())
}

/// Returns the surrogate that `bytes` begins with, if there is one.
fn surrogate(bytes: &[u8]) -> Option<u32> {
    match *bytes {
        [SURROGATE_LEAD, second @ 0xa0..=0xbf, third @ 0x80..=0xbf, ..] => {
            Some(0xd000 | u32::from(second & 0x3f) << 6 | u32::from(third & 0x3f))
        }
        _ => None,
    }
}

/// Appends the JSON text `json`, with each character of 4 bytes as two `\u` escapes. Valid JSON has
/// such a character only in a string, where the escapes have the same meaning.
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
            // Not UTF-8. The bytes are sent as the application wrote them.
            None => {
                out.push(rest[0]);
                rest = &rest[1..];
            }
        }
    }
    out.extend_from_slice(rest);
}

/// Returns the position of the first byte that is at least 0xF0: the first byte of a character of 4
/// bytes.
///
/// Every body is searched, and hardly any has such a byte. So the search tests whole blocks first,
/// which the compiler turns into vector instructions.
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
    // Neither serializing a string nor writing to memory can fail.
    let _ = serde_json::to_writer(out, text);
}

/// Returns `text` as a JSON string.
pub(crate) fn quoted(text: &str) -> String {
    // Neither serializing a string nor writing to memory can fail.
    serde_json::to_string(text).unwrap_or_default()
}
