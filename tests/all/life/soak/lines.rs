//! A client of a guest that sends numbered lines and checks each line that comes back.

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use wireplug_tests::raw::Raw;
use wireplug_tests::within;

/// A connection. For each number that was sent, a push and then an answer must come.
pub struct Lines {
    socket: BufReader<TcpStream>,
    pub sent: u64,
    pub answered: u64,
}

impl Lines {
    /// Connects. The numbers that are sent follow `number`.
    pub async fn connect(url: &str, number: u64) -> Self {
        let socket = BufReader::new(Raw::connect(url).await.into_stream());
        Self { socket, sent: number, answered: number }
    }

    /// Sends a word that is not a number.
    pub async fn say(&mut self, word: &str) {
        within("room", self.socket.write_all(format!("{word}\n").as_bytes())).await.expect("it is open");
        assert_eq!(self.line().await, Some(format!("push {word}")));
        assert_eq!(self.line().await.as_deref(), Some(word));
    }

    /// Sends this many numbers in one write.
    pub async fn ask(&mut self, count: u64) {
        let lines: String = (self.sent + 1..=self.sent + count).map(|n| format!("{n}\n")).collect();
        self.sent += count;
        let _ = within("room for lines", self.socket.write_all(lines.as_bytes())).await;
    }

    /// Reads until all requests are answered. Returns false if the server has closed.
    pub async fn answers(&mut self) -> bool {
        while self.answered < self.sent {
            let wanted = self.answered + 1;
            let Some(push) = self.line().await else { return false };
            assert_eq!(push, format!("push {wanted}"));
            let Some(answer) = self.line().await else { return false };
            assert_eq!(answer, wanted.to_string());
            self.answered = wanted;
        }
        true
    }

    async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        // A reset counts as an end.
        let read = within("a line", self.socket.read_line(&mut line)).await.unwrap_or(0);
        (read > 0).then(|| line.trim_end().to_owned())
    }
}
