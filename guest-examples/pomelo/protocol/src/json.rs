//! A reader of JSON that returns one piece at a time, so that a body is converted without a tree in
//! memory.
//!
//! The reader is strict: a body that it misunderstood would be sent wrong. Its recursion is at most
//! [`MAX_DEPTH`] levels deep. It returns numbers as text, so that a double loses no digit.

use std::borrow::Cow;

/// Why a body is refused.
pub(crate) type Reason = Cow<'static, str>;

/// The number of levels to which a skipped value may be nested.
const MAX_DEPTH: usize = 64;

pub(crate) struct Reader<'a> {
    json: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(json: &'a [u8]) -> Self {
        Self { json, at: 0 }
    }

    /// Skips blanks, and returns the byte behind them. It shows the kind of the next value.
    pub(crate) fn peek(&mut self) -> Option<u8> {
        let rest = &self.json[self.at..];
        let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
        self.at += blanks;
        rest.get(blanks).copied()
    }

    /// Skips blanks and the byte `byte`, if it comes next. Returns whether it did.
    pub(crate) fn take(&mut self, byte: u8) -> bool {
        let comes = self.peek() == Some(byte);
        self.at += usize::from(comes);
        comes
    }

    /// Returns whether an object or array has another item. Skips the comma before the item, or the
    /// closing bracket. `first` must be true before the first item; the method sets it to false.
    pub(crate) fn item(&mut self, close: u8, first: &mut bool) -> Result<bool, Reason> {
        if self.take(close) {
            return Ok(false);
        }
        if !std::mem::replace(first, false) && !self.take(b',') {
            return Err(self.fault("a comma or a closing bracket"));
        }
        Ok(true)
    }

    /// Reads a key of an object and the colon behind it. Returns the key.
    pub(crate) fn key(&mut self) -> Result<Cow<'a, str>, Reason> {
        let (raw, escaped) = self.raw_string()?;
        let key = if escaped {
            let mut key = Vec::new();
            self.unescape(raw, &mut key)?;
            String::from_utf8_lossy(&key).into_owned().into()
        } else {
            Cow::Borrowed(raw)
        };
        if !self.take(b':') {
            return Err(self.fault("a colon"));
        }
        Ok(key)
    }

    /// Reads a string and appends it to `out`, as UTF-8. An unpaired surrogate becomes U+FFFD.
    pub(crate) fn string(&mut self, out: &mut Vec<u8>) -> Result<(), Reason> {
        let (raw, escaped) = self.raw_string()?;
        if escaped {
            return self.unescape(raw, out);
        }
        out.extend_from_slice(raw.as_bytes());
        Ok(())
    }

    /// Reads a string. Returns the text between its quotes, and whether the text has an escape.
    fn raw_string(&mut self) -> Result<(&'a str, bool), Reason> {
        if !self.take(b'"') {
            return Err(self.fault("a string"));
        }
        let start = self.at;
        let mut escaped = false;
        loop {
            match self.json.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.at += 2;
                }
                None | Some(..0x20) => return Err(self.fault("the end of a string")),
                Some(_) => self.at += 1,
            }
        }
        let raw = str::from_utf8(&self.json[start..self.at]).map_err(|_| self.fault("UTF-8"))?;
        self.at += 1;
        Ok((raw, escaped))
    }

    fn unescape(&self, raw: &str, out: &mut Vec<u8>) -> Result<(), Reason> {
        let mut rest = raw;
        while let Some((plain, escape)) = rest.split_once('\\') {
            out.extend_from_slice(plain.as_bytes());
            let bad = || self.fault("a sound escape in the string");
            let (&kind, behind) = escape.as_bytes().split_first().ok_or_else(bad)?;
            let byte = match kind {
                b'"' | b'\\' | b'/' => kind,
                b'b' => 0x08,
                b'f' => 0x0c,
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'u' => {
                    let unit = hex(behind).ok_or_else(bad)?;
                    let low = behind[4..].strip_prefix(b"\\u").and_then(hex);
                    let (character, used) = match (unit, low) {
                        (0xd800..0xdc00, Some(low @ 0xdc00..0xe000)) => {
                            (char::from_u32(0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00)), 11)
                        }
                        _ => (char::from_u32(unit), 5),
                    };
                    let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
                    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                    rest = &escape[used..];
                    continue;
                }
                _ => return Err(bad()),
            };
            out.push(byte);
            rest = &escape[1..];
        }
        out.extend_from_slice(rest.as_bytes());
        Ok(())
    }

    /// Reads a number, and returns its text.
    pub(crate) fn number(&mut self) -> Result<&'a str, Reason> {
        self.peek();
        let start = self.at;
        self.at += usize::from(self.byte() == Some(b'-'));
        let sound = match self.byte() {
            Some(b'0') => {
                self.at += 1;
                true
            }
            _ => self.digits(),
        } && (self.byte() != Some(b'.') || {
            self.at += 1;
            self.digits()
        }) && (!matches!(self.byte(), Some(b'e' | b'E')) || {
            self.at += 1;
            self.at += usize::from(matches!(self.byte(), Some(b'+' | b'-')));
            self.digits()
        });
        // The bytes of a valid number are ASCII.
        match str::from_utf8(&self.json[start..self.at]) {
            Ok(number) if sound => Ok(number),
            _ => Err(self.fault("a number")),
        }
    }

    fn byte(&self) -> Option<u8> {
        self.json.get(self.at).copied()
    }

    /// Skips digits. Returns whether there was at least one.
    fn digits(&mut self) -> bool {
        let digits = self.json[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += digits;
        digits > 0
    }

    /// Skips `null`, if it comes next. Returns whether it did.
    pub(crate) fn null(&mut self) -> Result<bool, Reason> {
        if self.peek() != Some(b'n') {
            return Ok(false);
        }
        self.word("null").map(|()| true)
    }

    fn word(&mut self, word: &str) -> Result<(), Reason> {
        if !self.json[self.at..].starts_with(word.as_bytes()) {
            return Err(self.fault("a value"));
        }
        self.at += word.len();
        Ok(())
    }

    /// Skips a value.
    pub(crate) fn skip(&mut self) -> Result<(), Reason> {
        self.skip_at(0)
    }

    fn skip_at(&mut self, depth: usize) -> Result<(), Reason> {
        if depth > MAX_DEPTH {
            return Err(format!("the body is nested deeper than {MAX_DEPTH} levels").into());
        }
        let mut first = true;
        match self.peek() {
            Some(b'{') => {
                self.at += 1;
                while self.item(b'}', &mut first)? {
                    self.key()?;
                    self.skip_at(depth + 1)?;
                }
                Ok(())
            }
            Some(b'[') => {
                self.at += 1;
                while self.item(b']', &mut first)? {
                    self.skip_at(depth + 1)?;
                }
                Ok(())
            }
            Some(b'"') => {
                let (raw, escaped) = self.raw_string()?;
                if escaped { self.unescape(raw, &mut Vec::new()) } else { Ok(()) }
            }
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            _ => self.number().map(|_| ()),
        }
    }

    /// Checks that only blanks follow.
    pub(crate) fn end(&mut self) -> Result<(), Reason> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.fault("the end")),
        }
    }

    /// Returns the reason that names what was expected at this position.
    pub(crate) fn fault(&self, expected: &str) -> Reason {
        format!("the body is not JSON: {expected} was expected at byte {}", self.at).into()
    }
}

/// Returns the UTF-16 unit that 4 hexadecimal digits stand for.
fn hex(digits: &[u8]) -> Option<u32> {
    let digits = digits.first_chunk::<4>()?;
    digits.iter().try_fold(0, |unit, &digit| Some(unit << 4 | char::from(digit).to_digit(16)?))
}
