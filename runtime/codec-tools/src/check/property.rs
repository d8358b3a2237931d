//! The properties that every codec must have, and how a case shows that one of them is broken.

use serde::Serialize;

use super::case::{Ask, Case};
use super::harness::{CaseOutcome, Handoffs, Run};
use super::observed::{Fault, FaultKind};
use super::script::Evidence;
use super::stateless::{self, Broadcast, Shown};
use wireplug_core::codec::{Codec, CodecError};
use wireplug_core::framing::MessageFraming;

/// A property that is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Property {
    /// The file is a component of the contract that imports nothing, and opens within its limits.
    Loads,
    /// Options are accepted, or refused with a reason.
    Options,
    /// The codec gives the answers in its vectors.
    Vectors,
    /// No input makes the codec trap, take too long, take too much memory, or break the contract.
    Robust,
    /// The same calls have the same answers in two instances.
    Deterministic,
    /// `decode-batch` gives the same answers as `decode` for each packet in turn.
    DecodeBatch,
    /// `decode-stream` gives the same answers however the stream is divided.
    DecodeStream,
    /// `encode-batch` gives the same answers as `encode` for each message in turn.
    EncodeBatch,
    /// `save` changes nothing, and a restored session continues as the original would have.
    Handoff,
    /// `encode-shared` gives the same answers as `encode` in a session of the class.
    EncodeShared,
    /// The answers of `encode-shared` depend only on its arguments.
    Stateless,
    /// The memory of a long session stops growing.
    Steady,
}

impl Property {
    /// The properties that are checked with cases, in the order of the report.
    pub(super) const BY_CASES: [Self; 8] = [
        Self::Robust,
        Self::Deterministic,
        Self::DecodeBatch,
        Self::DecodeStream,
        Self::EncodeBatch,
        Self::Handoff,
        Self::EncodeShared,
        Self::Stateless,
    ];

    /// Returns the name of the property, as the report shows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Loads => "loads",
            Self::Options => "options",
            Self::Vectors => "vectors",
            Self::Robust => "robust",
            Self::Deterministic => "deterministic",
            Self::DecodeBatch => "decode-batch",
            Self::DecodeStream => "decode-stream",
            Self::EncodeBatch => "encode-batch",
            Self::Handoff => "handoff",
            Self::EncodeShared => "encode-shared",
            Self::Stateless => "stateless",
            Self::Steady => "steady",
        }
    }
}

/// A codec, and variants of it.
pub(super) struct Subject<'a> {
    pub(super) codec: &'a dyn Codec,
    /// The codec with several times the limit for the time of a call.
    pub(super) patient: &'a dyn Codec,
    /// The codec whose sessions use `decode` for each packet.
    pub(super) decode_singly: &'a dyn Codec,
    /// The codec whose sessions use `encode` for each message.
    pub(super) encode_singly: &'a dyn Codec,
    /// Makes an instance that encodes pushes for many sessions.
    pub(super) broadcast: &'a dyn Fn() -> Result<Broadcast<'a>, CodecError>,
    /// The largest packet, in bytes.
    pub(super) max_packet: usize,
}

/// The result of a case for a property.
pub(super) enum Verdict {
    Held,
    /// The case did not reach any call to which the property applies.
    Untouched,
    /// The codec refuses to hand this session over, for this reason.
    Declined(String),
    /// The machine, and not the codec, was at its limits.
    Unknown,
    /// A call exceeds its limit on this machine, but not by many times. On another machine it may
    /// be within the limit.
    Slow(Box<Evidence>),
    Broken(Box<Evidence>),
}

impl Verdict {
    /// Returns the same verdict, except that `Held` becomes `Untouched` if the property was not
    /// touched.
    fn of(self, touched: bool) -> Self {
        match self {
            Verdict::Held if !touched => Verdict::Untouched,
            other => other,
        }
    }
}

