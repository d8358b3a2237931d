//! A node's part in rollouts: makes its slots what the state wants, reports, and moves the state on
//! when all nodes are ready.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::action::Action;
use super::heard::Heard;
use super::verdict::Reported;
use super::{Rollout, RolloutError, RolloutPlan, RolloutReport, RolloutStore, Stage, Step, now_ms};
use crate::audit::{Actor, Outcome, Record};
use crate::codec::Digest;
use crate::server::NodeStatus;
use crate::server::cluster::Member;
use crate::server::slots::SlotList;
use crate::slot::{Adopted, Counts, Slot, SwapError, SwapReport};
use wireplug_base::{Chain, limited};

/// How often a node reads the state of its codecs: while one is rolled out, and otherwise. So it
/// takes at most so long until a rollout begins on all nodes.
const WHILE_RUNNING: Duration = Duration::from_secs(1);
const OTHERWISE: Duration = Duration::from_secs(5);

/// The rollouts of a node's codecs.
pub(crate) struct Rollouts {
    store: Arc<dyn RolloutStore>,
    slots: Arc<SlotList>,
    /// What this process has done, by codec.
    done: Mutex<BTreeMap<String, Done>>,
    /// The nodes that were heard of lately, by codec.
    heard: Mutex<BTreeMap<String, Heard>>,
    /// Notified when the state should be read at once.
    look: Notify,
}

/// What this process has done for a rollout.
#[derive(Clone, Debug, Default)]
struct Done {
    id: String,
    /// The new component. `None` before the first rollout.
    to: Option<Digest>,
    /// The last step that was made, and when.
    made: Option<(usize, u64)>,
    /// Whether the slot was changed for the rollout.
    is_ours: bool,
    /// The source that has taken the place of the slot's own one.
    adopted: Option<Adopted>,
    /// Why this node cannot go on.
    failed: Option<String>,
}

impl Rollouts {
    pub(crate) fn new(store: Arc<dyn RolloutStore>, slots: Arc<SlotList>) -> Arc<Self> {
        Arc::new(Self { store, slots, done: Mutex::default(), heard: Mutex::default(), look: Notify::new() })
    }

