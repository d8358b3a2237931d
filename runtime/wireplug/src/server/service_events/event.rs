//! An event as a service gets it.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::{Serialize, Serializer};

use crate::audit::rfc3339;
use crate::config::ServiceEvent;
use crate::server::service_headers::address;
use crate::session::{Session, SessionEvent, SessionId, User};

/// An event that waits for a service. It keeps no session, so that a session which has ended is
/// freed.
#[derive(Debug)]
pub(super) struct Event {
    number: u64,
    name: &'static str,
    session: SessionId,
    user: Option<User>,
    peer: String,
    reason: Option<&'static str>,
    attributes: BTreeMap<String, String>,
    time: SystemTime,
}

/// An event in JSON. `docs/http-services.md` lists the keys.
#[derive(Serialize)]
struct Sent<'a> {
    number: u64,
    event: &'static str,
    session: String,
    node: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    peer: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    attributes: &'a BTreeMap<String, String>,
    #[serde(serialize_with = "as_rfc3339")]
    time: SystemTime,
}

impl Event {
    /// Notes what a service learns of an event that happens now.
    pub(super) fn new(number: u64, session: &Session, event: &SessionEvent, attributes: &[String]) -> Self {
        let client = session.client();
        let wanted = client.attributes.iter().filter(|(name, _)| attributes.contains(name));
        Self {
            number,
            name: event.name(),
            session: session.id(),
            // The former user of a session is no longer the session's.
            user: event.user().cloned().or_else(|| session.user()),
            peer: client.address.clone(),
            reason: event.reason(),
            attributes: wanted.cloned().collect(),
            time: SystemTime::now(),
        }
    }

    fn sent<'a>(&'a self, node: &'a str) -> Sent<'a> {
        Sent {
            number: self.number,
            event: self.name,
            session: address(node, self.session),
            node,
            user: self.user.as_deref(),
            peer: &self.peer,
            reason: self.reason,
            attributes: &self.attributes,
            time: self.time,
        }
    }
}

/// Returns whether a service that asks for some events wants this one.
pub(super) fn is_wanted(wanted: &[ServiceEvent], event: &SessionEvent) -> bool {
    wanted.contains(&match event {
        SessionEvent::Opened => ServiceEvent::Opened,
        SessionEvent::Moved => ServiceEvent::Moved,
        SessionEvent::Bound(_) => ServiceEvent::Bound,
        SessionEvent::Unbound(_) => ServiceEvent::Unbound,
        SessionEvent::Closed(_) => ServiceEvent::Closed,
    })
}

/// Returns events of the server `node` as a JSON array.
pub(super) fn to_json(events: &[Event], node: &str) -> Vec<u8> {
    let sent: Vec<_> = events.iter().map(|event| event.sent(node)).collect();
    serde_json::to_vec(&sent).expect("an event has numbers and texts only")
}

fn as_rfc3339<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*time))
}
