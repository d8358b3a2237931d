//! The changes of a slot that people and programs request: swap, try, promote, roll back.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use super::admit::Replacement;
use super::assignments::{Leave, Listed, Role, RunningTrial, Share};
use super::changes::Change;
use super::sync::lock;
use super::{CodecSource, Generation, Slot, SlotState, SwapError};
use crate::codec::shadow::Comparison;
use crate::codec::{Codec as _, Digest};
use crate::config::LiveSessions;
use crate::trust::Trust;

/// How many sessions move at the same time. A move takes some 0.1 ms of a thread, for which other
/// connections wait.
const WAVE: usize = 64;

/// How a candidate is tried before it is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Trial {
    /// It gets every call of a share of the sessions, also of live sessions if both codecs export
    /// `handoff`. Its results are compared and thrown away.
    Shadow,
    /// A share of the new sessions opens on it.
    Canary,
}

/// The outcome of a swap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct SwapReport {
    /// The slot.
    pub slot: String,
    /// The number of the generation that was current.
    pub from: u64,
    /// The number of the generation that is current now.
    pub to: u64,
    /// The SHA-256 of the component that was current, or `None` if that codec is native.
    pub from_sha256: Option<Digest>,
    /// The SHA-256 of the component that is current now, or `None` if the codec is native.
    pub to_sha256: Option<Digest>,
    /// The names of the trusted keys that have signed the component that is current now. Signatures
    /// of other keys follow, as `unknown:` and the id that they give their key.
    pub to_signed_by: Vec<String>,
    /// What became of live sessions.
    pub sessions: LiveSessions,
    /// Sessions that moved to the new generation.
    pub moved: u64,
    /// Sessions that are still on older generations, until they end or their time to drain is over.
    /// A session in a TLS handshake (STARTTLS) moves after it.
    pub staying: u64,
    /// Why sessions could not move, and how many for each reason.
    pub reasons: Vec<(String, u64)>,
    /// The longest pause of a session that moved, in microseconds.
    pub longest_move_us: u64,
    /// How long it took until each session was where it belongs, in milliseconds.
    pub took_ms: u64,
    /// Whether the new generation failed meanwhile and was rolled back.
    pub rolled_back: bool,
}

impl Slot {
    /// Makes a source's codec the current generation. `sessions` says what becomes of live
    /// sessions. If it is `None`, the slot's settings say it. If these do not say it either, live
    /// sessions are handed over if both codecs can, and otherwise stay on the old generation until
    /// they end.
    ///
    /// Returns when each session is where it belongs. If the future is dropped, the swap still runs
    /// to its end. Other changes of the slot do not wait while the source loads.
    ///
    /// # Errors
    /// Returns an error if the codec is refused, was rolled back before, does not fit a listener,
    /// or is to take over sessions and cannot. Returns [`SwapError::Overtaken`] if a change that
    /// was requested later has been made already. The error says what is wrong and what to do.
    /// Nothing has changed then.
    pub async fn swap(
        &self,
        source: &CodecSource,
        sessions: Option<LiveSessions>,
    ) -> Result<SwapReport, SwapError> {
        let (state, source) = (Arc::clone(&self.0), source.clone());
        let ticket = state.changes.ticket();
        self.whole(async move {
            let loaded = state.load(state.loader.clone(), &source, state.pin(&source)).await?;
            let mut change = state.changes.begin(ticket).await?;
            let trust = state.resources.trust();
            let generation = state.admit(loaded, state.pin(&source), &trust)?;
            state.make_current(&mut change, generation, sessions).await
        })
        .await
    }

    /// Reads the slot's own source again, with its secrets, and swaps if its component or options
    /// differ from those of the current generation: the file may have changed, or a secret, or
    /// another source may have been swapped in. Returns `None` if they are the same.
    ///
    /// # Errors
    /// Returns the errors of [`Slot::swap`].
    pub async fn reload(&self) -> Result<Option<SwapReport>, SwapError> {
        let state = Arc::clone(&self.0);
        let ticket = state.changes.ticket();
        self.whole(async move {
            let trust = state.resources.trust();
            state.prepare(ticket, state.own(), trust).await?.make().await
        })
        .await
    }

    /// Loads another source for the slot, and checks whether it can replace the slot's own one.
    /// `trust` says whose codec it may be.
    /// Changes nothing: [`Slot::replace`] does.
    ///
    /// # Errors
    /// Returns the errors of [`Slot::swap`].
    pub(crate) async fn prepare(
        &self,
        source: CodecSource,
        trust: &Arc<Trust>,
    ) -> Result<Replacement, SwapError> {
        self.0.prepare(self.0.changes.ticket(), source, Arc::clone(trust)).await
    }

