//! The audit log: one line for each change of a codec, each kick or trace of sessions, each drain,
//! and each such request that was refused.
//!
//! A line says who requested the change, when, what it was and how it ended: of a codec, which
//! component was current before and after it; of sessions, which ones. Lines go to the log with the
//! target `wireplug::audit`, and to a file if the configuration of the control API names one.
//!
//! Changes through the control API, by a reload, by a changed file and by the fault policy are
//! written. Changes that an application makes with the methods of [`Slot`](crate::slot::Slot) are
//! not written.

#[cfg(feature = "control")]
mod file;
mod time;

use std::collections::BTreeMap;
use std::fmt;
#[cfg(feature = "control")]
use std::sync::OnceLock;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use serde::Serialize;
use tracing::info;

#[cfg(feature = "control")]
pub(crate) use self::file::FileWriter;
pub(crate) use self::time::rfc3339;
use crate::codec::Digest;
#[cfg(feature = "control")]
use crate::events::Events;
use wireplug_base::{Chain, LogLimit};

/// The longest time that a change waits until its line is in the file. A disk that hangs must not
/// hold up a rollback.
#[cfg(feature = "control")]
const WRITE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(1);

/// The longest name of a codec in a line, in characters. A client may send any name, also of a
/// codec that does not exist.
const MAX_NAME: usize = 128;

/// The longest reason in a line, in characters.
const MAX_REASON: usize = 1024;

/// The most lines of refused changes in a second. A client that may only read must not fill the
/// disk by requesting changes.
const REFUSED_A_SECOND: u32 = 20;

/// The person, program or part of the server that requested a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Actor {
    /// `token:NAME` and `uid:NUMBER` are clients of the control API; `reload`, `changed-file`,
    /// `changed-source`, `fault-policy` and `rollout:ID` are the server itself.
    pub(crate) who: String,
    /// The roles of a client of the control API, such as `read,push`.
    pub(crate) roles: Option<String>,
    /// The address of a client over TCP.
    pub(crate) address: Option<String>,
}

impl Actor {
    /// Returns the actor of a reload: SIGHUP, or an application that reloads its configuration.
    pub(crate) fn reload() -> Self {
        Self::server("reload")
    }

    /// Returns the actor of a swap after a codec's file has changed.
    pub(crate) fn changed_file() -> Self {
        Self::server("changed-file")
    }

    /// Returns the actor of a swap after a registry had another version of a codec.
    pub(crate) fn changed_source() -> Self {
        Self::server("changed-source")
    }

    /// Returns the actor of a change after a codec has failed too often.
    pub(crate) fn fault_policy() -> Self {
        Self::server("fault-policy")
    }

    /// Returns the actor of a rollout over all nodes, with who began it.
    pub(crate) fn rollout(id: &str, begun_by: &str) -> Self {
        Self::server(&format!("rollout:{id} of {begun_by}"))
    }

    fn server(who: &str) -> Self {
        Self { who: who.to_owned(), roles: None, address: None }
    }
}

/// A generation of a codec, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) generation: Option<u64>,
    /// The SHA-256 of the component. `None` if the codec is native, or is not known.
    pub(crate) sha256: Option<Digest>,
    /// Who signed the component: the names of trusted keys, and other keys as `unknown:ID`.
    pub(crate) signed_by: Vec<String>,
}

/// How a change ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    Done,
    /// A reload found the same component and options.
    Unchanged,
    /// Nothing has changed.
    Refused,
}

impl Outcome {
    /// Returns the name that the line has.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Outcome::Done => "done",
            Outcome::Unchanged => "unchanged",
            Outcome::Refused => "refused",
        }
    }
}

/// A line of the audit log.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Record {
    time: String,
    #[serde(flatten)]
    actor: Actor,
    change: &'static str,
    /// The name of the codec. Empty if the change concerns no codec.
    codec: String,
    /// The session, user or address that the request was about, if it was about sessions.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    from_generation: Option<u64>,
    from_sha256: Option<Digest>,
    to_generation: Option<u64>,
    to_sha256: Option<Digest>,
    /// Who signed the component that is current now: the names of the keys.
    to_signed_by: Vec<String>,
    /// Whether the request allowed a component that was rolled back before.
    forced: bool,
    outcome: Option<Outcome>,
    reason: Option<String>,
    /// Lines of refused changes that were left out before this one.
    left_out: u64,
}

