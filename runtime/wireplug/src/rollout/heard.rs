//! Which nodes were heard of lately, so that a rollout waits for one that does not answer just now.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long a rollout waits for a node that does not answer. A node that is restarted, or loses
/// NATS for a moment, is back by then; one that was taken away for good does not stop the rollout.
const PATIENCE: Duration = Duration::from_secs(30);

/// The nodes of a rollout, each with the time at which it answered last.
#[derive(Debug, Default)]
pub(super) struct Heard {
    rollout: String,
    nodes: BTreeMap<String, Instant>,
}

impl Heard {
    /// Notes the nodes that answer now. Returns a node that does not, and did a short while ago.
    pub(super) fn hear<'a>(
        &mut self,
        rollout: &str,
        nodes: impl Iterator<Item = &'a str>,
        now: Instant,
    ) -> Option<String> {
        if self.rollout != rollout {
            *self = Self { rollout: rollout.to_owned(), nodes: BTreeMap::new() };
        }
        self.nodes.extend(nodes.map(|node| (node.to_owned(), now)));
        self.nodes.retain(|_, last| now.saturating_duration_since(*last) < PATIENCE);
        self.nodes.iter().find(|(_, last)| **last != now).map(|(node, _)| node.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_does_not_answer_is_missed_for_a_while() {
        let (mut heard, start) = (Heard::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(heard.hear("r1", ["a", "b"].into_iter(), at(0)), None);
        assert_eq!(heard.hear("r1", ["a"].into_iter(), at(1)).as_deref(), Some("b"));
        assert_eq!(heard.hear("r1", ["a", "b", "c"].into_iter(), at(2)), None);
        assert_eq!(heard.hear("r1", ["a", "b"].into_iter(), at(31)).as_deref(), Some("c"));
        assert_eq!(heard.hear("r1", ["a", "b"].into_iter(), at(32)), None, "it is gone for good");
        // Another rollout begins with the nodes that are there.
        assert_eq!(heard.hear("r2", ["a"].into_iter(), at(33)), None);
    }
}