    /// Replaces the slot's own source and its pin, and swaps if that changes the component or the
    /// options. Returns `None` if it does not.
    ///
    /// # Errors
    /// Returns an error if another change came first, and the replacement does not fit any more.
    pub(crate) async fn replace(&self, source: Replacement) -> Result<Option<SwapReport>, SwapError> {
        self.whole(source.make()).await
    }

    /// Tries a source's codec on a share of the sessions: more than 0, and at most 1. Returns the
    /// number of its generation.
    ///
    /// # Errors
    /// Returns the errors of [`Slot::swap`], [`SwapError::Share`] if the share is out of range, and
    /// an error if another candidate is on trial.
    pub async fn try_out(&self, source: &CodecSource, trial: Trial, share: f64) -> Result<u64, SwapError> {
        if !(share > 0.0 && share <= 1.0) {
            return Err(SwapError::Share(share));
        }
        let ticket = self.0.changes.ticket();
        self.nobody_is_on_trial()?;
        // A shadow has an account of memory of its own, so it takes no memory from live sessions.
        // Its CPU time is charged to the slot.
        let loader = match trial {
            Trial::Shadow => self.0.settings.loader(&self.0.resources.engine).charge_cpu_of(&self.0.loader),
            Trial::Canary => self.0.loader.clone(),
        };
        let loaded = self.0.load(loader, source, self.0.pin(source)).await?;
        let mut change = self.0.changes.begin(ticket).await?;
        self.nobody_is_on_trial()?;
        let trust = self.0.resources.trust();
        let candidate = self.0.admit(loaded, self.0.pin(source), &trust)?;
        let current = self.current();
        let share = Share::new(share);
        let role = match trial {
            Trial::Canary => RunningTrial::Canary(share),
            Trial::Shadow => {
                // Events and packets are compared one by one, so both codecs must frame packets
                // alike.
                let framing = |codec: &Generation| {
                    let description = codec.description();
                    let (framing, messages) = (description.framing.clone(), description.messages);
                    (framing, messages, description.payload, codec.abilities().framer)
                };
                if framing(&current) != framing(&candidate) {
                    return conflict(
                        "a shadow gets the packets of the codec at work, and the framing differs between them: \
                         try it as a canary instead",
                    );
                }
                let (one, other) = (current.abilities(), candidate.abilities());
                if let Some(lacks) = one.names().find(|name| {
                    ["handshake", "clock"].contains(name) && !other.names().any(|other| other == *name)
                }) {
                    return conflict(format!(
                        "a shadow gets the calls of the codec at work, and the candidate does not export `{lacks}`: \
                         try it as a canary instead"
                    ));
                }
                *lock(&self.0.comparison) =
                    Some(Arc::new(Comparison::new(current.secrets().and(candidate.secrets()))));
                RunningTrial::Shadow(share)
            }
        };
        let number = candidate.number;
        change.is_made();
        info!(
            slot = self.name(),
            generation = number,
            codec = candidate.codec(),
            ?trial,
            "a candidate is on trial"
        );
        self.0.assignments.try_out(number, candidate, role);
        self.0.drive().await;
        Ok(number)
    }

    /// Changes the share of the trial that runs. Of a canary, only sessions that open from now on
    /// notice it.
    ///
    /// # Errors
    /// Returns an error if no candidate is on trial, or the share is out of range.
    pub async fn resize_trial(&self, share: f64) -> Result<u64, SwapError> {
        if !(share > 0.0 && share <= 1.0) {
            return Err(SwapError::Share(share));
        }
        let mut change = self.0.changes.begin(self.0.changes.ticket()).await?;
        let Some((candidate, trial)) = self.0.assignments.on_trial() else {
            return conflict(format!("no candidate of {} is on trial", self.name()));
        };
        let share = Share::new(share);
        let trial = match trial {
            RunningTrial::Shadow(_) => RunningTrial::Shadow(share),
            RunningTrial::Canary(_) => RunningTrial::Canary(share),
        };
        if !self.0.assignments.try_otherwise(candidate.number, trial) {
            return conflict("its trial was ended meanwhile");
        }
        change.is_made();
        self.0.drive().await;
        Ok(candidate.number)
    }

