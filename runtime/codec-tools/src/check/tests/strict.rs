//! A codec that is as strict as the contract: it panics at a call that the runtime never makes.

use std::sync::Arc;

use super::Broadcasts;
use super::toy::Toy;
use wireplug_core::codec::{
    Abilities, Codec, CodecError, CodecSession, Description, Encoded, Event, Events, MessageRef, Messages,
    Peer, Violation,
};
use wireplug_core::framing::Packets;

/// Wraps a codec, and panics at a call that the runtime would never make.
pub(super) struct Strict(pub(super) Toy);

struct StrictSession {
    session: Box<dyn CodecSession>,
    hellos: usize,
    requests: usize,
    established: bool,
    /// Whether the codec has ended the session.
    ended: bool,
    over: bool,
    now_ms: u64,
    wake_at: Option<u64>,
}

impl Strict {
    fn session(&self, session: Box<dyn CodecSession>, state: Option<&[u8]>) -> Box<dyn CodecSession> {
        let numbers = state.map(|state| {
            let number = |at: usize| {
                u64::from_be_bytes(state[at * 8..][..8].try_into().expect("eight bytes are eight"))
            };
            [number(0), number(1), number(2), number(3), number(4)]
        });
        let [hellos, requests, established, now_ms, wake_at] = numbers.unwrap_or([0, 0, 0, 0, 0]);
        Box::new(StrictSession {
            session,
            hellos: hellos as usize,
            requests: requests as usize,
            established: established > 0,
            ended: false,
            over: false,
            now_ms,
            // No event sets the timer for the first tick.
            wake_at: if state.is_some() { (wake_at > 0).then_some(wake_at) } else { Some(0) },
        })
    }
}

impl Codec for Strict {
    fn description(&self) -> &Description {
        self.0.description()
    }

    fn abilities(&self) -> Abilities {
        self.0.abilities()
    }

    fn open(&self, peer: Peer) -> Result<Box<dyn CodecSession>, CodecError> {
        Ok(self.session(self.0.open(peer)?, None))
    }

    fn restore(&self, peer: Peer, state: &[u8], now: u64) -> Result<Box<dyn CodecSession>, CodecError> {
        let (own, inner) = state.split_at(40);
        Ok(self.session(self.0.restore(peer, inner, now)?, Some(own)))
    }

    fn encode_shared(&self, class: u32, message: MessageRef<'_>) -> Result<Option<Vec<u8>>, CodecError> {
        assert_eq!((message.id, message.status), (None, 200));
        self.0.encode_shared(class, message)
    }
}

impl StrictSession {
    fn asked(&mut self, now_ms: u64) {
        assert!(!self.ended && !self.over, "it has ended");
        assert!(now_ms >= self.now_ms, "time went back");
        self.now_ms = now_ms;
    }

    fn noted(&mut self, events: &mut Events, packets: usize) -> Result<(), CodecError> {
        let mut copy = events.clone().read(packets);
        while let Some(event) = copy.next_event() {
            match event? {
                Event::Hello(_) => self.hellos += 1,
                Event::Established => self.established = true,
                Event::Message { id: Some(_), .. } => self.requests += 1,
                Event::Wake(ms) => self.wake_at = Some(self.now_ms + u64::from(ms)),
                Event::Close(_) | Event::Fatal(_) => self.ended = true,
                _ => {}
            }
        }
        Ok(())
    }
}

impl CodecSession for StrictSession {
    fn decode(&mut self, packets: &Arc<Packets>, now: u64, events: &mut Events) -> Result<(), CodecError> {
        self.asked(now);
        assert!((1..=Packets::MAX).contains(&packets.len()));
        assert!(packets.iter().all(|packet| packet.len() <= super::MAX_PACKET));
        self.session.decode(packets, now, events)?;
        self.noted(events, packets.len())
    }

    fn encode(&mut self, messages: &Arc<Messages>, now: u64, out: &mut Encoded) -> Result<(), CodecError> {
        assert!(self.established && !self.over && now >= self.now_ms);
        assert!((1..=Messages::MAX).contains(&messages.len()));
        for message in messages.iter() {
            assert!(message.body.len() <= super::MAX_PACKET);
            match message.id {
                Some(id) => assert_eq!(id, 7),
                None => assert!(message.status == 200 && !self.ended, "a push after the end"),
            }
        }
        let responses = messages.iter().filter(|message| message.id.is_some());
        // A response that was refused is encoded again as failed.
        let first = responses.filter(|message| message.status != 500 || !message.body.is_empty()).count();
        self.requests = self.requests.checked_sub(first).ok_or(Violation::Count)?;
        self.session.encode(messages, now, out)
    }

    fn answer(&mut self, status: u16, body: &[u8], now: u64, events: &mut Events) -> Result<(), CodecError> {
        self.asked(now);
        self.hellos = self.hellos.checked_sub(1).expect("there was a hello");
        self.session.answer(status, body, now, events)?;
        self.noted(events, 1)
    }

    fn tick(&mut self, now: u64, events: &mut Events) -> Result<(), CodecError> {
        self.asked(now);
        assert!(self.wake_at.take().is_some_and(|at| at <= now), "a tick that nobody asked for");
        self.session.tick(now, events)?;
        self.noted(events, 1)
    }

    fn farewell(&mut self, reason: &str, now: u64) -> Result<Option<Vec<u8>>, CodecError> {
        self.asked(now);
        self.over = true;
        self.session.farewell(reason, now)
    }

    fn share_class(&mut self) -> Result<Option<u32>, CodecError> {
        assert!(self.established && !self.ended && !self.over);
        self.session.share_class()
    }

    fn save(&mut self) -> Result<Vec<u8>, CodecError> {
        assert!(!self.ended && !self.over);
        let numbers = [
            self.hellos as u64,
            self.requests as u64,
            self.established.into(),
            self.now_ms,
            self.wake_at.unwrap_or_default(),
        ];
        let own: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
        Ok([own, self.session.save()?].concat())
    }
}

impl Broadcasts for Strict {}
