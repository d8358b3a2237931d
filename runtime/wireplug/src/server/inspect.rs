//! What operators see of the sessions of a running server, and how they end them.
//!
//! A page of sessions is a copy: the table of sessions is locked only while a list of numbers, or
//! some sessions, are taken out of it, and never while a session is looked at.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Running;
use crate::config::{ClientLimits, CodecLimits};
use crate::session::{Group, Session, SessionId, User};
use crate::session_trace::{Order, SessionTraces, Trace};

/// How many sessions are taken out of the table at a time.
const AT_A_TIME: usize = 256;

/// The state of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum SessionStatus {
    /// The handshake is not over.
    Opening,
    /// The session has a sandbox.
    Awake,
    /// The session is saved, and has no sandbox.
    Asleep,
    /// The connection is about to end.
    Closing,
}

/// One session in a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct SessionSummary {
    /// The number of the session.
    pub id: u64,
    /// The user to whom the session is bound.
    pub user: Option<String>,
    /// The client's address, or an empty text if the transport has no addresses.
    pub peer: String,
    /// The URL of the listener.
    pub listener: String,
    /// The name of the transport.
    pub transport: String,
    /// The name of the codec.
    pub codec: String,
    /// The generation of the codec that the session is on.
    pub generation: u64,
    /// The groups of the session.
    pub groups: Vec<String>,
    /// The state of the session.
    pub state: SessionStatus,
    /// How long the session has been open, in seconds.
    pub opened_seconds: f64,
    /// How long nothing has come from the client or gone to it, in seconds.
    pub idle_seconds: f64,
    /// Packets from the client.
    pub packets_in: u64,
    /// Packets to the client.
    pub packets_out: u64,
    /// Bytes from the client.
    pub bytes_in: u64,
    /// Bytes to the client.
    pub bytes_out: u64,
}

/// One page of a list of sessions, in the order of their numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct SessionPage {
    /// The sessions.
    pub sessions: Vec<SessionSummary>,
    /// The number after which the next page begins. `None` if this is the last page.
    pub next: Option<u64>,
}

/// The limits that apply to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct SessionLimits {
    /// Those of the listener. `None` if a reload has removed the listener.
    pub listener: Option<ClientLimits>,
    /// Those of the codec.
    pub codec: Option<CodecLimits>,
}

/// One session in full.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct SessionDetails {
    /// What a list shows of the session.
    #[serde(flatten)]
    pub summary: SessionSummary,
    /// The attributes that the transport knows of the client. The values of header fields with
    /// credentials are left out.
    pub attributes: Vec<(String, String)>,
    /// The settings that the application keeps with the session.
    pub settings: BTreeMap<String, String>,
    /// Messages from the client to the application.
    pub messages_in: u64,
    /// Messages of the application that became packets.
    pub messages_out: u64,
    /// Packets from the client that the codec dropped.
    pub rejected: u64,
    /// Messages that could not be encoded or framed.
    pub refused: u64,
    /// Pushes that did not fit into the outbox.
    pub overflowed: u64,
    /// Requests of the client whose response is not ready.
    pub in_flight: usize,
    /// Requests to the client that wait for a response.
    pub client_requests: usize,
    /// Messages that wait to be encoded.
    pub outbox_messages: usize,
    /// The size of the messages that wait to be encoded, in bytes.
    pub outbox_bytes: usize,
    /// The size of all that waits for the client, encoded or not, in bytes.
    pub waiting_bytes: usize,
    /// The CPU time of the codec's calls, in milliseconds. It is estimated unless the session or
    /// its codec is near its budget.
    pub codec_ms: f64,
    /// The limits that apply to the session.
    pub limits: SessionLimits,
}

/// The sessions that a list shows.
#[derive(Clone, Debug, Default)]
pub(crate) struct SessionFilter {
    pub(crate) user: Option<User>,
    pub(crate) address: Option<AddressFilter>,
    pub(crate) codec: Option<String>,
    pub(crate) generation: Option<u64>,
    pub(crate) listener: Option<String>,
    pub(crate) group: Option<Group>,
    pub(crate) state: Option<SessionStatus>,
    pub(crate) idle_over: Option<Duration>,
}

/// The address of clients: an IP address with any port, or the whole address of one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AddressFilter {
    Ip(IpAddr),
    Exactly(String),
}

