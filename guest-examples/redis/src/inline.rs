//! Splits a command that a person has typed: words between white space, with quotes as in Redis.
//!
//! | in the line | meaning |
//! |---|---|
//! | `"a b"` | one word; `\n`, `\r`, `\t`, `\b`, `\a` and `\x0A` stand for bytes, and `\` before any other byte for that byte |
//! | `'a b'` | one word; `\'` stands for a quote |

use crate::command::Mistake;
use crate::write;

/// Returns the command in the form of an array, as other clients send it.
pub(crate) fn to_array(line: &[u8]) -> Result<Vec<u8>, Mistake> {
    let mut rest = line;
    let mut arguments = Vec::with_capacity(line.len());
    let mut count = 0;
    loop {
        rest = rest.trim_ascii_start();
        if rest.is_empty() {
            break;
        }
        let (word, behind) = word(rest)?;
        write::bulk(&mut arguments, &word);
        count += 1;
        rest = behind;
    }
    let mut command = Vec::with_capacity(arguments.len() + 8);
    write::head(&mut command, b'*', count);
    command.extend(arguments);
    Ok(command)
}

/// Reads the word at the front, which is not white space. A quote may begin in the middle of a
/// word, and ends it.
fn word(line: &[u8]) -> Result<(Vec<u8>, &[u8]), Mistake> {
    let mut word = Vec::new();
    let mut rest = line;
    while let Some((&byte, behind)) = rest.split_first() {
        match byte {
            b'"' | b'\'' => {
                rest = if byte == b'"' { double(behind, &mut word) } else { single(behind, &mut word) }
                    .ok_or(Mistake::Quotes)?;
                if rest.first().is_some_and(|next| !next.is_ascii_whitespace()) {
                    return Err(Mistake::Quotes);
                }
                break;
            }
            _ if byte.is_ascii_whitespace() => break,
            _ => word.push(byte),
        }
        rest = behind;
    }
    Ok((word, rest))
}

/// Adds the text up to the closing quote. Returns what is behind the quote, or `None` if there is
/// no quote.
fn double<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (byte, behind) = match *rest {
            [b'"', ref behind @ ..] => return Some(behind),
            [b'\\', b'x', high, low, ref behind @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                (digit(high) << 4 | digit(low), behind)
            }
            [b'\\', escaped, ref behind @ ..] => (unescaped(escaped), behind),
            [byte, ref behind @ ..] => (byte, behind),
            [] => return None,
        };
        word.push(byte);
        rest = behind;
    }
}

/// Does the same as [`double`] for single quotes.
fn single<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (byte, behind) = match *rest {
            [b'\'', ref behind @ ..] => return Some(behind),
            [b'\\', b'\'', ref behind @ ..] => (b'\'', behind),
            [byte, ref behind @ ..] => (byte, behind),
            [] => return None,
        };
        word.push(byte);
        rest = behind;
    }
}

fn digit(hex: u8) -> u8 {
    char::from(hex).to_digit(16).map_or(0, |digit| digit as u8)
}

fn unescaped(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::{Mistake, to_array};
    use crate::command::Arguments;

    #[test]
    fn words_are_split_as_in_redis() {
        for (line, words) in [
            (&b"SET key value\r\n"[..], &[&b"SET"[..], b"key", b"value"][..]),
            (b" \t GET  k \n", &[b"GET", b"k"]),
            (br#"SET k "a b\r\n\x00\xfF\"\q\xg""#, &[b"SET", b"k", b"a b\r\n\x00\xff\"qxg"]),
            (br"SET k 'a \'b\' \n'", &[b"SET", b"k", br"a 'b' \n"]),
            (br#"SET k """#, &[b"SET", b"k", b""]),
            (br#"a"b c" d"#, &[b"ab c", b"d"]),
            (b"\r\n", &[]),
        ] {
            let command = to_array(line).unwrap();
            assert_eq!(Arguments::of(&command).collect::<Vec<_>>(), words, "{}", line.escape_ascii());
        }
    }

    #[test]
    fn quotes_end_with_their_word() {
        for line in [&br#"SET k "a"#[..], b"SET k 'a", br#""a"b"#, b"'a''b'", br#""a\""#] {
            assert_eq!(to_array(line), Err(Mistake::Quotes), "{}", line.escape_ascii());
        }
    }
}
