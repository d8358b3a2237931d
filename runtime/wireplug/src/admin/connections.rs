//! Limits the connections of the control API, in all and from one source.
//!
//! If there are too many, a connection whose client has not been authenticated is closed to make
//! room. So half-sent requests keep nobody out.
//!
//! A connection carries one request, except for those of the push API. These stay open between
//! requests, have a limit of their own, and do not count towards the limit of their source. While a
//! request of the push API is under way, its connection is never closed for another one.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::State;
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use tokio_util::sync::CancellationToken;

use super::Marks;
use super::peer::Source;
use super::refusal::Refusal;
use crate::config::{ControlRole, ControlRoles};

/// The most connections at a time, which the server has file descriptors for.
const MAX_CONNECTIONS: usize = 64;

/// The most connections at a time from one address, or of one user. People and their scripts need
/// one or two.
const MAX_PER_SOURCE: usize = 8;

/// The most connections of the push API at a time. The other half is for operators.
const MAX_PUSHING: usize = MAX_CONNECTIONS / 2;

/// The connections that are open.
#[derive(Clone, Default)]
pub(super) struct Connections(Arc<Mutex<Table>>);

#[derive(Default)]
struct Table {
    next: u64,
    /// The open connections by their numbers, the oldest first.
    open: BTreeMap<u64, Open>,
}

struct Open {
    source: Source,
    standing: Standing,
    close: CancellationToken,
}

/// What is known of a connection's client. To make room, a connection with the lowest standing is
/// closed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    Unknown,
    /// Waits for the next request of the push API.
    Idle,
    /// May only read, so it can simply ask again.
    Reader,
    /// May change something, and is never closed for another.
    Changer,
    /// Has a request of the push API, and is never closed for another.
    Pushing,
}

impl Standing {
    fn is_of_push_api(self) -> bool {
        matches!(self, Self::Idle | Self::Pushing)
    }
}

/// A connection's place. It is given back when this is dropped.
pub(super) struct Place {
    table: Arc<Mutex<Table>>,
    number: u64,
    close: CancellationToken,
}

impl Connections {
    /// Takes a place for a connection, if necessary that of another connection. Returns `None` if
    /// all places are taken by clients that may change something.
    pub(super) fn open(&self, source: Source) -> Option<Place> {
        let mut table = lock(&self.0);
        let of_source = |open: &Open| open.source == source && !open.standing.is_of_push_api();
        if table.open.values().filter(|open| of_source(open)).count() >= MAX_PER_SOURCE {
            table.close_least(of_source)?;
        }
        if table.open.len() >= MAX_CONNECTIONS {
            table.close_least(|_| true)?;
        }
        let (number, close) = (table.next, CancellationToken::new());
        table.next += 1;
        table.open.insert(number, Open { source, standing: Standing::Unknown, close: close.clone() });
        Some(Place { table: Arc::clone(&self.0), number, close })
    }

    /// Closes the connections on which no request is under way: those of the push API, and with
    /// `unknown` also those on which no whole head of a request has come yet.
    pub(super) fn close_idle(&self, unknown: bool) {
        let is_idle = |open: &Open| match open.standing {
            Standing::Idle => true,
            Standing::Unknown => unknown,
            Standing::Reader | Standing::Changer | Standing::Pushing => false,
        };
        lock(&self.0).open.values().filter(|open| is_idle(open)).for_each(|open| open.close.cancel());
    }
}

impl Table {
    /// Closes a connection with the lowest standing. Of several, it takes one of the source that
    /// has the most of them, and there the oldest. Returns `None` if no connection may be closed.
    fn close_least(&mut self, among: impl Fn(&Open) -> bool) -> Option<()> {
        let alike = |one: &Open| {
            let same = |other: &&Open| other.source == one.source && other.standing == one.standing;
            self.open.values().filter(same).count()
        };
        let candidates =
            self.open.iter().filter(|(_, open)| open.standing < Standing::Changer && among(open));
        let (number, _) =
            candidates.min_by_key(|(number, open)| (open.standing, Reverse(alike(open)), **number))?;
        let number = *number;
        self.open.remove(&number)?.close.cancel();
        Some(())
    }
}

impl Place {
    /// Notes the roles of the client, which has been authenticated.
    pub(super) fn known(&self, roles: &ControlRoles) {
        let standing = match *roles == ControlRole::Read.into() || *roles == ControlRole::Push.into() {
            true => Standing::Reader,
            false => Standing::Changer,
        };
        let mut table = lock(&self.table);
        let open = table.open.get_mut(&self.number).filter(|open| !open.standing.is_of_push_api());
        if let Some(open) = open {
            open.standing = standing;
        }
    }

    /// Notes that a request of the push API begins, until the returned value is dropped. The
    /// connection stays open after it.
    ///
    /// # Errors
    /// Returns an error if too many connections have such requests.
    pub(super) fn begin_push(self: &Arc<Self>) -> Result<Pushing, Refusal> {
        let mut table = lock(&self.table);
        let others = |open: &(&u64, &Open)| *open.0 != self.number && open.1.standing.is_of_push_api();
        if table.open.iter().filter(others).count() >= MAX_PUSHING {
            let idle = table.open.iter().filter(others).find(|(_, open)| open.standing == Standing::Idle);
            let idle = idle.map(|(number, _)| *number).ok_or_else(|| {
                let why = format!(
                    "{MAX_PUSHING} connections have requests for clients under way: send many commands over one \
                     connection, as a stream to POST /clients"
                );
                Refusal::new(StatusCode::SERVICE_UNAVAILABLE, why)
            })?;
            table.open.remove(&idle).into_iter().for_each(|open| open.close.cancel());
        }
        if let Some(open) = table.open.get_mut(&self.number) {
            open.standing = Standing::Pushing;
        }
        drop(table);
        Ok(Pushing(Arc::clone(self)))
    }

