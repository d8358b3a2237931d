//! Cuts frames from the stream, and reads them.
//!
//! A frame is a line with the command, lines with headers, an empty line, the body, and a NUL. The
//! header `content-length` says how long the body is; without it, the first NUL ends the body. A
//! line end between frames is a heart-beat.

use std::borrow::Cow;

/// The largest command with its headers, in bytes. A frame is searched for the end of its headers
/// before its length is known.
pub(crate) const MAX_HEAD: usize = 8 << 10;

/// The largest number of headers. Each takes memory while the frame is read.
pub(crate) const MAX_HEADERS: usize = 64;

/// The largest number of digits of a content length.
const MAX_DIGITS: usize = 9;

/// What stands at the front of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scanned {
    /// No whole packet. There must be at least this many bytes.
    Need(usize),
    /// A frame or a heart-beat of this many bytes.
    Whole(usize),
    /// The mistake stands at the end of these bytes.
    Wrong(usize, &'static str),
}

/// How far the packet at the front was scanned, so that a client that sends byte by byte costs no
/// more than another.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Progress {
    /// The bytes before this index have no end of the headers, or else no end of the body.
    searched: usize,
    head: Option<Head>,
}

/// The headers that were found.
#[derive(Clone, Copy, Debug)]
struct Head {
    /// Where the body begins.
    end: usize,
    content_length: Option<usize>,
}

/// Looks for the packet at the front of the bytes, from where the last look ended.
pub(crate) fn scan(bytes: &[u8], max_packet: usize, progress: &mut Progress) -> Scanned {
    match bytes {
        [] | [b'\r'] => return Scanned::Need(bytes.len() + 1),
        [b'\n', ..] => return Scanned::Whole(1),
        [b'\r', b'\n', ..] => return Scanned::Whole(2),
        [b'\r', ..] => return Scanned::Wrong(2, "a CR stands without an LF"),
        _ => {}
    }
    let head = match progress.head {
        Some(head) => head,
        None => match scan_head(bytes, max_packet, progress) {
            Ok(head) => head,
            Err(early) => return early,
        },
    };
    match head.content_length {
        Some(length) => scan_length(bytes, head.end, length, max_packet),
        None => scan_nul(bytes, max_packet, progress),
    }
}

/// Returns the answer as `Err` where the headers do not end.
fn scan_head(bytes: &[u8], max_packet: usize, progress: &mut Progress) -> Result<Head, Scanned> {
    let max = MAX_HEAD.min(max_packet);
    let seen = &bytes[..bytes.len().min(max)];
    for index in progress.searched..seen.len() {
        match seen[index] {
            0 => return Err(Scanned::Wrong(index + 1, "a NUL stands in the headers")),
            b'\n' if seen[..index].ends_with(b"\n") || seen[..index].ends_with(b"\n\r") => {
                let end = index + 1;
                if !starts_with_command(seen) {
                    // Such as a request of HTTP, which has no NUL at its end.
                    return Err(Scanned::Wrong(end, "a frame begins with a command in capital letters"));
                }
                let Ok(content_length) = content_length(&seen[..end]) else {
                    return Err(Scanned::Wrong(end, "content-length is not a decimal number"));
                };
                let head = Head { end, content_length };
                *progress = Progress { searched: end, head: Some(head) };
                return Ok(head);
            }
            _ => {}
        }
    }
    if seen.len() == max {
        return Err(Scanned::Wrong(max, "the headers are too long"));
    }
    progress.searched = seen.len();
    Err(Scanned::Need(seen.len() + 1))
}

fn starts_with_command(head: &[u8]) -> bool {
    let length = head.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    length > 0 && matches!(head[length..], [b'\n', ..] | [b'\r', b'\n', ..])
}

/// Returns the content length, or `Err` if it is not a number.
fn content_length(head: &[u8]) -> Result<Option<usize>, ()> {
    // The first of repeated headers counts.
    let mut lines = head.split(|byte| *byte == b'\n');
    let Some(value) = lines.find_map(|line| line.strip_prefix(b"content-length:")) else { return Ok(None) };
    let digits = value.strip_suffix(b"\r").unwrap_or(value);
    if digits.is_empty() || digits.len() > MAX_DIGITS || !digits.iter().all(u8::is_ascii_digit) {
        return Err(());
    }
    Ok(Some(digits.iter().fold(0, |length, digit| length * 10 + usize::from(digit - b'0'))))
}

fn scan_length(bytes: &[u8], start: usize, length: usize, max_packet: usize) -> Scanned {
    let end = start + length;
    if end >= max_packet {
        return Scanned::Wrong(start, "the frame is too long");
    }
    match bytes.get(end) {
        None => Scanned::Need(end + 1),
        Some(0) => Scanned::Whole(end + 1),
        Some(_) => Scanned::Wrong(end + 1, "no NUL stands behind the content-length"),
    }
}

