//! The part of HTTP/1.1 that is needed to open a WebSocket, and to tell an HTTP client that it
//! connected to the wrong port.

use std::io;
use std::time::Duration;

use httparse::Status as Parsed;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;
pub(super) use tokio_tungstenite::tungstenite::http::StatusCode as Status;
use tokio_tungstenite::tungstenite::http::header::{
    CONTENT_LENGTH, HeaderMap, HeaderName, TRANSFER_ENCODING,
};
use tokio_tungstenite::tungstenite::http::{HeaderValue, Method, Request, Version};

use super::ByteStream;

/// The longest head of a request, in bytes, including the empty line at its end. Browsers send some
/// hundred bytes, and cookies. The limit is the same wherever the server speaks HTTP.
pub const MAX_HEAD: usize = 16 << 10;

/// The largest number of header fields of a request. It is the limit of hyper, which serves the
/// control API and Socket.IO.
const MAX_FIELDS: usize = 100;

/// How long a refused client may take to read the answer.
const LINGER: Duration = Duration::from_secs(1);

/// The longest text that is taken for a method, in bytes.
const MAX_METHOD: usize = 20;

/// Returns whether bytes may begin a request: a method in capitals, followed by a space if that has
/// arrived.
pub(super) fn is_request(bytes: &[u8]) -> bool {
    let method = bytes.iter().position(|byte| *byte == b' ').unwrap_or(bytes.len());
    (1..=MAX_METHOD).contains(&method) && bytes[..method].iter().all(u8::is_ascii_uppercase)
}

/// Returns the number of bytes of empty lines before a request. Some clients send such lines after
/// the body of the previous request (RFC 9112, section 2.2).
pub(super) fn empty_lines(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count()
}

/// Returns whether the bytes contain the empty line that ends a head. The first `seen` bytes were
/// searched before.
pub(super) fn has_end(bytes: &[u8], seen: usize) -> bool {
    // A line may end without its carriage return (RFC 9112, section 2.2).
    let from = seen.saturating_sub(2);
    memchr::memchr_iter(b'\n', &bytes[from..])
        .any(|at| matches!(bytes[from + at + 1..], [b'\n', ..] | [b'\r', b'\n', ..]))
}

/// Parses a whole head. Returns its length in bytes, and the request.
///
/// # Errors
/// Returns the status for the answer, and what is wrong with the head.
pub(super) fn parse(head: &[u8]) -> Result<(usize, Request<()>), (Status, String)> {
    let broken = |why: String| (Status::BAD_REQUEST, why);
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut parsed = httparse::Request::new(&mut fields);
    let length = match parsed.parse(head) {
        Ok(Parsed::Complete(length)) => length,
        Ok(Parsed::Partial) => return Err(broken("it is not whole".to_owned())),
        Err(httparse::Error::TooManyHeaders) => {
            let why = format!("its head has more than {MAX_FIELDS} fields");
            return Err((Status::REQUEST_HEADER_FIELDS_TOO_LARGE, why));
        }
        Err(httparse::Error::Version) => {
            return Err((Status::HTTP_VERSION_NOT_SUPPORTED, "it is not HTTP/1".to_owned()));
        }
        Err(error) => return Err(broken(error.to_string())),
    };
    let (method, target) = (parsed.method.unwrap_or_default(), parsed.path.unwrap_or_default());
    let mut request = Request::new(());
    *request.method_mut() =
        Method::from_bytes(method.as_bytes()).map_err(|error| broken(error.to_string()))?;
    *request.uri_mut() = target.parse().map_err(|error| broken(format!("its target: {error}")))?;
    *request.version_mut() = if parsed.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
    for field in parsed.headers.iter() {
        let name =
            HeaderName::from_bytes(field.name.as_bytes()).map_err(|error| broken(error.to_string()))?;
        let value = HeaderValue::from_bytes(field.value).map_err(|error| broken(error.to_string()))?;
        request.headers_mut().append(name, value);
    }
    Ok((length, request))
}

/// Returns the members of a header field that is a list, from all of its lines (RFC 9110, section
/// 5.3).
pub(super) fn members(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
    lines
        .flat_map(|line| line.split(','))
        .map(|member| member.trim_matches([' ', '\t']))
        .filter(|member| !member.is_empty())
}

/// Returns the attributes for these header fields. The attribute of a field that is present is
/// named `header:` and the field's name in lower case. The lines of a field are joined to one list
/// (RFC 9110, section 5.3); those of `cookie` have a separator of their own (RFC 6265, section
/// 5.4).
pub(super) fn attributes(headers: &HeaderMap, names: &[String]) -> impl Iterator<Item = (String, String)> {
    names.iter().filter_map(|name| {
        let name = name.to_ascii_lowercase();
        let separator = if name == "cookie" { "; " } else { ", " };
        let lines = headers.get_all(&name).iter().map(|line| String::from_utf8_lossy(line.as_bytes()));
        let lines: Vec<_> = lines.collect();
        (!lines.is_empty()).then(|| (format!("header:{name}"), lines.join(separator)))
    })
}

