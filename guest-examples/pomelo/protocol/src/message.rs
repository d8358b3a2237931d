//! The inner layer, the body of a DATA package:
//! `flag: u8 | id: LEB128 (REQUEST, RESPONSE) | route (REQUEST, NOTIFY, PUSH) | body`.

/// Bit 0 of the flag: the route is a code of the dictionary.
const COMPRESSED_ROUTE: u8 = 1;

/// Bit 4 of the flag: the body is compressed. Only Pitaya and its clients use it.
const COMPRESSED_BODY: u8 = 1 << 4;

/// Bit 5 of the flag: the request has failed, so the body is an error. Only Pitaya uses it.
pub const ERROR: u8 = 1 << 5;

/// The length in bytes of the longest route that is sent as text: its length field has 1 byte.
pub const MAX_ROUTE: usize = 255;

/// The type of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A message from the client that expects a response.
    Request = 0,
    /// A message from the client that expects no response.
    Notify = 1,
    /// The server's answer to a request.
    Response = 2,
    /// A message from the server that answers no request.
    Push = 3,
}

/// A route as it is on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route<'a> {
    /// No route. A response has none: the client finds its request by the id.
    None,
    /// The name of the route.
    Text(&'a [u8]),
    /// The code of the route in the dictionary.
    Code(u16),
}

/// The parts of a message as they are on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts<'a> {
    /// The type.
    pub kind: Kind,
    /// The id of a request or a response, else 0.
    pub id: u64,
    /// The route.
    pub route: Route<'a>,
    /// Whether the flag says that the body is compressed.
    pub compressed: bool,
    /// The bytes behind the route.
    pub body: &'a [u8],
}

/// Splits a message into its parts.
///
/// Ignores bits 5 to 7 of the flag. The body is returned as it is, compressed or not.
///
/// # Errors
///
/// Returns the reason if `data` is not a message.
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
    Ok(Parts { kind, id, route, compressed: flag & COMPRESSED_BODY != 0, body })
}

/// Appends the bytes of a message up to its body. A route of type [`Route::Text`] has at most
/// [`MAX_ROUTE`] bytes.
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

/// Reads an id. Returns it and the bytes behind it.
///
/// The format is LEB128: 7 bits in each byte, the low bits first; the top bit is set in every byte
/// but the last. All 64-bit ids are read. Pomelo reads only ids below 2^31.
fn read_id(bytes: &[u8]) -> Result<(u64, &[u8]), &'static str> {
    let mut id = 0;
    for (index, &byte) in bytes.iter().enumerate() {
        let group = u64::from(byte & 0x7f);
        // The tenth byte has room for 1 of the 64 bits.
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
