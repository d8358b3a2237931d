//! The digits codec, of which one thing is changed.

use std::sync::Arc;

use serde_json::json;
use wireplug::CodecSource;
use wireplug::config::CodecLimits;
use wireplug_core::codec::{
    Abilities, Codec, CodecError, CodecSession, CpuAccount, CpuTime, Description, Encoded, Events, Frames,
    Instant, MessageRef, Messages, Peer, Sharing,
};
use wireplug_core::framing::Packets;
use wireplug_tests::versions::DIGITS;
use wireplug_wasm::{WasmEngine, WasmLoader};

/// What is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Nothing,
    /// The codec does not export `handoff`.
    NoHandoff,
    /// A session that is restored has text frames.
    ForgetsForm,
    /// Each sandbox is nearly full after one call.
    FillsUp,
}

struct Changed {
    codec: Box<dyn Codec>,
    change: Change,
}

/// Returns the loaded digits codec with each of these changes, so that swaps do not compile. They
/// have room for this many sessions.
pub fn digits<const N: usize>(sessions: u32, changes: [Change; N]) -> [CodecSource; N] {
    let limits = CodecLimits { min_broadcast: 2, ..wireplug_tests::server::setup().codec };
    let engine = WasmEngine::new(2 * sessions, limits.memory).expect("room for the sandboxes");
    changes.map(|change| {
        let codec = WasmLoader::new(&engine, limits).load(DIGITS, "{}".to_owned().into());
        let codec = Box::new(codec.expect("a good codec"));
        CodecSource::native(Arc::new(Changed { codec, change })).named("digits")
    })
}

/// Returns the digits codec with another answer to STLS.
pub fn louder() -> CodecSource {
    let (old, new) = (b"-ERR no TLS", b"-ERR NO TLS");
    let mut wasm = DIGITS.to_vec();
    let at = wasm.windows(old.len()).position(|window| window == old).expect("the answer");
    wasm[at..at + new.len()].copy_from_slice(new);
    CodecSource::bytes("digits", wasm, json!({}))
}

impl Changed {
    fn session(&self, session: Box<dyn CodecSession>) -> Box<dyn CodecSession> {
        match self.change {
            Change::FillsUp => Box::new(Full(session)),
            _ => session,
        }
    }
}

impl Codec for Changed {
    fn description(&self) -> &Description {
        self.codec.description()
    }

    fn abilities(&self) -> Abilities {
        Abilities { handoff: self.change != Change::NoHandoff, ..self.codec.abilities() }
    }

    fn open(&self, peer: Peer, now: Instant) -> Result<Box<dyn CodecSession>, CodecError> {
        Ok(self.session(self.codec.open(peer, now)?))
    }

    fn restore(&self, peer: Peer, state: &[u8], now: Instant) -> Result<Box<dyn CodecSession>, CodecError> {
        let mut state = state.to_vec();
        if self.change == Change::ForgetsForm {
            state[1] &= !1;
        }
        Ok(self.session(self.codec.restore(peer, &state, now)?))
    }

    fn encode_shared(&self, class: u32, message: MessageRef<'_>) -> Result<Packets, CodecError> {
        self.codec.encode_shared(class, message)
    }

    fn cpu_account(&self) -> Option<&Arc<CpuAccount>> {
        self.codec.cpu_account()
    }

    fn max_sessions(&self) -> Option<usize> {
        self.codec.max_sessions()
    }

    fn sharing(&self) -> Sharing {
        self.codec.sharing()
    }
}

/// A session whose sandbox is always nearly full.
struct Full(Box<dyn CodecSession>);

impl CodecSession for Full {
    fn decode(&mut self, _: &Arc<Packets>, _: Instant, _: &mut Events) -> Result<(), CodecError> {
        unreachable!("the codec cuts its streams")
    }

    fn decode_stream(
        &mut self,
        bytes: &Arc<Vec<u8>>,
        now: Instant,
        frames: &mut Frames,
    ) -> Result<(), CodecError> {
        self.0.decode_stream(bytes, now, frames)
    }

    fn encode(
        &mut self,
        messages: &Arc<Messages>,
        now: Instant,
        encoded: &mut Encoded,
    ) -> Result<(), CodecError> {
        self.0.encode(messages, now, encoded)
    }

    fn abandoned(&mut self, id: u64, now: Instant, events: &mut Events) -> Result<(), CodecError> {
        self.0.abandoned(id, now, events)
    }

    fn tick(&mut self, now: Instant, events: &mut Events) -> Result<(), CodecError> {
        self.0.tick(now, events)
    }

    fn broadcast_class(&mut self) -> Result<Option<u32>, CodecError> {
        self.0.broadcast_class()
    }

    fn save(&mut self) -> Result<Vec<u8>, CodecError> {
        self.0.save()
    }

    fn wants_renewal(&mut self) -> bool {
        true
    }

    fn take_cpu_time(&mut self, measures: bool) -> CpuTime {
        self.0.take_cpu_time(measures)
    }
}
