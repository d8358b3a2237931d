//! All sessions of a server, by user and by group.
//!
//! The table is locked when a session opens, ends, is bound, joins a group or leaves one, and for a
//! moment when code asks for many sessions. It is never locked on the way of a packet, or while a
//! push to many is put into the outboxes.

mod moving;
#[cfg(feature = "control")]
mod operators;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use foldhash::fast::FixedState;
use indexmap::IndexMap;
use tokio::time::{Instant, sleep_until};

use self::moving::{Arriving, relayed};
use super::command::{Command, RemoteSessions, Target};
use super::event::Hook;
use super::fan_out::send_to_all;
use super::handle::Binding;
use super::{
    Audience, CloseReason, Group, Relay, Session, SessionError, SessionEvent, SessionId, SessionObserver,
    User,
};
use crate::config::SessionsPerUser;
use wireplug_connectors::running_time::RunningTime;

/// All sessions of a server. Cheap to clone.
///
/// [`Sessions::all`], [`Sessions::user`], [`Sessions::group`] and [`Sessions::matching`] select the
/// sessions that get a push.
///
/// A handler gets it as an argument, and other code gets it from
/// [`RunningServer::sessions`](crate::RunningServer::sessions):
///
/// ```
/// use wireplug::Sessions;
/// use wireplug::app::{Error, Json};
///
/// async fn announce(Json(text): Json<String>, sessions: Sessions) -> Result<(), Error> {
///     sessions.all().push("onAnnouncement", &text)?;
///     sessions.group("operators").push("onAudit", &format!("announced: {text}"))?;
///     Ok(())
/// }
/// # let app = wireplug::App::new().route("announce", announce);
/// ```
#[derive(Clone, Default)]
pub struct Sessions(Arc<Shared>);

#[derive(Default)]
struct Shared {
    table: RwLock<Table>,
    per_user: SessionsPerUser,
    hooks: Vec<Hook>,
    /// The sessions of other nodes, if there can be any.
    remote: Option<Arc<dyn RemoteSessions>>,
    /// What passes events to services and other nodes.
    observers: Vec<Arc<dyn SessionObserver>>,
    /// The clock by which requests to clients time out.
    time: RunningTime,
    /// The other process of an upgrade, while sessions move to it.
    relay: RwLock<Option<Arc<dyn Relay>>>,
    /// The time of the latest binding that is known, here or on another node, in microseconds since
    /// 1970.
    latest_binding: AtomicU64,
}

#[derive(Default)]
struct Table {
    all: Members,
    users: HashMap<User, Members>,
    groups: HashMap<Group, Members>,
    /// The sessions that come from another process, and what was seen of them.
    arriving: Arriving,
    /// The sessions that have gone to another process. Few megabytes at most, and this process ends
    /// soon.
    gone: HashSet<SessionId>,
}

/// The sessions of a user, of a group, or of the server. A reader takes the list as it is at that
/// moment, without a copy. The next change copies the list if a reader still has it.
///
/// Clients do not choose the numbers of sessions, so the hash need not withstand attacks.
type Members = Arc<IndexMap<SessionId, Session, FixedState>>;

impl Sessions {
    pub(crate) fn new(
        per_user: SessionsPerUser,
        hooks: Vec<Hook>,
        remote: Option<Arc<dyn RemoteSessions>>,
        observers: Vec<Arc<dyn SessionObserver>>,
        time: RunningTime,
    ) -> Self {
        Self(Arc::new(Shared { per_user, hooks, remote, observers, time, ..Shared::default() }))
    }

    /// Returns the clock by which requests to clients time out.
    pub(super) fn time(&self) -> &RunningTime {
        &self.0.time
    }

    /// Returns how many sessions of this process are established.
    pub fn len(&self) -> usize {
        self.all().len()
    }

    /// Returns whether no session of this process is established.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the session of this process with this number, if its connection has not ended.
    pub fn get(&self, id: SessionId) -> Option<Session> {
        self.read().all.get(&id).cloned()
    }

