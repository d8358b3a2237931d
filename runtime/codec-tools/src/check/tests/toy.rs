//! A small protocol, and codecs for it that each have one flaw.
//!
//! A packet is a letter with its data: `h` is a hello; `m`, a length, a route of that length and a
//! body is a request; `a`, an id of one byte and a body answers a request of the application; `c`
//! asks for the number of packets so far; `q` ends the session. A packet to the client is `r` with
//! a response, `p` with a push, `s` with an id of one byte and a request, or `x` with the id of a
//! request that was abandoned. A push on the route `twice` has two packets, and one on the route
//! `formless` has none.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use super::Broadcasts;
use crate::check::stateless::Broadcast;
use wireplug_core::codec::{
    Abilities, Carrier, Cause, Codec, CodecError, CodecSession, Description, Encoded, Events, Instant, Kind,
    Level, MessageRef, Messages, Peer, Reason, Refusal, Role,
};
use wireplug_core::framing::{Framing, LengthField, MessageFraming, Packets, Payload};
use wireplug_wasm::Singly;

/// The vectors of the protocol.
pub(super) const VECTORS: &str = r#"
session
in "hann"
  hello "ann"
answer 200 "hi"
  established
  reply "hhi"
  timer 1000
in "m" 05 "a.b.cx"
  request 7 a.b.c "x"
out response 7 a.b.c 200 "yes"
  packet "ryes"
out notice onChat "hey"
  packet "phey"
out notice twice "!"
  packet "p!"
  packet "p!"
out request 1 ask "who?"
  packet "s" 01 "who?"
in "a" 01 "me"
  response 1 200 "me"
out request 2 ask "and?"
  packet "s" 02 "and?"
abandon 2
  reply "x" 02
in "c"
  reply "c" 04
at 1000
tick
  reply 74
  timer 1000
in "q"
  close 0 "bye"
"#;

/// The memory limit of a session, in bytes.
pub(super) const MEMORY: usize = 15 << 20;

/// The flaw of a codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    None,
    /// A route's length is compared with one byte too few.
    OffByOne,
    /// A long packet makes it loop forever.
    Loop,
    /// It exceeds its time limit for large packets, but not by much.
    Expensive,
    /// It is slow in every seventh session, so that a repeated case is usually not slow.
    SlowAtTimes,
    /// Messages come before the handshake is over.
    Early,
    /// It passes on invalid text, although its packets are text.
    BrokenText,
    /// Its answers reveal how many sessions it had before.
    Counting,
    /// Its lines for the log reveal how many sessions it had before.
    CountingInLog,
    /// It reports a bug of its own in the log.
    LoggedBug,
    /// It misses the end of the session in a batch, unless the end comes first.
    ForgottenBatch,
    /// In a batch, it decodes the packets behind a hello.
    RushedBatch,
    /// In a batch, it makes no packet of a message without a body.
    ForgottenMessage,
    /// In a batch, it makes only the first packet of each message.
    TornMessage,
    /// In a batch, it says that all packets come from the first message that has one.
    WrongSource,
    /// A handoff loses the number of packets.
    LossyHandoff,
    /// Saving resets the number of packets.
    HastySave,
    /// It cannot be restored after the third packet.
    TornHandoff,
    /// It refuses to hand a session over.
    Declining,
    /// It encodes shared pushes wrongly on other routes than `onChat`.
    WrongShare,
    /// It answers a push to many with the body of the previous push.
    LastShare,
    /// After fifty shared encodings, one gives no packet.
    FiftiethShare,
    /// Every third session traps as it opens.
    ThirdOpening,
    /// It keeps 1000 bytes of each packet.
    Keeping,
    /// It keeps 10,000 bytes of each packet.
    Hoarding,
    /// It keeps the first 1000 packets.
    KeepingSome,
    /// It traps in a session's 1000th packet.
    Thousandth,
    /// It traps for some random seeds.
    Unlucky,
}