    /// Returns when the connection must be closed to make room for another one.
    pub(super) async fn closed(&self) {
        self.close.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.table).open.remove(&self.number);
    }
}

/// A request of the push API that is under way.
pub(super) struct Pushing(Arc<Place>);

impl Drop for Pushing {
    fn drop(&mut self) {
        if let Some(open) = lock(&self.0.table).open.get_mut(&self.0.number) {
            open.standing = Standing::Idle;
        }
    }
}

/// Marks a response after which the connection stays open.
#[derive(Clone)]
pub(super) struct StaysOpen;

/// Closes a connection after its response, unless the response says that it stays open.
pub(super) async fn close_after(State(marks): State<Marks>, mut response: Response) -> Response {
    let stays_open = response.extensions_mut().remove::<StaysOpen>().is_some();
    if !stays_open || marks.is_closing() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(connections: &Connections, source: u32) -> Option<Place> {
        connections.open(Source::User(source))
    }

    fn is_closed(place: &Place) -> bool {
        place.close.is_cancelled()
    }

    #[test]
    fn one_source_takes_places_from_itself_alone() {
        let connections = Connections::default();
        let other = open(&connections, 2).unwrap();
        let places: Vec<_> = (0..=MAX_PER_SOURCE).map(|_| open(&connections, 1).unwrap()).collect();
        assert!(is_closed(&places[0]) && !places[1..].iter().any(is_closed) && !is_closed(&other));
    }

    #[test]
    fn unknown_clients_go_first_and_those_that_may_change_stay() {
        let connections = Connections::default();
        let changer = open(&connections, 1).unwrap();
        changer.known(&ControlRole::Swap.into());
        let reader = open(&connections, 1).unwrap();
        reader.known(&ControlRole::Read.into());
        let unknown: Vec<_> = (2..MAX_PER_SOURCE).map(|_| open(&connections, 1).unwrap()).collect();
        // Each new connection takes the place of an unknown one, the oldest first. The last takes
        // the place of the reader.
        let mut late: Vec<_> = (0..unknown.len()).map(|_| open(&connections, 1).unwrap()).collect();
        assert!(unknown.iter().all(is_closed) && !is_closed(&reader));
        late.iter().for_each(|place| place.known(&ControlRole::Swap.into()));
        late.push(open(&connections, 1).unwrap());
        assert!(is_closed(&reader) && !is_closed(&changer));
        late.iter().for_each(|place| place.known(&ControlRole::Swap.into()));
        assert!(open(&connections, 1).is_none(), "all places of this source are taken for good");
        assert!(open(&connections, 2).is_some());
        drop(changer);
        assert!(open(&connections, 1).is_some(), "a place is given back");
    }

    #[test]
    fn the_push_api_keeps_nobody_out_and_is_not_cut() {
        let connections = Connections::default();
        let begin = || {
            let place = Arc::new(open(&connections, 1).unwrap());
            (place.begin_push().unwrap(), place)
        };
        let (mut busy, places): (Vec<_>, Vec<_>) = (0..MAX_PUSHING).map(|_| begin()).unzip();
        let late = Arc::new(open(&connections, 1).unwrap());
        let refusal = late.begin_push().err().expect("all of them are busy");
        assert_eq!(refusal.status, StatusCode::SERVICE_UNAVAILABLE);
        // Connections of operators never take the place of a request that is under way.
        late.known(&ControlRole::Admin.into());
        let operators: Vec<_> = (0..100).map(|number| open(&connections, 2 + number).unwrap()).collect();
        assert!(!places.iter().any(|place| is_closed(place)));
        assert_eq!(
            operators.iter().filter(|place| !is_closed(place)).count(),
            MAX_CONNECTIONS - MAX_PUSHING - 1
        );
        // One that is idle makes room for a request.
        busy.swap_remove(0);
        let (pushing, another) = begin();
        busy.push(pushing);
        assert!(is_closed(&places[0]) && !places[1..].iter().any(|place| is_closed(place)));
        // Idle ones are closed at the end, and those with a request are not.
        busy.swap_remove(1);
        connections.close_idle(false);
        assert_eq!(places[1..].iter().filter(|place| is_closed(place)).count(), 1);
        assert!(!is_closed(&another));
    }

    #[test]
    fn half_sent_requests_of_many_sources_keep_nobody_out() {
        let connections = Connections::default();
        let silent: Vec<_> =
            (0..MAX_CONNECTIONS as u32).map(|number| open(&connections, number / 4).unwrap()).collect();
        let honest = open(&connections, 1000).unwrap();
        assert!(is_closed(&silent[0]) && silent.iter().filter(|place| is_closed(place)).count() == 1);
        honest.known(&ControlRole::Swap.into());
        let flood: Vec<_> = (0..500).map(|number| open(&connections, 2000 + number).unwrap()).collect();
        assert!(!is_closed(&honest));
        assert_eq!(flood.iter().filter(|place| !is_closed(place)).count(), MAX_CONNECTIONS - 1);
    }
}
