//! Rounds: the same work again and again, of two codecs in turns.

use std::hint::black_box;
use std::time::{Duration, Instant};

use super::asking::Asking;
use super::{Effort, Unrepeatable};
use wireplug_core::codec::{Codec, Peer};
use wireplug_wasm::WasmCodec;

/// The calls of a round at most: what a session gathers with each call has an end.
const MAX_CALLS: u32 = 1 << 16;

/// What is done in a round.
pub(super) enum Work<'a> {
    /// Sessions of this client open and close.
    Open(&'a WasmCodec, &'a Peer),
    /// A session is asked.
    Ask(Asking<'a>),
}

/// One codec's side of a comparison.
pub(super) struct Lane<'a> {
    work: Work<'a>,
    calls: u32,
    /// Nanoseconds an item.
    best: f64,
}

impl<'a> Lane<'a> {
    pub(super) fn new(work: Work<'a>) -> Self {
        Self { work, calls: 1, best: f64::INFINITY }
    }

    /// Finds how many calls fill a round.
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

    /// How long the calls of a round take. A session that is asked is made before, and met the
    /// pages that nobody had touched.
    fn time(&self) -> Result<Duration, Unrepeatable> {
        match &self.work {
            Work::Open(codec, peer) => {
                let begun = Instant::now();
                for _ in 0..self.calls {
                    drop(black_box(codec.open((*peer).clone()).map_err(|_| Unrepeatable)?));
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

/// Nanoseconds an item of each lane, the best of its rounds.
pub(super) fn best(mut lanes: [Lane<'_>; 2], effort: Effort) -> Result<[f64; 2], Unrepeatable> {
    lanes.iter_mut().try_for_each(|lane| lane.calibrate(effort.round))?;
    for _ in 0..effort.rounds {
        lanes.iter_mut().try_for_each(Lane::round)?;
    }
    Ok(lanes.map(|lane| lane.best))
}
