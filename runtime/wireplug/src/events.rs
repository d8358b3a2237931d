//! The recent events of a server, for the control API: connections that ended, faults of codecs,
//! changes of codecs, and log lines.
//!
//! Each kind has a ring of its own, so that many connections that end cannot push a fault out. All
//! kinds share one sequence of numbers.

mod ring;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

use self::ring::Rings;
use crate::audit::{Outcome, Record, rfc3339};
use crate::codec::CodecError;
use crate::session::{CloseReason, SessionId, User};

/// The most characters of a log message, and of each text among its fields. Longer texts are cut.
const MAX_TEXT: usize = 1024;

/// The most fields of a log line. The lines of wireplug have fewer.
const MAX_FIELDS: usize = 32;

/// The kind of an [`Event`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum EventKind {
    /// A connection ended, but not by a fault of its codec.
    Close,
    /// A codec failed, which ended a connection.
    Fault,
    /// Another version of a codec became current, or was to become current.
    Swap,
    /// A trial began or ended.
    Trial,
    /// A codec went back to the version before.
    Rollback,
    /// The configuration was reloaded.
    Reload,
    /// The server was drained.
    Drain,
    /// A log line at level `warn` or `error`.
    Log,
}

/// Something that happened in a server. A field that does not apply is left out.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Event {
    /// Counts from 1. A later event has a larger number.
    pub number: u64,
    /// When it happened.
    #[serde(serialize_with = "as_rfc3339")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: SystemTime,
    /// What kind of event it is.
    pub kind: EventKind,
    /// The session.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_number")]
    #[schemars(with = "Option<u64>")]
    pub session: Option<SessionId>,
    /// The user of the session.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub user: Option<User>,
    /// The address of the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// The URL of the listener.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener: Option<String>,
    /// The name of the codec.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub codec: Option<String>,
    /// The generation of the codec: the one of the session, or the one that became current.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// Why a connection ended, in one word: [`CloseReason::cause`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<&'static str>,
    /// Why it happened, in one line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The functions of the codec that were running, the innermost first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub backtrace: Vec<String>,
    /// Who changed a codec or the configuration, as in the audit log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    /// The name of the change, as in the audit log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<&'static str>,
    /// How the change ended: `done`, `unchanged` or `refused`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<&'static str>,
    /// The level of a log line: `warn` or `error`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<&'static str>,
    /// The target of a log line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The text of a log line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The fields of a log line.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub fields: Map<String, Value>,
}

impl Event {
    fn new(kind: EventKind) -> Self {
        Self {
            // The ring sets the number.
            number: 0,
            at: SystemTime::now(),
            kind,
            session: None,
            user: None,
            peer: None,
            listener: None,
            codec: None,
            generation: None,
            cause: None,
            reason: None,
            backtrace: Vec::new(),
            who: None,
            change: None,
            outcome: None,
            level: None,
            target: None,
            message: None,
            fields: Map::new(),
        }
    }
}

/// What is known about a connection that ended.
pub(crate) struct Ended<'a> {
    pub(crate) session: SessionId,
    pub(crate) user: Option<User>,
    pub(crate) peer: &'a str,
    pub(crate) listener: &'a str,
    pub(crate) codec: &'a str,
    pub(crate) generation: Option<u64>,
    pub(crate) reason: &'a CloseReason,
}

/// A log line.
#[derive(Clone, Debug, Default)]
pub struct LogEvent {
    /// Whether the level is `error`. Otherwise it is `warn`.
    pub is_error: bool,
    /// The target.
    pub target: String,
    /// The text.
    pub message: String,
    /// The fields, among them those of the connection.
    pub fields: Map<String, Value>,
}

/// The most recent events of a server. Cheap to clone.
///
/// [`Server::events`](crate::Server::events) gives it to a server. The control API reports the
/// events. The server adds all but log lines, because the log belongs to the program: a layer of
/// its subscriber calls [`Events::log`].
#[derive(Clone, Default)]
pub struct Events(Arc<Recent>);

#[derive(Default)]
struct Recent {
    /// Whether a control API can report events. Until then, connections that end are not added.
    are_read: AtomicBool,
    rings: Mutex<Rings>,
}

impl Events {
    /// Adds a log line. Texts are cut at 1,024 characters, and at most 32 fields are kept.
    pub fn log(&self, line: LogEvent) {
        let LogEvent { is_error, target, message, fields } = line;
        let fields = fields.into_iter().take(MAX_FIELDS).map(|(name, value)| (name, cut_value(value)));
        self.add(Event {
            level: Some(if is_error { "error" } else { "warn" }),
            target: Some(cut(target)),
            message: Some(cut(message)),
            fields: fields.collect(),
            ..Event::new(EventKind::Log)
        });
    }

    /// Returns the events with a larger number than `after`, the oldest first: the first `limit` of
    /// them, or the last `limit` of all if `after` is `None`. With a `kind`, only events of it.
    pub fn list(&self, after: Option<u64>, kind: Option<EventKind>, limit: usize) -> Vec<Arc<Event>> {
        let mut found = self.rings().after(after.unwrap_or_default(), kind);
        found.sort_unstable_by_key(|event| event.number);
        match after {
            Some(_) => found.truncate(limit),
            None => drop(found.drain(..found.len().saturating_sub(limit))),
        }
        found
    }

    /// Adds connections that end from now on.
    pub(crate) fn begin(&self) {
        self.0.are_read.store(true, Ordering::Relaxed);
    }

