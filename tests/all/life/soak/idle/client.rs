//! One client: it answers for what it must receive, which is an answer to each heartbeat, and each
//! push to its group once and in order.

use std::time::{Duration, Instant};

use wireplug_tests::raw::{ACK, DATA, HANDSHAKE, HEARTBEAT, hello, package};

use super::link::Link;

/// The type and flags of a push with its route as text, and the length of [`super::ON_GROUP`].
const PUSH: [u8; 2] = [6, super::ON_GROUP.len() as u8];

pub struct Client<L> {
    link: L,
    /// The beginning of a package of which the rest has not arrived.
    unread: Vec<u8>,
    /// When the next heartbeat is due.
    due: Instant,
    /// The group of the client, known from its first push.
    group: Option<u32>,
    /// The number of the last push.
    pub pushes: u64,
    /// Heartbeats that were sent, and those that came. The server begins with one.
    sent: u64,
    received: u64,
    /// Whether the server has accepted the handshake.
    accepted: bool,
}

impl<L: Link> Client<L> {
    /// Begins the handshake. The first heartbeat is due at `due`.
    pub fn begin(mut link: L, due: Instant) -> Result<Self, String> {
        link.write(&hello()).map_err(|error| format!("no room for a handshake: {error}"))?;
        let unread = Vec::new();
        Ok(Self { link, unread, due, group: None, pushes: 0, sent: 0, received: 0, accepted: false })
    }

    /// Reads what has arrived. `buffer` is memory that all clients share.
    pub fn read(&mut self, buffer: &mut Vec<u8>) -> Result<(), String> {
        buffer.clear();
        buffer.append(&mut self.unread);
        self.link.read(buffer).map_err(|error| format!("the connection ended: {error}"))?;
        let mut rest = &buffer[..];
        while let Some((&[kind, a, b, c], behind)) = rest.split_first_chunk::<4>() {
            let length = u32::from_be_bytes([0, a, b, c]) as usize;
            let Some((body, behind)) = behind.split_at_checked(length) else { break };
            self.take(kind, body)?;
            rest = behind;
        }
        self.unread = rest.to_vec();
        Ok(())
    }

    fn take(&mut self, kind: u8, body: &[u8]) -> Result<(), String> {
        match kind {
            HANDSHAKE if !self.accepted && body.starts_with(br#"{"code":200"#) => {
                self.accepted = true;
                self.write(&package(ACK, ""))
            }
            HEARTBEAT if self.received <= self.sent => {
                self.received += 1;
                Ok(())
            }
            DATA => self.take_push(body),
            _ => Err(format!("a package of type {kind}: {}", String::from_utf8_lossy(body))),
        }
    }

    /// Takes a push, which holds the number of its group and its own.
    fn take_push(&mut self, data: &[u8]) -> Result<(), String> {
        let numbers = data
            .strip_prefix(&PUSH)
            .and_then(|rest| str::from_utf8(rest.strip_prefix(super::ON_GROUP.as_bytes())?).ok())
            .and_then(|body| body.trim_matches(['[', ']']).split_once(','))
            .and_then(|(group, number)| Some((group.parse().ok()?, number.parse().ok()?)));
        let (group, number): (u32, u64) =
            numbers.ok_or_else(|| format!("no push: {}", String::from_utf8_lossy(data)))?;
        if *self.group.get_or_insert(group) != group {
            return Err(format!("a push to group {group}, after one to group {:?}", self.group));
        }
        if number != self.pushes + 1 {
            return Err(format!("push {number} to group {group}, after push {}", self.pushes));
        }
        self.pushes = number;
        Ok(())
    }

    /// Sends a heartbeat if one is due, `interval` after the one before it, which must have been
    /// answered. Returns whether it did.
    pub fn beat(&mut self, now: Instant, interval: Duration) -> Result<bool, String> {
        if now < self.due {
            return Ok(false);
        }
        if !self.is_answered() {
            return Err(format!("heartbeat {} was not answered before the next", self.sent));
        }
        self.write(&package(HEARTBEAT, ""))?;
        self.sent += 1;
        // A thread that is late does not make up for it, so that the server has time to answer.
        self.due = (self.due + interval).max(now + interval * 3 / 4);
        Ok(true)
    }

    /// Returns whether the session is established. The server says so with its first heartbeat.
    pub fn is_ready(&self) -> bool {
        self.received > 0
    }

    /// Returns whether each heartbeat was answered, and the server has sent its own one.
    pub fn is_answered(&self) -> bool {
        self.received == self.sent + 1
    }

    pub fn sent(&self) -> u64 {
        self.sent
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.link.write(bytes).map_err(|error| format!("no room for {} bytes: {error}", bytes.len()))
    }
}
