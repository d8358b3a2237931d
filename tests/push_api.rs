//! A client of the push API: one connection, and streams of commands and answers.

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::within;

/// A connection to the control API. It stays open if the server leaves it open.
pub struct PushClient {
    stream: TcpStream,
    unread: Vec<u8>,
    address: String,
    token: String,
}

/// The answer to one request.
#[derive(Debug)]
pub struct PushAnswer {
    /// The status.
    pub status: u16,
    /// The head, in lower case.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
}

impl PushAnswer {
    /// Returns the value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// Returns the body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the answer is JSON")
    }
}

impl PushClient {
    /// Connects to `IP:PORT`.
    pub async fn connect(address: &str, token: &str) -> Self {
        let stream = within("the control API", TcpStream::connect(address)).await.expect("it listens");
        Self { stream, unread: Vec::new(), address: address.to_owned(), token: token.to_owned() }
    }

    /// Sends a request without waiting for the answer.
    pub async fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) {
        let body = body.as_ref();
        let head = self.head(method, path, headers, &format!("content-length: {}\r\n", body.len()));
        let request = [head.as_bytes(), body].concat();
        // A request that is refused may not be read to its end.
        let _ = within("room for a request", self.stream.write_all(&request)).await;
    }

    fn head(&self, method: &str, path: &str, headers: &[(&str, &str)], last: &str) -> String {
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let (host, token) = (&self.address, &self.token);
        format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\n{headers}{last}\r\n"
        )
    }

    /// Waits for the answer to the request that was sent first.
    pub async fn answer(&mut self) -> PushAnswer {
        let (status, head) = self.answer_head().await;
        let mut answer = PushAnswer { status, head, body: Vec::new() };
        if answer.header("transfer-encoding") == Some("chunked") {
            while let Some(chunk) = self.chunk().await {
                answer.body.extend(chunk);
            }
        } else {
            let length = answer.header("content-length").expect("a length").parse().expect("a number");
            answer.body = self.exactly(length).await;
        }
        answer
    }

    /// Sends a request, and waits for its answer.
    pub async fn ask(&mut self, method: &str, path: &str) -> PushAnswer {
        self.send(method, path, &[], "").await;
        self.answer().await
    }

    /// Sends a command, which is `VERB/TARGET`, and waits for its answer.
    pub async fn command(
        &mut self,
        command: &str,
        headers: &[(&str, &str)],
        payload: impl AsRef<[u8]>,
    ) -> PushAnswer {
        self.send("POST", &format!("/clients/{command}"), headers, payload).await;
        self.answer().await
    }

    /// Sends a command that is taken, and returns by how many sessions.
    pub async fn done(&mut self, command: &str, payload: impl AsRef<[u8]>) -> u64 {
        let answer = self.command(command, &[("wireplug-route", "onChat")], payload).await;
        assert_eq!(answer.status, 200, "{command}: {answer:?}");
        answer.json()["sessions"].as_u64().expect("a number")
    }

    /// Sends a command that is refused with this status, and returns why.
    pub async fn refused(
        &mut self,
        command: &str,
        headers: &[(&str, &str)],
        payload: impl AsRef<[u8]>,
        status: u16,
    ) -> String {
        let answer = self.command(command, headers, payload).await;
        assert_eq!(answer.status, status, "{command}: {answer:?}");
        answer.json()["error"].as_str().expect("a reason").to_owned()
    }

    /// Waits until the server closes the connection, without another answer.
    pub async fn closed(mut self) {
        assert!(!self.read().await, "the server sends {:?}", String::from_utf8_lossy(&self.unread));
    }

    /// Begins a stream of commands.
    pub async fn stream(mut self) -> PushStream {
        let headers = [("content-type", "application/x-ndjson")];
        let head = self.head("POST", "/clients", &headers, "transfer-encoding: chunked\r\n");
        self.stream.write_all(head.as_bytes()).await.expect("it is open");
        let (status, head) = self.answer_head().await;
        assert_eq!(status, 200, "{head}");
        assert!(head.contains("content-type: application/x-ndjson"), "{head}");
        PushStream { client: self, answers: Vec::new() }
    }

    /// Waits for the head of an answer. Returns its status and the head, in lower case.
    pub async fn answer_head(&mut self) -> (u16, String) {
        let end = loop {
            if let Some(at) = self.unread.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break at + 4;
            }
            assert!(self.read().await, "the server closed before an answer");
        };
        let head: Vec<_> = self.unread.drain(..end).collect();
        let head = String::from_utf8(head).expect("a head is text").to_ascii_lowercase();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        (status, head)
    }

    /// Returns the next chunk of a body, or `None` at its end.
    async fn chunk(&mut self) -> Option<Vec<u8>> {
        let end = loop {
            if let Some(at) = self.unread.windows(2).position(|bytes| bytes == b"\r\n") {
                break at;
            }
            assert!(self.read().await, "the server closed within a body");
        };
        let size = std::str::from_utf8(&self.unread[..end]).expect("a size");
        let size = usize::from_str_radix(size, 16).expect("a size in hex");
        let mut chunk = self.exactly(end + 2 + size + 2).await;
        chunk.truncate(end + 2 + size);
        chunk.drain(..end + 2);
        (size > 0).then_some(chunk)
    }

    async fn exactly(&mut self, length: usize) -> Vec<u8> {
        while self.unread.len() < length {
            assert!(self.read().await, "the server closed within a body");
        }
        self.unread.drain(..length).collect()
    }

    /// Reads once. Returns false if the server has closed.
    async fn read(&mut self) -> bool {
        let read = within("bytes from the control API", self.stream.read_buf(&mut self.unread)).await;
        read.expect("the server does not reset") > 0
    }
}

/// A stream of commands, and of their answers.
pub struct PushStream {
    client: PushClient,
    answers: Vec<u8>,
}

impl PushStream {
    /// Sends lines, each with a command.
    pub async fn send<'a>(&mut self, lines: impl IntoIterator<Item = &'a Value>) {
        let lines: String = lines.into_iter().map(|line| format!("{line}\n")).collect();
        self.write(&lines).await;
    }

    /// Sends text as it is.
    pub async fn write(&mut self, text: &str) {
        let sent = self.client.stream.write_all(&chunk(text)).await;
        sent.expect("it is open");
    }

    /// Returns the next answer, or `None` at the end of a complete body.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.answers.iter().position(|byte| *byte == b'\n') {
                let line: Vec<_> = self.answers.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).expect("an answer is JSON"));
            }
            match self.client.chunk().await {
                Some(chunk) => self.answers.extend(chunk),
                None => {
                    assert_eq!(self.answers, b"", "a part of a line");
                    return None;
                }
            }
        }
    }

    /// Returns the next answer, which is there.
    pub async fn answer(&mut self) -> Value {
        self.next().await.expect("the stream goes on")
    }

    /// Ends the commands.
    pub async fn end(&mut self) {
        self.client.stream.write_all(b"0\r\n\r\n").await.expect("it is open");
    }

    /// Returns the socket, for a client that does not read.
    pub fn socket(&mut self) -> &mut TcpStream {
        &mut self.client.stream
    }

    /// Returns the connection behind a stream that has ended.
    pub fn into_client(self) -> PushClient {
        self.client
    }
}

/// Returns text as a chunk of a body.
pub fn chunk(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}
