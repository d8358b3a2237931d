//! Which plans of a rollout make sense.

use std::time::Duration;

use super::{RolloutError, RolloutPlan, Step};
use crate::slot::Trial;

/// The most steps of a rollout.
const MAX_STEPS: usize = 16;

/// The longest time that a step is held.
const MAX_HOLD: Duration = Duration::from_secs(7 * 24 * 60 * 60);

impl RolloutPlan {
    /// Checks that the plan makes sense.
    ///
    /// # Errors
    /// Returns an error that says what does not.
    pub(super) fn check(&self) -> Result<(), RolloutError> {
        let bad = |why: &str| Err(RolloutError::Plan(why.to_owned()));
        let RolloutPlan { steps, hold_ms, .. } = self;
        let shares: Vec<(bool, f64)> = steps
            .iter()
            .filter_map(|step| step.trial())
            .map(|(trial, share)| (trial == Trial::Shadow, share))
            .collect();
        if steps.len() > MAX_STEPS {
            return bad("a rollout has at most 16 steps");
        }
        if shares.iter().any(|(_, share)| !(*share > 0.0 && *share <= 1.0)) {
            return bad("the share of a step is more than 0 and at most 1");
        }
        let (shadows, canaries): (Vec<_>, Vec<_>) = shares.iter().partition(|(is_shadow, _)| *is_shadow);
        if shares.iter().skip_while(|(is_shadow, _)| *is_shadow).any(|(is_shadow, _)| *is_shadow) {
            return bad("shadows come before canaries");
        }
        if [shadows, canaries]
            .iter()
            .any(|shares: &Vec<(bool, f64)>| !shares.is_sorted_by(|one, other| one.1 < other.1))
        {
            return bad("the share grows from step to step");
        }
        if steps.iter().rev().skip(1).any(|step| *step == Step::Current) {
            return bad("the step to all sessions is the last one");
        }
        if Duration::from_millis(*hold_ms) > MAX_HOLD {
            return bad("a step is held for at most 7 days");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(steps: &[Step]) -> RolloutPlan {
        RolloutPlan {
            file: "oci://here/chat:2".to_owned(),
            steps: steps.to_vec(),
            hold_ms: 1000,
            max_faults: 10,
        }
    }

    #[test]
    fn plans_that_make_no_sense_are_refused() {
        use Step::{Canary, Current, Shadow};
        for good in [
            &[][..],
            &[Current],
            &[Shadow(0.1), Shadow(1.0), Canary(0.05), Canary(0.5), Current],
            &[Canary(1.0)],
        ] {
            assert!(plan(good).check().is_ok(), "{good:?}");
        }
        for (bad, wanted) in [
            (&[Canary(0.0)][..], "the share of a step"),
            (&[Canary(1.1)], "the share of a step"),
            (&[Shadow(f64::NAN)], "the share of a step"),
            (&[Canary(0.1), Shadow(0.2)], "shadows come before"),
            (&[Canary(0.5), Canary(0.5)], "the share grows"),
            (&[Current, Canary(0.5)], "the step to all sessions"),
            (&[Current, Current], "the step to all sessions"),
            (&[Current; 17], "at most 16"),
        ] {
            let why = plan(bad).check().expect_err("it is refused").to_string();
            assert!(why.starts_with(wanted) || why.contains(wanted), "{bad:?}: {why}");
        }
        let long = RolloutPlan { hold_ms: u64::MAX, ..plan(&[]) };
        assert!(long.check().is_err());
    }
}