    /// Takes part in rollouts until `stop`.
    pub(crate) async fn run(self: Arc<Self>, member: Arc<dyn Member>, stop: CancellationToken) {
        let part = async {
            loop {
                let is_running = self.look_at_all(&*member).await;
                let pause = if is_running { WHILE_RUNNING } else { OTHERWISE };
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = self.look.notified() => {}
                }
            }
        };
        let _: Option<()> = stop.run_until_cancelled(part).await;
    }

    /// Does what the state of each codec wants. Returns whether a rollout is running.
    async fn look_at_all(&self, member: &dyn Member) -> bool {
        let mut is_running = false;
        for slot in self.slots.all() {
            let (rollout, revision) = match self.store.get(slot.name()).await {
                Ok(Some(found)) => found,
                Ok(None) => continue,
                Err(error) => {
                    let error = format!("{error:#}");
                    limited!(DEBUG, slot = slot.name(), error, "the state of rollouts cannot be read");
                    continue;
                }
            };
            self.follow(&slot, &rollout).await;
            if rollout.stage == Stage::Running {
                is_running = true;
                self.move_on(&rollout, revision, member).await;
            }
        }
        is_running
    }

    /// Makes the slot what the state wants.
    async fn follow(&self, slot: &Slot, rollout: &Rollout) {
        let mut done = self.done().get(slot.name()).cloned().unwrap_or_default();
        if done.id != rollout.id {
            done = Done { id: rollout.id.clone(), to: Some(rollout.to), ..Done::default() };
        }
        if rollout.stage == Stage::TakenBack
            && let Some(adopted) = done.adopted.take()
        {
            slot.give_back(adopted);
        }
        // What has failed is not tried again. It is only taken back.
        if done.failed.is_none() || rollout.stage == Stage::TakenBack {
            let before = (done.made, done.is_ours);
            self.act(slot, rollout, &mut done).await;
            if (done.made, done.is_ours) != before {
                info!(slot = slot.name(), rollout = rollout.id, step = rollout.step, stage = ?rollout.stage, "a rollout has changed this node");
            }
        }
        self.done().insert(slot.name().to_owned(), done);
    }

    async fn act(&self, slot: &Slot, rollout: &Rollout, done: &mut Done) {
        let step = (rollout.step, now_ms());
        let action = rollout.action(slot.now(rollout.to), done.made.map(|(step, _)| step), done.is_ours);
        let source = || slot.own_from(&rollout.file, rollout.to);
        let audited = Audited { slot, rollout };
        let faults = slot.counts_of(rollout.to).faults;
        let ended = match &action {
            Action::Idle => {
                if rollout.stage == Stage::TakenBack {
                    // What happens to the slot from now on has nothing to do with this rollout.
                    (done.made, done.is_ours) = (None, false);
                }
                return;
            }
            Action::Nothing => {
                if done.made.is_none_or(|(made, _)| made != rollout.step) {
                    done.made = Some(step);
                }
                return;
            }
            Action::Fail(why) => Err(Undone { why: why.clone(), again: false }),
            Action::TryOut(trial, share) => {
                let tried = async { slot.try_out(&source()?, *trial, *share).await };
                audited.trial("trial", tried.await)
            }
            Action::Resize(share) => audited.trial("trial", slot.resize_trial(*share).await),
            Action::EndTrial => audited.trial("end-trial", slot.end_trial().await),
            Action::Promote => audited.swap("promote", slot.promote(None).await),
            Action::Swap => {
                let swapped = async { slot.swap(&source()?, None).await };
                audited.swap("swap", swapped.await)
            }
            Action::RollBack => audited.swap("rollback", slot.roll_back().await),
        };
        let undoes = matches!(action, Action::EndTrial | Action::RollBack);
        match ended {
            Err(Undone { why, again: true }) => {
                limited!(
                    WARN,
                    slot = slot.name(),
                    rollout = rollout.id,
                    why,
                    "a step of a rollout is tried again"
                );
            }
            ended if undoes => {
                (done.made, done.is_ours) = (None, false);
                if action == Action::RollBack && ended.is_ok() && faults == 0 {
                    // It has not failed on this node, so another rollout may bring it.
                    slot.forgive(rollout.to);
                }
                // The next look begins another trial, or finds nothing to do.
                self.look.notify_one();
                failed(slot, rollout, done, ended);
            }
            Ok(()) => {
                (done.made, done.is_ours) = (Some((rollout.step, now_ms())), true);
                if rollout.steps.get(rollout.step) == Some(&Step::Current) {
                    // A reload must not bring the version before back.
                    done.adopted = source().ok().map(|source| slot.adopt(source));
                }
            }
            Err(_) => failed(slot, rollout, done, ended),
        }
    }

    /// Moves the state on if the reports of all nodes allow it.
    async fn move_on(&self, rollout: &Rollout, revision: u64, member: &dyn Member) {
        let (own, others) = (self.reports(), member.others().await);
        let could_ask = others.is_some();
        let others = others.unwrap_or_default();
        let reported =
            |reports: &'_ [RolloutReport]| reports.iter().position(|report| report.id == rollout.id);
        let mut nodes = vec![Reported { node: member.name(), report: reported(&own).map(|at| &own[at]) }];
        for NodeStatus { node, codecs, rollouts, .. } in &others {
            if codecs.iter().any(|slot| slot.name == rollout.codec) {
                let node = node.as_deref().unwrap_or_default();
                nodes.push(Reported { node, report: reported(rollouts).map(|at| &rollouts[at]) });
            }
        }
        let missing = {
            let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
            let heard = heard.entry(rollout.codec.clone()).or_default();
            heard.hear(&rollout.id, nodes.iter().map(|node| node.node), Instant::now())
        };
        let Some(next) = rollout.next(&nodes, now_ms()) else { return };
        if next.stage != Stage::TakenBack && (!could_ask || missing.is_some()) {
            limited!(
                WARN,
                slot = rollout.codec,
                rollout = rollout.id,
                missing,
                "a rollout waits for nodes that do not answer"
            );
            return;
        }
        match self.store.put(&next, Some(revision)).await {
            Ok(true) => log(&next, nodes.len()),
            // Another node was faster.
            Ok(false) => {}
            Err(error) => {
                let error = format!("{error:#}");
                limited!(WARN, slot = rollout.codec, error, "the state of a rollout cannot be written");
            }
        }
        self.look.notify_one();
    }

    /// Returns the reports of this node.
    pub(crate) fn reports(&self) -> Vec<RolloutReport> {
        let done = self.done().clone();
        let slots = self.slots.all();
        let report = |(codec, done): (String, Done)| {
            let slot = slots.iter().find(|slot| slot.name() == codec)?;
            let Counts { sessions, faults, differences } = slot.counts_of(done.to?);
            Some(RolloutReport {
                id: done.id,
                codec,
                made: done.made,
                failed: done.failed,
                sessions,
                faults,
                differences,
            })
        };
        done.into_iter().filter_map(report).collect()
    }

    /// Begins a rollout, unless another one of the codec is running.
    ///
    /// # Errors
    /// Returns an error if the plan makes no sense, the component cannot be fetched or is the
    /// current one, another rollout of the codec is running, or the state cannot be written.
    pub(crate) async fn begin(
        &self,
        codec: &str,
        plan: RolloutPlan,
        by: &str,
    ) -> Result<Rollout, RolloutError> {
        plan.check()?;
        let slot = self.slot(codec)?;
        let from = slot.digest().ok_or_else(|| {
            RolloutError::Conflict(format!("{codec} is a native codec, which has no other version"))
        })?;
        let to = slot.digest_at(&plan.file).await.map_err(RolloutError::Source)?;
        let to = to.ok_or_else(|| RolloutError::Conflict(format!("{} is no component", plan.file)))?;
        if to == from {
            return Err(RolloutError::Conflict(format!(
                "{} is the current version already: {to}",
                plan.file
            )));
        }
        let before = self.store.get(codec).await.map_err(store)?;
        if let Some((running, _)) = before.as_ref().filter(|(rollout, _)| rollout.stage == Stage::Running) {
            return Err(RolloutError::Conflict(format!(
                "a rollout of {codec} to {} is running: wait for it, or take it back (`wireplug rollout {codec} --take-back`)",
                running.file
            )));
        }
        let RolloutPlan { file, mut steps, hold_ms, max_faults } = plan;
        if steps.last() != Some(&Step::Current) {
            steps.push(Step::Current);
        }
        let rollout = Rollout {
            id: format!("{:016x}", getrandom::u64().unwrap_or_else(|_| now_ms())),
            codec: codec.to_owned(),
            file,
            from,
            to,
            steps,
            hold_ms,
            max_faults,
            begun_by: by.to_owned(),
            begun_at: now_ms(),
            step: 0,
            stage: Stage::Running,
            reason: None,
        };
        match self.store.put(&rollout, before.map(|(_, revision)| revision)).await {
            Ok(true) => {
                info!(slot = codec, rollout = rollout.id, from = %from, to = %to, "a rollout was begun")
            }
            Ok(false) => {
                return Err(RolloutError::Conflict(format!("another rollout of {codec} was begun just now")));
            }
            Err(error) => return Err(store(error)),
        }
        self.look.notify_one();
        Ok(rollout)
    }

    /// Takes the running rollout of a codec back.
    ///
    /// # Errors
    /// Returns an error if no rollout of the codec is running, or the state cannot be written.
    pub(crate) async fn take_back(&self, codec: &str, by: &str) -> Result<Rollout, RolloutError> {
        self.slot(codec)?;
        loop {
            let found = self.store.get(codec).await.map_err(store)?;
            let running = found.filter(|(rollout, _)| rollout.stage == Stage::Running);
            let (rollout, revision) =
                running.ok_or_else(|| RolloutError::Conflict(format!("no rollout of {codec} is running")))?;
            let back = rollout.taken_back(format!("{by} has taken it back"));
            // Another node may have moved it on meanwhile.
            if self.store.put(&back, Some(revision)).await.map_err(store)? {
                log(&back, 0);
                self.look.notify_one();
                return Ok(back);
            }
        }
    }

    /// Returns the last rollout of a codec.
    ///
    /// # Errors
    /// Returns an error if there is no such codec, or the state cannot be read.
    pub(crate) async fn last(&self, codec: &str) -> Result<Option<Rollout>, RolloutError> {
        self.slot(codec)?;
        Ok(self.store.get(codec).await.map_err(store)?.map(|(rollout, _)| rollout))
    }

    fn slot(&self, codec: &str) -> Result<Slot, RolloutError> {
        let slots = self.slots.all();
        let slot = slots.into_iter().find(|slot| slot.name() == codec);
        slot.ok_or_else(|| RolloutError::NoCodec(codec.to_owned()))
    }

    fn done(&self) -> MutexGuard<'_, BTreeMap<String, Done>> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a node has not done an action.