    /// Returns all established sessions as an audience.
    pub fn all(&self) -> Audience<'_> {
        Audience::new(self, Ok(Target::All))
    }

    /// Returns the sessions that are bound to a user, as an audience.
    pub fn user(&self, name: &str) -> Audience<'_> {
        Audience::new(self, User::new(name).map(Target::User))
    }

    /// Returns the sessions that have joined a group, as an audience.
    pub fn group(&self, name: &str) -> Audience<'_> {
        Audience::new(self, Group::new(name).map(Target::Group))
    }

    /// Returns the established sessions of this process that match a condition, as an audience.
    pub fn matching(&self, condition: impl Fn(&Session) -> bool) -> Audience<'_> {
        let mut these = Vec::new();
        self.each(&Target::All, |session| {
            if condition(session) {
                these.push(session.clone());
            }
        });
        Audience::these(self, these)
    }

    /// Returns how many users have a session of this process.
    pub fn users(&self) -> usize {
        self.read().users.len()
    }

    // === commands for many ===

    /// Applies a command to the sessions of this process that belong to a target. Returns how many
    /// of them accepted it.
    pub(crate) fn apply(&self, target: &Target, command: &Command) -> usize {
        let relay = self.relay();
        let (members, place) = {
            // Under the lock: what the other process hears of a session that changes its place in
            // the table comes before the command or after it, as in this list.
            let table = self.read();
            let members = table.members(target);
            let place = relay.and_then(|relay| relayed(&*relay, target, command, &members, &table));
            (members, place)
        };
        match command {
            Command::Push(message) => send_to_all(|| members.iter(), message, place),
            command => members.iter().filter(|session| session.apply(command)).count(),
        }
    }

    /// Calls `f` with each session of this process that belongs to a target.
    pub(super) fn each(&self, target: &Target, f: impl FnMut(&Session)) {
        self.members(target).iter().for_each(f);
    }

    fn members(&self, target: &Target) -> LocalSessions {
        self.read().members(target)
    }

    /// Calls `f` with each session whose connection is open, established or not.
    pub(crate) fn each_open(&self, f: impl FnMut(&Session)) {
        let all = Arc::clone(&self.read().all);
        all.values().for_each(f);
    }

    /// Wakes the tasks of all connections.
    pub(crate) fn wake_all(&self) {
        let all = Arc::clone(&self.read().all);
        all.values().for_each(Session::wake);
    }

    /// Closes all sessions, one after the other, at equal distances within this time. Returns how
    /// many there were at the beginning.
    pub(crate) async fn close_over(&self, spread: Duration, reason: &CloseReason) -> usize {
        let first = self.open();
        if !spread.is_zero() {
            let begun = Instant::now();
            for (closed, session) in (0_u32..).zip(&first) {
                sleep_until(begun + spread.mul_f64(f64::from(closed) / first.len() as f64)).await;
                session.close(reason.clone());
            }
        }
        // Those that have opened meanwhile are closed too.
        self.open().iter().for_each(|session| session.close(reason.clone()));
        first.len()
    }

    /// Returns the sessions whose connections are open, and those that arrive in an upgrade.
    fn open(&self) -> Vec<Session> {
        let table = self.read();
        table.all.values().chain(table.arriving.all()).cloned().collect()
    }

    // === users and groups ===

    pub(super) fn bind(&self, session: &Session, user: User) -> Result<(), SessionError> {
        let bound = SessionEvent::Bound(user.clone());
        let (before, displaced) = {
            let mut table = self.write();
            table.check(session)?;
            let before = session.binding().map(|binding| binding.user);
            if before.as_ref() == Some(&user) {
                return Ok(());
            }
            if table.arriving.is_unknown(session.id()) {
                session.set_binding(Some(Binding { user, at: self.next_binding() }));
                return Ok(());
            }
            if let Some(before) = &before {
                remove(&mut table.users, before, session.id());
            }
            let displaced = match self.0.per_user {
                SessionsPerUser::One => table.users.remove(&user),
                SessionsPerUser::Many => None,
            };
            // One that arrives gets its places later.
            if !table.arriving.has(session.id()) {
                insert(&mut table.users, &user, session);
            }
            // The time is later than that of every binding that this table knows.
            let at = self.next_binding();
            session.set_binding(Some(Binding { user, at }));
            let before = before.map(SessionEvent::Unbound);
            // Under the lock, so that services and other nodes receive the changes in their order,
            // and none after the session's end.
            if let Some(before) = &before {
                self.pass_on(session, before, None);
            }
            self.pass_on(session, &bound, Some(at));
            (before, displaced)
        };
        displace(displaced);
        self.relay_binding(session);
        if let Some(before) = before {
            self.report(session, &before);
        }
        self.report(session, &bound);
        Ok(())
    }

    pub(super) fn unbind(&self, session: &Session) -> Result<(), SessionError> {
        let before = {
            let mut table = self.write();
            table.check(session)?;
            let before = session.binding().map(|binding| binding.user);
            if let Some(before) = &before {
                remove(&mut table.users, before, session.id());
                session.set_binding(None);
            }
            if table.arriving.is_unknown(session.id()) {
                return Ok(());
            }
            let unbound = before.map(SessionEvent::Unbound);
            if let Some(unbound) = &unbound {
                self.pass_on(session, unbound, None);
            }
            unbound
        };
        if let Some(unbound) = before {
            self.report(session, &unbound);
        }
        Ok(())
    }

    pub(super) fn join(&self, session: &Session, group: &Group) -> Result<(), SessionError> {
        let mut table = self.write();
        table.check(session)?;
        if session.add_group(group) && !table.arriving.has(session.id()) {
            insert(&mut table.groups, group, session);
        }
        Ok(())
    }

    pub(super) fn leave(&self, session: &Session, group: &Group) {
        let mut table = self.write();
        if session.remove_group(group) {
            remove(&mut table.groups, group, session.id());
        }
    }

    /// Returns each user who has a session of this process, with the time of the latest binding.
    #[cfg_attr(
        not(feature = "nats"),
        allow(dead_code, reason = "only services and other servers ask for bindings")
    )]
    pub(crate) fn bindings(&self) -> Vec<(User, u64)> {
        let table = self.read();
        let latest = |members: &Members| {
            members.values().filter_map(Session::binding).map(|binding| binding.at).max().unwrap_or_default()
        };
        table.users.iter().map(|(user, members)| (user.clone(), latest(members))).collect()
    }

    /// Notes that another node has bound this user at that time. If a user may have only one
    /// session, the user's sessions of this process end if they were bound before. Of two bindings
    /// with the same time, the one on the node with the smaller name counts as the earlier one.
    #[cfg_attr(
        not(feature = "nats"),
        allow(dead_code, reason = "only services and other servers bind elsewhere")
    )]
    pub(crate) fn bound_elsewhere(&self, user: &User, at: u64, node: &str) {
        self.0.latest_binding.fetch_max(at, Ordering::Relaxed);
        let Some(remote) = self.0.remote.as_ref().filter(|_| self.0.per_user == SessionsPerUser::One) else {
            return;
        };
        let displaced = {
            let mut table = self.write();
            let is_earlier = |session: &Session| {
                session.binding().is_some_and(|binding| (binding.at, remote.node()) < (at, node))
            };
            let earlier = table.users.get(user).is_some_and(|members| members.values().all(is_earlier));
            if earlier { table.users.remove(user) } else { None }
        };
        displace(displaced);
    }

    /// Returns the time of a binding that is made now. It is later than the times of all known
    /// bindings. Times are in microseconds, because a client can bind on one node and then on
    /// another within a millisecond, before the second node knows of the first binding.
    fn next_binding(&self) -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as u64;
        let next = |latest: u64| now.max(latest + 1);
        let before = self
            .0
            .latest_binding
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |latest| Some(next(latest)));
        next(before.unwrap_or_else(|latest| latest))
    }

    // === events ===

    /// Notes and reports that the session's handshake is over.
    pub(crate) fn opened(&self, session: &Session) {
        session.set_established();
        self.pass_on(session, &SessionEvent::Opened, None);
        self.report(session, &SessionEvent::Opened);
    }

    /// Reports that the session has come from another process.
    pub(crate) fn moved(&self, session: &Session) {
        self.pass_on(session, &SessionEvent::Moved, None);
        self.report(session, &SessionEvent::Moved);
    }

    /// Reports that the session has ended.
    pub(crate) fn closed(&self, session: &Session, reason: &CloseReason) {
        let closed = SessionEvent::Closed(reason.clone());
        self.pass_on(session, &closed, None);
        self.report(session, &closed);
    }

    /// Calls the hooks. Not to be called under the lock, because a hook may use the table.
    fn report(&self, session: &Session, event: &SessionEvent) {
        self.0.hooks.iter().for_each(|hook| hook(session, event));
    }

    /// Passes an event on to services and other nodes.
    fn pass_on(&self, session: &Session, event: &SessionEvent, bound_at: Option<u64>) {
        self.0.observers.iter().for_each(|observer| observer.event(session, event, bound_at));
    }

    pub(super) fn remote(&self) -> Option<&dyn RemoteSessions> {
        self.0.remote.as_deref()
    }

    // === the table ===

    pub(crate) fn insert(&self, session: Session) {
        Arc::make_mut(&mut self.write().all).insert(session.id(), session);
    }

    /// Removes a session from the table, from its user and from its groups. Handles of the session
    /// that are kept still have its last user and groups.
    pub(crate) fn remove(&self, session: &Session) {
        let mut table = self.write();
        let id = session.id();
        Arc::make_mut(&mut table.all).swap_remove(&id);
        table.arriving.remove(id);
        if let Some(binding) = session.binding() {
            remove(&mut table.users, &binding.user, id);
        }
        for group in session.groups() {
            remove(&mut table.groups, &group, id);
        }
    }

    // Nothing that runs under the lock can leave the table half done.
    fn read(&self) -> RwLockReadGuard<'_, Table> {
        self.0.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Table> {
        self.0.table.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn members(&self, target: &Target) -> LocalSessions {
        let none = LocalSessions::default();
        match target {
            Target::Session(id) => LocalSessions { one: self.all.get(id).cloned(), ..none },
            Target::User(user) => LocalSessions { many: self.users.get(user).cloned(), ..none },
            Target::Group(group) => LocalSessions { many: self.groups.get(group).cloned(), ..none },
            Target::All => LocalSessions { many: Some(Arc::clone(&self.all)), established: true, ..none },
        }
    }

    /// Returns an error if the session has ended: it must not get a user or a group any more.
    fn check(&self, session: &Session) -> Result<(), SessionError> {
        let id = session.id();
        let is_there = (self.all.contains_key(&id) || self.arriving.has(id)) && !session.is_leaving();
        if is_there { Ok(()) } else { Err(SessionError::Closed) }
    }
}

