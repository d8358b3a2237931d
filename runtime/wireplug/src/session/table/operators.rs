//! What operators ask of the table.

use std::sync::Arc;

use super::Sessions;
use crate::session::{Group, Session, SessionId, User};

impl Sessions {
    /// Returns the numbers of the sessions of this process that are bound to `user`, or have joined
    /// `group`, or of all, in ascending order. The table is locked only while a list is taken out.
    pub(crate) fn ids(&self, user: Option<&User>, group: Option<&Group>) -> Vec<SessionId> {
        let members = {
            let table = self.read();
            match (user, group) {
                (Some(user), _) => table.users.get(user).cloned(),
                (None, Some(group)) => table.groups.get(group).cloned(),
                (None, None) => Some(Arc::clone(&table.all)),
            }
        };
        // The list is held only for the time of a copy of numbers: a change meanwhile copies it.
        let mut ids: Vec<SessionId> = members.iter().flat_map(|members| members.keys().copied()).collect();
        drop(members);
        ids.sort_unstable();
        ids
    }

    /// Returns those of the sessions with these numbers that are still there.
    pub(crate) fn some(&self, ids: &[SessionId]) -> Vec<Session> {
        let table = self.read();
        ids.iter().filter_map(|id| table.all.get(id).cloned()).collect()
    }
}
