//! RFC 6455 over a bare socket: sections 1 to 7 of the Autobahn test suite as far as they concern a
//! server, rewritten as tables with more cases. (`interop::autobahn` runs the suite itself.)
//!
//! The server echoes each message: text as text, and binary as binary, on one listener.

mod closing;
mod control;
mod frame;
mod framing;
mod text;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use wireplug::{CodecSource, Listener, RunningServer};
use wireplug_tests::app::with_guests;
use wireplug_tests::hostile::{Function, Guest, Payload};
use wireplug_tests::raw::UPGRADE;
use wireplug_tests::within;

use self::frame::{Frame, frame};
use super::{address, serve};

/// The largest message in bytes, which is the default of the codec.
const LARGEST: usize = 64 << 10;

/// Returns a component for which text and binary are different packets, and that has each packet
/// echoed as it came. It keeps the tag of a packet in the id of the request.
pub(crate) fn echo() -> CodecSource {
    let decode = "
        (local $event i32)
        (local.set $event (call $alloc (i32.const 48)))
        (call $message (local.get $event)
            (i32.add (local.get $packet) (i32.const 1)) (i32.sub (local.get $length) (i32.const 1)))
        (i64.store offset=16 (local.get $event) (i64.load8_u (local.get $packet)))
        (call $three (call $alloc (i32.const 16)) (i32.const 0) (local.get $event) (i32.const 1))";
    let encode = "
        (local $at i32) (local $length i32)
        (local.set $length (i32.add (local.get $body-length) (i32.const 1)))
        (local.set $at (call $alloc (local.get $length)))
        (i32.store8 (local.get $at) (i32.wrap_i64 (local.get $id)))
        (memory.copy (i32.add (local.get $at) (i32.const 1)) (local.get $body) (local.get $body-length))
        (call $honest-encode (local.get $at) (local.get $length))";
    let guest = Guest::new("echo").payload(Payload::Tagged);
    let guest = guest.with(Function::Decode, decode).with(Function::Encode, encode);
    CodecSource::bytes("echo", guest.build(), json!({}))
}

async fn server() -> RunningServer {
    serve(with_guests(), Listener::new("ws://127.0.0.1:0", echo())).await
}

/// A client that can send any bytes.
struct Client {
    socket: TcpStream,
    read: Vec<u8>,
}

impl Client {
    async fn connect(server: &RunningServer) -> Self {
        let mut socket = TcpStream::connect(address(server)).await.expect("it listens");
        socket.write_all(UPGRADE).await.expect("it reads");
        let mut client = Self { socket, read: Vec::new() };
        let head = loop {
            if let Some(end) = client.read.windows(4).position(|end| end == b"\r\n\r\n") {
                break client.read.drain(..end + 4).collect::<Vec<_>>();
            }
            assert!(client.more().await, "an answer");
        };
        assert!(head.starts_with(b"HTTP/1.1 101 "));
        client
    }

    async fn more(&mut self) -> bool {
        // A reset counts as an end. The server may not have read the last bytes.
        within("bytes", self.socket.read_buf(&mut self.read)).await.is_ok_and(|count| count > 0)
    }

    async fn say(&mut self, bytes: &[u8]) {
        // The server may have ended the connection.
        let _ = self.socket.write_all(bytes).await;
    }

    /// Returns the next frame, or `None` when the connection has ended.
    async fn hear(&mut self) -> Option<Frame> {
        loop {
            if let Some((frame, length)) = Frame::parse(&self.read) {
                self.read.drain(..length);
                return Some(frame);
            }
            if !self.more().await {
                assert!(self.read.is_empty(), "half a frame");
                return None;
            }
        }
    }

    /// Returns all frames until the end of the connection.
    async fn hear_all(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(frame) = self.hear().await {
            frames.push(frame);
        }
        frames
    }
}

/// How bytes reach the server: all at once, or in pieces as over a slow network.
#[derive(Clone, Copy)]
enum Pace {
    Whole,
    Chopped(usize),
}

impl Client {
    async fn say_at(&mut self, bytes: &[u8], pace: Pace) {
        let Pace::Chopped(size) = pace else { return self.say(bytes).await };
        self.socket.set_nodelay(true).expect("it lives");
        for part in bytes.chunks(size) {
            self.say(part).await;
            tokio::task::yield_now().await;
        }
    }
}

/// A test case: the bytes that the client sends, and all frames that it must receive. If the server
/// does not fail the connection, the client closes it at the end and expects the server's close
/// frame last.
struct Case {
    name: &'static str,
    said: Vec<u8>,
    heard: Vec<Frame>,
    ends: Ends,
}

enum Ends {
    /// The client closes the connection.
    Well,
    /// The server fails the connection with this code.
    Fails(u16),
}

/// Runs each case on connections of its own, at several paces, and checks how they end.
async fn play(cases: Vec<Case>) {
    let server = server().await;
    for Case { name, said, heard, ends } in &cases {
        let paces = match said.len() {
            0..500 => &[Pace::Whole, Pace::Chopped(1)][..],
            _ => &[Pace::Whole, Pace::Chopped(997)],
        };
        for pace in paces {
            let mut client = Client::connect(&server).await;
            client.say_at(said, *pace).await;
            let mut wanted = heard.clone();
            match ends {
                Ends::Well => {
                    client.say(&frame(0x88, &1000u16.to_be_bytes())).await;
                    wanted.push(Frame::close(1000, ""));
                    assert_eq!(client.hear_all().await, wanted, "{name}");
                }
                Ends::Fails(code) => {
                    let mut frames = client.hear_all().await;
                    let close = frames.pop().expect("a goodbye");
                    assert_eq!((close.first, close.code()), (0x88, Some(*code)), "{name}: {close:?}");
                    assert_eq!(frames, wanted, "{name}");
                }
            }
        }
    }
    let failing = cases.iter().filter(|case| matches!(case.ends, Ends::Fails(_))).count() as u64 * 2;
    let well = cases.len() as u64 * 2 - failing;
    let stats = within("the end", server.shutdown()).await;
    let count = |cause| stats.closes.get(cause).copied().unwrap_or_default();
    assert_eq!((count("client-closed"), count("transport")), (well, failing), "{stats}");
}

fn well(name: &'static str, said: Vec<u8>, heard: Vec<Frame>) -> Case {
    Case { name, said, heard, ends: Ends::Well }
}

fn fails(name: &'static str, said: Vec<u8>, heard: Vec<Frame>, code: u16) -> Case {
    Case { name, said, heard, ends: Ends::Fails(code) }
}
