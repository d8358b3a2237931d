//! Frames in both forms: how they are cut, read and written.

use wireplug_guest::cut::{self, Cut, LengthField};
use wireplug_guest::{Fault, Packet};

/// A client that asks for TLS sends this in place of a header line.
pub(crate) const STLS: &[u8] = b"STLS\r\n";

/// The longest header line of a text frame in bytes, including the line feed.
const MAX_HEADER: usize = 256;
/// The largest binary frame, in bytes. A text frame is never larger.
pub(crate) const MAX_FRAME: usize = 66_000;
const MAX_BODY: usize = 65_535;
const MAX_ARGUMENT: usize = 200;
/// The bytes of a binary frame before the argument: length, kind, id and the argument's length.
const BINARY_HEAD: usize = 4 + 1 + 4 + 1;

/// How frames are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Text,
    Binary,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Req,
    Ntc,
    Res,
    Bye,
    Bin,
    Psh,
    Can,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: Kind,
    pub(crate) id: u32,
    /// Empty if there is none.
    pub(crate) argument: &'a str,
    pub(crate) body: &'a [u8],
}

impl Form {
    pub(crate) fn cut(self, bytes: &[u8]) -> Result<Cut, Fault> {
        match self {
            Form::Text => cut_text(bytes),
            Form::Binary => {
                const LENGTH: LengthField =
                    LengthField { offset: 0, width: 4, little_endian: false, adjust: 0 };
                LENGTH.cut(bytes, (MAX_FRAME, "frame"))
            }
        }
    }

    /// Reads a whole frame of a client.
    pub(crate) fn read(self, packet: &[u8]) -> Result<Frame<'_>, Fault> {
        match self {
            Form::Text => read_text(packet),
            Form::Binary => read_binary(packet),
        }
    }

    pub(crate) fn write(self, Frame { kind, id, argument, body }: &Frame<'_>, packet: &mut Packet<'_>) {
        match self {
            Form::Text => {
                let space = if argument.is_empty() { "" } else { " " };
                packet.extend(format!("{} {id} {}{space}{argument}\n", kind.word(), body.len()));
            }
            Form::Binary => {
                let length = BINARY_HEAD - 4 + argument.len() + body.len();
                packet.extend((length as u32).to_be_bytes());
                packet.push(kind.letter());
                packet.extend(id.to_be_bytes());
                packet.push(argument.len() as u8);
                packet.extend(argument);
            }
        }
        packet.extend(body);
    }
}

impl Kind {
    /// The kinds that a client sends.
    const FROM_CLIENT: [Kind; 5] = [Kind::Req, Kind::Ntc, Kind::Res, Kind::Bye, Kind::Bin];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Kind::Req => "REQ",
            Kind::Ntc => "NTC",
            Kind::Res => "RES",
            Kind::Bye => "BYE",
            Kind::Bin => "BIN",
            Kind::Psh => "PSH",
            Kind::Can => "CAN",
        }
    }

    /// The kind in a binary frame. `R` and `B` stand for REQ and BYE alone: there is no binary BIN.
    fn letter(self) -> u8 {
        match self {
            Kind::Res => b'S',
            other => other.word().as_bytes()[0],
        }
    }
}

fn cut_text(bytes: &[u8]) -> Result<Cut, Fault> {
    let line = cut::line(bytes, b"\n", (MAX_HEADER, "header line"))?;
    let Cut::Packet(header) = line else { return Ok(line) };
    if &bytes[..header] == STLS {
        return Ok(line);
    }
    let length = fields(&bytes[..header - 1]).nth(2).ok_or(Fault::fatal("the header line has no length"))?;
    let length = decimal(length, MAX_BODY as u32)
        .ok_or(Fault::fatal("the length is not a decimal number from 0 to 65535"))?;
    cut::fixed(bytes, header + length as usize, (MAX_FRAME, "frame"))
}

/// Reads a frame that [`cut_text`] has cut.
fn read_text(packet: &[u8]) -> Result<Frame<'_>, Fault> {
    let header = packet.iter().position(|byte| *byte == b'\n').unwrap_or(packet.len());
    let (line, body) = (&packet[..header], packet.get(header + 1..).unwrap_or_default());
    let mut fields = fields(line);
    let (word, id) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
    let id =
        decimal(id, u32::MAX).ok_or(Fault::fatal("the id is not a decimal number from 0 to 4294967295"))?;
    let argument = match fields.nth(1) {
        Some(argument) => read_argument(argument)?,
        None => "",
    };
    let kind = Kind::FROM_CLIENT.into_iter().find(|kind| kind.word().as_bytes() == word);
    let kind = kind.ok_or(Fault::fatal("the kind is not REQ, NTC, RES, BYE or BIN"))?;
    Ok(Frame { kind, id, argument, body })
}

fn read_binary(packet: &[u8]) -> Result<Frame<'_>, Fault> {
    let Some((&[_, _, _, _, letter, a, b, c, d, length], rest)) = packet.split_first_chunk::<BINARY_HEAD>()
    else {
        return Err(Fault::fatal("the frame is shorter than its head"));
    };
    let (argument, body) =
        rest.split_at_checked(length.into()).ok_or(Fault::fatal("the argument is longer than the frame"))?;
    let argument = if argument.is_empty() { "" } else { read_argument(argument)? };
    if body.len() > MAX_BODY {
        return Err(Fault::fatal("the body has more than 65535 bytes"));
    }
    let kind = match letter {
        b'R' => Kind::Req,
        b'N' => Kind::Ntc,
        b'S' => Kind::Res,
        b'B' => Kind::Bye,
        _ => return Err(Fault::fatal("the kind is not R, N, S or B")),
    };
    Ok(Frame { kind, id: u32::from_be_bytes([a, b, c, d]), argument, body })
}

/// Returns the fields of a header line: kind, id, length, and the rest as the argument.
fn fields(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.splitn(4, |byte| *byte == b' ')
}

fn read_argument(bytes: &[u8]) -> Result<&str, Fault> {
    let what = "the argument is not 1 to 200 printable ASCII characters without spaces";
    argument(bytes).ok_or(Fault::fatal(what))
}

/// Returns the bytes as an argument, unless they cannot be one.
pub(crate) fn argument(bytes: &[u8]) -> Option<&str> {
    let is_argument = (1..=MAX_ARGUMENT).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic);
    str::from_utf8(bytes).ok().filter(|_| is_argument)
}

/// Returns whether a frame can carry this body.
pub(crate) fn fits(body: &[u8]) -> bool {
    body.len() <= MAX_BODY
}

/// Reads a decimal number without leading zeros.
pub(crate) fn decimal(digits: &[u8], max: u32) -> Option<u32> {
    let is_number = digits.iter().all(u8::is_ascii_digit) && (digits.len() == 1 || !digits.starts_with(b"0"));
    let number = str::from_utf8(digits).ok()?.parse().ok()?;
    (is_number && number <= max).then_some(number)
}
