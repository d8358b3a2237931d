//! Pseudorandom numbers that follow from a seed.

/// A stream of numbers. SplitMix64 is good enough to make choices.
pub(super) struct Rng(u64);

impl Rng {
    /// Returns the stream of one case. It depends only on the seed and the case's number, so a case
    /// can be run again without the cases before it.
    pub(super) fn of_case(seed: u64, case: u64) -> Self {
        let mut seeds = Self(seed);
        let seed = seeds.next();
        Self(seed ^ case.wrapping_mul(0xd134_2543_de82_ef95))
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns a number below `end`, or 0 if `end` is 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// Returns true once in `times` calls on average.
    pub(super) fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub(super) fn byte(&mut self) -> u8 {
        self.next() as u8
    }

    /// Returns one of the items, or `None` if there are none.
    pub(super) fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        let index = self.below(items.len());
        items.get(index)
    }
}