impl FromStr for AddressFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Ok(Self::Ip(ip.to_canonical()));
        }
        match text.parse::<SocketAddr>() {
            Ok(_) => Ok(Self::Exactly(text.to_owned())),
            Err(_) => {
                Err(format!("{text:?} is no address of a client, such as 203.0.113.7 or 203.0.113.7:5000"))
            }
        }
    }
}

impl AddressFilter {
    pub(crate) fn matches(&self, client: &str) -> bool {
        match self {
            Self::Ip(ip) => client.parse::<SocketAddr>().is_ok_and(|of| of.ip().to_canonical() == *ip),
            Self::Exactly(address) => client == address,
        }
    }
}

impl SessionFilter {
    fn matches(&self, session: &Session, idle: Duration) -> bool {
        let Self { user, address, codec, generation, listener, group, state, idle_over } = self;
        let vitals = session.vitals();
        let origin = vitals.origin();
        address.as_ref().is_none_or(|address| address.matches(&session.client().address))
            && codec.as_ref().is_none_or(|codec| *codec == origin.codec)
            && listener.as_ref().is_none_or(|listener| *listener == origin.listener)
            && generation.is_none_or(|generation| generation == vitals.generation())
            && idle_over.is_none_or(|over| idle > over)
            && state.is_none_or(|state| state == status(session))
            && user.as_ref().is_none_or(|user| session.user().as_ref() == Some(user))
            && group.as_ref().is_none_or(|group| session.groups().contains(group))
    }
}

fn status(session: &Session) -> SessionStatus {
    if session.is_closing() {
        SessionStatus::Closing
    } else if session.vitals().is_asleep() {
        SessionStatus::Asleep
    } else if session.is_established() {
        SessionStatus::Awake
    } else {
        SessionStatus::Opening
    }
}

impl Running {
    /// Returns the sessions that match, with numbers above `after`, at most `limit`.
    pub(crate) fn session_page(&self, filter: &SessionFilter, after: u64, limit: usize) -> SessionPage {
        let (sessions, now) = (&self.state.sessions, self.state.time.now());
        let ids = sessions.ids(filter.user.as_ref(), filter.group.as_ref());
        let ids = &ids[ids.partition_point(|id| id.0 <= after)..];
        let mut page = SessionPage { sessions: Vec::new(), next: None };
        let listed = ids.chunks(AT_A_TIME).flat_map(|ids| sessions.some(ids));
        for session in listed.filter(|session| filter.matches(session, session.vitals().idle(now))) {
            if page.sessions.len() == limit {
                page.next = page.sessions.last().map(|last| last.id);
                break;
            }
            page.sessions.push(self.summary(&session));
        }
        page
    }

    /// Returns one session in full, if it is there.
    pub(crate) fn session_details(&self, id: SessionId) -> Option<SessionDetails> {
        let session = self.state.sessions.get(id)?;
        let summary = self.summary(&session);
        let counts = session.vitals().counts();
        let listeners = self.listeners.all();
        let listener = listeners.iter().find(|listener| listener.url == summary.listener);
        let slots = self.slots.all();
        let codec = slots.iter().find(|slot| slot.name() == summary.codec);
        let settings = session.settings();
        Some(SessionDetails {
            attributes: session.client().attributes.iter().map(shown).collect(),
            settings: settings.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
            messages_in: counts.messages_in,
            messages_out: counts.messages_out,
            rejected: counts.rejected,
            refused: counts.refused,
            overflowed: counts.overflowed,
            in_flight: counts.in_flight,
            client_requests: session.outbox().open_requests(),
            outbox_messages: session.outbox().len(),
            outbox_bytes: session.waiting(),
            waiting_bytes: session.outbox().waiting_in_all(),
            codec_ms: counts.codec_time.as_secs_f64() * 1e3,
            limits: SessionLimits {
                listener: listener.map(|listener| listener.context.settings.get().limits),
                codec: codec.map(|slot| slot.settings().limits),
            },
            summary,
        })
    }