pub(super) struct Toy {
    pub(super) description: Description,
    pub(super) flaw: Flaw,
    /// The functions that it offers only one by one.
    pub(super) singly: Option<Singly>,
    opened: AtomicU64,
    shared: AtomicU64,
    /// The memory that the last opened session keeps, in bytes.
    pub(super) kept: Arc<AtomicUsize>,
}

impl Toy {
    pub(super) fn new(flaw: Flaw, singly: Option<Singly>) -> Self {
        let field = LengthField::new(0, 2, false, 0).expect("2 bytes are a valid width");
        let description = Description {
            name: "toy".into(),
            version: String::new(),
            framing: Some(Framing::Length(field)),
            messages: Some(MessageFraming::One),
            payload: if flaw == Flaw::BrokenText { Payload::Text } else { Payload::Binary },
            json: false,
            handshake: true,
            client_requests: 8,
            coalesces: false,
            max_packet: None,
        };
        Self {
            description,
            flaw,
            singly,
            opened: AtomicU64::new(0),
            shared: AtomicU64::new(0),
            kept: Arc::default(),
        }
    }

    fn session(&self, packets: u8) -> Box<dyn CodecSession> {
        let opened = self.opened.fetch_add(1, Ordering::Relaxed);
        Box::new(ToySession {
            flaw: self.flaw,
            singly: self.singly,
            packets,
            opened,
            seen: 0,
            kept: Arc::clone(&self.kept),
            established: packets & 0x80 != 0,
        })
    }
}

pub(super) fn refused(reason: &str) -> CodecError {
    CodecError::Refused(Reason::new(reason))
}

impl Codec for Toy {
    fn description(&self) -> &Description {
        &self.description
    }

    fn abilities(&self) -> Abilities {
        Abilities {
            batch: true,
            handshake: true,
            requests: true,
            clock: true,
            farewell: true,
            broadcast: true,
            handoff: true,
            ..Abilities::default()
        }
    }

    fn open(&self, peer: Peer, _: Instant) -> Result<Box<dyn CodecSession>, CodecError> {
        if self.flaw == Flaw::Unlucky && peer.random_seed[0] > 9 {
            return Err(trap());
        }
        self.kept.store(0, Ordering::Relaxed);
        if peer.carrier == Carrier::Datagrams { Err(refused("no datagrams")) } else { Ok(self.session(0)) }
    }

    fn restore(&self, _: Peer, state: &[u8], _: Instant) -> Result<Box<dyn CodecSession>, CodecError> {
        match (self.flaw, state) {
            (Flaw::TornHandoff, [packets]) if packets & 0x7f > 2 => Err(trap()),
            (Flaw::LossyHandoff, [packets]) => Ok(self.session(packets & 0x80)),
            (_, [packets]) => Ok(self.session(*packets)),
            _ => Err(refused("no such state")),
        }
    }

    fn encode_shared(&self, class: u32, message: MessageRef<'_>) -> Result<Packets, CodecError> {
        assert_eq!(class, 1);
        if self.flaw == Flaw::WrongShare && message.route != "onChat" {
            return Ok(Packets::new());
        }
        if self.flaw == Flaw::FiftiethShare {
            let before = self.shared.fetch_add(1, Ordering::Relaxed);
            if before == 50 {
                return Ok(Packets::new());
            }
        }
        shared(message)
    }
}

impl Broadcasts for Toy {
    fn patient(self) -> Self {
        let flaw = if self.flaw == Flaw::Expensive { Flaw::None } else { self.flaw };
        Self { flaw, ..self }
    }

    fn broadcast(&self) -> Broadcast<'_> {
        let mut last: Option<Vec<u8>> = None;
        Box::new(move |class, message| {
            let before = last.replace(message.body.to_vec());
            match before.filter(|_| self.flaw == Flaw::LastShare) {
                Some(body) => self.encode_shared(class, MessageRef { body: &body, ..message }),
                // This flaw shows in the runtime's own instances, and not in this one.
                None if self.flaw == Flaw::FiftiethShare => shared(message),
                None => self.encode_shared(class, message),
            }
        })
    }
}

