//! The datagrams by which a client opens a session, byte by byte. `docs/udp.md` documents them for
//! authors of clients.
//!
//! ```text
//! client                                server
//!   anything of 24 bytes or more   ──▶
//!                                  ◀──  challenge: ff 'W' 'P' 'U' 'D' 'P' '1' 01, cookie[16]
//!   answer: ff "WPUDP1" 02, cookie ──▶
//!                                  ◀──  open: ff "WPUDP1" 03
//! ```
//!
//! The answer differs from the challenge, so that a host which sends back whatever it receives,
//! such as an echo service, does not pass the check. A datagram that looks like a part of an
//! opening but is not valid is never answered, so that two servers cannot be made to answer each
//! other without end.

/// The first bytes of each of these datagrams. If a codec is to be used over UDP, none of its
/// packets may begin with these bytes.
const MAGIC: [u8; 7] = *b"\xffWPUDP1";

/// The length of a cookie in bytes.
pub(super) const COOKIE: usize = 16;

/// The length of a challenge and of its answer, in bytes.
pub(super) const CHALLENGE: usize = MAGIC.len() + 1 + COOKIE;

/// The datagram that tells a client that it has a session.
pub(super) const OPEN: [u8; MAGIC.len() + 1] = *b"\xffWPUDP1\x03";

const KIND_CHALLENGE: u8 = 1;
const KIND_ANSWER: u8 = 2;

/// The role of a datagram in the opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opening<'a> {
    /// The answer to a challenge.
    Answer(&'a [u8; COOKIE]),
    /// A datagram that begins like those of an opening, but that no client sends.
    Stray,
    /// A datagram that is no part of an opening.
    Other,
}

/// Determines the role of a datagram in the opening.
pub(super) fn read(datagram: &[u8]) -> Opening<'_> {
    let Some(rest) = datagram.strip_prefix(&MAGIC) else { return Opening::Other };
    match rest {
        [KIND_ANSWER, cookie @ ..] => cookie.try_into().map_or(Opening::Stray, Opening::Answer),
        _ => Opening::Stray,
    }
}

/// Returns the challenge with this cookie.
pub(super) fn challenge(cookie: &[u8; COOKIE]) -> [u8; CHALLENGE] {
    let mut challenge = [0; CHALLENGE];
    challenge[..MAGIC.len()].copy_from_slice(&MAGIC);
    challenge[MAGIC.len()] = KIND_CHALLENGE;
    challenge[MAGIC.len() + 1..].copy_from_slice(cookie);
    challenge
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_is_an_answer() {
        let challenge = challenge(&[7; COOKIE]);
        assert_eq!(
            challenge,
            *b"\xffWPUDP1\x01\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07"
        );
        let mut answer = challenge;
        answer[MAGIC.len()] = KIND_ANSWER;
        assert_eq!(read(&answer), Opening::Answer(&[7; COOKIE]));
        // An echo service or another server sends back these datagrams.
        assert_eq!(read(&challenge), Opening::Stray);
        assert_eq!(read(&OPEN), Opening::Stray);
        for length in MAGIC.len()..answer.len() {
            assert_eq!(read(&answer[..length]), Opening::Stray, "{length}");
        }
        assert_eq!(read(&[&answer[..], b"x"].concat()), Opening::Stray);
        for other in [&b""[..], b"\xff", &answer[1..], &[0; CHALLENGE]] {
            assert_eq!(read(other), Opening::Other, "{other:?}");
        }
    }
}