    /// Adds a connection that ended.
    pub(crate) fn ended(&self, ended: Ended<'_>) {
        if !self.0.are_read.load(Ordering::Relaxed) {
            return;
        }
        let Ended { session, user, peer, listener, codec, generation, reason } = ended;
        let (kind, text, backtrace) = match reason {
            CloseReason::CodecFault(fault) => {
                let text = CloseReason::CodecFault(fault.without_input()).to_string();
                (EventKind::Fault, text, backtrace(fault))
            }
            reason => (EventKind::Close, reason.to_string(), Vec::new()),
        };
        self.add(Event {
            session: Some(session),
            user,
            peer: Some(peer.to_owned()).filter(|peer| !peer.is_empty()),
            listener: Some(listener.to_owned()),
            codec: Some(codec.to_owned()),
            generation,
            cause: Some(reason.cause()),
            reason: Some(text),
            backtrace,
            ..Event::new(kind)
        });
    }

    /// Adds a change of a codec or of the configuration.
    pub(crate) fn changed(&self, record: &Record) {
        let kind = match record.change() {
            "rollback" => EventKind::Rollback,
            "trial" | "end-trial" => EventKind::Trial,
            "reload-config" => EventKind::Reload,
            "drain" => EventKind::Drain,
            _ => EventKind::Swap,
        };
        self.add(Event {
            codec: Some(record.codec().to_owned()).filter(|codec| !codec.is_empty()),
            generation: record.to_generation(),
            reason: record.reason().map(str::to_owned),
            who: Some(record.who().to_owned()),
            change: Some(record.change()),
            outcome: record.outcome().map(Outcome::name),
            ..Event::new(kind)
        });
    }

    fn add(&self, event: Event) {
        self.rings().add(event);
    }

    fn rings(&self) -> MutexGuard<'_, Rings> {
        self.0.rings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

fn backtrace(fault: &CodecError) -> Vec<String> {
    fault.failure().map(|failure| failure.backtrace().to_vec()).unwrap_or_default()
}

fn cut(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(MAX_TEXT) {
        text.truncate(end);
    }
    text
}

fn cut_value(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(cut(text)),
        Value::Array(_) | Value::Object(_) => Value::String(cut(value.to_string())),
        value => value,
    }
}

fn as_rfc3339<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*time))
}

fn as_number<S: Serializer>(session: &Option<SessionId>, serializer: S) -> Result<S::Ok, S::Error> {
    session.map(|session| session.0).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::codec::Reason;
    use wireplug_core::codec::Failure;

    fn close(events: &Events, session: u64, reason: &CloseReason) {
        events.ended(Ended {
            session: SessionId(session),
            user: None,
            peer: "192.0.2.1:5",
            listener: "tcp://127.0.0.1:1",
            codec: "chat",
            generation: Some(3),
            reason,
        });
    }

    #[test]
    fn ends_are_added_once_the_events_can_be_read() {
        let events = Events::default();
        close(&events, 1, &CloseReason::IdleTimeout);
        events.begin();
        close(&events, 2, &CloseReason::IdleTimeout);
        let list = events.list(None, None, 9);
        assert_eq!(list.len(), 1);
        let mut event = serde_json::to_value(&*list[0]).unwrap();
        assert!(event["at"].as_str().unwrap().ends_with('Z'), "{event}");
        event["at"] = Value::Null;
        let wanted = json!({
            "number": 1, "at": null, "kind": "close", "session": 2, "peer": "192.0.2.1:5",
            "listener": "tcp://127.0.0.1:1", "codec": "chat", "generation": 3, "cause": "idle-timeout",
            "reason": "nothing passed for too long",
        });
        assert_eq!(event, wanted);
    }

    /// The input of a call is the client's data, which the role `read` must not see.
    #[test]
    fn a_fault_has_its_backtrace_and_not_its_input() {
        let mut failure = Failure::from(Reason::new("unreachable"));
        failure.set_backtrace(["decode_one", "decode"]);
        let fault = CodecError::Trap(failure).with_input(|_| ("a packet".into(), b"secret".into()));
        let events = Events::default();
        events.begin();
        close(&events, 1, &CloseReason::CodecFault(fault.clone()));
        assert!(CloseReason::CodecFault(fault).to_string().contains("736563726574"));
        let list = events.list(None, None, 9);
        assert_eq!((list[0].kind, list[0].cause), (EventKind::Fault, Some("codec-trap")));
        assert_eq!(list[0].reason.as_deref(), Some("codec fault: trap: unreachable"));
        assert_eq!(list[0].backtrace, ["decode_one", "decode"]);
    }

    #[test]
    fn log_lines_are_bounded() {
        let events = Events::default();
        let mut fields: Map<_, _> = (0..99).map(|name| (format!("f{name:02}"), json!(name))).collect();
        fields.insert("f00".into(), json!("ä".repeat(5000)));
        fields.insert("f01".into(), json!(vec!["x"; 5000]));
        events.log(LogEvent { is_error: false, target: "t".into(), message: "m".repeat(5000), fields });
        let event = &events.list(None, None, 9)[0];
        assert_eq!((event.kind, event.level), (EventKind::Log, Some("warn")));
        assert_eq!(event.message.as_ref().map(String::len), Some(MAX_TEXT));
        assert_eq!(event.fields.len(), MAX_FIELDS);
        let length = |name: &str| event.fields[name].as_str().unwrap().chars().count();
        assert_eq!((length("f00"), length("f01")), (MAX_TEXT, MAX_TEXT));
    }
}