impl Record {
    /// Creates the line of a change that is requested now.
    pub(crate) fn new(actor: Actor, change: &'static str, codec: &str) -> Self {
        Self {
            time: time::rfc3339(SystemTime::now()),
            actor,
            change,
            codec: codec.chars().take(MAX_NAME).collect(),
            subject: None,
            from_generation: None,
            from_sha256: None,
            to_generation: None,
            to_sha256: None,
            to_signed_by: Vec::new(),
            forced: false,
            outcome: None,
            reason: None,
            left_out: 0,
        }
    }

    /// Sets another name of the change, when more is known about it.
    #[cfg(feature = "control")]
    pub(crate) fn set_change(&mut self, change: &'static str) {
        self.change = change;
    }

    /// Sets the session, user or address that the request is about.
    #[cfg(feature = "control")]
    pub(crate) fn set_subject(&mut self, subject: impl Into<String>) {
        let subject: String = subject.into();
        self.subject = Some(subject.chars().take(MAX_NAME).collect());
    }

    #[cfg(feature = "control")]
    pub(crate) fn set_forced(&mut self, forced: bool) {
        self.forced = forced;
    }

    /// Sets the version that was current before.
    pub(crate) fn set_from(&mut self, from: Version) {
        (self.from_generation, self.from_sha256) = (from.generation, from.sha256);
    }

    /// Sets the version that is current now, or was to become current.
    pub(crate) fn set_to(&mut self, to: Version) {
        (self.to_generation, self.to_sha256) = (to.generation, to.sha256);
        self.to_signed_by = to.signed_by;
    }

    /// Sets the number of the new generation, whose component is set already.
    #[cfg(feature = "control")]
    pub(crate) fn set_to_generation(&mut self, generation: u64) {
        self.to_generation = Some(generation);
    }

    #[cfg(feature = "control")]
    pub(crate) fn who(&self) -> &str {
        &self.actor.who
    }

    #[cfg(feature = "control")]
    pub(crate) fn change(&self) -> &'static str {
        self.change
    }

    /// Returns the name of the codec, which is empty if the whole configuration is reloaded.
    #[cfg(feature = "control")]
    pub(crate) fn codec(&self) -> &str {
        &self.codec
    }

    #[cfg(feature = "control")]
    pub(crate) fn to_generation(&self) -> Option<u64> {
        self.to_generation
    }

    #[cfg(feature = "control")]
    pub(crate) fn outcome(&self) -> Option<Outcome> {
        self.outcome
    }

    #[cfg(feature = "control")]
    pub(crate) fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// Adds how a change ended: `describe` adds the result of a change that succeeded.
    pub(crate) fn of<T, E: std::error::Error>(
        mut self,
        ended: &Result<T, E>,
        describe: impl FnOnce(&T, &mut Self) -> Outcome,
    ) -> Self {
        match ended {
            Ok(change) => {
                let outcome = describe(change, &mut self);
                self.ended(outcome, None)
            }
            Err(error) => self.ended(Outcome::Refused, Some(Chain::of(error).to_string())),
        }
    }

    /// Adds how the change ended, and the reason.
    pub(crate) fn ended(mut self, outcome: Outcome, reason: Option<String>) -> Self {
        self.outcome = Some(outcome);
        self.reason = reason.map(|reason| reason.chars().take(MAX_REASON).collect());
        self
    }
}

/// The audit log of a server.
pub(crate) struct AuditLog {
    refused: LogLimit,
    /// How many changes of each kind ended in which way.
    counts: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
    #[cfg(feature = "control")]
    file: OnceLock<FileWriter>,
    #[cfg(feature = "control")]
    events: OnceLock<Events>,
}

impl AuditLog {
    /// Appends each line to a file from now on. A second file is ignored: a server has one control
    /// API.
    #[cfg(feature = "control")]
    pub(crate) fn append_to(&self, file: FileWriter) {
        let _ = self.file.set(file);
    }

    /// Adds each line to the recent events of the server from now on.
    #[cfg(feature = "control")]
    pub(crate) fn add_to(&self, events: Events) {
        let _ = self.events.set(events);
    }

