//! What follows when a generation fails too often: a trial ends, a version is rolled back, sessions
//! stay where they are, or no session opens for a while.

use std::sync::Arc;

use tracing::error;

use super::assignments::Listed;
use super::health::FaultCount;
use super::sync::lock;
use super::{Generation, SlotState};
use crate::codec::CodecError;

impl SlotState {
    /// Does what must follow when a generation fails. `count` is how often it failed within the
    /// window.
    pub(super) fn on_fault(self: &Arc<Self>, number: u64, count: FaultCount, fault: &CodecError) {
        let limits = &self.settings.faults;
        let (slot, window) = (&self.settings.name, limits.window);
        if self.gives_up(number, count.all, fault) {
            return;
        }
        let count = count.suspending;
        let current = self.assignments.current();
        let is_over = limits.suspend > 0 && count >= limits.suspend as usize;
        if is_over && current.number == number && current.suspend() {
            error!(slot, generation = number, count, ?window, fault = %fault.without_input(), "the codec fails: no session opens for a while");
        }
    }

    /// Does what must follow when a generation that was replaced fails to hand sessions over.
    pub(super) fn on_failed_leave(self: &Arc<Self>, number: u64, count: FaultCount, fault: &CodecError) {
        let count = count.all;
        if !self.gives_up(number, count, fault) {
            self.keeps(number, count, fault);
        }
    }

    /// Does what must follow when a generation fails to take sessions over.
    pub(super) fn on_failed_move(self: &Arc<Self>, number: u64, count: FaultCount, fault: &CodecError) {
        let count = count.all;
        let limit = self.settings.faults.rollback;
        let is_over = limit > 0 && count >= limit as usize;
        if !is_over || self.gives_up(number, count, fault) || self.keeps(number, count, fault) {
            return;
        }
        let stop = |listed: Listed<Generation>| self.assignments.stop_moving(listed.generation.number);
        if self.assignments.list().into_iter().map(stop).filter(|stopped| *stopped).count() > 0 {
            error!(slot = self.settings.name, to = number, count, fault = %fault.without_input(), "it fails to take sessions over: they drain");
            self.drive_later();
        }
    }

    /// Ends the trial of a generation, or rolls it back, if it has failed too often. Returns
    /// whether it did.
    fn gives_up(self: &Arc<Self>, number: u64, count: usize, fault: &CodecError) -> bool {
        let limits = &self.settings.faults;
        let (slot, window) = (&self.settings.name, limits.window);
        if limits.rollback > 0 && count >= limits.rollback as usize {
            if let Some((candidate, _)) =
                self.assignments.on_trial().filter(|(candidate, _)| candidate.number == number)
                && self.assignments.end_trial(number)
            {
                error!(slot, generation = number, count, ?window, fault = %fault.without_input(), "the candidate fails: its trial is over");
                let current = self.assignments.current();
                self.audit_fault("end-trial", &candidate, &current, fault);
                self.reject(&candidate, &current);
                self.drive_later();
                return true;
            }
            let current = self.assignments.current();
            if current.number == number
                && let Some(back) = self.assignments.roll_back(number)
            {
                error!(slot, from = number, to = back.number, count, ?window, fault = %fault.without_input(), "rolled back: the codec fails");
                self.audit_fault("rollback", &current, &back, fault);
                self.reject(&current, &back);
                self.keep_current(None);
                self.drive_later();
                return true;
            }
        }
        false
    }

    /// Leaves the sessions of a generation where they are, if too many did not survive the move.
    /// Returns whether it did.
    fn keeps(self: &Arc<Self>, number: u64, count: usize, fault: &CodecError) -> bool {
        let limits = &self.settings.faults;
        let is_over = limits.rollback > 0 && count >= limits.rollback as usize;
        let stopped = is_over && self.assignments.stop_moving(number);
        if stopped {
            let (slot, window) = (&self.settings.name, limits.window);
            error!(slot, generation = number, count, ?window, fault = %fault.without_input(), "its sessions fail to move away: they drain");
            self.drive_later();
        }
        stopped
    }

    /// Remembers that a component was rolled back with its options, unless `back` is made of the
    /// same.
    pub(super) fn reject(&self, generation: &Generation, back: &Generation) {
        let Some(component) = generation.component else { return };
        let mut rejected = lock(&self.rejected);
        let what = (component.digest, generation.options.clone());
        if !back.is_made_of(Some(what.0), &what.1) && !rejected.contains(&what) {
            rejected.push(what);
        }
    }
}
