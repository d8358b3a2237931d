//! Histograms of times.

use std::time::Duration;

/// The upper bounds of the buckets, in nanoseconds: from a short call of a codec to a service that
/// hardly answers any more.
const BOUNDS: [u64; 22] = [
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
];

/// How many times were in each bucket. The last bucket has the times above all bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Histogram {
    buckets: [u64; BOUNDS.len() + 1],
    /// The sum of all times, in nanoseconds.
    sum: u64,
}

impl Histogram {
    /// Adds a time.
    pub(crate) fn record(&mut self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[BOUNDS.partition_point(|bound| *bound < nanos)] += 1;
        self.sum = self.sum.saturating_add(nanos);
    }

    /// Adds the times of another histogram.
    pub(crate) fn add(&mut self, other: &Self) {
        self.buckets.iter_mut().zip(other.buckets).for_each(|(bucket, more)| *bucket += more);
        self.sum = self.sum.saturating_add(other.sum);
    }

    /// Returns how many times were added.
    #[cfg(any(feature = "metrics", test))]
    pub(crate) fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Returns the time that a share of all times did not exceed, or `None` if there are no times.
    /// It is estimated: the times of a bucket are taken to be spread evenly over it. A time above
    /// all bounds counts as the last bound.
    #[cfg(any(feature = "control", test))]
    pub(crate) fn quantile(&self, share: f64) -> Option<Duration> {
        let rank = (share * self.count() as f64).ceil().max(1.0);
        let (mut below, mut from) = (0.0, 0.0);
        for (bucket, to) in self.buckets.iter().zip(BOUNDS) {
            let count = *bucket as f64;
            if count > 0.0 && below + count >= rank {
                let nanos = from + (to as f64 - from) * (rank - below) / count;
                return Some(Duration::from_nanos(nanos as u64));
            }
            (below, from) = (below + count, to as f64);
        }
        (self.count() > 0).then(|| Duration::from_nanos(from as u64))
    }

    /// Returns the sum of all times in seconds.
    #[cfg(feature = "metrics")]
    pub(crate) fn sum_seconds(&self) -> f64 {
        self.sum as f64 / 1e9
    }

    /// Returns the upper bound of each bucket in seconds, and how many times the bucket has.
    #[cfg(feature = "metrics")]
    pub(crate) fn buckets(&self) -> Vec<(f64, u64)> {
        let bounds = BOUNDS.iter().map(|bound| *bound as f64 / 1e9).chain([f64::INFINITY]);
        bounds.zip(self.buckets).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(micros: &[u64]) -> Histogram {
        let mut histogram = Histogram::default();
        micros.iter().for_each(|micros| histogram.record(Duration::from_micros(*micros)));
        histogram
    }

    #[test]
    fn a_bound_belongs_to_the_bucket_below_it() {
        let histogram = of(&[1, 2, 11_000_000]);
        assert_eq!(histogram.buckets[..3], [1, 1, 0]);
        assert_eq!(histogram.buckets[BOUNDS.len()], 1);
        assert_eq!((histogram.count(), histogram.sum), (3, 11_000_003_000));
    }

    #[test]
    fn a_quantile_lies_in_its_bucket() {
        let quantile = |histogram: &Histogram, share| histogram.quantile(share).map(|time| time.as_nanos());
        assert_eq!(quantile(&Histogram::default(), 0.5), None);
        let mut histogram = of(&[30; 99]);
        histogram.add(&of(&[30_000_000]));
        let middle = quantile(&histogram, 0.5);
        assert!(middle.is_some_and(|nanos| nanos > 25_000 && nanos <= 50_000), "{middle:?}");
        assert_eq!(quantile(&histogram, 0.99), Some(50_000));
        assert_eq!(quantile(&histogram, 1.0), Some(10_000_000_000));
    }
}
