//! Rounds: two codecs repeat the same work alternately.

use std::hint::black_box;
use std::time::{Duration, Instant};

use super::asking::Asking;
use super::{Effort, Unrepeatable};
use wireplug_core::codec::{Codec, Instant as SessionTime, Peer};
use wireplug_wasm::WasmCodec;

/// The largest number of calls in a round. It bounds the memory that a session keeps with each
/// call.
const MAX_CALLS: u32 = 1 << 16;

/// The work of a round.
pub(super) enum Work<'a> {
    /// Opens and closes sessions of this client.
    Open(&'a WasmCodec, &'a Peer),
    /// Puts a question to a session.
    Ask(Asking<'a>),
}

/// One codec's side of a comparison.
pub(super) struct Lane<'a> {
    work: Work<'a>,
    calls: u32,
    /// The best time, in nanoseconds for each item.
    best: f64,
}

impl<'a> Lane<'a> {
    pub(super) fn new(work: Work<'a>) -> Self {
        Self { work, calls: 1, best: f64::INFINITY }
    }

    /// Finds the number of calls that fill a round.
    fn calibrate(&mut self, round: Duration) -> Result<(), Unrepeatable> {
        while self.time()? < round && self.calls < MAX_CALLS {
            self.calls *= 2;
        }
        Ok(())
    }

    fn round(&mut self) -> Result<(), Unrepeatable> {
        let items = match &self.work {
            Work::Open(..) => 1,
            Work::Ask(asking) => asking.items,
        };
        let items = f64::from(self.calls) * items as f64;
        self.best = self.best.min(self.time()?.as_nanos() as f64 / items);
        Ok(())
    }

    /// Returns the time for the calls of a round. A session for questions is opened and asked once
    /// before, so that it has already touched new pages of memory.
    fn time(&self) -> Result<Duration, Unrepeatable> {
        match &self.work {
            Work::Open(codec, peer) => {
                let begun = Instant::now();
                for _ in 0..self.calls {
                    drop(black_box(
                        codec.open((*peer).clone(), SessionTime::for_test(0)).map_err(|_| Unrepeatable)?,
                    ));
                }
                Ok(begun.elapsed())
            }
            Work::Ask(asking) => {
                let mut asked = asking.begin()?;
                let begun = Instant::now();
                for _ in 0..self.calls {
                    black_box(asked.again()?);
                }
                Ok(begun.elapsed())
            }
        }
    }
}

/// Returns the best time of each lane's rounds, in nanoseconds for each item.
pub(super) fn best(mut lanes: [Lane<'_>; 2], effort: Effort) -> Result<[f64; 2], Unrepeatable> {
    lanes.iter_mut().try_for_each(|lane| lane.calibrate(effort.round))?;
    for _ in 0..effort.rounds {
        lanes.iter_mut().try_for_each(Lane::round)?;
    }
    Ok(lanes.map(|lane| lane.best))
}
