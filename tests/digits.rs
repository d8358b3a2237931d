//! A client of the codec in `guest-examples/digits`, whose README describes both framings.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::raw::Raw;
use crate::within;

/// The greeting of the server.
pub const GREETING: &[u8] = b"+OK digits\r\n";

/// The kinds of frames, and the letter of each in binary frames. There is no binary BIN.
const KINDS: [(&str, u8); 7] =
    [("REQ", b'R'), ("NTC", b'N'), ("RES", b'S'), ("BYE", b'B'), ("PSH", b'P'), ("CAN", b'C'), ("BIN", 0)];

/// The bytes of a binary frame before the argument.
const BINARY_HEAD: usize = 10;

/// How frames are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A header line, and a body behind it.
    Text,
    /// A head with lengths in binary.
    Binary,
}

/// A frame of either side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The word that begins a text frame.
    pub kind: &'static str,
    /// The id of a request or a response; otherwise 0.
    pub id: u32,
    /// The route or the status; empty if there is none.
    pub argument: String,
    /// The body.
    pub body: Vec<u8>,
}

/// Makes a frame.
pub fn frame(kind: &'static str, id: u32, argument: &str, body: impl AsRef<[u8]>) -> Frame {
    Frame { kind, id, argument: argument.to_owned(), body: body.as_ref().to_vec() }
}

impl Form {
    /// Returns the bytes of a frame.
    pub fn write(self, Frame { kind, id, argument, body }: &Frame) -> Vec<u8> {
        let mut bytes = match self {
            Form::Text => {
                let space = if argument.is_empty() { "" } else { " " };
                format!("{kind} {id} {}{space}{argument}\n", body.len()).into_bytes()
            }
            Form::Binary => {
                let letter = KINDS.iter().find(|(word, _)| word == kind).expect("a kind").1;
                let length = BINARY_HEAD - 4 + argument.len() + body.len();
                let mut bytes = (length as u32).to_be_bytes().to_vec();
                bytes.push(letter);
                bytes.extend(id.to_be_bytes());
                bytes.push(argument.len() as u8);
                bytes.extend(argument.as_bytes());
                bytes
            }
        };
        bytes.extend(body);
        bytes
    }

    /// Reads the frame at the front of these bytes. Returns it with its length, or `None` if it is
    /// not whole.
    pub fn read(self, bytes: &[u8]) -> Option<(Frame, usize)> {
        match self {
            Form::Text => {
                let head = bytes.iter().position(|byte| *byte == b'\n')?;
                let line = std::str::from_utf8(&bytes[..head]).expect("a head is text");
                let fields: Vec<_> = line.splitn(4, ' ').collect();
                let [word, id, length, rest @ ..] = &fields[..] else { panic!("{line:?} is no head") };
                let (kind, _) = KINDS.iter().find(|(kind, _)| kind == word).expect("a kind");
                let length: usize = length.parse().expect("a length");
                let body = bytes.get(head + 1..head + 1 + length)?;
                let argument = rest.first().copied().unwrap_or_default();
                Some((frame(kind, id.parse().expect("an id"), argument, body), head + 1 + length))
            }
            Form::Binary => {
                let length = 4 + u32::from_be_bytes(*bytes.first_chunk()?) as usize;
                let (head, rest) = bytes.get(..length)?.split_at(BINARY_HEAD);
                let (kind, _) = KINDS.iter().find(|(_, letter)| *letter == head[4]).expect("a kind");
                let id = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
                let (argument, body) = rest.split_at(head[9].into());
                Some((frame(kind, id, std::str::from_utf8(argument).expect("text"), body), length))
            }
        }
    }
}

/// A connection. It reads binary frames as soon as the server has sent BIN.
pub struct Digits {
    stream: TcpStream,
    unread: Vec<u8>,
    form: Form,
}

impl Digits {
    /// Connects to `tcp://HOST:PORT`, and reads the greeting.
    pub async fn connect(url: &str) -> Self {
        let mut raw = Raw::connect(url).await;
        raw.expect(GREETING).await;
        Self { stream: raw.into_stream(), unread: Vec::new(), form: Form::Text }
    }

    /// Sends bytes.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        within("room for bytes", self.stream.write_all(bytes.as_ref())).await.expect("it is open");
    }

    /// Reads exactly this text, which is no frame.
    pub async fn expect(&mut self, wanted: &str) {
        while self.unread.len() < wanted.len() {
            assert!(self.read().await, "the server closed before {wanted:?}");
        }
        let got: Vec<_> = self.unread.drain(..wanted.len()).collect();
        assert_eq!(String::from_utf8_lossy(&got), wanted);
    }

    /// Returns the next frame.
    pub async fn next(&mut self) -> Frame {
        self.try_next().await.expect("the server closed before a frame")
    }

    /// Returns the next frame, or `None` if the server has closed behind the last one.
    pub async fn try_next(&mut self) -> Option<Frame> {
        loop {
            if let Some((frame, length)) = self.form.read(&self.unread) {
                self.unread.drain(..length);
                if frame.kind == "BIN" {
                    self.form = Form::Binary;
                }
                return Some(frame);
            }
            if !self.read().await {
                assert_eq!(self.unread, b"", "a part of a frame");
                return None;
            }
        }
    }

    /// Reads once. Returns false if the server has closed.
    async fn read(&mut self) -> bool {
        let read = within("bytes from the server", self.stream.read_buf(&mut self.unread)).await;
        read.expect("the server does not reset") > 0
    }
}
