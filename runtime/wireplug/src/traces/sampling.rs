//! Which connections and requests are traced.

use opentelemetry_sdk::trace::{IdGenerator as _, RandomIdGenerator};

/// Which connections and requests are traced: a share of them, chosen at random.
///
/// ```
/// use wireplug::traces::Sampling;
///
/// // One of a hundred, and those whose client says so.
/// let sampling = Sampling::ratio(0.01).by_parent();
/// # let _ = sampling;
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    ratio: f64,
    by_parent: bool,
}

impl Sampling {
    /// Traces this share: 0 is none, and 1 is all.
    pub fn ratio(ratio: f64) -> Self {
        Self { ratio, by_parent: false }
    }

    /// Lets a client's `traceparent`, if the client sends one, decide whether the client's
    /// connection and its requests are traced.
    #[must_use]
    pub fn by_parent(self) -> Self {
        Self { by_parent: true, ..self }
    }

    /// Returns whether to trace something. `parent` says whether its parent is traced, if it has
    /// one.
    pub(super) fn takes(self, parent: Option<bool>) -> bool {
        match parent.filter(|_| self.by_parent) {
            Some(is_sampled) => is_sampled,
            None => self.ratio >= 1.0 || (self.ratio > 0.0 && random() < self.ratio),
        }
    }
}

/// Returns a random number from 0 to 1. The generator belongs to this thread.
fn random() -> f64 {
    let id = RandomIdGenerator::default().new_span_id();
    u64::from_be_bytes(id.to_bytes()) as f64 / u64::MAX as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_decides_if_it_may() {
        for ratio in [0.0, 1.0] {
            let alone = Sampling::ratio(ratio);
            for parent in [None, Some(false), Some(true)] {
                assert_eq!(alone.takes(parent), ratio == 1.0);
                assert_eq!(alone.by_parent().takes(parent), parent.unwrap_or(ratio == 1.0));
            }
        }
    }

    /// 4 standard deviations are 200 of 10,000.
    #[test]
    fn a_share_is_taken() {
        let taken = (0..10_000).filter(|_| Sampling::ratio(0.5).takes(None)).count();
        assert!((4800..5200).contains(&taken), "{taken}");
    }
}
