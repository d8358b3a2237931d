//! All sessions of a server, and who of them belongs together.
//!
//! The table is locked when a session comes, goes, is bound, joins or leaves, and for a moment when
//! somebody asks for many: never on the way of a packet, and never while a push to many is under
//! way.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use foldhash::fast::FixedState;
use indexmap::IndexMap;

use super::command::{Command, RemoteSessions, Target};
use super::event::Hook;
use super::fan_out::send_to_all;
use super::handle::Binding;
use super::{Audience, CloseReason, Group, Session, SessionError, SessionEvent, SessionId, User};
use crate::config::SessionsPerUser;

/// All sessions of a server. Cheap to clone.
///
/// [`Sessions::all`], [`Sessions::user`], [`Sessions::group`] and [`Sessions::matching`] name those
/// who get a push.
///
/// A handler gets it as an argument, and so does whoever has the server
/// ([`RunningServer::sessions`](crate::RunningServer::sessions)):
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
    /// The other nodes, if there can be any.
    remote: Option<Arc<dyn RemoteSessions>>,
    /// The time of the latest binding that is known, here or on another node, in microseconds since
    /// 1970.
    latest_binding: AtomicU64,
}

#[derive(Default)]
struct Table {
    all: Members,
    users: HashMap<User, Members>,
    groups: HashMap<Group, Members>,
}

/// Sessions that belong together. Whoever asks for many gets the list as it is then, without a
/// copy: the next change makes one, if somebody still has it.
///
/// No client chooses its number, so that its hash need not withstand an attack.
type Members = Arc<IndexMap<SessionId, Session, FixedState>>;

impl Sessions {
    pub(crate) fn new(
        per_user: SessionsPerUser,
        hooks: Vec<Hook>,
        remote: Option<Arc<dyn RemoteSessions>>,
    ) -> Self {
        Self(Arc::new(Shared { per_user, hooks, remote, ..Shared::default() }))
    }

    /// How many are established.
    pub fn len(&self) -> usize {
        self.all().len()
    }

    /// Whether none is established.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One of them, if its connection has not ended.
    pub fn get(&self, id: SessionId) -> Option<Session> {
        self.read().all.get(&id).cloned()
    }

    /// All that are established.
    pub fn all(&self) -> Audience<'_> {
        Audience::new(self, Ok(Target::All))
    }

    /// Those that are bound to a user.
    pub fn user(&self, name: &str) -> Audience<'_> {
        Audience::new(self, User::new(name).map(Target::User))
    }

    /// Those that have joined a group.
    pub fn group(&self, name: &str) -> Audience<'_> {
        Audience::new(self, Group::new(name).map(Target::Group))
    }

    /// Those of this process that are established and match a condition.
    pub fn matching(&self, condition: impl Fn(&Session) -> bool) -> Audience<'_> {
        let mut these = Vec::new();
        self.each(&Target::All, |session| {
            if condition(session) {
                these.push(session.clone());
            }
        });
        Audience::these(self, these)
    }

    /// How many users have a session of this process.
    pub fn users(&self) -> usize {
        self.read().users.len()
    }

    // === what is done with many ===

    /// Applies a command to the sessions of this process. Returns to how many.
    pub(crate) fn apply(&self, target: &Target, command: &Command) -> usize {
        let members = self.members(target);
        match command {
            Command::Push(message) => send_to_all(|| members.iter(), message),
            command => members.iter().filter(|session| session.apply(command)).count(),
        }
    }

    /// Shows each session of this process that belongs to a target.
    pub(super) fn each(&self, target: &Target, f: impl FnMut(&Session)) {
        self.members(target).iter().for_each(f);
    }

    fn members(&self, target: &Target) -> LocalSessions {
        let table = self.read();
        match target {
            Target::Session(id) => {
                LocalSessions { one: table.all.get(id).cloned(), ..LocalSessions::default() }
            }
            Target::User(user) => {
                LocalSessions { many: table.users.get(user).cloned(), ..LocalSessions::default() }
            }
            Target::Group(group) => {
                LocalSessions { many: table.groups.get(group).cloned(), ..LocalSessions::default() }
            }
            Target::All => LocalSessions {
                many: Some(Arc::clone(&table.all)),
                established: true,
                ..LocalSessions::default()
            },
        }
    }

    pub(crate) fn close_all(&self, reason: &CloseReason) {
        let all = Arc::clone(&self.read().all);
        all.values().for_each(|session| session.close(reason.clone()));
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
            if let Some(before) = &before {
                remove(&mut table.users, before, session.id());
            }
            let displaced = match self.0.per_user {
                SessionsPerUser::One => table.users.remove(&user),
                SessionsPerUser::Many => None,
            };
            insert(&mut table.users, &user, session);
            // Its time is later than each that has come to this table.
            let at = self.next_binding();
            session.set_binding(Some(Binding { user, at }));
            let before = before.map(SessionEvent::Unbound);
            // In the order of the changes, and none behind the session's end.
            if let Some(before) = &before {
                self.report_to_remote(session, before, None);
            }
            self.report_to_remote(session, &bound, Some(at));
            (before, displaced)
        };
        displace(displaced);
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
            let unbound = before.map(SessionEvent::Unbound);
            if let Some(unbound) = &unbound {
                self.report_to_remote(session, unbound, None);
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
        if session.add_group(group) {
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

    /// The latest binding of each user here, with its time.
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

    /// Another node has bound this user at that time. Where a user may have one session, those that
    /// were bound before that end; of two at the same time, the one on the node whose name is
    /// smaller.
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

    /// The time of a binding that is made now: later than all that are known. In microseconds,
    /// since a client can bind on one node and then on the next within a millisecond, before the
    /// second has heard of the first.
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

    /// The session's handshake is over.
    pub(crate) fn opened(&self, session: &Session) {
        session.set_established();
        self.report_to_remote(session, &SessionEvent::Opened, None);
        self.report(session, &SessionEvent::Opened);
    }

    /// The session has ended.
    pub(crate) fn closed(&self, session: &Session, reason: &CloseReason) {
        let closed = SessionEvent::Closed(reason.clone());
        self.report_to_remote(session, &closed, None);
        self.report(session, &closed);
    }

    /// Never under the lock: a hook may do with sessions what it likes.
    fn report(&self, session: &Session, event: &SessionEvent) {
        self.0.hooks.iter().for_each(|hook| hook(session, event));
    }

    fn report_to_remote(&self, session: &Session, event: &SessionEvent, bound_at: Option<u64>) {
        if let Some(remote) = &self.0.remote {
            remote.event(session, event, bound_at);
        }
    }

    pub(super) fn remote(&self) -> Option<&dyn RemoteSessions> {
        self.0.remote.as_deref()
    }

    // === the table ===

    pub(crate) fn insert(&self, session: Session) {
        Arc::make_mut(&mut self.write().all).insert(session.id(), session);
    }

    /// It is found no more, and belongs to nobody; what it was stays with the handles that are kept
    /// of it.
    pub(crate) fn remove(&self, session: &Session) {
        let mut table = self.write();
        let id = session.id();
        Arc::make_mut(&mut table.all).swap_remove(&id);
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
    /// A session that has ended must not come back as a member of anything.
    fn check(&self, session: &Session) -> Result<(), SessionError> {
        let is_there = self.all.contains_key(&session.id()) && !session.is_leaving();
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

/// Ends sessions whose user has another now.
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
    /// Only those that are established.
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
