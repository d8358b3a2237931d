//! The lines of the audit log that are about a slot.

use std::sync::Arc;

use super::{Generation, Slot, SlotState, SwapError, SwapReport};
use crate::audit::{Actor, AuditLog, Outcome, Record, Version};
use crate::codec::CodecError;
use wireplug_base::Chain;

impl SwapReport {
    /// Adds the versions to a line of the audit log.
    pub(crate) fn describe(&self, record: &mut Record) -> Outcome {
        record.set_from(Version {
            generation: Some(self.from),
            sha256: self.from_sha256,
            ..Version::default()
        });
        record.set_to(Version {
            generation: Some(self.to),
            sha256: self.to_sha256,
            signed_by: self.to_signed_by.clone(),
        });
        Outcome::Done
    }

    /// Adds the outcome of a reload. `None` means that the component and the options are the same.
    pub(crate) fn describe_reload(reloaded: &Option<Self>, record: &mut Record) -> Outcome {
        reloaded.as_ref().map_or(Outcome::Unchanged, |report| report.describe(record))
    }
}

impl Slot {
    /// Returns the line of a change that is requested now.
    pub(crate) fn record(&self, actor: Actor, change: &'static str) -> Record {
        let mut record = Record::new(actor, change, self.name());
        record.set_from(self.current().version());
        record
    }

    /// Writes the line of a reload that has ended.
    pub(crate) fn audit_reload(&self, record: Record, ended: &Result<Option<SwapReport>, SwapError>) {
        self.audit_log().write(record.of(ended, SwapReport::describe_reload));
    }

    /// Writes the line of a reload that was refused.
    pub(crate) fn audit_refused(&self, record: Record, error: &SwapError) {
        self.audit_log().write(record.ended(Outcome::Refused, Some(Chain::of(error).to_string())));
    }

    /// Returns the log in which the slots of this server write their lines.
    pub(crate) fn audit_log(&self) -> &Arc<AuditLog> {
        &self.0.resources.audit
    }

    /// Returns the versions of the candidate on trial and of the current generation.
    #[cfg(feature = "control")]
    pub(crate) fn trial_versions(&self) -> (Version, Version) {
        let candidate = self.0.assignments.on_trial().map(|(candidate, _)| candidate.version());
        (candidate.unwrap_or_default(), self.current().version())
    }
}

impl Generation {
    fn version(&self) -> Version {
        Version {
            generation: Some(self.number),
            sha256: self.component.map(|component| component.digest),
            signed_by: self.signers.names(),
        }
    }
}

impl SlotState {
    /// Writes the line of a generation that was left because it failed too often.
    pub(super) fn audit_fault(
        &self,
        change: &'static str,
        from: &Generation,
        to: &Generation,
        fault: &CodecError,
    ) {
        let mut record = Record::new(Actor::fault_policy(), change, &self.settings.name);
        record.set_from(from.version());
        record.set_to(to.version());
        self.resources.audit.write(record.ended(Outcome::Done, Some(fault.without_input().to_string())));
    }
}
