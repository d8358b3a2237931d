//! Cuts commands from the stream, and reads their arguments.
//!
//! A command is an array of bulk strings, `*2\r\n$3\r\nGET\r\n$1\r\nk\r\n`, or a line. Everything
//! is found from the front, so a mistake of the client has one place, wherever the stream was cut.

use std::borrow::Cow;

use crate::{inline, write};

/// The longest command in one line, as in Redis.
pub(crate) const MAX_INLINE: usize = 64 << 10;

/// The shortest argument, with its head: `$0\r\n\r\n`.
const SHORTEST_ARGUMENT: usize = 6;

/// What stands at the front of the stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Scanned {
    /// No whole command. At least this many bytes are needed.
    Need(usize),
    /// A command of this many bytes.
    Whole(usize),
    /// No command. The mistake shows at the last of this many bytes.
    Wrong(usize, Mistake),
}

/// A mistake in the framing: nobody knows where the next command begins.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Mistake {
    /// The number of arguments.
    Count,
    /// Another byte than `$` begins an argument.
    Dollar(u8),
    /// The length of an argument.
    Length,
    /// Other bytes than CR LF end an argument.
    End,
    /// A line has no end.
    Inline,
    /// A line has a quote that is not closed, or that ends in the middle of a word.
    Quotes,
}

impl Mistake {
    /// Returns what is wrong, as Redis says it.
    pub(crate) fn text(&self) -> String {
        let what = match self {
            Self::Count => "invalid multibulk length",
            Self::Dollar(got) => {
                return format!("Protocol error: expected '$', got '{}'", got.escape_ascii());
            }
            Self::Length => "invalid bulk length",
            Self::End => "a bulk string does not end with CR LF",
            Self::Inline => "too big inline request",
            Self::Quotes => "unbalanced quotes in request",
        };
        format!("Protocol error: {what}")
    }
}

/// How far a command was scanned that is not whole yet, so that a long one is scanned once.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Progress {
    /// The number of bytes that were scanned. 0: none.
    at: usize,
    /// The number of arguments behind them.
    left: usize,
}

/// Looks for the command at the front of the bytes, from where the last look ended.
pub(crate) fn scan(bytes: &[u8], max_packet: usize, progress: &mut Progress) -> Scanned {
    match bytes.first() {
        None => Scanned::Need(1),
        Some(b'*') => scan_array(bytes, max_packet, progress).unwrap_or_else(|early| early),
        Some(_) => scan_line(bytes, max_packet.min(MAX_INLINE), progress),
    }
}

fn scan_line(bytes: &[u8], max: usize, progress: &mut Progress) -> Scanned {
    let seen = &bytes[..bytes.len().min(max)];
    match seen[progress.at..].iter().position(|byte| *byte == b'\n') {
        Some(found) => Scanned::Whole(progress.at + found + 1),
        None if seen.len() == max => Scanned::Wrong(max, Mistake::Inline),
        None => {
            progress.at = seen.len();
            Scanned::Need(seen.len() + 1)
        }
    }
}

/// Returns the answer as `Err` where the bytes or the command end early.
fn scan_array(bytes: &[u8], max_packet: usize, progress: &mut Progress) -> Result<Scanned, Scanned> {
    if progress.at == 0 {
        let (left, at) = number(bytes, 1, max_packet / SHORTEST_ARGUMENT, Mistake::Count)?;
        if at + left * SHORTEST_ARGUMENT > max_packet {
            return Err(Scanned::Wrong(at, Mistake::Count));
        }
        *progress = Progress { at, left };
    }
    while progress.left > 0 {
        let Progress { at, left } = *progress;
        // The arguments behind this one must fit into the packet too.
        let most = max_packet - (left - 1) * SHORTEST_ARGUMENT;
        let end = scan_argument(bytes, at, most)?;
        *progress = Progress { at: end, left: left - 1 };
    }
    Ok(Scanned::Whole(progress.at))
}

