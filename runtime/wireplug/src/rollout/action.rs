//! From the state of a rollout and a node's slot to what the node has to do, without I/O.

use super::{Rollout, Stage, Step};
use crate::slot::{SlotNow, Trial};

/// What a node has to do.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Action {
    /// Nothing: its slot is what the state wants.
    Nothing,
    /// Nothing: the rollout does not concern it.
    Idle,
    /// It cannot do what the state wants.
    Fail(String),
    /// Try the new component.
    TryOut(Trial, f64),
    /// Change the share of the trial.
    Resize(f64),
    /// End the trial.
    EndTrial,
    /// Make the candidate current.
    Promote,
    /// Make the new component current without a trial.
    Swap,
    /// Go back to the component before.
    RollBack,
}

impl Rollout {
    /// Returns what a node has to do. `made` is the last step of this rollout that this process has
    /// made, and `is_ours` says whether it changed the slot for it.
    pub(super) fn action(&self, slot: SlotNow, made: Option<usize>, is_ours: bool) -> Action {
        let is_current = slot.current == Some(self.to);
        let is_candidate = slot.candidate.is_some_and(|(candidate, _)| candidate == Some(self.to));
        match self.stage {
            Stage::Running => self.step_action(slot, made, is_ours),
            // A process does this once. A person who swaps the codec later is not contradicted.
            Stage::Done if made == Some(self.steps.len() - 1) => Action::Idle,
            Stage::Done if slot.current != Some(self.from) || slot.is_rejected => Action::Idle,
            Stage::Done if is_candidate => Action::Promote,
            Stage::Done => Action::Swap,
            Stage::TakenBack if !is_ours => Action::Idle,
            Stage::TakenBack if is_candidate => Action::EndTrial,
            Stage::TakenBack if is_current => Action::RollBack,
            Stage::TakenBack => Action::Idle,
        }
    }

