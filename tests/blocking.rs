//! A Pomelo client over any stream, for tests that have no tasks.

use std::collections::VecDeque;
use std::io::{self, Read, Write};

use wireplug_pomelo::client::{Client as Protocol, Incoming};

use crate::app::ECHO;

/// A Pomelo client. It sends heartbeats only in [`Client::heartbeat`].
pub struct Client<S> {
    stream: S,
    protocol: Protocol,
    incoming: VecDeque<Incoming>,
}

impl<S: Read + Write> Client<S> {
    /// Makes a client that has not sent anything.
    pub fn new(stream: S) -> Self {
        Self { stream, protocol: Protocol::new(), incoming: VecDeque::new() }
    }

    /// Makes a client and completes the handshake.
    #[track_caller]
    pub fn connect(stream: S) -> Self {
        let mut client = Self::new(stream);
        client.begin_handshake();
        client.end_handshake();
        client
    }

    /// Does what [`Client::connect`] does, and returns `None` if the server closes the connection.
    pub fn try_connect(stream: S) -> Option<Self> {
        let mut client = Self::new(stream);
        client.try_begin_handshake().ok()?;
        let answer = client.try_receive().ok()??;
        client.incoming.push_front(answer);
        client.end_handshake();
        Some(client)
    }

    /// Sends the first package of the handshake.
    pub fn begin_handshake(&mut self) {
        self.try_begin_handshake().expect("the server reads");
    }

    fn try_begin_handshake(&mut self) -> io::Result<()> {
        let mut out = Vec::new();
        self.protocol.connect(None, &mut out);
        self.stream.write_all(&out)
    }

    /// Waits for the answer to the handshake, and acknowledges it.
    #[track_caller]
    pub fn end_handshake(&mut self) {
        let ready = self.receive();
        assert!(matches!(ready, Some(Incoming::Ready { .. })), "{ready:?}");
    }

    /// Sends a heartbeat.
    pub fn heartbeat(&mut self) {
        let mut out = Vec::new();
        self.protocol.heartbeat(&mut out);
        self.stream.write_all(&out).expect("the server is there");
    }

    /// Sends a request and returns the body of its response, which must be the next message.
    #[track_caller]
    pub fn request(&mut self, route: &str, body: &str) -> Vec<u8> {
        let mut out = Vec::new();
        let asked = self.protocol.request(route, body.as_bytes(), &mut out).expect("the connection is ready");
        self.stream.write_all(&out).expect("the server reads");
        match self.receive() {
            Some(Incoming::Response { id, body, .. }) if id == asked => body,
            other => panic!("{other:?} in answer to request {asked}"),
        }
    }

    /// Sends a request to the echo route and compares the response.
    #[track_caller]
    pub fn echo(&mut self, body: &str) {
        assert_eq!(self.request(ECHO, body), body.as_bytes());
    }

    /// Returns the next message that is not a heartbeat, or `None` if the server has closed.
    #[track_caller]
    pub fn receive(&mut self) -> Option<Incoming> {
        self.try_receive().expect("the server sends something")
    }

    fn try_receive(&mut self) -> io::Result<Option<Incoming>> {
        loop {
            match self.incoming.pop_front() {
                Some(Incoming::Heartbeat) => {}
                Some(incoming) => return Ok(Some(incoming)),
                None => {
                    let mut bytes = [0; 4096];
                    let count = self.stream.read(&mut bytes)?;
                    if count == 0 {
                        return Ok(None);
                    }
                    let (mut out, mut incoming) = (Vec::new(), Vec::new());
                    self.protocol.receive(&bytes[..count], &mut out, &mut incoming).expect("Pomelo");
                    self.stream.write_all(&out)?;
                    self.incoming.extend(incoming);
                }
            }
        }
    }

    /// Reads until the server has closed.
    #[track_caller]
    pub fn until_closed(&mut self) {
        match io::copy(&mut self.stream, &mut io::sink()) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
            Err(error) => panic!("the server does not close: {error}"),
        }
    }
}
