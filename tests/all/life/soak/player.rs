//! A client that sends numbered requests and checks each number that comes.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout_at};
use wireplug_tests::digits::GREETING;
use wireplug_tests::raw::Raw;
use wireplug_tests::within;

use super::wire::{Heard, Wire};

/// A connection, and the last number of each kind that it has received.
pub struct Player {
    socket: TcpStream,
    wire: Wire,
    unread: Vec<u8>,
    unsent: Vec<u8>,
    pub sent: u64,
    pub answered: u64,
    pushed: u64,
    pub questions: u64,
    /// The last broadcast; `None` before the first one.
    pub broadcast: Option<u64>,
    /// The time from which on the client changes the framing in the middle of its next requests.
    pub switch_at: Option<Instant>,
    leaves: bool,
}

/// The state of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    Open,
    /// The server closes, with a farewell if it has seen the handshake complete.
    Kicked,
    /// The server has closed after the client left.
    Closed,
}

impl Player {
    /// Connects to a server that speaks Pomelo.
    pub async fn connect(url: &str) -> Self {
        Self::new(Raw::pomelo(url).await, Wire::Pomelo, None)
    }

    /// Connects to a server with the digits codec.
    pub async fn digits(url: &str, client: usize, switch_at: Instant) -> Self {
        let mut raw = Raw::connect(url).await;
        raw.expect(GREETING).await;
        Self::new(raw, Wire::digits(client), Some(switch_at))
    }

    fn new(raw: Raw, wire: Wire, switch_at: Option<Instant>) -> Self {
        Self {
            socket: raw.into_stream(),
            wire,
            unread: Vec::new(),
            unsent: Vec::new(),
            sent: 0,
            answered: 0,
            pushed: 0,
            questions: 0,
            broadcast: None,
            switch_at,
            leaves: false,
        }
    }

    /// Sends this many requests, in one write if the protocol does not say otherwise. The write may
    /// fail, because the server may have closed.
    pub async fn ask(&mut self, count: u64) {
        let middle = self.sent + count / 2;
        for number in self.sent + 1..=self.sent + count {
            self.unsent.extend(self.wire.request(number));
            if number == middle && self.switch_at.is_some_and(|at| at <= Instant::now()) {
                self.switch_at = None;
                self.unsent.extend(self.wire.switch());
            }
        }
        self.sent += count;
        within("room for requests", self.flush()).await;
    }

    /// Reads until all requests are answered.
    pub async fn answers(&mut self) -> Link {
        while self.answered < self.sent {
            if within("the next answer", self.read()).await == Link::Kicked {
                return Link::Kicked;
            }
        }
        assert_eq!(self.pushed, self.answered);
        Link::Open
    }

    /// Reads until `end`.
    pub async fn read_until(&mut self, end: Instant) -> Link {
        loop {
            match timeout_at(end, self.read()).await {
                Ok(Link::Open) => {}
                Ok(end) => return end,
                Err(_) => return Link::Open,
            }
        }
    }

    /// Reads until this broadcast has come.
    pub async fn broadcast(&mut self, number: u64) {
        while self.broadcast != Some(number) {
            assert_eq!(within("the last broadcast", self.read()).await, Link::Open);
        }
    }

    /// Closes the sending direction and reads to the end. Returns [`Link::Kicked`] if the server
    /// closed first.
    pub async fn leave(mut self) -> Link {
        self.leaves = true;
        // The server may have closed already.
        let _ = self.socket.shutdown().await;
        loop {
            match within("the end", self.read()).await {
                Link::Open => {}
                end => return end,
            }
        }
    }

    /// Sends what waits. Nothing is lost or sent twice if the future is dropped.
    async fn flush(&mut self) {
        while !self.unsent.is_empty() {
            let (piece, pause) = self.wire.piece(self.unsent.len());
            // If the server has closed, what it has sent shows why.
            let sent = self.socket.write(&self.unsent[..piece]).await.unwrap_or(self.unsent.len());
            self.unsent.drain(..sent);
            if !self.unsent.is_empty() {
                sleep(pause).await;
            }
        }
    }

    /// Sends what waits, and reads once. Nothing is lost if the future is dropped.
    async fn read(&mut self) -> Link {
        self.flush().await;
        // A reset counts as an end.
        let count = self.socket.read_buf(&mut self.unread).await.unwrap_or(0);
        let unread = std::mem::take(&mut self.unread);
        let mut rest = &unread[..];
        let mut kicked = false;
        while let Some((heard, length)) = self.wire.read(rest) {
            assert!(!kicked, "something behind the farewell");
            rest = &rest[length..];
            kicked = heard == Heard::Farewell;
            self.take(heard);
        }
        self.unread = rest.to_vec();
        if kicked {
            return Link::Kicked;
        }
        if count > 0 {
            return Link::Open;
        }
        if self.leaves {
            return Link::Closed;
        }
        // Pomelo has no farewell for a client whose handshake the server has not seen complete.
        let is_new = self.answered + self.pushed == 0 && self.broadcast.is_none();
        assert!(is_new, "closed without a farewell: {self:?}");
        Link::Kicked
    }

    fn take(&mut self, heard: Heard) {
        match heard {
            Heard::Answer { id, number } => {
                assert_eq!((id, number), (self.answered + 1, self.answered + 1));
                self.answered += 1;
                assert_eq!(self.pushed, self.answered, "a push comes before its answer");
            }
            Heard::Number(number) => {
                assert_eq!(number, self.pushed + 1);
                self.pushed += 1;
            }
            Heard::Broadcast(number) => {
                assert!(self.broadcast.is_none_or(|last| last + 1 == number), "{number} follows {self:?}");
                self.broadcast = Some(number);
            }
            Heard::Question { id, number } => {
                assert_eq!((id, number), (self.questions + 1, self.questions + 1));
                self.questions += 1;
                assert_eq!(self.questions, self.pushed + 1, "a question comes before its push");
                self.unsent.extend(self.wire.answer(id, number));
            }
            Heard::Farewell | Heard::Switched => {}
        }
    }
}

impl std::fmt::Debug for Player {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { sent, answered, pushed, questions, broadcast, .. } = self;
        write!(
            f,
            "{answered} of {sent} answered, {questions} questions, {pushed} pushed, broadcast {broadcast:?}"
        )
    }
}