    fn step_action(&self, slot: SlotNow, made: Option<usize>, is_ours: bool) -> Action {
        if slot.current == Some(self.to) {
            return Action::Nothing;
        }
        if slot.current != Some(self.from) {
            let current = slot.current.map_or_else(|| "a native codec".to_owned(), |it| it.to_string());
            return Action::Fail(format!(
                "the current version is {current}, and the rollout replaces {}",
                self.from
            ));
        }
        if slot.is_rejected {
            return Action::Fail("the new version has failed here, and was rolled back".to_owned());
        }
        let step = self.steps.get(self.step).copied().unwrap_or(Step::Current);
        match (slot.candidate, step.trial()) {
            (None, _) if is_ours => {
                Action::Fail("somebody has ended the trial of the new version".to_owned())
            }
            (None, Some((trial, share))) => Action::TryOut(trial, share),
            (None, None) => Action::Swap,
            (Some((candidate, _)), _) if candidate != Some(self.to) => {
                Action::Fail("another version is on trial: promote it or end its trial".to_owned())
            }
            (Some(_), None) => Action::Promote,
            (Some((_, running)), Some((trial, _))) if running != trial => Action::EndTrial,
            (Some(_), Some(_)) if made == Some(self.step) => Action::Nothing,
            (Some(_), Some((_, share))) => Action::Resize(share),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Digest;

    fn digest(text: &str) -> Option<Digest> {
        Some(Digest::of(text.as_bytes()))
    }

    fn rollout(step: usize, stage: Stage) -> Rollout {
        Rollout {
            id: "r1".to_owned(),
            codec: "chat".to_owned(),
            file: "oci://registry/chat:2".to_owned(),
            from: Digest::of(b"old"),
            to: Digest::of(b"new"),
            steps: vec![Step::Shadow(0.1), Step::Canary(0.05), Step::Canary(0.5), Step::Current],
            hold_ms: 1000,
            max_faults: 0,
            begun_by: "token:ci".to_owned(),
            begun_at: 0,
            step,
            stage,
            reason: None,
        }
    }

    fn slot(current: &str, candidate: Option<(&str, Trial)>) -> SlotNow {
        let candidate = candidate.map(|(candidate, trial)| (digest(candidate), trial));
        SlotNow { current: digest(current), candidate, is_rejected: false }
    }

    #[test]
    fn a_node_goes_through_the_steps() {
        let (shadow, canary) = (Some(("new", Trial::Shadow)), Some(("new", Trial::Canary)));
        let running = |step| rollout(step, Stage::Running);
        let cases = [
            (0, slot("old", None), None, Action::TryOut(Trial::Shadow, 0.1)),
            (0, slot("old", shadow), Some(0), Action::Nothing),
            (1, slot("old", shadow), Some(0), Action::EndTrial),
            (1, slot("old", None), None, Action::TryOut(Trial::Canary, 0.05)),
            (1, slot("old", canary), Some(1), Action::Nothing),
            (2, slot("old", canary), Some(1), Action::Resize(0.5)),
            (3, slot("old", canary), Some(2), Action::Promote),
            (3, slot("new", None), Some(3), Action::Nothing),
        ];
        for (step, slot, made, wanted) in cases {
            assert_eq!(running(step).action(slot, made, made.is_some()), wanted, "{step} {slot:?}");
        }
        let done = rollout(3, Stage::Done);
        assert_eq!(done.action(slot("new", None), Some(3), true), Action::Idle);
    }

    #[test]
    fn a_node_that_has_just_started_catches_up() {
        for (step, stage, wanted) in [
            (2, Stage::Running, Action::TryOut(Trial::Canary, 0.5)),
            (3, Stage::Running, Action::Swap),
            (3, Stage::Done, Action::Swap),
            (2, Stage::TakenBack, Action::Idle),
        ] {
            assert_eq!(
                rollout(step, stage).action(slot("old", None), None, false),
                wanted,
                "{step} {stage:?}"
            );
            // One that is configured with the new version has nothing to do.
            let has = rollout(step, stage).action(slot("new", None), None, false);
            assert!(matches!(has, Action::Nothing | Action::Idle), "{has:?}");
        }
        // Its configuration has a version of its own since then.
        assert_eq!(rollout(3, Stage::Done).action(slot("newer", None), None, false), Action::Idle);
    }

    #[test]
    fn a_node_fails_if_its_slot_is_not_what_it_should_be() {
        let rejected = SlotNow { is_rejected: true, ..slot("old", None) };
        let native = SlotNow { current: None, ..slot("old", None) };
        for (slot, is_ours, wanted) in [
            (slot("other", None), false, "the current version is "),
            (native, false, "the current version is a native codec"),
            (rejected, true, "the new version has failed here"),
            (slot("old", None), true, "somebody has ended the trial"),
            (slot("old", Some(("other", Trial::Canary))), false, "another version is on trial"),
        ] {
            for step in 0..4 {
                let action = rollout(step, Stage::Running).action(slot, is_ours.then_some(0), is_ours);
                assert!(matches!(&action, Action::Fail(why) if why.starts_with(wanted)), "{step} {action:?}");
            }
        }
    }

    #[test]
    fn only_what_this_rollout_has_done_is_taken_back() {
        let back = rollout(2, Stage::TakenBack);
        let canary = slot("old", Some(("new", Trial::Canary)));
        assert_eq!(back.action(canary, Some(2), true), Action::EndTrial);
        assert_eq!(back.action(slot("new", None), Some(2), true), Action::RollBack);
        assert_eq!(back.action(slot("old", None), Some(2), true), Action::Idle);
        for slot in [canary, slot("new", None)] {
            assert_eq!(back.action(slot, Some(2), false), Action::Idle);
        }
        // What was done, and undone by hand since then, stays as it is.
        assert_eq!(rollout(3, Stage::Done).action(slot("old", None), Some(3), true), Action::Idle);
    }
}
