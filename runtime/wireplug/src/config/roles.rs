//! The roles of clients of the control API.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a client of the control API may do. A client has one role or several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ControlRole {
    /// Look at everything: nodes, codecs, sessions, metrics, events, faults, and traces as far as
    /// `trace-mask` shows them.
    Read,
    /// Send commands to clients: the requests below `/clients`. This role does not look.
    Push,
    /// What `read` may do, and begin and end trials of codecs, and preview a reload.
    Trial,
    /// What `trial` may do, and swap, promote, roll back and reload codecs.
    Swap,
    /// Everything: also kick sessions, get test vectors that `trace-mask` would hide, reload the
    /// configuration, drain and upgrade the server.
    Admin,
}

impl ControlRole {
    /// All roles.
    pub const ALL: [Self; 5] = [Self::Read, Self::Push, Self::Trial, Self::Swap, Self::Admin];

    /// Returns whether a client with this role may do what the role `needed` may do.
    pub fn includes(self, needed: Self) -> bool {
        match self {
            Self::Read | Self::Push => needed == self,
            Self::Trial => matches!(needed, Self::Read | Self::Trial),
            Self::Swap => matches!(needed, Self::Read | Self::Trial | Self::Swap),
            Self::Admin => true,
        }
    }

    /// Returns the name of the role in a configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Push => "push",
            Self::Trial => "trial",
            Self::Swap => "swap",
            Self::Admin => "admin",
        }
    }
}

/// The roles of a client of the control API. The client may do what any of them may do.
///
/// ```
/// use wireplug::config::{ControlRole, ControlRoles};
///
/// let service: ControlRoles = "read,push".parse()?;
/// assert!(service.includes(ControlRole::Push) && !service.includes(ControlRole::Swap));
/// assert!(ControlRoles::from(ControlRole::Admin).includes(ControlRole::Push));
/// # Ok::<_, wireplug::config::BadControlRoles>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(transparent)]
pub struct ControlRoles(BTreeSet<ControlRole>);

impl ControlRoles {
    /// Returns whether a client with these roles may do what the role `needed` may do.
    pub fn includes(&self, needed: ControlRole) -> bool {
        self.0.iter().any(|role| role.includes(needed))
    }

    /// Returns each role whose rights these roles give.
    #[cfg(feature = "control")]
    pub(crate) fn included(&self) -> impl Iterator<Item = ControlRole> {
        ControlRole::ALL.into_iter().filter(|role| self.includes(*role))
    }

    /// Returns the rights of these roles and of others together.
    #[cfg(feature = "control")]
    pub(crate) fn and(&self, others: &Self) -> Self {
        Self(self.0.union(&others.0).copied().collect())
    }
}

impl From<ControlRole> for ControlRoles {
    fn from(role: ControlRole) -> Self {
        Self(BTreeSet::from([role]))
    }
}

/// The error for a text that is not a list of roles.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no role: the roles are read, push, trial, swap and admin, several with commas between them"
)]
pub struct BadControlRoles(String);

impl FromStr for ControlRoles {
    type Err = BadControlRoles;

    /// Parses roles with commas between them, such as `read,push`.
    fn from_str(text: &str) -> Result<Self, BadControlRoles> {
        let role = |name: &str| {
            let role = ControlRole::ALL.into_iter().find(|role| role.name() == name);
            role.ok_or_else(|| BadControlRoles(name.to_owned()))
        };
        text.split(',').map(role).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for ControlRoles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.iter().map(|role| role.name()).collect();
        f.write_str(&names.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ControlRole::{Admin, Push, Read, Swap, Trial};

    #[test]
    fn each_role_includes_what_it_says() {
        let included = |role: ControlRole| -> Vec<ControlRole> {
            ControlRole::ALL.into_iter().filter(|needed| role.includes(*needed)).collect()
        };
        assert_eq!(included(Read), [Read]);
        assert_eq!(included(Push), [Push]);
        assert_eq!(included(Trial), [Read, Trial]);
        assert_eq!(included(Swap), [Read, Trial, Swap]);
        assert_eq!(included(Admin), ControlRole::ALL);
    }

    #[test]
    fn several_roles_are_what_each_of_them_is() {
        let roles: ControlRoles = "push,read".parse().expect("they are roles");
        assert_eq!(roles.to_string(), "read,push");
        let may = ControlRole::ALL.map(|role| roles.includes(role));
        assert_eq!(may, [true, true, false, false, false]);
        for bad in ["", "change", "read,", "read, push", "Read"] {
            assert!(bad.parse::<ControlRoles>().is_err(), "{bad}");
        }
    }
}
