//! Checks values of the application, and translates them to RESP2.
//!
//! The application writes RESP3. A client of RESP3 gets the same bytes. For a client of RESP2, the
//! types that RESP2 lacks become others, as Redis does it:
//!
//! | RESP3 | RESP2 |
//! |---|---|
//! | `_` null | `$-1` |
//! | `#t`, `#f` boolean | `:1`, `:0` |
//! | `,` double, `(` big number | the same text as a bulk string |
//! | `=` verbatim text | a bulk string without the format |
//! | `!` long error | `-`; line breaks become spaces |
//! | `%` map | `*` with keys and values in turn |
//! | `~` set, `>` push | `*` |
//! | `\|` attribute | nothing |
//!
//! The nulls of RESP2, `$-1` and `*-1`, are allowed too, and become `_` for a client of RESP3. So
//! the application can choose between the two.

use std::error::Error;
use std::fmt;
use std::str::FromStr;

use crate::write::{self, Protocol};

/// How deep values may lie in each other. The reader calls itself, and the stack is limited.
/// Clients have limits too: that of hiredis is 9.
const MAX_DEPTH: usize = 32;

/// Why bytes are no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Invalid {
    what: &'static str,
    at: usize,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.what, self.at)
    }
}

impl Error for Invalid {}

/// Writes the answer to a command: one value, which is no push.
pub(crate) fn answer(body: &[u8], protocol: Protocol, out: &mut Vec<u8>) -> Result<(), Invalid> {
    if body.first() == Some(&b'>') {
        return Err(Invalid { what: "a push answers no command", at: 0 });
    }
    one(body, protocol, out)
}

/// Writes a push.
pub(crate) fn push(body: &[u8], protocol: Protocol, out: &mut Vec<u8>) -> Result<(), Invalid> {
    if body.first() != Some(&b'>') {
        return Err(Invalid { what: "a push begins with `>`: another value", at: 0 });
    }
    one(body, protocol, out)
}

/// Returns the kind of a push and its second element, if both are strings.
pub(crate) fn push_names(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut reader = Reader { bytes: body, at: 0 };
    reader.line().ok()?;
    Some((reader.string()?, reader.string()?))
}

fn one(body: &[u8], protocol: Protocol, out: &mut Vec<u8>) -> Result<(), Invalid> {
    let mut reader = Reader { bytes: body, at: 0 };
    reader.value(0, protocol, out)?;
    if reader.at == body.len() { Ok(()) } else { Err(reader.invalid("a second value")) }
}

/// Reads values from the front of the bytes.
#[derive(Clone, Debug)]
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn invalid(&self, what: &'static str) -> Invalid {
        Invalid { what, at: self.at }
    }

    /// Reads a type and the line behind it, without CR LF.
    fn line(&mut self) -> Result<(u8, &'a [u8]), Invalid> {
        let (&kind, rest) = self.bytes[self.at..].split_first().ok_or_else(|| self.invalid("no value"))?;
        let end = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
        let line = end.filter(|end| rest[*end..].starts_with(b"\r\n")).map(|end| &rest[..end]);
        let line = line.ok_or_else(|| self.invalid("a line without CR LF"))?;
        self.at += 1 + line.len() + 2;
        Ok((kind, line))
    }

    /// Reads this number of bytes, and CR LF.
    fn block(&mut self, length: usize) -> Result<&'a [u8], Invalid> {
        let rest = &self.bytes[self.at..];
        let block = rest.split_at_checked(length).filter(|(_, behind)| behind.starts_with(b"\r\n"));
        let (block, _) = block.ok_or_else(|| self.invalid("a text that does not end with CR LF"))?;
        self.at += length + 2;
        Ok(block)
    }

    /// Returns the simple or bulk string that is next, if there is one.
    fn string(&mut self) -> Option<&'a [u8]> {
        match self.line().ok()? {
            (b'+', text) => Some(text),
            (b'$', length) => self.block(number(length)?).ok(),
            _ => None,
        }
    }

    fn value(&mut self, depth: usize, protocol: Protocol, out: &mut Vec<u8>) -> Result<(), Invalid> {
        if depth > MAX_DEPTH {
            return Err(self.invalid("a value that lies too deep in others"));
        }
        let start = self.at;
        let wrong = |what| Err(Invalid { what, at: start });
        let (kind, line) = self.line()?;
        let is_old_null = matches!(kind, b'$' | b'*') && line == b"-1";
        let mut text = line;
        if matches!(kind, b'$' | b'=' | b'!') && !is_old_null {
            let Some(length) = number(line) else { return wrong("a wrong length") };
            text = self.block(length)?;
        }
        let is_right = match kind {
            b'+' | b'-' | b'$' | b'!' => true,
            b':' => parses::<i64>(line),
            b'_' => line.is_empty(),
            b'#' => matches!(line, b"t" | b"f"),
            b',' => is_double(line),
            b'(' => is_big_number(line),
            // The format has three characters.
            b'=' => text.get(3) == Some(&b':'),
            b'*' if is_old_null => true,
            // A push stands alone.
            b'>' if depth > 0 => false,
            b'*' | b'~' | b'%' | b'|' | b'>' => {
                let Some(count) = number(line) else { return wrong("a wrong number of elements") };
                return self.elements(kind, count, depth, protocol, out);
            }
            _ => false,
        };
        if !is_right {
            return wrong("no value of RESP3");
        }
        match (kind, protocol) {
            (b'_', _) => write::null(out, protocol),
            (b'$' | b'*', Protocol::Resp3) if is_old_null => write::null(out, protocol),
            (b'#', Protocol::Resp2) => write::head(out, b':', (line == b"t").into()),
            (b',' | b'(', Protocol::Resp2) => write::bulk(out, line),
            (b'=', Protocol::Resp2) => write::bulk(out, &text[4..]),
            (b'!', Protocol::Resp2) => write::error(out, text),
            _ => out.extend_from_slice(&self.bytes[start..self.at]),
        }
        Ok(())
    }

    /// Reads the elements of an array, a set, a map, an attribute or a push.
    fn elements(
        &mut self,
        kind: u8,
        count: usize,
        depth: usize,
        protocol: Protocol,
        out: &mut Vec<u8>,
    ) -> Result<(), Invalid> {
        let has_pairs = matches!(kind, b'%' | b'|');
        let elements = if has_pairs { count * 2 } else { count };
        let start = out.len();
        match protocol {
            Protocol::Resp2 => write::head(out, b'*', elements),
            Protocol::Resp3 => write::head(out, kind, count),
        }
        for _ in 0..elements {
            self.value(depth + 1, protocol, out)?;
        }
        if kind != b'|' {
            return Ok(());
        }
        // The value that the attribute belongs to comes behind it.
        if protocol == Protocol::Resp2 {
            out.truncate(start);
        }
        self.value(depth + 1, protocol, out)
    }
}

/// Reads a length or a count.
fn number(digits: &[u8]) -> Option<usize> {
    // With 9 digits the number fits, also when it is doubled.
    let fits = (1..=9).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    fits.then(|| digits.iter().fold(0, |number, digit| number * 10 + usize::from(digit - b'0')))
}

fn is_big_number(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+")).unwrap_or(text);
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

fn is_double(text: &[u8]) -> bool {
    // Rust knows other spellings of these three.
    let is_numeric = text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
    matches!(text, b"inf" | b"-inf" | b"nan") || is_numeric && parses::<f64>(text)
}

fn parses<T: FromStr>(text: &[u8]) -> bool {
    str::from_utf8(text).is_ok_and(|text| text.parse::<T>().is_ok())
}
