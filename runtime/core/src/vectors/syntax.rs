//! The syntax of a line: bare words and quoted texts, and bytes in the form that people read and
//! write.

use std::fmt;

/// Reads a line word by word. Ends at a comment.
pub(super) struct Words<'a> {
    rest: &'a str,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Word<'a> {
    Bare(&'a str),
    Quoted(Vec<u8>),
}

impl<'a> Words<'a> {
    pub(super) fn of(line: &'a str) -> Self {
        Self { rest: line.trim_ascii() }
    }

    /// Returns the unread rest of the line, including a comment.
    pub(super) fn rest(&self) -> &'a str {
        self.rest
    }

    pub(super) fn next(&mut self) -> Result<Option<Word<'a>>, String> {
        self.rest = self.rest.trim_ascii_start();
        match self.rest.chars().next() {
            None | Some('#') => Ok(None),
            Some(quote @ ('"' | '\'')) => self.quoted(quote).map(Some),
            Some(_) => {
                let end = |c: char| c.is_ascii_whitespace() || matches!(c, '"' | '\'');
                let (word, rest) = self.rest.split_at(self.rest.find(end).unwrap_or(self.rest.len()));
                self.rest = rest;
                Ok(Some(Word::Bare(word)))
            }
        }
    }

    fn quoted(&mut self, quote: char) -> Result<Word<'a>, String> {
        let mut bytes = Vec::new();
        let mut chars = self.rest[1..].chars();
        loop {
            let character = match chars.next() {
                None => return Err(format!("a text is not closed: a {quote} is missing")),
                Some(c) if c == quote => break,
                Some('\\') => match chars.next() {
                    Some('n') => '\n',
                    Some('r') => '\r',
                    Some('t') => '\t',
                    Some(c @ ('\\' | '"' | '\'')) => c,
                    Some('x') => {
                        let (digits, rest) = chars.as_str().split_at_checked(2).unwrap_or_default();
                        bytes.push(hex(digits).ok_or("\\x wants two hex digits")?);
                        chars = rest.chars();
                        continue;
                    }
                    Some('u') => {
                        let wanted = "\\u wants the number of a character in braces, as \\u{e9}";
                        let (c, rest) = character(chars.as_str()).ok_or(wanted)?;
                        chars = rest.chars();
                        c
                    }
                    _ => return Err("a \\ stands before n, r, t, \\, \", ', xNN or u{N}".into()),
                },
                Some(c) => c,
            };
            bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
        self.rest = chars.as_str();
        Ok(Word::Quoted(bytes))
    }

    /// Reads a bare word or a quoted text.
    pub(super) fn text(&mut self, what: &str) -> Result<String, String> {
        match self.next()? {
            None => Err(format!("{what} is missing")),
            Some(Word::Bare(word)) => Ok(word.to_owned()),
            Some(Word::Quoted(bytes)) => {
                String::from_utf8(bytes).map_err(|_| format!("{what} must be UTF-8"))
            }
        }
    }

    /// Reads a number that fits the type.
    pub(super) fn number<N: std::str::FromStr>(&mut self, what: &str) -> Result<N, String> {
        self.number_of(what, "a whole number in its range", |_| true)
    }

    /// Reads a number for which `allows` returns true. `allowed` says which numbers these are.
    pub(super) fn number_of<N: std::str::FromStr>(
        &mut self,
        what: &str,
        allowed: &str,
        allows: impl FnOnce(&N) -> bool,
    ) -> Result<N, String> {
        let text = self.text(what)?;
        text.parse().ok().filter(allows).ok_or_else(|| format!("{what} is {allowed}, and not {text:?}"))
    }

    /// Reads the status of a response.
    pub(super) fn status(&mut self) -> Result<u16, String> {
        self.number_of("the status", "100 to 599", |status| (100..600).contains(status))
    }

    /// Reads a number that fits the type, or `-` for none.
    pub(super) fn number_or_none<N: std::str::FromStr>(&mut self, what: &str) -> Result<Option<N>, String> {
        let text = self.text(what)?;
        match &*text {
            "-" => Ok(None),
            _ => text.parse().map(Some).map_err(|_| {
                format!("{what} is a whole number in its range, or - for none, and not {text:?}")
            }),
        }
    }

    /// Reads the rest of the line as bytes.
    pub(super) fn bytes(&mut self) -> Result<Vec<u8>, String> {
        let mut bytes = None::<Vec<u8>>;
        while let Some(word) = self.next()? {
            let bytes = bytes.get_or_insert_default();
            match word {
                Word::Quoted(text) => bytes.extend(text),
                Word::Bare(word) => {
                    let wrong =
                        || format!("{word:?} is neither hex with two digits a byte nor a text in quotes");
                    for at in (0..word.len()).step_by(2) {
                        bytes.push(word.get(at..at + 2).and_then(hex).ok_or_else(wrong)?);
                    }
                }
            }
        }
        bytes.ok_or_else(|| "bytes are missing: hex and texts in quotes, or \"\" for none".into())
    }

    /// Returns an error if the line has another word.
    pub(super) fn end(&mut self) -> Result<(), String> {
        match self.next()? {
            None => Ok(()),
            Some(Word::Bare(word)) => Err(format!("{word:?} is too much")),
            Some(Word::Quoted(bytes)) => Err(format!("{} is too much", Bytes(&bytes))),
        }
    }
}

