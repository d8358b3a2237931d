//! Whether the answers of `encode-shared` depend on its arguments alone.
//!
//! The runtime encodes each push to many in a new instance, so a codec that remembers earlier
//! pushes leaks nothing there. But such a codec is wrong: it answers otherwise than its author has
//! seen, and than a runtime that keeps the instance would have it answer.

use super::case::Message;
use super::harness::CaseOutcome;
use super::observed::{Cause, Fault, What};
use wireplug_core::codec::{CodecError, MessageRef};

/// Encodes pushes for many, in one instance.
pub(super) type Broadcast<'a> =
    Box<dyn FnMut(u32, MessageRef<'_>) -> Result<Option<Vec<u8>>, CodecError> + 'a>;

/// A push that was encoded for a class in an instance of its own.
#[derive(Clone, Debug)]
pub(super) struct SharedCall {
    /// The step in which it was.
    pub(super) step: usize,
    pub(super) class: u32,
    pub(super) push: Message,
    /// The answer.
    pub(super) observed: What,
}

/// What repeated calls have shown.
pub(super) enum Shown {
    Same,
    /// The machine, and not the codec, was at its limits.
    Unknown,
    /// The outcome up to the push that was answered otherwise.
    Otherwise(Box<CaseOutcome>),
}

/// Encodes the pushes of an outcome again, in a new instance each and all in one, and compares.
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
            outcome.fault = Some(Fault { cause: Cause::Remembered, text });
            Shown::Otherwise(Box::new(outcome))
        }
    }
}

/// The error is the call that was answered otherwise, and how; none where that is not known.
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
            // That is for other properties to tell. The instance is gone.
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
        Ok(packet) => What::packet(packet.as_deref()),
        Err(CodecError::Refused(reason)) => What::Refused(reason.to_string()),
        Err(error) => {
            let fault = Fault::from(error);
            let known = || (call, format!("`encode-shared` {there}: {}", fault.text));
            return Err(fault.is_certain().then(known));
        }
    };
    if observed == call.observed {
        return Ok(());
    }
    Err(Some((call, format!("`encode-shared` {there}: {}", observed.line()))))
}

/// A push on the same route with another body.
fn unlike(push: &Message) -> Message {
    let body = if push.body.is_empty() { b"{}".to_vec() } else { Vec::new() };
    Message { body, ..push.clone() }
}
