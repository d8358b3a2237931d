//! The inner layer, the body of a DATA package:
//! `flag: u8 | id: LEB128 (REQUEST, RESPONSE) | route (REQUEST, NOTIFY, PUSH) | body`.

/// Bit 0 of the flag: the route is a code of the dictionary.
const COMPRESSED_ROUTE: u8 = 1;

/// The longest route that one byte of length can tell.
pub const MAX_ROUTE: usize = 255;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// From the client; it is answered.
    Request = 0,
    /// From the client; it is not answered.
    Notify = 1,
    /// The server's answer to a request.
    Response = 2,
    /// From the server, unasked.
    Push = 3,
}

/// A route as it stands on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route<'a> {
    /// A response has none: the client knows it by the id.
    None,
    /// Its name.
    Text(&'a [u8]),
    /// What the dictionary has for it.
    Code(u16),
}

/// The parts of a message, as they stand on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts<'a> {
    /// What it is.
    pub kind: Kind,
    /// 0 where the kind carries none.
    pub id: u64,
    /// Where it goes, or what it is about.
    pub route: Route<'a>,
    /// The rest.
    pub body: &'a [u8],
}

/// Takes a message apart.
///
/// Bits 4 to 7 of the flag are ignored. Bit 4 would say that the body is gzip: no Pomelo server ever inflates
/// one, so the body is taken as it is.
///
/// # Errors
///
/// The reason why it is no message.
pub fn read(data: &[u8]) -> Result<Parts<'_>, &'static str> {
    let (&flag, rest) = data.split_first().ok_or("DATA without a message")?;
    let kind = match flag >> 1 & 7 {
        0 => Kind::Request,
        1 => Kind::Notify,
        2 => Kind::Response,
        3 => Kind::Push,
        _ => return Err("message type is not 0 to 3"),
    };
    let (id, rest) = match kind {
        Kind::Request | Kind::Response => read_id(rest)?,
        Kind::Notify | Kind::Push => (0, rest),
    };
    let (route, body) = match kind {
        Kind::Response => (Route::None, rest),
        _ if flag & COMPRESSED_ROUTE != 0 => {
            let (code, rest) = rest.split_first_chunk().ok_or("message is cut in its route code")?;
            (Route::Code(u16::from_be_bytes(*code)), rest)
        }
        _ => {
            let (&length, rest) = rest.split_first().ok_or("message is cut before its route")?;
            let (route, rest) =
                rest.split_at_checked(usize::from(length)).ok_or("route is longer than its message")?;
            (Route::Text(route), rest)
        }
    };
    Ok(Parts { kind, id, route, body })
}

/// Appends what stands in front of a body. A route given as text must not exceed [`MAX_ROUTE`] bytes.
pub fn write_head(kind: Kind, id: u64, route: Route<'_>, out: &mut Vec<u8>) {
    let compressed = if matches!(route, Route::Code(_)) { COMPRESSED_ROUTE } else { 0 };
    out.push((kind as u8) << 1 | compressed);
    if matches!(kind, Kind::Request | Kind::Response) {
        write_id(id, out);
    }
    match route {
        Route::None => {}
        Route::Text(text) => {
            debug_assert!(text.len() <= MAX_ROUTE);
            out.push(text.len() as u8);
            out.extend_from_slice(text);
        }
        Route::Code(code) => out.extend_from_slice(&code.to_be_bytes()),
    }
}

/// LEB128: 7 bits a byte, the low group first, the top bit set on all bytes but the last. All of u64, where
/// Pomelo's own shifts end at 2^31.
fn read_id(bytes: &[u8]) -> Result<(u64, &[u8]), &'static str> {
    let mut id = 0;
    for (index, &byte) in bytes.iter().enumerate() {
        let group = u64::from(byte & 0x7f);
        // The tenth byte has room for one bit.
        if index > 9 || index == 9 && byte > 1 {
            return Err("id exceeds 64 bits");
        }
        id |= group << (7 * index);
        if byte < 0x80 {
            return Ok((id, &bytes[index + 1..]));
        }
    }
    Err("message is cut in its id")
}

fn write_id(mut id: u64, out: &mut Vec<u8>) {
    while id >= 0x80 {
        out.push(id as u8 | 0x80);
        id >>= 7;
    }
    out.push(id as u8);
}
