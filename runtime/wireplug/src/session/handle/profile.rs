//! What the application keeps with a session: its user, its groups and its settings.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Session, SessionError};
use crate::session::command::Command;
use crate::session::{Group, User};

/// The user, groups and settings of a session. User and groups are changed only under the lock of
/// the table of sessions, so that profile and table never differ.
#[derive(Default)]
pub(super) struct Profile {
    pub(super) binding: Option<Binding>,
    pub(super) groups: BTreeSet<Group>,
    pub(super) settings: BTreeMap<Arc<str>, Arc<str>>,
}

/// The user to whom a session is bound, and the time of the binding.
#[derive(Clone, Debug)]
pub(in crate::session) struct Binding {
    pub(in crate::session) user: User,
    /// The time of the binding, in microseconds since 1970. It is later than the time of every
    /// binding that was known then.
    #[cfg_attr(
        not(feature = "nats"),
        allow(dead_code, reason = "only services and other servers compare bindings")
    )]
    pub(in crate::session) at: u64,
}

impl Session {
    /// Binds the session to a user, so that [`Sessions::user`](crate::Sessions::user) finds it. A
    /// binding to another user ends. A user may have many sessions, unless
    /// [`ServerConfig::sessions_per_user`](crate::config::ServerConfig::sessions_per_user) allows
    /// only one: then the user's earlier sessions end with
    /// [`CloseReason::Displaced`](crate::session::CloseReason::Displaced).
    ///
    /// # Errors
    /// Returns an error if the session has ended, or the name is not valid for a [`User`].
    pub fn bind(&self, user: &str) -> Result<(), SessionError> {
        let user = User::new(user)?;
        self.followed(self.0.sessions.bind(self, user.clone()), || Command::Bind(user))
    }

    /// Ends the binding to a user, if there is one.
    ///
    /// # Errors
    /// Returns an error if the session has ended.
    pub fn unbind(&self) -> Result<(), SessionError> {
        self.followed(self.0.sessions.unbind(self), || Command::Unbind)
    }

    /// Returns the user to whom the session is bound. After the session has ended, returns the last
    /// one.
    pub fn user(&self) -> Option<User> {
        self.binding().map(|binding| binding.user)
    }

    /// Adds the session to a group, so that [`Sessions::group`](crate::Sessions::group) includes
    /// it. The session stays in the group until it leaves the group or ends.
    ///
    /// # Errors
    /// Returns an error if the session has ended, or the name is not valid for a [`Group`].
    pub fn join(&self, group: &str) -> Result<(), SessionError> {
        let group = Group::new(group)?;
        self.followed(self.0.sessions.join(self, &group), || Command::Join(group))
    }

    /// Removes the session from a group, if it is a member.
    pub fn leave(&self, group: &str) {
        if let Ok(group) = Group::new(group) {
            self.0.sessions.leave(self, &group);
            let _ = self.followed(Ok(()), || Command::Leave(group));
        }
    }

    /// Returns the groups of the session. After the session has ended, returns its last groups.
    pub fn groups(&self) -> Vec<Group> {
        self.with_profile(|profile| profile.groups.iter().cloned().collect())
    }

    /// Returns the value of a setting, or `None` if it has none. Settings are text that the
    /// application keeps with the session.
    pub fn setting(&self, name: &str) -> Option<Arc<str>> {
        self.with_profile(|profile| profile.settings.get(name).cloned())
    }

    /// Sets a setting to a value, or removes it if `value` is `None`.
    pub fn set(&self, name: &str, value: Option<&str>) {
        {
            let mut state = self.lock();
            let settings = &mut state.profile.get_or_insert_default().settings;
            match value {
                Some(value) => settings.insert(name.into(), value.into()),
                None => settings.remove(name),
            };
        }
        let setting = || [(name.to_owned(), value.map(str::to_owned))].into();
        let _ = self.followed(Ok(()), || Command::Set(setting()));
    }

    pub(in crate::session) fn binding(&self) -> Option<Binding> {
        self.with_profile(|profile| profile.binding.clone())
    }

    pub(in crate::session) fn set_binding(&self, binding: Option<Binding>) {
        self.lock().profile.get_or_insert_default().binding = binding;
    }

    /// Returns `false` if the session is in the group already.
    pub(in crate::session) fn add_group(&self, group: &Group) -> bool {
        self.lock().profile.get_or_insert_default().groups.insert(group.clone())
    }

    /// Returns `false` if the session is not in the group.
    pub(in crate::session) fn remove_group(&self, group: &Group) -> bool {
        self.lock().profile.as_mut().is_some_and(|profile| profile.groups.remove(group))
    }

    pub(super) fn with_profile<R: Default>(&self, f: impl FnOnce(&Profile) -> R) -> R {
        self.lock().profile.as_deref().map(f).unwrap_or_default()
    }
}
