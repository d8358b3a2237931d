//! Checks whether the answers of `encode-shared` depend only on its arguments.
//!
//! The runtime encodes each push to many in a new instance, so a codec that remembers earlier
//! pushes leaks nothing there. But such a codec is wrong: its answers differ from those in its
//! author's tests, and would differ in a runtime that keeps the instance.

use super::case::Message;
use super::harness::CaseOutcome;
use super::observed::{Fault, FaultKind, What};
use wireplug_core::codec::{CodecError, MessageRef};
use wireplug_core::framing::Packets;

/// Encodes pushes for many sessions in one instance.
pub(super) type Broadcast<'a> = Box<dyn FnMut(u32, MessageRef<'_>) -> Result<Packets, CodecError> + 'a>;

/// A push that was encoded for a class in an instance of its own.
#[derive(Clone, Debug)]
pub(super) struct SharedCall {
    /// The index of the step with the push.
    pub(super) step: usize,
    pub(super) class: u32,
    pub(super) push: Message,
    /// The answer.
    pub(super) observed: Vec<What>,
}

/// The result of repeated calls.
pub(super) enum Shown {
    Same,
    /// The machine, and not the codec, was at its limits.
    Unknown,
    /// The outcome up to the push that got a different answer.
    Otherwise(Box<CaseOutcome>),
}

/// Encodes the pushes of an outcome again, each in a new instance and all in one instance, and
/// compares the answers.
pub(super) fn compare<'a>(
    mut outcome: CaseOutcome,
    new_instance: &dyn Fn() -> Result<Broadcast<'a>, CodecError>,
) -> Shown {
    let calls = std::mem::take(&mut outcome.shared);
    match again(&calls, new_instance) {
        Ok(()) => Shown::Same,
        Err(None) => Shown::Unknown,
        Err(Some((call, text))) => {
            outcome.steps.truncate(call.step + 1);
            outcome.fault = Some(Fault { kind: FaultKind::Remembered, text });
            Shown::Otherwise(Box::new(outcome))
        }
    }
}

/// Repeats the calls.
///
/// # Errors
/// Returns the call that got a different answer, and the difference, or `None` if the machine was
/// at its limits.
fn again<'a, 'c>(
    calls: &'c [SharedCall],
    new_instance: &dyn Fn() -> Result<Broadcast<'a>, CodecError>,
) -> Result<(), Option<(&'c SharedCall, String)>> {
    let mut kept = new_instance().map_err(|_| None)?;
    for call in calls {
        let mut new = new_instance().map_err(|_| None)?;
        expect(call, &mut new, "in another instance")?;
        expect(call, &mut kept, "after other calls in the same instance")?;
        expect(call, &mut kept, "the second time in the same instance")?;
        let between = unlike(&call.push);
        match kept(call.class, between.as_ref()) {
            Ok(_) | Err(CodecError::Refused(_)) => {}
            // Other properties report this error. The instance is gone.
            Err(_) => kept = new_instance().map_err(|_| None)?,
        }
        expect(call, &mut kept, "after another push in the same instance")?;
    }
    Ok(())
}

fn expect<'c>(
    call: &'c SharedCall,
    broadcast: &mut Broadcast<'_>,
    there: &str,
) -> Result<(), Option<(&'c SharedCall, String)>> {
    let observed = match broadcast(call.class, call.push.as_ref()) {
        Ok(packets) => What::packets(&packets),
        Err(CodecError::Refused(reason)) => vec![What::Refused(reason.to_string())],
        Err(error) => {
            let fault = Fault::from(error);
            let known = || (call, format!("`encode-shared` {there}: {}", fault.text));
            return Err(fault.is_certain().then(known));
        }
    };
    if observed == call.observed {
        return Ok(());
    }
    Err(Some((call, format!("`encode-shared` {there}: {}", lines(&observed)))))
}

/// Returns an answer of `encode-shared` in one line, in the form of vectors.
pub(super) fn lines(answer: &[What]) -> String {
    answer.iter().map(What::line).collect::<Vec<_>>().join(", ")
}

/// Returns a push on the same route with another body.
fn unlike(push: &Message) -> Message {
    let body = if push.body.is_empty() { b"{}".to_vec() } else { Vec::new() };
    Message { body, ..push.clone() }
}
