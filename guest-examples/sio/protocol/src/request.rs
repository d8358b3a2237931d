//! Texts of a client:
//! `id: 4 characters, big-endian | length of the route: 1 character | route | JSON body`.
//!
//! Clients make them in JavaScript. Each of the first five characters has a value of 0 to 255, and
//! the length of the route counts UTF-16 code units. The text arrives as UTF-8, in which such a
//! character may have two bytes.

/// A request of a client, or a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// The id for the response. `None`: a notification, which gets no response.
    pub id: Option<u64>,
    /// Where the request goes.
    pub route: &'a str,
    /// The payload, which should be JSON. The application finds out whether it is.
    pub body: &'a [u8],
}

/// The number of characters before the route.
const HEAD: usize = 5;

/// Reads a packet.
///
/// # Errors
/// Returns an error if the packet has no complete head and route, or is not UTF-8.
pub fn decode(packet: &[u8]) -> Result<Request<'_>, &'static str> {
    let text = str::from_utf8(packet).map_err(|_| "the packet is not UTF-8")?;
    let mut chars = text.chars();
    let mut head = [0; HEAD];
    for byte in &mut head {
        let char = chars.next().ok_or("the packet is shorter than its head of 5 characters")?;
        *byte = u8::try_from(u32::from(char)).map_err(|_| "the head has a character over 255")?;
    }
    let [id @ .., length] = head;
    let rest = chars.as_str();
    let (route, body) = rest.split_at(utf8_length(rest, length.into())?);
    let body = if body.is_empty() || body.trim_ascii() == "null" { "{}" } else { body };
    let id = u64::from(u32::from_be_bytes(id));
    Ok(Request { id: (id > 0).then_some(id), route, body: body.as_bytes() })
}

/// Returns the number of bytes of the first `units` UTF-16 code units of a text, which begins with
/// the route.
fn utf8_length(text: &str, units: usize) -> Result<usize, &'static str> {
    let mut left = units;
    for (at, char) in text.char_indices() {
        if left == 0 {
            return Ok(at);
        }
        left = left.checked_sub(char.len_utf16()).ok_or("the route ends inside a character")?;
    }
    if left == 0 { Ok(text.len()) } else { Err("the packet ends inside its route") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request<'a>(id: u64, route: &'a str, body: &'a str) -> Result<Request<'a>, &'static str> {
        Ok(Request { id: Some(id), route, body: body.as_bytes() })
    }

    #[test]
    fn a_packet_has_an_id_a_route_and_a_body() {
        assert_eq!(decode(b"\0\0\0\x01\x05a.b.c{\"n\":1}"), request(1, "a.b.c", "{\"n\":1}"));
        assert_eq!(decode(b"\0\0\0\x02\0{bad"), request(2, "", "{bad"));
        let notification = Request { id: None, route: "a.b.c", body: b"[]" };
        assert_eq!(decode(b"\0\0\0\0\x05a.b.c[]"), Ok(notification));
    }

    #[test]
    fn an_empty_body_is_an_empty_object() {
        for empty in ["\0\0\0\x01\x01a", "\0\0\0\x01\x01anull", "\0\0\0\x01\x01a null "] {
            assert_eq!(decode(empty.as_bytes()), request(1, "a", "{}"));
        }
    }

    #[test]
    fn lengths_count_as_in_javascript() {
        // Each character of the head counts once, even if it has two bytes in UTF-8.
        assert_eq!(decode("\u{ff}\u{fe}\u{80}\u{7f}\x01a1".as_bytes()), request(0xfffe_807f, "a", "1"));
        let long = "r".repeat(200);
        let packet = format!("\0\0\0\x01\u{c8}{long}{{}}");
        assert_eq!(decode(packet.as_bytes()), request(1, &long, "{}"));
        // An emoji counts twice.
        assert_eq!(decode("\0\0\0\x01\x04é😀a{}".as_bytes()), request(1, "é😀a", "{}"));
    }

    #[test]
    fn incomplete_packets_are_errors() {
        for (packet, reason) in [
            (&b""[..], "the packet is shorter than its head of 5 characters"),
            (b"\0\0\0\x01", "the packet is shorter than its head of 5 characters"),
            ("\0\0\0\u{100}\0".as_bytes(), "the head has a character over 255"),
            (b"\0\0\0\x01\x03ab", "the packet ends inside its route"),
            ("\0\0\0\x01\x01😀".as_bytes(), "the route ends inside a character"),
            (b"\0\0\0\x01\0\xff", "the packet is not UTF-8"),
        ] {
            assert_eq!(decode(packet), Err(reason), "{packet:?}");
        }
    }
}
