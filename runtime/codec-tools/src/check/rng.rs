//! Numbers that look random and follow from a seed.

/// A stream of numbers: SplitMix64, which is enough to choose by.
pub(super) struct Rng(u64);

impl Rng {
    /// The stream of one case: from its number and the seed alone, so that it can be had again
    /// without those before.
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

    /// Below `end`; 0 if there is nothing below.
    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// True once in so many times.
    pub(super) fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub(super) fn byte(&mut self) -> u8 {
        self.next() as u8
    }

    /// One of these; none where there are none.
    pub(super) fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        let index = self.below(items.len());
        items.get(index)
    }
}
