//! Counts the commands for clients that come over the push API.

use std::sync::atomic::{AtomicU64, Ordering};

use super::client_commands::{VERBS, Verb};

/// The codes of answers to commands. Any other code of another node counts as 500.
const CODES: [u16; 9] = [200, 400, 404, 413, 429, 500, 501, 503, 504];

/// The place of 500 in [`CODES`].
const OTHER: usize = 5;

/// Counts commands by verb and by the code of the answer.
#[derive(Debug, Default)]
pub(crate) struct CommandCounts([[AtomicU64; CODES.len()]; VERBS.len()]);

impl CommandCounts {
    pub(crate) fn count(&self, verb: Verb, code: u16) {
        let code = CODES.iter().position(|known| *known == code).unwrap_or(OTHER);
        self.0[verb as usize][code].fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the counts that are not zero, each with the name of its verb and its code.
    pub(super) fn all(&self) -> impl Iterator<Item = (&'static str, u16, u64)> {
        VERBS.iter().zip(&self.0).flat_map(|((verb, _), counts)| {
            let counts = CODES.iter().zip(counts);
            let counts = counts.map(|(code, count)| (*verb, *code, count.load(Ordering::Relaxed)));
            counts.filter(|(_, _, count)| *count > 0)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_counted_by_verb_and_code() {
        let counts = CommandCounts::default();
        for code in [200, 200, 504, 418] {
            counts.count(Verb::Request, code);
        }
        counts.count(Verb::Set, 404);
        let all: Vec<_> = counts.all().collect();
        assert_eq!(all, [("request", 200, 2), ("request", 500, 1), ("request", 504, 1), ("set", 404, 1)]);
        assert_eq!(CODES[OTHER], 500);
    }
}
