//! Tests of the driver: which calls it allows, which events it hands out, and what ends a session.

mod calls;
mod encoding;
mod farewell;
mod hello;
mod requests;
mod roles;
mod sleep;
mod stream;

use std::ops::Range;
use std::sync::Arc;

use super::script::Script;
use crate::codec::driver::{CallError, NotAllowed, PacketSink, SessionDriver};
use crate::codec::{Carrier, Cause, Codec, CodecSession, Instant, MessageRef, Messages, Peer, Violation};
use crate::framing::Packets;
use crate::vectors::Answer;

/// A driver of a scripted codec's session, with what it has handed out.
struct Rig {
    driver: SessionDriver<Box<dyn CodecSession>>,
    /// Events, packets and refusals since the last time, in the order in which they came.
    taken: Vec<String>,
    /// Packets that contain this text cannot be sent.
    unsendable: &'static str,
}

impl Rig {
    fn new(codec: &Script) -> Self {
        let session = open(codec);
        Self { driver: SessionDriver::new(codec, session, 0), taken: Vec::new(), unsendable: "\n" }
    }

    /// Returns an established session of the default codec.
    fn established() -> Self {
        Self::established_with(&Script::default())
    }

    fn established_with(codec: &Script) -> Self {
        let mut rig = Self::new(codec);
        rig.decode(&["established"], 0).unwrap();
        rig.taken.clear();
        rig
    }

    fn decode(&mut self, packets: &[&str], session_ms: u64) -> Result<usize, CallError> {
        let packets = Arc::new(packets.iter().map(|packet| packet.as_bytes()).collect::<Packets>());
        let Self { driver, taken, .. } = self;
        driver.decode(&packets, Instant::for_test(session_ms), |of, event| {
            taken.push(format!("{of} {}", Answer::Event(event)));
        })
    }

    fn answer(&mut self) -> Result<(), CallError> {
        let Self { driver, taken, .. } = self;
        driver.answer(200, b"", Instant::for_test(0), |_, event| taken.push(Answer::Event(event).to_string()))
    }

    fn on_timer(&mut self, session_ms: u64) -> Result<(), CallError> {
        let Self { driver, taken, .. } = self;
        let now = Instant::for_test(session_ms);
        driver.on_timer(now, |_, event| taken.push(Answer::Event(event).to_string()))
    }

    fn abandoned(&mut self, id: u64) -> Result<(), CallError> {
        let Self { driver, taken, .. } = self;
        driver.abandoned(id, Instant::for_test(0), |_, event| taken.push(Answer::Event(event).to_string()))
    }

    fn farewell(&mut self, cause: Cause, reason: &str) -> Result<(), CallError> {
        let Self { driver, taken, .. } = self;
        let now = Instant::for_test(0);
        driver.farewell(cause, reason, now, |event| taken.push(Answer::Event(event).to_string()))
    }

    /// Encodes messages, and the failed ones once more. Returns the number of messages that are
    /// encoded once more.
    fn encode(&mut self, messages: &[MessageRef<'_>]) -> Result<usize, CallError> {
        let mut batch = Messages::new();
        messages.iter().for_each(|message| batch.push(*message));
        let Self { driver, taken, unsendable } = self;
        let (now, mut sink) = (Instant::for_test(0), Sink { taken, unsendable });
        let Some(failed) = driver.encode(&Arc::new(batch), now, &mut sink)? else { return Ok(0) };
        driver.encode_failed(&failed, now, &mut sink)?;
        Ok(failed.messages().count())
    }

    /// Continues with a session of another codec. Returns the number of events with which that
    /// session begins.
    fn replace(&mut self, codec: &Script, session_ms: u64) -> usize {
        let mut events = 0;
        let now = Instant::for_test(session_ms);
        self.driver.replace(codec, open(codec), now, |_, _| events += 1).unwrap();
        events
    }

    /// Returns what was handed out since the last time.
    fn taken(&mut self) -> Vec<String> {
        std::mem::take(&mut self.taken)
    }
}

fn open(codec: &Script) -> Box<dyn CodecSession> {
    let peer = Peer {
        carrier: Carrier::Bytes,
        transport: "tcp".into(),
        address: String::new(),
        dialed: false,
        max_packet: 100,
        random_seed: [0; 32],
        attributes: Vec::new(),
    };
    codec.open(peer, Instant::for_test(0)).unwrap()
}

struct Sink<'a> {
    taken: &'a mut Vec<String>,
    unsendable: &'static str,
}

impl PacketSink for Sink<'_> {
    fn packets<'a>(
        &mut self,
        messages: Range<usize>,
        packets: impl ExactSizeIterator<Item = &'a [u8]> + Clone,
    ) -> bool {
        let packets: Vec<_> = packets.map(String::from_utf8_lossy).collect();
        self.taken.push(format!("{messages:?} {}", packets.join(" | ")));
        !packets.iter().any(|packet| packet.contains(self.unsendable))
    }

    fn refused(&mut self, message: usize, reason: &[u8]) {
        self.taken.push(format!("{message} refused: {}", String::from_utf8_lossy(reason)));
    }
}

fn push(body: &str) -> MessageRef<'_> {
    MessageRef::notice("on", body.as_bytes())
}

fn request(id: u64, body: &str) -> MessageRef<'_> {
    MessageRef::request(id, "ask", body.as_bytes())
}

fn response(id: u64, body: &str) -> MessageRef<'_> {
    MessageRef::response(id, "a", 200, body.as_bytes())
}

fn not_allowed<T>(why: NotAllowed) -> Result<T, CallError> {
    Err(CallError::NotAllowed(why))
}

fn violation<T>(violation: Violation) -> Result<T, CallError> {
    Err(CallError::Failed(violation.into()))
}
