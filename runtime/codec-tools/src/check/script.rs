//! Shows a failure as vectors, which an author can add to the codec's own file.

use super::case::{Ask, Case, Message, Step};
use super::harness::{CaseOutcome, ObservedStep};
use super::observed::{Fault, FaultKind, Observed, What};
use wireplug_core::codec::Peer;
use wireplug_core::vectors::Call;

/// Options that are not shown.
const NO_OPTIONS: &str = "{}";

/// The evidence that a property is broken.
pub(super) struct Evidence {
    /// The steps up to the one that shows the failure, with the right answers.
    outcome: CaseOutcome,
    /// What happened in the last step instead.
    instead: Instead,
}

enum Instead {
    Fault(Fault),
    /// Another run gave another answer to the same step.
    Otherwise {
        there: &'static str,
        observed: Vec<Observed>,
        fault: Option<Fault>,
    },
}

impl Evidence {
    /// Creates evidence of an outcome whose last step failed.
    pub(super) fn fault(mut outcome: CaseOutcome) -> Self {
        let fault = outcome.fault.take().expect("only a case that failed is evidence of a fault");
        Self { outcome, instead: Instead::Fault(fault) }
    }

    /// Creates evidence of two different answers to a step. `step` has its indexes in the two
    /// outcomes, or is `None` if the opening differs.
    pub(super) fn unlike(
        right: &CaseOutcome,
        mut other: CaseOutcome,
        step: Option<(usize, usize)>,
        there: &'static str,
    ) -> Self {
        let fault = |outcome: &CaseOutcome, is_last: bool| outcome.fault.clone().filter(|_| is_last);
        let Some((own, index)) = step else {
            let observed = std::mem::replace(&mut other.opening, right.opening.clone());
            let other_fault = fault(&other, other.steps.is_empty());
            other.steps.clear();
            other.fault = fault(right, right.steps.is_empty());
            return Self {
                outcome: other,
                instead: Instead::Otherwise { there, observed, fault: other_fault },
            };
        };
        let other_fault = fault(&other, index + 1 == other.steps.len());
        other.steps.truncate(index + 1);
        other.fault = fault(right, own + 1 == right.steps.len());
        let observed = std::mem::replace(&mut other.steps[index].observed, right.steps[own].observed.clone());
        Self { outcome: other, instead: Instead::Otherwise { there, observed, fault: other_fault } }
    }

    /// Returns the kind of the failure, or `None` if answers differ. A smaller case must have the
    /// same kind.
    pub(super) fn kind(&self) -> Option<FaultKind> {
        match &self.instead {
            Instead::Fault(fault) => Some(fault.kind),
            Instead::Otherwise { .. } => None,
        }
    }

    /// Returns the steps of the case that were actually run.
    pub(super) fn case(&self) -> Case {
        let step = |step: &ObservedStep| Step { at: step.at, ask: step.ask.clone() };
        Case { peer: self.outcome.peer.clone(), steps: self.outcome.steps.iter().map(step).collect() }
    }

    /// Returns a one-line summary for people.
    pub(super) fn headline(&self) -> String {
        match &self.instead {
            Instead::Fault(Fault { kind: FaultKind::Sharing, .. }) => {
                "`encode-shared` does not answer as `encode` does".to_owned()
            }
            Instead::Fault(Fault { kind: FaultKind::Remembered, .. }) => {
                "`encode-shared` does not answer by its arguments alone".to_owned()
            }
            Instead::Fault(fault) => fault.text.clone(),
            Instead::Otherwise { there, .. } => format!("answered otherwise {there}"),
        }
    }

    /// Returns the session as vectors.
    pub(super) fn script(&self, options: &str) -> String {
        let mut script = Script::of(&self.outcome, options);
        match &self.instead {
            Instead::Fault(fault) => {
                let is_shared = matches!(fault.kind, FaultKind::Sharing | FaultKind::Remembered);
                if let Some(class) = self.outcome.class.filter(|_| is_shared) {
                    script.shared(class, self.outcome.steps.last());
                }
                script.remark(&fault.text);
            }
            Instead::Otherwise { there, observed, fault } => {
                if let Some(fault) = &self.outcome.fault {
                    script.remark(&fault.text);
                }
                script.remark(&format!("{there}:"));
                for observed in observed {
                    let of = observed.of.filter(|_| self.is_batch()).map(|of| format!(" ({})", of + 1));
                    script.remark(&format!("  {}{}", observed.what.line(), of.unwrap_or_default()));
                }
                match fault {
                    Some(fault) => script.remark(&format!("  {}", fault.text)),
                    None if observed.is_empty() => script.remark("  nothing"),
                    None => {}
                }
            }
        }
        script.text
    }

