//! A codec that is as strict as the contract: it panics at a call that the runtime never makes.

use std::sync::Arc;

use super::Broadcasts;
use super::toy::Toy;
use wireplug_core::codec::{
    Abilities, Cause, Codec, CodecError, CodecSession, Description, Encoded, Event, Events, Instant,
    MessageRef, Messages, Peer, Role,
};
use wireplug_core::framing::Packets;

/// Wraps a codec, and panics at a call that the runtime would never make.
pub(super) struct Strict(pub(super) Toy);

struct StrictSession {
    session: Box<dyn CodecSession>,
    rules: Rules,
    /// Whether the codec has ended the session.
    ended: bool,
    over: bool,
}

/// What the rules depend on. It is a part of the saved state.
#[derive(Clone, Copy, Default)]
struct Rules {
    hello_is_open: bool,
    established: bool,
    /// The number of requests of the client that have no response yet.
    requests: u64,
    /// The id of the last request to the client.
    last_request: u64,
    now_ms: u64,
    /// When the timer is due, if there is one.
    timer: Option<u64>,
}

/// The number of bytes of saved rules.
const SAVED: usize = 6 * 8;

impl Rules {
    fn saved(self) -> Vec<u8> {
        let Self { hello_is_open, established, requests, last_request, now_ms, timer } = self;
        let timer = timer.map_or(0, |at| at + 1);
        let numbers = [hello_is_open.into(), established.into(), requests, last_request, now_ms, timer];
        numbers.into_iter().flat_map(u64::to_be_bytes).collect()
    }

    fn restored(state: &[u8]) -> Self {
        let number =
            |at: usize| u64::from_be_bytes(state[at * 8..][..8].try_into().expect("eight bytes are eight"));
        Self {
            hello_is_open: number(0) > 0,
            established: number(1) > 0,
            requests: number(2),
            last_request: number(3),
            now_ms: number(4),
            timer: number(5).checked_sub(1),
        }
    }
}

fn session(session: Box<dyn CodecSession>, rules: Rules) -> Box<dyn CodecSession> {
    Box::new(StrictSession { session, rules, ended: false, over: false })
}

impl Codec for Strict {
    fn description(&self) -> &Description {
        self.0.description()
    }

    fn abilities(&self) -> Abilities {
        self.0.abilities()
    }

    fn open(&self, peer: Peer, now: Instant) -> Result<Box<dyn CodecSession>, CodecError> {
        assert_eq!(peer.max_packet as usize, super::MAX_PACKET);
        assert!(!peer.dialed && now.session_ms == 0);
        // No event sets the timer for the first tick.
        let rules = Rules { timer: Some(0), ..Rules::default() };
        Ok(session(self.0.open(peer, now)?, rules))
    }

    fn restore(&self, peer: Peer, state: &[u8], now: Instant) -> Result<Box<dyn CodecSession>, CodecError> {
        let (own, inner) = state.split_at(SAVED);
        Ok(session(self.0.restore(peer, inner, now)?, Rules::restored(own)))
    }

    fn encode_shared(&self, class: u32, message: MessageRef<'_>) -> Result<Packets, CodecError> {
        assert_eq!((message.role, message.id, message.status), (Role::Notice, 0, 200));
        self.0.encode_shared(class, message)
    }
}

impl StrictSession {
    fn asked(&mut self, now: Instant) {
        assert!(!self.ended && !self.over, "it has ended");
        assert!(now.session_ms >= self.rules.now_ms, "time went back");
        self.rules.now_ms = now.session_ms;
    }

    fn noted(&mut self, events: &mut Events, packets: usize) -> Result<(), CodecError> {
        let rules = &mut self.rules;
        let mut copy = events.clone().read(packets);
        while let Some(event) = copy.next_event() {
            match event? {
                Event::Hello(_) => rules.hello_is_open = true,
                Event::Established => rules.established = true,
                Event::Message { role: Role::Request, .. } => rules.requests += 1,
                Event::Timer(ms) => rules.timer = Some(rules.now_ms + u64::from(ms)),
                Event::Close { .. } | Event::Fatal(_) => self.ended = true,
                _ => {}
            }
        }
        Ok(())
    }
}

impl CodecSession for StrictSession {
    fn decode(
        &mut self,
        packets: &Arc<Packets>,
        now: Instant,
        events: &mut Events,
    ) -> Result<(), CodecError> {
        self.asked(now);
        assert!(!self.rules.hello_is_open, "nothing is decoded before a hello is answered");
        assert!((1..=Packets::MAX).contains(&packets.len()));
        assert!(packets.iter().all(|packet| packet.len() <= super::MAX_PACKET));
        self.session.decode(packets, now, events)?;
        self.noted(events, packets.len())
    }

    fn encode(
        &mut self,
        messages: &Arc<Messages>,
        now: Instant,
        out: &mut Encoded,
    ) -> Result<(), CodecError> {
        let rules = &mut self.rules;
        assert!(rules.established && !self.over && now.session_ms >= rules.now_ms);
        assert!((1..=Messages::MAX).contains(&messages.len()));
        for message in messages.iter() {
            assert!(message.body.len() <= super::MAX_PACKET);
            let is_plain = message.status == 200 && !self.ended;
            match message.role {
                Role::Notice => assert!(message.id == 0 && is_plain, "a push after the end"),
                Role::Request => {
                    assert!(is_plain, "a request after the end");
                    assert!(rules.last_request < message.id && message.id <= u64::from(u32::MAX));
                    rules.last_request = message.id;
                }
                Role::Response => {
                    assert_eq!(message.id, 7);
                    assert!((100..600).contains(&message.status));
                    // A response that was refused is encoded again as failed.
                    if message.status != 500 || !message.body.is_empty() {
                        rules.requests = rules.requests.checked_sub(1).expect("one response a request");
                    }
                }
            }
        }
        self.session.encode(messages, now, out)
    }

    fn answer(
        &mut self,
        status: u16,
        body: &[u8],
        now: Instant,
        events: &mut Events,
    ) -> Result<(), CodecError> {
        self.asked(now);
        assert!(std::mem::take(&mut self.rules.hello_is_open), "there was no hello");
        self.session.answer(status, body, now, events)?;
        self.noted(events, 1)
    }

    fn abandoned(&mut self, id: u64, now: Instant, events: &mut Events) -> Result<(), CodecError> {
        self.asked(now);
        assert!((1..=self.rules.last_request).contains(&id), "there was no such request");
        self.session.abandoned(id, now, events)?;
        self.noted(events, 1)
    }

    fn tick(&mut self, now: Instant, events: &mut Events) -> Result<(), CodecError> {
        self.asked(now);
        let timer = self.rules.timer.take();
        assert!(timer.is_some_and(|at| at <= now.session_ms), "a tick that nobody asked for");
        self.session.tick(now, events)?;
        self.noted(events, 1)
    }

    fn farewell(
        &mut self,
        cause: Cause,
        reason: &str,
        now: Instant,
        events: &mut Events,
    ) -> Result<(), CodecError> {
        self.asked(now);
        self.over = true;
        self.session.farewell(cause, reason, now, events)
    }

    fn broadcast_class(&mut self) -> Result<Option<u32>, CodecError> {
        assert!(self.rules.established && !self.ended && !self.over);
        self.session.broadcast_class()
    }

    fn save(&mut self) -> Result<Vec<u8>, CodecError> {
        assert!(!self.ended && !self.over);
        Ok([self.rules.saved(), self.session.save()?].concat())
    }
}

impl Broadcasts for Strict {}