    /// Writes a line. Does not wait for the file.
    pub(crate) fn write(&self, mut record: Record) {
        let outcome = record.outcome.map_or("refused", Outcome::name);
        *self.counts().entry((record.change, outcome)).or_default() += 1;
        if record.outcome == Some(Outcome::Refused) {
            let Some(left_out) = self.refused.admit() else { return };
            record.left_out = left_out;
        }
        let Record { actor, change, codec, subject, from_generation, to_generation, .. } = &record;
        let Record { forced, reason, left_out, .. } = &record;
        let digest = |digest: Option<Digest>| digest.map(|digest| digest.to_string());
        info!(
            target: "wireplug::audit",
            who = actor.who,
            roles = actor.roles,
            address = actor.address,
            change,
            codec,
            subject,
            from = from_generation,
            from_sha256 = digest(record.from_sha256),
            to = to_generation,
            to_sha256 = digest(record.to_sha256),
            to_signed_by = (!record.to_signed_by.is_empty()).then(|| record.to_signed_by.join(" ")),
            forced,
            reason,
            left_out,
            "{}",
            match record.outcome {
                Some(Outcome::Done) if *change == "trace" => "sessions are traced",
                Some(Outcome::Refused) | None if *change == "trace" => "a trace was refused",
                Some(Outcome::Done) if *change == "kick" => "sessions were kicked",
                Some(Outcome::Refused) | None if *change == "kick" => "a kick was refused",
                Some(Outcome::Done) if *change == "drain" => "the server was drained",
                Some(Outcome::Refused) | None if *change == "drain" => "a drain was refused",
                Some(Outcome::Done) if *change == "upgrade" => "the server was upgraded",
                Some(Outcome::Refused) | None if *change == "upgrade" => "an upgrade was refused",
                Some(Outcome::Done) if codec.is_empty() => "the configuration was changed",
                Some(Outcome::Unchanged) if codec.is_empty() => "the configuration was reloaded, and is the same",
                Some(Outcome::Refused) | None if codec.is_empty() => "a change of the configuration was refused",
                Some(Outcome::Done) => "a codec was changed",
                Some(Outcome::Unchanged) => "a codec was reloaded, and is the same",
                Some(Outcome::Refused) | None => "a change of a codec was refused",
            }
        );
        #[cfg(feature = "control")]
        if let Some(events) = self.events.get() {
            events.changed(&record);
        }
        #[cfg(feature = "control")]
        if let Some(file) = self.file.get() {
            match serde_json::to_string(&record) {
                Ok(line) => file.append(line),
                Err(error) => unreachable!("a record of texts and numbers is JSON: {error}"),
            }
        }
    }

    /// Returns how many changes ended in which way, by the name of the change and of the outcome.
    /// Changes whose lines were left out are included.
    pub(crate) fn counts(&self) -> MutexGuard<'_, BTreeMap<(&'static str, &'static str), u64>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the lines so far are in the file, for at most 1 s.
    #[cfg(feature = "control")]
    pub(crate) async fn written(&self) {
        if let Some(file) = self.file.get() {
            // The log says if the file cannot be written.
            let _ = tokio::time::timeout(WRITE_TIMEOUT, file.written()).await;
        }
    }
}

impl Default for AuditLog {
    /// Creates an audit log without a file.
    fn default() -> Self {
        Self {
            refused: LogLimit::per_second(REFUSED_A_SECOND),
            counts: Mutex::default(),
            #[cfg(feature = "control")]
            file: OnceLock::new(),
            #[cfg(feature = "control")]
            events: OnceLock::new(),
        }
    }
}

impl fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditLog").finish_non_exhaustive()
    }
}

#[cfg(all(test, feature = "control"))]
mod tests {
    use super::*;

    #[test]
    fn refused_changes_do_not_fill_the_disk() {
        let path = std::env::temp_dir().join(format!("wireplug-audit-refused-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let log = AuditLog::default();
        log.append_to(FileWriter::open(&path).unwrap());
        let write = |outcome| log.write(Record::new(Actor::reload(), "reload", "chat").ended(outcome, None));
        (0..100).for_each(|_| write(Outcome::Refused));
        assert_eq!(log.counts()[&("reload", "refused")], 100);
        write(Outcome::Done);
        std::thread::sleep(std::time::Duration::from_secs(1));
        write(Outcome::Refused);
        let start = std::time::Instant::now();
        let text = loop {
            let text = std::fs::read_to_string(&path).unwrap();
            if text.lines().count() == REFUSED_A_SECOND as usize + 2 {
                break text;
            }
            assert!(start.elapsed() < std::time::Duration::from_secs(60), "{text}");
            std::thread::sleep(std::time::Duration::from_millis(5));
        };
        assert!(text.lines().last().is_some_and(|line| line.ends_with("\"left-out\":80}")), "{text}");
        std::fs::remove_file(&path).unwrap();
    }
}
