//! What a client says: `id: 4 chars, big-endian | length of the route: 1 char | route | JSON body`.
//!
//! It is made by JavaScript: each of the first five is a character of the value 0 to 255, and lengths are counted in
//! UTF-16 code units. What comes is UTF-8, in which such a character may take two bytes.

/// What a client says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// The number that it wants in the response. None: it wants no response.
    pub id: Option<u64>,
    /// What it is about.
    pub route: &'a str,
    /// JSON, or what passes for it: the application says what it is.
    pub body: &'a [u8],
}

/// The characters in front of the route.
const HEAD: usize = 5;

/// Reads a packet.
///
/// # Errors
/// What is wrong with it.
pub fn decode(packet: &[u8]) -> Result<Request<'_>, &'static str> {
    let text = str::from_utf8(packet).map_err(|_| "not UTF-8")?;
    let mut chars = text.chars();
    let mut head = [0; HEAD];
    for byte in &mut head {
        let char = chars.next().ok_or("shorter than its head of 5 characters")?;
        *byte = u8::try_from(u32::from(char)).map_err(|_| "a character over 255 in its head")?;
    }
    let [id @ .., length] = head;
    let rest = chars.as_str();
    let (route, body) = rest.split_at(bytes_of(rest, length.into())?);
    let body = if body.is_empty() || body.trim_ascii() == "null" { "{}" } else { body };
    let id = u64::from(u32::from_be_bytes(id));
    Ok(Request { id: (id > 0).then_some(id), route, body: body.as_bytes() })
}

/// How many bytes of a text are its first so many UTF-16 code units.
fn bytes_of(text: &str, units: usize) -> Result<usize, &'static str> {
    let mut left = units;
    for (at, char) in text.char_indices() {
        if left == 0 {
            return Ok(at);
        }
        left = left.checked_sub(char.len_utf16()).ok_or("its route ends inside a character")?;
    }
    if left == 0 { Ok(text.len()) } else { Err("it ends inside its route") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request<'a>(id: Option<u64>, route: &'a str, body: &'a str) -> Result<Request<'a>, &'static str> {
        Ok(Request { id, route, body: body.as_bytes() })
    }

    #[test]
    fn heads_routes_and_bodies() {
        assert_eq!(decode(b"\0\0\0\x01\x05a.b.c{\"n\":1}"), request(Some(1), "a.b.c", "{\"n\":1}"));
        assert_eq!(decode(b"\0\0\0\0\x05a.b.c[]"), request(None, "a.b.c", "[]"));
        assert_eq!(decode(b"\0\0\0\x02\0{bad"), request(Some(2), "", "{bad"));
        for empty in ["\0\0\0\x01\x01a", "\0\0\0\x01\x01anull", "\0\0\0\x01\x01a null "] {
            assert_eq!(decode(empty.as_bytes()), request(Some(1), "a", "{}"));
        }
        // Each of these is one character, whatever it takes in UTF-8.
        assert_eq!(decode("\u{ff}\u{fe}\u{80}\u{7f}\x01a1".as_bytes()), request(Some(0xfffe_807f), "a", "1"));
        let long = "r".repeat(200);
        let packet = format!("\0\0\0\x01\u{c8}{long}{{}}");
        assert_eq!(decode(packet.as_bytes()), request(Some(1), &long, "{}"));
        // JavaScript counts an emoji as two.
        assert_eq!(decode("\0\0\0\x01\x04é😀a{}".as_bytes()), request(Some(1), "é😀a", "{}"));
    }

    #[test]
    fn what_is_none() {
        for (packet, why) in [
            (&b""[..], "shorter than its head of 5 characters"),
            (b"\0\0\0\x01", "shorter than its head of 5 characters"),
            ("\0\0\0\u{100}\0".as_bytes(), "a character over 255 in its head"),
            (b"\0\0\0\x01\x03ab", "it ends inside its route"),
            ("\0\0\0\x01\x01😀".as_bytes(), "its route ends inside a character"),
            (b"\0\0\0\x01\0\xff", "not UTF-8"),
        ] {
            assert_eq!(decode(packet), Err(why), "{packet:?}");
        }
    }
}
