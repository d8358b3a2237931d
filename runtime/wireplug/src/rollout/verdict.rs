//! From the reports of all nodes to the next state of a rollout, without I/O.

use super::{Rollout, RolloutReport, Stage, Step};

/// A node that has the codec, and its report. `None` if it has not heard of the rollout yet.
pub(super) struct Reported<'a> {
    pub(super) node: &'a str,
    pub(super) report: Option<&'a RolloutReport>,
}

impl Rollout {
    /// Returns the next state, or `None` while the nodes are not ready for it.
    pub(super) fn next(&self, nodes: &[Reported<'_>], now: u64) -> Option<Self> {
        if self.stage != Stage::Running {
            return None;
        }
        if let Some(reason) = self.objection(nodes) {
            return Some(self.taken_back(reason));
        }
        let made_at = |node: &Reported<'_>| match node.report?.made? {
            (step, at) if step == self.step => Some(at),
            _ => None,
        };
        // The time runs from the last node, which may have started in the middle of the step.
        let made: Option<Vec<u64>> = nodes.iter().map(made_at).collect();
        let since = made?.into_iter().max()?;
        if now < since.saturating_add(self.hold_ms) {
            return None;
        }
        Some(match self.step + 1 < self.steps.len() {
            true => Self { step: self.step + 1, ..self.clone() },
            false => Self { stage: Stage::Done, ..self.clone() },
        })
    }

    /// Returns the state after the rollout was taken back.
    pub(super) fn taken_back(&self, reason: String) -> Self {
        Self { stage: Stage::TakenBack, reason: Some(reason), ..self.clone() }
    }

    /// Returns why the rollout must not go on, if there is a reason.
    fn objection(&self, nodes: &[Reported<'_>]) -> Option<String> {
        let failed = nodes.iter().find_map(|node| Some((node.node, node.report?.failed.as_ref()?)));
        if let Some((node, why)) = failed {
            return Some(format!("{node}: {why}"));
        }
        let sum = |count: fn(&RolloutReport) -> u64| -> u64 {
            nodes.iter().filter_map(|node| node.report).map(count).sum()
        };
        let faults = sum(|report| report.faults);
        if self.max_faults > 0 && faults >= self.max_faults {
            return Some(format!(
                "{faults} faults on all nodes together, and {} are the limit (`max-faults`)",
                self.max_faults
            ));
        }
        let differences = sum(|report| report.differences);
        if matches!(self.steps.get(self.step), Some(Step::Shadow(_))) && differences > 0 {
            return Some(format!(
                "{differences} answers in the shadow differ from those of the current version"
            ));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Digest;

    fn rollout() -> Rollout {
        Rollout {
            id: "r1".to_owned(),
            codec: "chat".to_owned(),
            file: "oci://registry/chat:2".to_owned(),
            from: Digest::of(b"old"),
            to: Digest::of(b"new"),
            steps: vec![Step::Shadow(0.1), Step::Canary(0.05), Step::Current],
            hold_ms: 1000,
            max_faults: 10,
            begun_by: "token:ci".to_owned(),
            begun_at: 0,
            step: 0,
            stage: Stage::Running,
            reason: None,
        }
    }

    fn report(made: Option<(usize, u64)>) -> RolloutReport {
        RolloutReport {
            id: "r1".to_owned(),
            codec: "chat".to_owned(),
            made,
            failed: None,
            sessions: 0,
            faults: 0,
            differences: 0,
        }
    }

    fn next(rollout: &Rollout, reports: &[Option<RolloutReport>], now: u64) -> Option<Rollout> {
        let nodes: Vec<_> =
            reports.iter().map(|report| Reported { node: "a", report: report.as_ref() }).collect();
        rollout.next(&nodes, now)
    }

    #[test]
    fn a_step_ends_when_the_last_node_has_held_it() {
        let mut now = rollout();
        for step in 0..3 {
            let reports = [Some(report(Some((step, 5000)))), Some(report(Some((step, 6000))))];
            assert_eq!(next(&now, &reports, 6999), None);
            let then = next(&now, &reports, 7000).expect("the time is over");
            match step {
                2 => assert_eq!((then.step, then.stage), (2, Stage::Done)),
                step => assert_eq!((then.step, then.stage), (step + 1, Stage::Running)),
            }
            now = then;
        }
        assert_eq!(next(&now, &[Some(report(Some((2, 0))))], 100_000), None, "it is done");
    }

    #[test]
    fn a_node_that_has_not_made_the_step_holds_it_up() {
        let rollout = rollout();
        for late in [None, Some(report(None)), Some(report(Some((1, 0))))] {
            assert_eq!(next(&rollout, &[Some(report(Some((0, 0)))), late], 100_000), None);
        }
        assert_eq!(next(&rollout, &[], 100_000), None, "nobody has made it");
    }

    #[test]
    fn it_is_taken_back_if_a_node_fails_or_faults_add_up_or_answers_differ() {
        let rollout = rollout();
        let fine = || report(Some((0, 0)));
        let cases = [
            (RolloutReport { failed: Some("no room".to_owned()), ..fine() }, "a: no room"),
            (RolloutReport { faults: 6, ..fine() }, "12 faults on all nodes together"),
            (RolloutReport { differences: 1, ..fine() }, "2 answers in the shadow differ"),
        ];
        for (bad, wanted) in cases {
            let back = next(&rollout, &[Some(bad.clone()), Some(bad)], 100_000).expect("it does not wait");
            assert_eq!(back.stage, Stage::TakenBack);
            assert!(back.reason.as_deref().is_some_and(|why| why.starts_with(wanted)), "{:?}", back.reason);
            assert_eq!(next(&back, &[Some(fine())], 200_000), None);
        }
        // In a canary there is nothing to compare, and without a limit each node counts its faults.
        let canary = Rollout { step: 1, max_faults: 0, ..rollout };
        let noisy = RolloutReport { differences: 5, faults: 500, ..report(Some((1, 0))) };
        assert_eq!(next(&canary, &[Some(noisy)], 100_000).map(|next| next.step), Some(2));
    }
}