/// Returns whether a body follows the head, or whether the head contradicts itself about that.
pub(super) fn has_body(headers: &HeaderMap) -> bool {
    headers.contains_key(TRANSFER_ENCODING)
        || headers.get_all(CONTENT_LENGTH).iter().any(|length| length.as_bytes() != b"0")
}

/// Answers a request, and ends the connection. If the client has gone, the answer is dropped.
/// `request` is the part of the request that has arrived: the answer to a HEAD request has no body
/// (RFC 9110, section 9.3.2).
pub(super) async fn refuse<S: ByteStream>(
    stream: &mut S,
    request: &[u8],
    status: Status,
    headers: &[(&str, &str)],
    text: &str,
) {
    // The `Upgrade` field applies to this connection only, so `Connection` must name it (RFC 9110,
    // section 7.8).
    let upgrades = headers.iter().any(|(name, _)| *name == "Upgrade");
    let connection = if upgrades { "close, Upgrade" } else { "close" };
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let mut answer = format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Type: text/plain\r\nContent-Length: {}\r\nConnection: {connection}\r\n\r\n",
        text.len() + 1
    );
    if !request[empty_lines(request)..].starts_with(b"HEAD ") {
        answer.extend([text, "\n"]);
    }
    let sent = async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await?;
        // If a socket is dropped with unread input, the connection is reset and the answer may be
        // lost.
        let mut scratch = [0; 512];
        while stream.read(&mut scratch).await? > 0 {}
        io::Result::Ok(())
    };
    let _ = timeout(LINGER, sent).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_distinguished_from_packets() {
        for request in [&b"G"[..], b"GET", b"GET / HTTP/1.1\r\n", b"OPTIONS * ", b"PRI * HTTP/2.0"] {
            assert!(is_request(request), "{request:?}");
        }
        for other in
            [&b""[..], b" GET", b"get /", b"\x01\0\0\x02{}", b"GET\r\n", b"AAAAAAAAAAAAAAAAAAAAAAAAA"]
        {
            assert!(!is_request(other), "{other:?}");
        }
    }

    #[test]
    fn the_end_of_a_head_may_come_in_pieces() {
        for head in
            ["GET / HTTP/1.1\r\nA: b\r\n\r\n", "GET / HTTP/1.1\nA: b\n\n", "GET / HTTP/1.1\nA: b\n\r\n"]
        {
            let head = head.as_bytes();
            for seen in 0..head.len() {
                let found = (seen + 1..=head.len()).find(|&come| {
                    let before = if come == seen + 1 { seen } else { come - 1 };
                    has_end(&head[..come], before)
                });
                assert_eq!(found, Some(head.len()), "{seen}");
            }
        }
        assert!(!has_end(b"GET / HTTP/1.1\r\nA: b\r\n", 0));
        assert_eq!(empty_lines(b"\r\n\r\nGET"), 4);
    }

    #[test]
    fn a_list_may_have_several_lines() {
        let head =
            b"GET / HTTP/1.1\r\nConnection: keep-alive,\tUpgrade\r\nX: y\r\nconnection: a , ,b\r\n\r\n";
        let (length, request) = parse(head).unwrap();
        assert_eq!(length, head.len());
        let members: Vec<_> = members(request.headers(), HeaderName::from_static("connection")).collect();
        assert_eq!(members, ["keep-alive", "Upgrade", "a", "b"]);
    }

    #[test]
    fn what_is_wrong_with_a_head() {
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(MAX_FIELDS + 1));
        for (head, status) in [
            ("GET / HTTP/1.1\r\nA: b\r\n", 400),
            ("GET / HTTP/1.1\r\nA : b\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", 400),
            ("GET / HTTP/3.0\r\n\r\n", 505),
            ("PRI * HTTP/2.0\r\n\r\n", 505),
            (&*many, 431),
        ] {
            assert_eq!(parse(head.as_bytes()).unwrap_err().0.as_u16(), status, "{head}");
        }
    }

    #[test]
    fn a_body_is_seen_by_its_head() {
        for (fields, body) in [
            ("", false),
            ("Content-Length: 0\r\n", false),
            ("Content-Length: 0\r\nContent-Length: 0\r\n", false),
            ("Content-Length: 3\r\n", true),
            ("Content-Length: 0\r\nContent-Length: 3\r\n", true),
            ("Content-Length: 0, 3\r\n", true),
            ("Transfer-Encoding: chunked\r\n", true),
        ] {
            let (_, request) = parse(format!("GET / HTTP/1.1\r\n{fields}\r\n").as_bytes()).unwrap();
            assert_eq!(has_body(request.headers()), body, "{fields}");
        }
    }
}