fn hex(digits: &str) -> Option<u8> {
    // `from_str_radix` would also accept a sign.
    let is_hex = digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    u8::from_str_radix(digits, 16).ok().filter(|_| is_hex)
}

/// Reads `{1F600}`.
fn character(text: &str) -> Option<(char, &str)> {
    let (number, rest) = text.strip_prefix('{')?.split_once('}')?;
    let character = u32::from_str_radix(number, 16).ok().and_then(char::from_u32)?;
    Some((character, rest))
}

// === writing ===

/// Writes bytes so that [`Words::bytes`] can read them: runs of text in quotes, everything else in
/// hex.
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl fmt::Display for Bytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut runs: Vec<(bool, usize)> = Vec::new();
        let mut add = |is_text: bool, length: usize| match runs.last_mut() {
            Some((last, total)) if *last == is_text => *total += length,
            _ => runs.push((is_text, length)),
        };
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                add(!c.is_control() || matches!(c, '\n' | '\r' | '\t'), c.len_utf8());
            }
            if !chunk.invalid().is_empty() {
                add(false, chunk.invalid().len());
            }
        }
        let (count, mut rest, mut space) = (runs.len(), self.0, "");
        if count == 0 {
            return f.write_str("\"\"");
        }
        for (is_text, length) in runs {
            let (run, behind) = rest.split_at(length);
            rest = behind;
            match str::from_utf8(run) {
                // A single letter between other bytes is probably no text, so it is written in hex.
                Ok(text) if is_text && (count == 1 || length > 1) => {
                    write!(f, "{space}{}", Text(text))?;
                    space = " ";
                }
                _ => {
                    for byte in run {
                        write!(f, "{space}{byte:02x}")?;
                        space = " ";
                    }
                }
            }
        }
        Ok(())
    }
}

/// Writes a text in quotes.
pub(super) struct Text<'a>(pub(super) &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // JSON is easiest to read in single quotes.
        let quote = if self.0.contains('"') && !self.0.contains('\'') { '\'' } else { '"' };
        write!(f, "{quote}")?;
        for c in self.0.chars() {
            match c {
                '"' | '\'' if c != quote => write!(f, "{c}")?,
                '\0' => f.write_str("\\x00")?,
                _ => write!(f, "{}", c.escape_debug())?,
            }
        }
        write!(f, "{quote}")
    }
}

/// Writes a word, in quotes only if it needs them.
pub(super) struct Quotable<'a>(pub(super) &'a str);

impl fmt::Display for Quotable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-/:".contains(c);
        if !self.0.is_empty() && self.0.chars().all(is_plain) {
            f.write_str(self.0)
        } else {
            Text(self.0).fmt(f)
        }
    }
}

/// Writes a number, or `-` for none.
pub(super) struct OrNone<N>(pub(super) Option<N>);

impl<N: fmt::Display> fmt::Display for OrNone<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(number) => number.fmt(f),
            None => f.write_str("-"),
        }
    }
}