    /// Returns whether the last step has several packets or messages. If it has, the script must
    /// show to which of them an answer belongs.
    fn is_batch(&self) -> bool {
        match self.outcome.steps.last().map(|step| &step.ask) {
            Some(Ask::Packets(packets)) => packets.len() > 1,
            Some(Ask::Messages(messages)) => messages.len() > 1,
            _ => false,
        }
    }
}

/// Returns a session as vectors, with a remark at the end.
pub(super) fn remarked(outcome: &CaseOutcome, options: &str, remark: &str) -> String {
    let mut script = Script::of(outcome, options);
    script.remark(remark);
    script.text
}

#[derive(Default)]
struct Script {
    text: String,
    now_ms: u64,
}

impl Script {
    fn of(outcome: &CaseOutcome, options: &str) -> Self {
        let mut script = Self::default();
        if options != NO_OPTIONS {
            script.line(&format!("options {options}"));
        }
        script.session(&outcome.peer, &outcome.opening);
        outcome.steps.iter().for_each(|step| script.step(step));
        script
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn remark(&mut self, remark: &str) {
        self.line(&format!("  # {remark}"));
    }

    fn call(&mut self, call: &Call) {
        self.line(&call.to_string());
    }

    fn observed<'a>(&mut self, observed: impl IntoIterator<Item = &'a Observed>) {
        observed.into_iter().for_each(|observed| self.line(&format!("  {}", observed.what.line())));
    }

    fn session(&mut self, peer: &Peer, opening: &[Observed]) {
        self.call(&Call::Session(Box::new(peer.clone())));
        if peer.random_seed != [0; 32] {
            let bytes = peer.random_seed.map(|byte| format!("{byte:02x}"));
            self.line(&format!("# Its random seed, which is zeros in vectors: {}", bytes.join(" ")));
        }
        self.observed(opening);
    }

    fn step(&mut self, step: &ObservedStep) {
        if step.at > self.now_ms {
            self.now_ms = step.at;
            self.line(&format!("at {}", step.at));
        }
        let observed = &step.observed;
        match step.ask.clone() {
            Ask::Packets(packets) => {
                self.batch(packets.into_iter().map(Call::In).collect(), observed, "packets");
            }
            Ask::Messages(messages) => {
                let out = messages.into_iter().map(|message| {
                    let Message { role, id, route, status, body } = message;
                    Call::Out { role, id, route, status, body }
                });
                self.batch(out.collect(), observed, "messages");
            }
            Ask::Stream(bytes) => self.whole(&Call::Stream(bytes), observed),
            Ask::Secured(attributes) => self.whole(&Call::Secured(attributes), observed),
            Ask::Abandon(id) => self.whole(&Call::Abandon(id), observed),
            Ask::Answer { status, body } => self.whole(&Call::Answer { status, body }, observed),
            Ask::Tick => self.whole(&Call::Tick, observed),
            Ask::Farewell { cause, reason } => self.whole(&Call::Farewell { cause, reason }, observed),
            Ask::Handoff => self.whole(&Call::Handoff { random_seed: None }, observed),
        }
    }

    fn whole(&mut self, call: &Call, observed: &[Observed]) {
        self.call(call);
        self.observed(observed);
    }

    /// Writes a batch as single steps, because vectors have no batches.
    fn batch(&mut self, calls: Vec<Call>, observed: &[Observed], what: &str) {
        if let [call] = &calls[..] {
            return self.whole(call, observed);
        }
        let count = calls.len();
        self.line(&format!("# {count} {what} in one batch:"));
        let mut has_ended = false;
        for (index, call) in calls.iter().enumerate() {
            if has_ended {
                // This step would not run: the session has ended in the middle of the batch.
                self.line(&format!("# {call}"));
                continue;
            }
            self.call(call);
            self.observed(observed.iter().filter(|observed| observed.of == Some(index)));
            has_ended = observed.iter().any(|observed| {
                observed.of == Some(index) && matches!(observed.what, What::Close { .. } | What::Fatal(_))
            });
        }
        for observed in observed.iter().filter(|observed| observed.of.is_none()) {
            self.remark(&observed.what.line());
        }
    }

    /// Writes the push that was also encoded for its class, with the right answer.
    fn shared(&mut self, class: u32, last: Option<&ObservedStep>) {
        let Some(ObservedStep { ask: Ask::Messages(messages), observed, .. }) = last else { return };
        let Some(push) = messages.first() else { return };
        self.line("class");
        self.line(&format!("  class {class}"));
        self.call(&Call::Share { class, route: push.route.clone(), body: push.body.clone() });
        for observed in observed {
            // A refusal has another name in the answers to `share`.
            let what = match &observed.what {
                What::Rejected(reason) | What::Fatal(reason) => {
                    What::Refused(String::from_utf8_lossy(reason).into_owned())
                }
                other => other.clone(),
            };
            self.line(&format!("  {}", what.line()));
        }
    }
}