fn trap() -> CodecError {
    CodecError::Trap(Reason::new("out of bounds").into())
}

fn packets(message: MessageRef<'_>) -> Result<Vec<Vec<u8>>, &'static str> {
    let MessageRef { role, id, route, body, .. } = message;
    Ok(match (role, route) {
        (_, "") => return Err("no route"),
        (Role::Response, _) => vec![[b"r", body].concat()],
        (Role::Request, _) => vec![[&[b's', (id % 128) as u8], body].concat()],
        (Role::Notice, "formless") => Vec::new(),
        (Role::Notice, "twice") => vec![[b"p", body].concat(); 2],
        (Role::Notice, _) => vec![[b"p", body].concat()],
    })
}

fn shared(message: MessageRef<'_>) -> Result<Packets, CodecError> {
    let packets = packets(message).map_err(refused)?;
    Ok(packets.iter().map(Vec::as_slice).collect())
}

struct ToySession {
    flaw: Flaw,
    singly: Option<Singly>,
    /// The number of packets, up to 127.
    packets: u8,
    opened: u64,
    /// The number of packets.
    seen: usize,
    kept: Arc<AtomicUsize>,
    established: bool,
}

impl CodecSession for ToySession {
    fn decode(&mut self, packets: &Arc<Packets>, _: Instant, events: &mut Events) -> Result<(), CodecError> {
        for (index, packet) in packets.iter().enumerate() {
            self.packets = (self.packets + 1) & 0x7f;
            self.seen += 1;
            let kept = match self.flaw {
                Flaw::Keeping => 1000,
                Flaw::Hoarding => 10_000,
                Flaw::KeepingSome if self.seen < 1000 => 1000,
                Flaw::Thousandth if self.seen == 1000 => return Err(trap()),
                _ => 0,
            };
            if self.kept.fetch_add(kept, Ordering::Relaxed) > MEMORY {
                return Err(CodecError::Memory(Reason::new("no more").into()));
            }
            self.decode_one(index as u32, packet, events)?;
            let rushes = self.forgets(Flaw::RushedBatch, Singly::Decode) && packet.starts_with(b"h");
            if events.ends_call() && !rushes {
                break;
            }
        }
        Ok(())
    }

    fn encode(
        &mut self,
        messages: &Arc<Messages>,
        _: Instant,
        encoded: &mut Encoded,
    ) -> Result<(), CodecError> {
        for (index, message) in messages.iter().enumerate() {
            if self.forgets(Flaw::ForgottenMessage, Singly::Encode) && message.body.is_empty() {
                continue;
            }
            let index = index as u32;
            let source = match encoded.sources.first() {
                Some(&first) if self.forgets(Flaw::WrongSource, Singly::Encode) => first,
                _ => index,
            };
            let most = if self.forgets(Flaw::TornMessage, Singly::Encode) { 1 } else { usize::MAX };
            match packets(message) {
                Ok(packets) => packets.iter().take(most).for_each(|packet| encoded.push(source, packet)),
                Err(reason) => encoded.refused.push(Refusal { message: index, reason: reason.into() }),
            }
        }
        Ok(())
    }

    fn answer(
        &mut self,
        status: u16,
        body: &[u8],
        _: Instant,
        events: &mut Events,
    ) -> Result<(), CodecError> {
        if status != 200 {
            events.push(0, Kind::Close, b"refused");
        } else if !std::mem::replace(&mut self.established, true) {
            events.push(0, Kind::Established, b"");
            let body = if self.flaw == Flaw::BrokenText { body } else { &body[..body.len().min(9)] };
            events.push(0, Kind::Reply, &[b"h", body].concat());
            events.push_timer(0, 1000);
        }
        Ok(())
    }

    fn abandoned(&mut self, id: u64, _: Instant, events: &mut Events) -> Result<(), CodecError> {
        events.push(0, Kind::Reply, &[b'x', (id % 128) as u8]);
        Ok(())
    }

    fn tick(&mut self, _: Instant, events: &mut Events) -> Result<(), CodecError> {
        if self.flaw == Flaw::ThirdOpening && self.opened % 3 == 2 {
            return Err(trap());
        }
        if self.established {
            events.push(0, Kind::Reply, b"t");
            events.push_timer(0, 1000);
        }
        Ok(())
    }

    fn farewell(
        &mut self,
        cause: Cause,
        reason: &str,
        _: Instant,
        events: &mut Events,
    ) -> Result<(), CodecError> {
        events.push_log(0, Level::Info, cause.name());
        events.push(0, Kind::Reply, &[b"f", reason.as_bytes()].concat());
        Ok(())
    }

    fn broadcast_class(&mut self) -> Result<Option<u32>, CodecError> {
        Ok(Some(1))
    }

    fn save(&mut self) -> Result<Vec<u8>, CodecError> {
        let state = self.packets | u8::from(self.established) << 7;
        match self.flaw {
            Flaw::HastySave => self.packets = 0,
            Flaw::Declining => return Err(refused("not now")),
            _ => {}
        }
        Ok(vec![state])
    }
}

impl ToySession {
    /// Returns whether the codec has this flaw in batches, and gets batches.
    fn forgets(&self, flaw: Flaw, batch: Singly) -> bool {
        self.flaw == flaw && self.singly != Some(batch)
    }

    fn decode_one(&mut self, index: u32, packet: &[u8], events: &mut Events) -> Result<(), CodecError> {
        if matches!(self.flaw, Flaw::Loop | Flaw::Expensive) && packet.len() > 100 {
            std::thread::sleep(Duration::from_micros(10));
            return Err(CodecError::Deadline(Reason::new("more than 10 ms of CPU time").into()));
        }
        if self.flaw == Flaw::SlowAtTimes && self.opened.is_multiple_of(7) {
            return Err(CodecError::Slow(Reason::new("more than 5 slow calls in a second")));
        }
        match packet {
            [b'h', body @ ..] => events.push(index, Kind::Hello, body),
            [b'm', length, rest @ ..] if self.established || self.flaw == Flaw::Early => {
                let length = usize::from(*length);
                let allowed = rest.len() + usize::from(self.flaw == Flaw::OffByOne);
                if length > allowed {
                    events.push(index, Kind::Rejected, b"cut in its route");
                    return Ok(());
                }
                let (route, body) = rest.split_at_checked(length).ok_or_else(trap)?;
                match str::from_utf8(route) {
                    Ok(route) => events.push_message(index, MessageRef::request(7, route, body)),
                    Err(_) => events.push(index, Kind::Rejected, b"a route that is no text"),
                }
            }
            [b'a', id, body @ ..] if self.established => {
                events.push_message(index, MessageRef::response((*id).into(), "", MessageRef::OK, body));
            }
            [b'c'] if self.flaw == Flaw::Counting => {
                events.push(index, Kind::Reply, &self.opened.to_be_bytes());
            }
            [b'c'] if self.flaw == Flaw::CountingInLog => {
                events.push_log(index, Level::Debug, &self.opened.to_string());
            }
            [b'c'] if self.flaw == Flaw::LoggedBug => events.push_log(index, Level::Error, "bug: no counts"),
            [b'c'] => events.push(index, Kind::Reply, &[b'c', self.packets]),
            [b'q', ..] if self.forgets(Flaw::ForgottenBatch, Singly::Decode) && index > 0 => {
                events.push(index, Kind::Rejected, b"what is q?");
            }
            [b'q', ..] => events.push(index, Kind::Close, b"bye"),
            _ => events.push(index, Kind::Rejected, b"no such packet"),
        }
        Ok(())
    }
}
