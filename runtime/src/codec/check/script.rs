//! How a failure is shown: as vectors, which can be put into the codec's own file.

use super::said::{Cause, Fault, Said, What};
use super::stage::{Played, PlayedStep};
use super::walk::{Ask, Step, Walk};
use crate::codec::Peer;
use crate::codec::vectors::Call;

/// Options that need not be told.
const NO_OPTIONS: &str = "{}";

/// What shows that a property is broken.
pub(super) struct Evidence {
    /// What was asked, up to the step that shows it, and the answers as they should be.
    played: Played,
    /// What the last step came to instead.
    instead: Instead,
}

enum Instead {
    Fault(Fault),
    /// The same step was answered otherwise there.
    Otherwise {
        there: &'static str,
        said: Vec<Said>,
        fault: Option<Fault>,
    },
}

impl Evidence {
    /// The last step failed.
    pub(super) fn fault(mut played: Played) -> Self {
        let fault = played.fault.take().expect("only a play that failed is evidence of a fault");
        Self { played, instead: Instead::Fault(fault) }
    }

    /// A step was answered one way and another: at these indexes in the two plays, or none where it is the opening.
    pub(super) fn unlike(
        right: &Played,
        mut other: Played,
        step: Option<(usize, usize)>,
        there: &'static str,
    ) -> Self {
        let fault = |played: &Played, is_last: bool| played.fault.clone().filter(|_| is_last);
        let Some((own, index)) = step else {
            let said = std::mem::replace(&mut other.opening, right.opening.clone());
            let other_fault = fault(&other, other.steps.is_empty());
            other.steps.clear();
            other.fault = fault(right, right.steps.is_empty());
            return Self { played: other, instead: Instead::Otherwise { there, said, fault: other_fault } };
        };
        let other_fault = fault(&other, index + 1 == other.steps.len());
        other.steps.truncate(index + 1);
        other.fault = fault(right, own + 1 == right.steps.len());
        let said = std::mem::replace(&mut other.steps[index].said, right.steps[own].said.clone());
        Self { played: other, instead: Instead::Otherwise { there, said, fault: other_fault } }
    }

    /// The kind of failure, none where answers differ: what is made smaller must stay of its kind.
    pub(super) fn cause(&self) -> Option<Cause> {
        match &self.instead {
            Instead::Fault(fault) => Some(fault.cause),
            Instead::Otherwise { .. } => None,
        }
    }

    /// What was really played of the walk.
    pub(super) fn walk(&self) -> Walk {
        let step = |step: &PlayedStep| Step { at: step.at, ask: step.ask.clone() };
        Walk { peer: self.played.peer.clone(), steps: self.played.steps.iter().map(step).collect() }
    }

    /// One line for people.
    pub(super) fn headline(&self) -> String {
        match &self.instead {
            Instead::Fault(Fault { cause: Cause::Sharing, .. }) => {
                "`encode-shared` does not answer as `encode` does".to_owned()
            }
            Instead::Fault(Fault { cause: Cause::Remembered, .. }) => {
                "`encode-shared` does not answer by its arguments alone".to_owned()
            }
            Instead::Fault(fault) => fault.text.clone(),
            Instead::Otherwise { there, .. } => format!("answered otherwise {there}"),
        }
    }

    /// The session as vectors.
    pub(super) fn script(&self, options: &str) -> String {
        let mut script = Script::of(&self.played, options);
        match &self.instead {
            Instead::Fault(fault) => {
                if let (Cause::Sharing | Cause::Remembered, Some(class)) = (fault.cause, self.played.class) {
                    script.shared(class, self.played.steps.last());
                }
                script.remark(&fault.text);
            }
            Instead::Otherwise { there, said, fault } => {
                if let Some(fault) = &self.played.fault {
                    script.remark(&fault.text);
                }
                script.remark(&format!("{there}:"));
                for said in said {
                    let of = said.of.filter(|_| self.is_batch()).map(|of| format!(" ({})", of + 1));
                    script.remark(&format!("  {}{}", said.what.line(), of.unwrap_or_default()));
                }
                match fault {
                    Some(fault) => script.remark(&format!("  {}", fault.text)),
                    None if said.is_empty() => script.remark("  nothing"),
                    None => {}
                }
            }
        }
        script.text
    }

