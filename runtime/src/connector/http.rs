//! As much of HTTP as it takes to tell a client of it that it is wrong here.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;
pub(super) use tokio_tungstenite::tungstenite::http::StatusCode as Status;

use super::ByteStream;

/// How long a client that was refused may take to read why.
const LINGER: Duration = Duration::from_secs(1);

/// The longest name of a method that is taken for one, in bytes.
const MAX_METHOD: usize = 20;

/// Whether bytes may begin a request: a method in capitals, and a space if it has come.
pub(super) fn is_request(bytes: &[u8]) -> bool {
    let method = bytes.iter().position(|byte| *byte == b' ').unwrap_or(bytes.len());
    (1..=MAX_METHOD).contains(&method) && bytes[..method].iter().all(u8::is_ascii_uppercase)
}

/// Answers a request, and ends the connection. Who is gone already need not hear it.
pub(super) async fn refuse<S: ByteStream>(
    stream: &mut S,
    status: Status,
    headers: &[(&str, &str)],
    text: &str,
) {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let answer = format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}\n",
        text.len() + 1
    );
    let told = async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await?;
        // A socket that is dropped with input unread is reset, and the answer may be lost.
        let mut scratch = [0; 512];
        while stream.read(&mut scratch).await? > 0 {}
        io::Result::Ok(())
    };
    let _ = timeout(LINGER, told).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_from_packets() {
        for request in [&b"G"[..], b"GET", b"GET / HTTP/1.1\r\n", b"OPTIONS * ", b"PRI * HTTP/2.0"] {
            assert!(is_request(request), "{request:?}");
        }
        for other in
            [&b""[..], b" GET", b"get /", b"\x01\0\0\x02{}", b"GET\r\n", b"AAAAAAAAAAAAAAAAAAAAAAAAA"]
        {
            assert!(!is_request(other), "{other:?}");
        }
    }
}