    /// Makes the candidate that is on trial the current generation.
    ///
    /// # Errors
    /// Returns an error if no candidate is on trial, and the errors of [`Slot::swap`].
    pub async fn promote(&self, sessions: Option<LiveSessions>) -> Result<SwapReport, SwapError> {
        let slot = self.clone();
        let ticket = slot.0.changes.ticket();
        self.whole(async move {
            let mut change = slot.0.changes.begin(ticket).await?;
            slot.0.make_current(&mut change, slot.candidate()?, sessions).await
        })
        .await
    }

    /// Ends the trial of the candidate. Its sessions move to the current generation, or drain.
    /// Returns the number of the candidate's generation.
    ///
    /// # Errors
    /// Returns an error if no candidate is on trial.
    pub async fn end_trial(&self) -> Result<u64, SwapError> {
        let mut change = self.0.changes.begin(self.0.changes.ticket()).await?;
        let candidate = self.candidate()?;
        if !self.0.assignments.end_trial(candidate.number) {
            return conflict("its trial was ended meanwhile");
        }
        change.is_made();
        self.0.drive().await;
        self.0.drain_later();
        info!(slot = self.name(), generation = candidate.number, "the trial was ended");
        Ok(candidate.number)
    }

    /// Goes back to the generation before the current one. Sessions move back, or drain. The slot
    /// refuses the component that it left until [`Slot::forgive`].
    ///
    /// # Errors
    /// Returns an error if there is no generation to go back to.
    pub async fn roll_back(&self) -> Result<SwapReport, SwapError> {
        let slot = self.clone();
        let ticket = slot.0.changes.ticket();
        self.whole(async move {
            let mut change = slot.0.changes.begin(ticket).await?;
            let start = Instant::now();
            let current = slot.current();
            let Some(back) = slot.0.assignments.roll_back(current.number) else {
                return conflict(format!(
                    "{} has no generation to go back to: the one before the current is kept, once",
                    slot.name()
                ));
            };
            change.is_made();
            slot.0.reject(&current, &back);
            slot.0.keep_current(None);
            let before = Before::of(&back);
            slot.0.drive().await;
            slot.0.drain_later();
            let report = slot.0.report(&current, &back, LiveSessions::Handoff, before, start);
            let SwapReport { from, to, moved, .. } = report;
            info!(slot = slot.name(), from, to, codec = back.codec(), moved, "rolled back by hand");
            Ok(report)
        })
        .await
    }

    /// Allows a component that was rolled back again, with whichever options.
    pub fn forgive(&self, component: Digest) {
        lock(&self.0.rejected).retain(|(rejected, _)| *rejected != component);
    }

    /// Runs a change to its end, even if the caller stops waiting for it: half a change would leave
    /// sessions on generations that are no longer current.
    async fn whole<T: Send + 'static>(
        &self,
        change: impl Future<Output = Result<T, SwapError>> + Send + 'static,
    ) -> Result<T, SwapError> {
        self.0.runtime.spawn(change).await.map_err(SwapError::panicked("the change failed"))?
    }

    fn nobody_is_on_trial(&self) -> Result<(), SwapError> {
        let Some((on_trial, _)) = self.0.assignments.on_trial() else { return Ok(()) };
        conflict(format!(
            "generation {} of {} is on trial already: promote it or end its trial first",
            on_trial.number,
            self.name()
        ))
    }

    fn candidate(&self) -> Result<Arc<Generation>, SwapError> {
        match self.0.assignments.on_trial() {
            Some((candidate, _)) => Ok(candidate),
            None => conflict(format!("no candidate of {} is on trial", self.name())),
        }
    }
}

pub(super) fn conflict<T>(why: impl Into<String>) -> Result<T, SwapError> {
    Err(SwapError::Conflict(why.into()))
}

impl SlotState {
    /// Returns the slot's own source.
    pub(super) fn own(&self) -> CodecSource {
        lock(&self.own).clone()
    }

    /// Returns the digest of the only component that is accepted from a source. The pin of the slot
    /// comes before that of the source.
    fn pin(&self, source: &CodecSource) -> Option<Digest> {
        self.own().settings.pin.or(source.settings.pin)
    }

    /// Returns what becomes of live sessions if this generation becomes current.
    pub(super) fn fate_of_sessions(
        &self,
        to: &Generation,
        wanted: Option<LiveSessions>,
    ) -> Result<LiveSessions, SwapError> {
        let fits = to.takes_over_from(&self.assignments.current());
        match (wanted.or(self.settings.swap.sessions), fits) {
            (Some(LiveSessions::Handoff), Err(why)) => {
                conflict(format!("live sessions cannot be handed over: {why}; let them drain, or close them"))
            }
            (Some(chosen), _) => Ok(chosen),
            (None, Ok(())) => Ok(LiveSessions::Handoff),
            (None, Err(_)) => Ok(LiveSessions::Drain),
        }
    }