    fn summary(&self, session: &Session) -> SessionSummary {
        let (client, vitals, now) = (session.client(), session.vitals(), self.state.time.now());
        let counts = vitals.counts();
        SessionSummary {
            id: session.id().0,
            user: session.user().map(String::from),
            peer: client.address.clone(),
            listener: vitals.origin().listener.clone(),
            transport: client.transport.clone(),
            codec: vitals.origin().codec.clone(),
            generation: vitals.generation(),
            groups: session.groups().into_iter().map(String::from).collect(),
            state: status(session),
            opened_seconds: vitals.age(now).as_secs_f64(),
            idle_seconds: vitals.idle(now).as_secs_f64(),
            packets_in: counts.packets_in,
            packets_out: counts.packets_out,
            bytes_in: counts.bytes_in,
            bytes_out: counts.bytes_out,
        }
    }

    /// Ends the sessions that match, of this node. Returns how many there are.
    pub(crate) fn kick_matching(&self, filter: &SessionFilter, reason: &str) -> usize {
        let (sessions, now) = (&self.state.sessions, self.state.time.now());
        let ids = sessions.ids(filter.user.as_ref(), filter.group.as_ref());
        let listed = ids.chunks(AT_A_TIME).flat_map(|ids| sessions.some(ids));
        let matching = listed.filter(|session| filter.matches(session, session.vitals().idle(now)));
        matching.map(|session| session.kick(reason)).count()
    }

    /// Returns the traces of the sessions.
    pub(crate) fn traces(&self) -> &Arc<SessionTraces> {
        &self.state.session_traces
    }

    /// Returns one session, if it is there.
    pub(crate) fn session(&self, id: SessionId) -> Option<Session> {
        self.state.sessions.get(id)
    }

    /// Lets a trace watch the sessions that match.
    pub(crate) fn watch_matching(&self, filter: &SessionFilter, trace: &Arc<Trace>) {
        let (sessions, now) = (&self.state.sessions, self.state.time.now());
        let ids = sessions.ids(filter.user.as_ref(), filter.group.as_ref());
        let listed = ids.chunks(AT_A_TIME).flat_map(|ids| sessions.some(ids));
        let matching = listed.filter(|session| filter.matches(session, session.vitals().idle(now)));
        matching.for_each(|session| trace.watch(&session));
    }

    /// Ends a trace, and lets the sessions that it watched go on without it.
    pub(crate) fn end_trace(&self, trace: &Arc<Trace>) {
        self.state.session_traces.end(trace);
        let watched = trace.watched();
        watched.into_iter().filter_map(|id| self.session(id)).for_each(|session| session.order(Order::Look));
    }

    /// Ends one session. Returns whether it is there.
    pub(crate) fn kick(&self, id: SessionId, reason: &str) -> bool {
        self.state.sessions.get(id).map(|session| session.kick(reason)).is_some()
    }
}

/// Returns an attribute without its value if that is a credential.
fn shown((name, value): &(String, String)) -> (String, String) {
    const CREDENTIALS: [&str; 3] = ["header:authorization", "header:cookie", "header:proxy-authorization"];
    let is_credential = CREDENTIALS.iter().any(|credential| name.eq_ignore_ascii_case(credential));
    (name.clone(), if is_credential { "***".to_owned() } else { value.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_that_of_a_machine_or_of_one_client() {
        let matches = |filter: &str, client: &str| filter.parse::<AddressFilter>().unwrap().matches(client);
        assert!(matches("10.0.0.1", "10.0.0.1:5000"));
        assert!(matches("10.0.0.1", "[::ffff:10.0.0.1]:5000"));
        assert!(matches("::1", "[::1]:5000"));
        assert!(!matches("10.0.0.1", "10.0.0.2:5000"));
        assert!(matches("10.0.0.1:5000", "10.0.0.1:5000"));
        assert!(!matches("10.0.0.1:5000", "10.0.0.1:5001"));
        assert!(!matches("10.0.0.1", ""));
        for text in ["", "localhost", "10.0.0.1:", "10.0.0.0/8"] {
            assert!(text.parse::<AddressFilter>().unwrap_err().contains("no address of a client"), "{text}");
        }
    }

    #[test]
    fn credentials_are_not_shown() {
        let shown = |name: &str| shown(&(name.to_owned(), "value".to_owned())).1;
        assert_eq!(shown("header:Authorization"), "***");
        assert_eq!(shown("header:cookie"), "***");
        assert_eq!(shown("header:user-agent"), "value");
    }
}
