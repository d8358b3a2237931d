//! A Pomelo client that sends numbered requests and checks each number that comes.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use wireplug_tests::raw::{DATA, KICK, Raw, request};
use wireplug_tests::within;

use super::{NUMBER, ON_ALL, ON_NUMBER};

/// A connection, and the last number of each kind that it has received.
pub struct Player {
    socket: TcpStream,
    unread: Vec<u8>,
    pub sent: u64,
    pub answered: u64,
    pushed: u64,
    /// The last broadcast; `None` before the first one.
    pub broadcast: Option<u64>,
    leaves: bool,
}

/// The state of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    Open,
    /// The server has sent a farewell, and closes.
    Kicked,
    /// The server has closed after the client left.
    Closed,
}

impl Player {
    pub async fn connect(url: &str) -> Self {
        let socket = Raw::pomelo(url).await.into_stream();
        Self { socket, unread: Vec::new(), sent: 0, answered: 0, pushed: 0, broadcast: None, leaves: false }
    }

    /// Sends this many requests in one write. The write may fail, because the server may have
    /// closed.
    pub async fn ask(&mut self, count: u64) {
        let numbers = self.sent + 1..=self.sent + count;
        let requests: Vec<u8> = numbers.flat_map(|n| request(n, NUMBER, n.to_string())).collect();
        self.sent += count;
        let _ = within("room for requests", self.socket.write_all(&requests)).await;
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

    /// Reads once. Nothing is lost if the future is dropped.
    async fn read(&mut self) -> Link {
        // A reset counts as an end.
        let count = self.socket.read_buf(&mut self.unread).await.unwrap_or(0);
        let unread = std::mem::take(&mut self.unread);
        let mut rest = &unread[..];
        let mut kicked = false;
        while let Some(head) = rest.first_chunk::<4>()
            && let Some((package, behind)) =
                rest.split_at_checked(4 + u32::from_be_bytes([0, head[1], head[2], head[3]]) as usize)
        {
            assert!(!kicked, "something behind the farewell");
            rest = behind;
            match package[0] {
                DATA => self.take(&package[4..]),
                KICK => kicked = true,
                kind => panic!("a package of type {kind}"),
            }
        }
        self.unread = rest.to_vec();
        if kicked {
            return Link::Kicked;
        }
        if count > 0 {
            return Link::Open;
        }
        assert!(self.leaves, "closed without a farewell: {self:?}");
        Link::Closed
    }

    fn take(&mut self, message: &[u8]) {
        match message[0] {
            4 => {
                let digits = message[1..].iter().take_while(|byte| **byte >= 0x80).count();
                let id = message[1..=1 + digits]
                    .iter()
                    .enumerate()
                    .fold(0, |id, (n, byte)| id | u64::from(byte & 0x7f) << (7 * n));
                assert_eq!((id, number(&message[2 + digits..])), (self.answered + 1, self.answered + 1));
                self.answered += 1;
                assert_eq!(self.pushed, self.answered, "a push comes before its answer");
            }
            6 => {
                let (route, body) = message[2..].split_at(message[1].into());
                if route == ON_NUMBER.as_bytes() {
                    assert_eq!(number(body), self.pushed + 1);
                    self.pushed += 1;
                } else {
                    assert_eq!(route, ON_ALL.as_bytes());
                    let number = number(body);
                    assert!(
                        self.broadcast.is_none_or(|last| last + 1 == number),
                        "{number} follows {self:?}"
                    );
                    self.broadcast = Some(number);
                }
            }
            kind => panic!("a message of type {kind}"),
        }
    }
}

impl std::fmt::Debug for Player {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { sent, answered, pushed, broadcast, .. } = self;
        write!(f, "{answered} of {sent} answered, {pushed} pushed, broadcast {broadcast:?}")
    }
}

fn number(digits: &[u8]) -> u64 {
    std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).expect("a number")
}