    /// Makes a generation current, and moves each session to where it belongs.
    pub(super) async fn make_current(
        self: &Arc<Self>,
        change: &mut Change<'_>,
        to: Arc<Generation>,
        sessions: Option<LiveSessions>,
    ) -> Result<SwapReport, SwapError> {
        let start = Instant::now();
        let from = self.assignments.current();
        let sessions = self.fate_of_sessions(&to, sessions)?;
        let leave = match sessions {
            LiveSessions::Handoff => Leave::Handoff,
            LiveSessions::Drain => Leave::Drain,
            LiveSessions::Close => Leave::Close,
        };
        let before = Before::of(&to);
        // A generation that is made of the same component and options is no use for a rollback.
        let digest = from.component.map(|component| component.digest);
        let keeps_previous = digest.is_some() && to.is_made_of(digest, &from.options);
        if let Some((candidate, _)) =
            self.assignments.on_trial().filter(|(candidate, _)| candidate.number != to.number)
        {
            warn!(
                slot = self.settings.name,
                generation = candidate.number,
                "a swap ends the candidate's trial"
            );
        }
        change.is_made();
        self.assignments.swap(to.number, Arc::clone(&to), leave, keeps_previous);
        self.drive().await;
        self.drain_later();
        let report = self.report(&from, &to, sessions, before, start);
        let codec = to.codec();
        let SwapReport { from, to, moved, staying, took_ms, rolled_back, .. } = report;
        info!(
            slot = self.settings.name,
            from,
            to,
            codec,
            ?sessions,
            moved,
            staying,
            took_ms,
            rolled_back,
            "swapped"
        );
        for (reason, count) in &report.reasons {
            warn!(slot = self.settings.name, to, count, reason, "sessions stay on an older generation");
        }
        Ok(report)
    }

    fn report(
        &self,
        from: &Generation,
        to: &Generation,
        sessions: LiveSessions,
        before: Before,
        start: Instant,
    ) -> SwapReport {
        let now = Before::of(to);
        let stayed = now.stayed.into_iter().filter_map(|(reason, count)| {
            let count = count - before.stayed.get(&reason).copied().unwrap_or(0);
            (count > 0).then_some((reason, count))
        });
        SwapReport {
            slot: self.settings.name.clone(),
            from: from.number,
            to: to.number,
            from_sha256: from.component.map(|component| component.digest),
            to_sha256: to.component.map(|component| component.digest),
            to_signed_by: to.signers.names(),
            sessions,
            moved: now.moved - before.moved,
            staying: self.assignments.leaving() as u64,
            reasons: stayed.collect(),
            longest_move_us: to.counts.longest_move.load(Ordering::Relaxed),
            took_ms: u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
            rolled_back: self.assignments.current().number != to.number,
        }
    }

    /// Signals the sessions that have a directive, a wave at a time, until no session has one.
    async fn drive(&self) {
        let _driving = self.driving.lock().await;
        while self.assignments.signal(WAVE) {
            self.acked.notified().await;
        }
    }

    /// Closes the sessions that are still on replaced generations when their time to drain is over.
    fn drain_later(self: &Arc<Self>) {
        let limit = self.settings.swap.drain_timeout;
        if limit == Duration::ZERO {
            return;
        }
        for Listed { generation, role, sessions, left, .. } in self.assignments.list() {
            let drains = sessions > 0 && matches!(role, Role::Leaving(_));
            if !drains || generation.drains.swap(left, Ordering::Relaxed) == left {
                continue;
            }
            let (state, number): (Weak<SlotState>, _) = (Arc::downgrade(self), generation.number);
            self.runtime.spawn(async move {
                tokio::time::sleep(limit).await;
                if let Some(state) = state.upgrade() {
                    state.assignments.close(number, left);
                    state.drive().await;
                }
            });
        }
    }

    /// Moves each session to where it belongs, and lets the sessions that cannot move drain.
    pub(super) fn drive_later(self: &Arc<Self>) {
        let state = Arc::clone(self);
        self.runtime.spawn(async move {
            state.drive().await;
            state.drain_later();
        });
    }
}

/// The counts of a generation before sessions moved to it.
struct Before {
    moved: u64,
    stayed: BTreeMap<String, u64>,
}

impl Before {
    fn of(generation: &Generation) -> Self {
        let counts = &generation.counts;
        Self { moved: counts.moved_in.load(Ordering::Relaxed), stayed: lock(&counts.stayed).clone() }
    }
}