impl Subject<'_> {
    /// Returns the reason why there is nothing to check, if there is one.
    pub(super) fn not_asked(&self, property: Property) -> Option<&'static str> {
        let abilities = self.codec.abilities();
        match property {
            Property::DecodeBatch if !abilities.batch => Some("`batch` is not exported"),
            // Bare packets come only where a message holds one.
            Property::DecodeBatch
                if abilities.framer && self.codec.description().messages != Some(MessageFraming::One) =>
            {
                Some("the codec cuts every stream itself, so no bare packet comes")
            }
            Property::DecodeStream if !abilities.framer => Some("`framer` is not exported"),
            Property::EncodeBatch if !abilities.batch => Some("`batch` is not exported"),
            Property::EncodeBatch if self.codec.description().coalesces => {
                Some("the codec coalesces messages, so its batches may differ")
            }
            Property::Handoff if !abilities.handoff => Some("`handoff` is not exported"),
            Property::EncodeShared | Property::Stateless if !abilities.broadcast => {
                Some("`broadcast` is not exported")
            }
            _ => None,
        }
    }

    /// Runs a case as the runtime does, without a handoff.
    pub(super) fn reference(&self, case: &Case) -> CaseOutcome {
        self.run_on(self.codec, Handoffs::LeftOut).case(case)
    }

    /// Returns the verdict of a case on a property. `reference` is the outcome of the same case in
    /// the reference run.
    pub(super) fn verdict(&self, property: Property, case: &Case, reference: &CaseOutcome) -> Verdict {
        match property {
            Property::Loads | Property::Options | Property::Vectors | Property::Steady => Verdict::Untouched,
            Property::Robust => self.robust(case, reference),
            Property::Deterministic => unlike(reference, self.reference(case), "in another instance"),
            Property::DecodeBatch => {
                let singly = self.run_on(self.decode_singly, Handoffs::LeftOut).case(case);
                let touched = asked(&singly, |ask| matches!(ask, Ask::Packets(_)));
                unlike(&singly, reference.clone(), "in `decode-batch`").of(touched)
            }
            Property::DecodeStream => {
                let divided = Run { divides: true, ..self.run_on(self.codec, Handoffs::LeftOut) }.case(case);
                let touched = asked(&divided, |ask| matches!(ask, Ask::Stream(_)));
                unlike(reference, divided, "if the stream comes in small pieces").of(touched)
            }
            Property::EncodeBatch => {
                let singly = self.run_on(self.encode_singly, Handoffs::LeftOut).case(case);
                let touched = asked(&singly, |ask| matches!(ask, Ask::Messages(_)));
                unlike(&singly, reference.clone(), "in `encode-batch`").of(touched)
            }
            Property::Handoff => self.handoff(case, reference),
            Property::EncodeShared => {
                let shared = self.shared(case);
                match &shared.fault {
                    Some(Fault { kind: FaultKind::Sharing, .. }) => broken(Evidence::fault(shared)),
                    Some(fault) if !fault.is_certain() => Verdict::Unknown,
                    _ if shared.shared.is_empty() => Verdict::Untouched,
                    _ => Verdict::Held,
                }
            }
            Property::Stateless => {
                let shared = self.shared(case);
                // A difference from `encode` belongs to the property `EncodeShared`.
                let differs = matches!(&shared.fault, Some(Fault { kind: FaultKind::Sharing, .. }));
                if differs || shared.shared.is_empty() {
                    return Verdict::Untouched;
                }
                match stateless::compare(shared, self.broadcast) {
                    Shown::Same => Verdict::Held,
                    Shown::Unknown => Verdict::Unknown,
                    Shown::Otherwise(outcome) => broken(Evidence::fault(*outcome)),
                }
            }
        }
    }

    /// Runs a case in which pushes are also encoded for the session's class.
    fn shared(&self, case: &Case) -> CaseOutcome {
        Run { share: true, ..self.run_on(self.encode_singly, Handoffs::Carried) }.case(case)
    }

    fn run_on<'a>(&self, codec: &'a dyn Codec, handoffs: Handoffs) -> Run<'a> {
        Run { codec, max_packet: self.max_packet, handoffs, share: false, divides: false }
    }

    fn robust(&self, case: &Case, reference: &CaseOutcome) -> Verdict {
        match &reference.fault {
            None => Verdict::Held,
            Some(Fault { kind: FaultKind::Room, .. }) => Verdict::Unknown,
            Some(Fault { kind: FaultKind::Time, .. }) => {
                // Other programs use the machine too. A case that is slow only sometimes is not the
                // codec's fault.
                let again = |_| self.reference(case).fault.is_some_and(|fault| fault.kind == FaultKind::Time);
                if !(1..CONFIRMED).all(again) {
                    return Verdict::Unknown;
                }
                let patient = self.run_on(self.patient, Handoffs::LeftOut).case(case);
                let evidence = Evidence::fault(reference.clone());
                match patient.fault {
                    Some(Fault { kind: FaultKind::Time, .. }) => broken(evidence),
                    _ => Verdict::Slow(Box::new(evidence)),
                }
            }
            Some(_) => broken(Evidence::fault(reference.clone())),
        }
    }

    fn handoff(&self, case: &Case, reference: &CaseOutcome) -> Verdict {
        let saved = self.run_on(self.codec, Handoffs::Saved).case(case);
        let touched = asked(&saved, |ask| *ask == Ask::Handoff);
        match unlike(reference, saved, "after `save`, which may not change the session").of(touched) {
            Verdict::Held => {}
            other => return other,
        }
        let carried = self.run_on(self.codec, Handoffs::Carried).case(case);
        let mut refused = carried
            .steps
            .iter()
            .filter(|step| step.ask == Ask::Handoff)
            .filter_map(|step| step.observed.first());
        let refused = refused.next().map(|observed| observed.what.line());
        match (unlike(reference, carried, "after `save` and `restore`"), refused) {
            (Verdict::Held, Some(reason)) => Verdict::Declined(reason),
            (verdict, _) => verdict,
        }
    }
}

