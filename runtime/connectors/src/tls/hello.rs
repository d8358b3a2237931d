//! Recognizes clients that connect to the wrong port: clients of TLS on a plain listener, and plain
//! clients on a TLS listener.

use std::io;

use tokio::io::AsyncReadExt as _;

use crate::ByteStream;
use crate::http;
use crate::prefixed_stream::PrefixedStream;

/// The type of the record that every TLS connection begins with (RFC 8446, section 5.1).
pub(super) const HANDSHAKE: u8 = 0x16;

/// The error for a client of TLS on a plain listener, which [`is_client_hello`] recognizes.
pub const UNEXPECTED: &str =
    "the client speaks TLS, and this listener does not: those of tls://, wss:// and hybrid+tls:// do";

/// Returns whether a stream begins as every TLS client does: with a handshake record whose first
/// message is a ClientHello. Checks as many bytes as have arrived, and needs at least three.
pub fn is_client_hello(bytes: &[u8]) -> bool {
    matches!(bytes, [0x16, 0x03, 0..=4, rest @ ..] if matches!(rest.get(2), None | Some(1)))
}

/// Refuses a client that speaks no TLS. If the client speaks HTTP, it gets an answer with the
/// reason. Returns the error for the log.
pub(super) async fn refuse_plain<S: ByteStream>(mut stream: PrefixedStream<S>) -> io::Error {
    let mut begin = Vec::with_capacity(16);
    // The first byte was given back, so it is read alone. One capital letter does not identify
    // HTTP.
    while begin.is_empty() || (begin.len() == 1 && http::is_request(&begin)) {
        match stream.read_buf(&mut begin).await {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => return error,
        }
    }
    let spoken = if http::is_request(&begin) {
        let text = "This port speaks TLS: https or wss.";
        http::refuse(&mut stream, &begin, http::Status::BAD_REQUEST, &[], text).await;
        "plain HTTP"
    } else {
        "something plain"
    };
    let what = format!("the client speaks {spoken}, and this listener only TLS");
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hello_is_distinguished_from_packets() {
        assert!(is_client_hello(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"));
        assert!(is_client_hello(b"\x16\x03\x03\x00\xf0\x01"));
        assert!(is_client_hello(b"\x16\x03\x01"));
        for other in
            [&b""[..], b"\x16\x03", b"\x16\x03\x01\x02\0\x02", b"\x16\x02\x01\x02\0\x01", b"GET / HT"]
        {
            assert!(!is_client_hello(other), "{other:?}");
        }
    }
}