fn scan_nul(bytes: &[u8], max_packet: usize, progress: &mut Progress) -> Scanned {
    let seen = &bytes[..bytes.len().min(max_packet)];
    match seen[progress.searched..].iter().position(|byte| *byte == 0) {
        Some(found) => Scanned::Whole(progress.searched + found + 1),
        None if seen.len() == max_packet => Scanned::Wrong(max_packet, "the frame is too long"),
        None => {
            progress.searched = seen.len();
            Scanned::Need(seen.len() + 1)
        }
    }
}

/// A frame of the client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) command: &'a str,
    headers: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    pub(crate) body: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Reads a packet that [`scan`] has cut. Returns `None` for a heart-beat.
    ///
    /// # Errors
    /// Returns an error if the packet is wrong. It says what is wrong.
    pub(crate) fn read(packet: &'a [u8], max_packet: usize) -> Result<Option<Self>, String> {
        let mut progress = Progress::default();
        match scan(packet, max_packet, &mut progress) {
            Scanned::Whole(length) => {
                let Some(Head { end, .. }) = progress.head else { return Ok(None) };
                Self::parse(&packet[..end], &packet[end..length - 1]).map(Some)
            }
            Scanned::Wrong(_, mistake) => Err(mistake.to_owned()),
            Scanned::Need(_) => Err("a message ends inside a frame".to_owned()),
        }
    }

    /// Reads a WebSocket message: one frame, which may have line ends behind it, or only line ends.
    ///
    /// # Errors
    /// Returns an error if the message is wrong. It says what is wrong.
    pub(crate) fn read_message(message: &'a [u8], max_packet: usize) -> Result<Option<Self>, String> {
        let length = message.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |at| at + 1);
        if length == 0 {
            return Ok(None);
        }
        if let Scanned::Whole(first) = scan(message, max_packet, &mut Progress::default())
            && first != length
        {
            return Err("a message is not one frame".to_owned());
        }
        Self::read(message, max_packet)
    }

    fn parse(head: &'a [u8], body: &'a [u8]) -> Result<Self, String> {
        let head = str::from_utf8(head).map_err(|_| "the headers are not UTF-8")?;
        let mut lines = head.lines();
        let command = lines.next().unwrap_or_default();
        // For clients of 1.0, whose headers have no escapes.
        let is_escaped = !matches!(command, "CONNECT" | "STOMP");
        let mut headers = Vec::new();
        for line in lines.take_while(|line| !line.is_empty()) {
            let (name, value) = match line.split_once(':') {
                Some((name, value)) if !name.is_empty() && !line.contains('\r') => (name, value),
                _ => return Err(format!("header {} is not `name:value`", headers.len() + 1)),
            };
            if headers.len() == MAX_HEADERS {
                return Err(format!("a frame has more than {MAX_HEADERS} headers"));
            }
            headers.push(match is_escaped {
                true => (unescape(name)?, unescape(value)?),
                false => (name.into(), value.into()),
            });
        }
        if command != "SEND" && !body.is_empty() {
            return Err(format!("a {} has a body, and only a SEND may have one", shown(command)));
        }
        Ok(Self { command, headers, body })
    }

    /// Returns the value of a header. The first of repeated headers counts.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }

    /// Returns the value of a header that the command must have.
    ///
    /// # Errors
    /// Returns an error if the header is missing, or has more bytes than the limit.
    pub(crate) fn required(&self, name: &str, max: usize) -> Result<&str, String> {
        let value = self.header(name).ok_or_else(|| format!("a {} has no `{name}`", self.command))?;
        check_length(name, value, max)
    }

    /// Returns the value of a header that the command may have.
    ///
    /// # Errors
    /// Returns an error if the header has more bytes than the limit.
    pub(crate) fn optional(&self, name: &str, max: usize) -> Result<Option<&str>, String> {
        self.header(name).map(|value| check_length(name, value, max)).transpose()
    }
}

fn check_length<'a>(name: &str, value: &'a str, max: usize) -> Result<&'a str, String> {
    if value.len() > max {
        return Err(format!("`{name}` has more than {max} bytes"));
    }
    Ok(value)
}

/// Returns the beginning of a command that may be anything.
pub(crate) fn shown(command: &str) -> String {
    command.chars().take(32).collect()
}

fn unescape(text: &str) -> Result<Cow<'_, str>, String> {
    let Some((before, mut rest)) = text.split_once('\\') else { return Ok(text.into()) };
    let mut unescaped = before.to_owned();
    loop {
        unescaped.push(match rest.chars().next() {
            Some('n') => '\n',
            Some('r') => '\r',
            Some('c') => ':',
            Some('\\') => '\\',
            _ => return Err("a header has an escape other than \\n, \\r, \\c and \\\\".to_owned()),
        });
        rest = &rest[1..];
        let Some((before, behind)) = rest.split_once('\\') else {
            unescaped.push_str(rest);
            return Ok(unescaped.into());
        };
        unescaped.push_str(before);
        rest = behind;
    }
}