    /// Whether the step that shows it has several packets or messages, so that it must be said which an answer is of.
    fn is_batch(&self) -> bool {
        match self.played.steps.last().map(|step| &step.ask) {
            Some(Ask::Packets(packets)) => packets.len() > 1,
            Some(Ask::Messages(messages)) => messages.len() > 1,
            _ => false,
        }
    }
}

/// A session as vectors, with a remark at its end.
pub(super) fn remarked(played: &Played, options: &str, remark: &str) -> String {
    let mut script = Script::of(played, options);
    script.remark(remark);
    script.text
}

#[derive(Default)]
struct Script {
    text: String,
    now_ms: u64,
}

impl Script {
    fn of(played: &Played, options: &str) -> Self {
        let mut script = Self::default();
        if options != NO_OPTIONS {
            script.line(&format!("options {options}"));
        }
        script.session(&played.peer, &played.opening);
        played.steps.iter().for_each(|step| script.step(step));
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

    fn said<'a>(&mut self, said: impl IntoIterator<Item = &'a Said>) {
        said.into_iter().for_each(|said| self.line(&format!("  {}", said.what.line())));
    }

    fn session(&mut self, peer: &Peer, opening: &[Said]) {
        self.call(&Call::Session(Box::new(peer.clone())));
        if peer.entropy != [0; 32] {
            let bytes = peer.entropy.map(|byte| format!("{byte:02x}"));
            self.line(&format!("# Its entropy, which is zeros in vectors: {}", bytes.join(" ")));
        }
        self.said(opening);
    }

    fn step(&mut self, step: &PlayedStep) {
        if step.at > self.now_ms {
            self.now_ms = step.at;
            self.line(&format!("at {}", step.at));
        }
        let said = &step.said;
        match step.ask.clone() {
            Ask::Packets(packets) => {
                self.batch(packets.into_iter().map(Call::In).collect(), said, "packets");
            }
            Ask::Messages(messages) => {
                let out = messages.into_iter().map(|message| Call::Out {
                    id: message.id,
                    route: message.route,
                    status: message.status,
                    body: message.body,
                });
                self.batch(out.collect(), said, "messages");
            }
            Ask::Answer { status, body } => self.whole(&Call::Answer { status, body }, said),
            Ask::Tick => self.whole(&Call::Tick, said),
            Ask::Farewell(reason) => self.whole(&Call::Farewell(reason), said),
            Ask::Handoff => self.whole(&Call::Handoff, said),
        }
    }

    fn whole(&mut self, call: &Call, said: &[Said]) {
        self.call(call);
        self.said(said);
    }

    /// A batch, step by step, for vectors know none.
    fn batch(&mut self, calls: Vec<Call>, said: &[Said], what: &str) {
        if let [call] = &calls[..] {
            return self.whole(call, said);
        }
        let count = calls.len();
        self.line(&format!("# {count} {what} in one batch:"));
        let mut has_ended = false;
        for (index, call) in calls.iter().enumerate() {
            if has_ended {
                // Nobody would be asked: the session has ended in the middle of the batch.
                self.line(&format!("# {call}"));
                continue;
            }
            self.call(call);
            self.said(said.iter().filter(|said| said.of == Some(index)));
            has_ended = said
                .iter()
                .any(|said| said.of == Some(index) && matches!(said.what, What::Close(_) | What::Fatal(_)));
        }
        for said in said.iter().filter(|said| said.of.is_none()) {
            self.remark(&said.what.line());
        }
    }

    /// The push that was encoded for its class as well, and how that should have come out.
    fn shared(&mut self, class: u32, last: Option<&PlayedStep>) {
        let Some(PlayedStep { ask: Ask::Messages(messages), said, .. }) = last else { return };
        let Some(push) = messages.first() else { return };
        self.line("class");
        self.line(&format!("  class {class}"));
        self.call(&Call::Share { class, route: push.route.clone(), body: push.body.clone() });
        for said in said {
            // A refusal has another name here.
            let what = match &said.what {
                What::Rejected(reason) | What::Fatal(reason) => {
                    What::Refused(String::from_utf8_lossy(reason).into_owned())
                }
                other => other.clone(),
            };
            self.line(&format!("  {}", what.line()));
        }
    }
}