struct Undone {
    why: String,
    /// Whether it tries again at its next look.
    again: bool,
}

/// Writes the changes of a node's slot into its audit log.
struct Audited<'a> {
    slot: &'a Slot,
    rollout: &'a Rollout,
}

impl Audited<'_> {
    fn record(&self, change: &'static str) -> Record {
        self.slot.record(Actor::rollout(&self.rollout.id, &self.rollout.begun_by), change)
    }

    fn trial<T>(&self, change: &'static str, ended: Result<T, SwapError>) -> Result<(), Undone> {
        self.ended(change, ended, |_, _| Outcome::Done).map(drop)
    }

    fn swap(&self, change: &'static str, ended: Result<SwapReport, SwapError>) -> Result<(), Undone> {
        let report = self.ended(change, ended, SwapReport::describe)?;
        let why = "the new version has failed at once, and was rolled back";
        if report.rolled_back { Err(Undone { why: why.to_owned(), again: false }) } else { Ok(()) }
    }

    /// Writes the line of a change, unless it is tried again.
    fn ended<T>(
        &self,
        change: &'static str,
        ended: Result<T, SwapError>,
        describe: impl FnOnce(&T, &mut Record) -> Outcome,
    ) -> Result<T, Undone> {
        let again = ended.as_ref().is_err_and(|error| match error.is_of_fetching() {
            // A node that starts while the registry is away still gets what was rolled out.
            true => self.rollout.stage == Stage::Done,
            false => error.is_passing(),
        });
        if !again {
            self.slot.audit_log().write(self.record(change).of(&ended, describe));
        }
        ended.map_err(|error| Undone { why: Chain::of(&error).to_string(), again })
    }
}

/// Notes why this node cannot go on.
fn failed(slot: &Slot, rollout: &Rollout, done: &mut Done, ended: Result<(), Undone>) {
    if let Err(Undone { why, .. }) = ended {
        warn!(slot = slot.name(), rollout = rollout.id, why, "this node cannot follow a rollout");
        done.failed = Some(why);
    }
}

fn log(rollout: &Rollout, nodes: usize) {
    let Rollout { id, codec, step, stage, .. } = rollout;
    match (stage, &rollout.reason) {
        (Stage::TakenBack, why) => {
            error!(slot = codec, rollout = id, why, "A ROLLOUT IS TAKEN BACK ON ALL NODES");
        }
        (Stage::Running, _) => {
            info!(slot = codec, rollout = id, step, nodes, "a rollout goes on to its next step")
        }
        (Stage::Done, _) => info!(slot = codec, rollout = id, nodes, "a rollout is done"),
    }
}

fn store(error: anyhow::Error) -> RolloutError {
    RolloutError::Store(error.into())
}