/// The number of runs in which a fault of time must occur to count.
const CONFIRMED: usize = 3;

fn asked(outcome: &CaseOutcome, is: impl Fn(&Ask) -> bool) -> bool {
    outcome.steps.iter().any(|step| is(&step.ask))
}

fn broken(evidence: Evidence) -> Verdict {
    Verdict::Broken(Box::new(evidence))
}

/// Compares two outcomes that should be the same. The other outcome may contain handoffs, which do
/// not count as a difference.
fn unlike(right: &CaseOutcome, other: CaseOutcome, other_is: &'static str) -> Verdict {
    let is_uncertain =
        |outcome: &CaseOutcome| outcome.fault.as_ref().is_some_and(|fault| !fault.is_certain());
    let uncertain = is_uncertain(right) || is_uncertain(&other);
    let opening_fault = |outcome: &CaseOutcome| {
        let fault = outcome.fault.as_ref().filter(|fault| outcome.steps.is_empty() && fault.is_certain());
        fault.map(|fault| fault.kind)
    };
    if !uncertain && (&right.opening, opening_fault(right)) != (&other.opening, opening_fault(&other)) {
        return broken(Evidence::unlike(right, other, None, other_is));
    }
    let mut expected = right.steps.iter().enumerate();
    for (index, step) in other.steps.iter().enumerate() {
        let fault = other.fault.as_ref().filter(|_| index + 1 == other.steps.len());
        if step.ask == Ask::Handoff {
            match fault {
                Some(fault) if fault.is_certain() => return broken(Evidence::fault(other)),
                _ => continue,
            }
        }
        // If the right outcome has ended with a fault, the step before has already differed, unless
        // the fault came from the machine.
        let Some((at, own)) = expected.next() else { return Verdict::Unknown };
        let own_fault = right.fault.as_ref().filter(|_| at + 1 == right.steps.len());
        let (one, another) = (own_fault.map(|fault| fault.kind), fault.map(|fault| fault.kind));
        if own.ask != step.ask || own.observed != step.observed || one != another {
            let machine = [own_fault, fault].into_iter().flatten().any(|fault| !fault.is_certain());
            if machine {
                return Verdict::Unknown;
            }
            return broken(Evidence::unlike(right, other, Some((at, index)), other_is));
        }
    }
    if uncertain { Verdict::Unknown } else { Verdict::Held }
}