/// Returns where the argument at this index ends, which is at most the index `most`.
fn scan_argument(bytes: &[u8], at: usize, most: usize) -> Result<usize, Scanned> {
    let sign = *bytes.get(at).ok_or(Scanned::Need(at + 1))?;
    if sign != b'$' {
        return Err(Scanned::Wrong(at + 1, Mistake::Dollar(sign)));
    }
    let (length, start) = number(bytes, at + 1, most - at - SHORTEST_ARGUMENT, Mistake::Length)?;
    let end = start + length + 2;
    if end > most {
        return Err(Scanned::Wrong(start, Mistake::Length));
    }
    for (index, expected) in [(end - 2, b'\r'), (end - 1, b'\n')] {
        let byte = *bytes.get(index).ok_or(Scanned::Need(index + 1))?;
        if byte != expected {
            return Err(Scanned::Wrong(index + 1, Mistake::End));
        }
    }
    Ok(end)
}

/// Reads a decimal number up to CR LF, without a sign and without zeros in front. Returns the
/// number and where the bytes behind it begin.
fn number(bytes: &[u8], start: usize, most: usize, mistake: Mistake) -> Result<(usize, usize), Scanned> {
    let mut value = 0;
    let mut at = start;
    loop {
        match *bytes.get(at).ok_or(Scanned::Need(at + 1))? {
            digit @ b'0'..=b'9' if at == start || value > 0 => {
                value = usize::saturating_mul(value, 10).saturating_add((digit - b'0').into());
            }
            b'\r' if at > start => break,
            _ => return Err(Scanned::Wrong(at + 1, mistake)),
        }
        at += 1;
        if value > most {
            return Err(Scanned::Wrong(at, mistake));
        }
    }
    match *bytes.get(at + 1).ok_or(Scanned::Need(at + 2))? {
        b'\n' => Ok((value, at + 2)),
        _ => Err(Scanned::Wrong(at + 2, mistake)),
    }
}

/// Reads a packet that [`scan`] has cut. Returns a command in the form of an array, or `None` for a
/// command without a name, which has no answer.
pub(crate) fn read(packet: &[u8], max_packet: usize) -> Result<Option<Cow<'_, [u8]>>, Mistake> {
    if let Scanned::Wrong(_, mistake) = scan(packet, max_packet, &mut Progress::default()) {
        return Err(mistake);
    }
    let command = match packet.first() {
        Some(b'*') => Cow::Borrowed(packet),
        _ => Cow::Owned(inline::to_array(packet)?),
    };
    Ok((!command.starts_with(b"*0")).then_some(command))
}

/// The arguments of a command, which is a scanned array of bulk strings. The first one is its name.
#[derive(Clone, Debug)]
pub(crate) struct Arguments<'a>(&'a [u8]);

impl<'a> Arguments<'a> {
    pub(crate) fn of(command: &'a [u8]) -> Self {
        Self(behind_line(command).map_or(b"", |(_, rest)| rest))
    }
}

impl<'a> Iterator for Arguments<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (head, rest) = behind_line(self.0)?;
        let digits = head.strip_prefix(b"$")?;
        let length = digits.iter().fold(0_usize, |length, digit| {
            length.wrapping_mul(10).wrapping_add(usize::from(digit.wrapping_sub(b'0')))
        });
        let (argument, rest) = rest.split_at_checked(length)?;
        self.0 = rest.get(2..)?;
        Some(argument)
    }
}

/// Returns a command in the form of an array.
pub(crate) fn array(arguments: &[&[u8]]) -> Vec<u8> {
    let mut command = Vec::new();
    write::head(&mut command, b'*', arguments.len());
    for argument in arguments {
        write::bulk(&mut command, argument);
    }
    command
}

/// Splits bytes behind their first line, which ends with CR LF. Heads are short, so this looks at
/// each byte.
fn behind_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\r')?;
    Some((&bytes[..end], bytes.get(end + 2..)?))
}
