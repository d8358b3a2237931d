//! Which turns of connections are timed.
//!
//! Reading the clock twice for each request would be a noticeable part of a small request's cost.
//! So each thread times one turn in each tick of the engine, which is about a thousand turns a
//! second. A server that is not busy thus times nearly all turns.

use std::cell::Cell;
use std::time::Instant;

thread_local! {
    /// The tick in which this thread last timed a turn.
    static LAST: Cell<u64> = const { Cell::new(u64::MAX) };
}

/// What of a turn is still to be timed: the first of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sampling {
    /// A step in which the codec decodes.
    pub(crate) decode: Sample,
    /// A step in which the codec encodes.
    pub(crate) encode: Sample,
    /// A request to the application.
    pub(crate) request: Sample,
}

/// Whether something is to be timed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sample(bool);

impl Sampling {
    /// Returns what is timed of a turn that begins in this tick.
    #[inline]
    pub(crate) fn of_turn(tick: u64) -> Self {
        let is_timed = LAST.replace(tick) != tick;
        Self { decode: Sample(is_timed), encode: Sample(is_timed), request: Sample(is_timed) }
    }
}

impl Sample {
    /// Returns the time if it is to be timed and was not begun before.
    #[inline]
    pub(crate) fn begin(&mut self) -> Option<Instant> {
        std::mem::take(&mut self.0).then(Instant::now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_turn_of_a_tick_is_timed_and_each_part_once() {
        let mut first = Sampling::of_turn(1);
        assert!(first.decode.begin().is_some() && first.decode.begin().is_none());
        assert!(first.request.begin().is_some() && first.encode.begin().is_some());
        assert_eq!(Sampling::of_turn(1), Sampling::default());
        assert_ne!(Sampling::of_turn(2), Sampling::default());
    }
}
