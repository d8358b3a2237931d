//! The lines above a session: values that a recorded session had, and that a written one needs not
//! say.

use super::step::{Call, Resumed};
use super::syntax::Words;
use crate::codec::{Instant, Peer};

/// The values for the next session.
#[derive(Default)]
pub(super) struct Opening {
    /// The random seed, which a `handoff` may have too.
    pub(super) seed: Option<[u8; 32]>,
    /// The wall clock, in milliseconds since 1970.
    clock: Option<u64>,
    /// The largest packet, in bytes.
    max_packet: Option<u32>,
    state: Option<State>,
}

/// The saved state from which the next session continues.
struct State {
    session_ms: u64,
    established: bool,
    timer: Option<u64>,
    bytes: Vec<u8>,
}

impl Opening {
    /// Reads the line that begins with `word`, if it is one of these lines. Returns whether it is.
    pub(super) fn set(&mut self, word: &str, words: &mut Words<'_>) -> Result<bool, String> {
        match word {
            "seed" => {
                let bytes = words.bytes()?;
                let wrong = || format!("a seed has 32 bytes, and not {}", bytes.len());
                self.seed = Some(bytes.as_slice().try_into().map_err(|_| wrong())?);
            }
            "clock" => self.clock = Some(words.number("the wall clock in milliseconds since 1970")?),
            "max-packet" => {
                let allowed = "1 or more bytes";
                self.max_packet = Some(words.number_of("the largest packet", allowed, |bytes| *bytes > 0)?);
            }
            "state" => {
                let session_ms = words.number("the time in milliseconds")?;
                let established = match &*words.text("the phase")? {
                    "opening" => false,
                    "established" => true,
                    other => return Err(format!("the phase is opening or established, and not {other:?}")),
                };
                let timer = words.number_or_none("the time of the timer in milliseconds")?;
                self.state = Some(State { session_ms, established, timer, bytes: words.bytes()? });
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Returns the step that opens a session with these values, and its time. `now` is the time
    /// without them.
    pub(super) fn open(&mut self, mut peer: Peer, now: Instant) -> (Call, Instant) {
        let Self { seed, clock, max_packet, state } = std::mem::take(self);
        peer.random_seed = seed.unwrap_or(peer.random_seed);
        peer.max_packet = max_packet.unwrap_or(peer.max_packet);
        match state {
            None => (Call::Session(Box::new(peer)), Instant { unix_ms: clock.unwrap_or(now.unix_ms), ..now }),
            Some(State { session_ms, established, timer, bytes: state }) => {
                let unix_ms = clock.unwrap_or(now.unix_ms.saturating_add(session_ms));
                let resumed = Resumed { peer, state, established, timer };
                (Call::Resume(Box::new(resumed)), Instant { session_ms, unix_ms })
            }
        }
    }

    /// Checks that the step `word` has used all values.
    pub(super) fn is_used_up(&mut self, word: &str) -> Result<(), String> {
        let Self { seed, clock, max_packet, state } = std::mem::take(self);
        let left = [
            ("seed", seed.is_some()),
            ("clock", clock.is_some()),
            ("max-packet", max_packet.is_some()),
            ("state", state.is_some()),
        ];
        match left.iter().find(|(_, is_left)| *is_left) {
            Some((name, _)) => Err(format!("`{name}` stands above `session`, and not above `{word}`")),
            None => Ok(()),
        }
    }
}