fn insert<Name: Clone + Eq + Hash>(lists: &mut HashMap<Name, Members>, name: &Name, session: &Session) {
    let members = match lists.get_mut(name) {
        Some(members) => members,
        None => lists.entry(name.clone()).or_default(),
    };
    Arc::make_mut(members).insert(session.id(), session.clone());
}

fn remove<Name: Eq + Hash>(lists: &mut HashMap<Name, Members>, name: &Name, id: SessionId) {
    if let Some(members) = lists.get_mut(name) {
        Arc::make_mut(members).swap_remove(&id);
        if members.is_empty() {
            lists.remove(name);
        }
    }
}

/// Ends the sessions of a user who has another session now.
fn displace(displaced: Option<Members>) {
    for session in displaced.iter().flat_map(|members| members.values()) {
        session.close(CloseReason::Displaced);
    }
}

/// The sessions of this process that belong to a target.
#[derive(Default)]
struct LocalSessions {
    one: Option<Session>,
    many: Option<Members>,
    /// Whether only established sessions count.
    established: bool,
}

impl LocalSessions {
    fn iter(&self) -> impl Iterator<Item = &Session> {
        let many = self.many.iter().flat_map(|members| members.values());
        self.one.iter().chain(many).filter(|session| !self.established || session.is_established())
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").field("all", &self.read().all.len()).finish_non_exhaustive()
    }
}
