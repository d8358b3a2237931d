//! The clients that the control API knows: those with a token or a certificate, and the users of
//! this machine.

use std::path::{Path, PathBuf};

use tracing::info;

use super::ControlError;
use super::token::Token;
use crate::config::{ControlCertificate, ControlConfig, ControlRole, ControlRoles, LocalUser};
use wireplug_connectors::certificates::Expiry;

/// The user ID of root, which may do everything on its machine anyway.
const ROOT: u32 = 0;

/// How clients are authenticated.
pub(super) enum Clients {
    /// Over TCP.
    Remote(Remote),
    /// By their user, which the kernel reports.
    Users(Users),
}

/// The clients over TCP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Remote {
    pub(super) tokens: Vec<Token>,
    /// The file of the tokens. `None` if the server has generated the only one.
    file: Option<PathBuf>,
    certificates: Vec<ControlCertificate>,
}

/// The users of this machine who may connect.
pub(super) struct Users {
    /// The server's own user.
    pub(super) own: u32,
    pub(super) allowed: Vec<LocalUser>,
}

impl Remote {
    /// Reads the clients of a configuration. Returns `None` if it has no file of tokens. Relative
    /// paths in the configuration are relative to `directory`.
    ///
    /// # Errors
    /// Returns an error if the file of tokens cannot be used.
    pub(super) fn read(config: &ControlConfig, directory: &Path) -> Result<Option<Self>, ControlError> {
        let Some(file) = config.token_file.as_ref().map(|file| directory.join(file)) else { return Ok(None) };
        let tokens = Token::read(&file).map_err(|error| ControlError::Tokens(error.into()))?;
        Ok(Some(Self { tokens, file: Some(file), certificates: config.certificates.clone() }))
    }

    /// Returns the clients of a configuration without a file of tokens: those with the token that
    /// the server has generated, and those with certificates.
    pub(super) fn generated(token: Token, config: &ControlConfig) -> Self {
        Self { tokens: vec![token], file: None, certificates: config.certificates.clone() }
    }

    /// Reads the clients of a changed configuration. A generated token stays.
    ///
    /// # Errors
    /// Returns an error if the file of tokens cannot be used.
    pub(super) fn reread(self, config: &ControlConfig, directory: &Path) -> Result<Self, ControlError> {
        let read = Self::read(config, directory)?;
        Ok(read.unwrap_or_else(|| Self { certificates: config.certificates.clone(), ..self }))
    }

    /// Returns the roles of clients with a certificate that has this subject, or `None` if the
    /// configuration does not name it.
    pub(super) fn roles_of(&self, subject: &str) -> Option<ControlRoles> {
        let named = self.certificates.iter().filter(|certificate| certificate.subject == subject);
        named.map(|certificate| certificate.roles.clone()).reduce(|roles, more| roles.and(&more))
    }

    /// Returns when the tokens expire.
    pub(super) fn expiries(&self) -> Vec<Expiry> {
        let Some(file) = &self.file else { return Vec::new() };
        let expiry = |token: &Token| {
            let expires = token.expires?.unix_duration().as_secs();
            Some(Expiry { key: "token-file", file: file.clone(), token: Some(token.name.clone()), expires })
        };
        self.tokens.iter().filter_map(expiry).collect()
    }

    /// Logs by their names which tokens a reload has changed.
    pub(super) fn log_changes(&self, before: &Self) {
        if self.tokens == before.tokens {
            return;
        }
        let names = |of: &Self, differs: &dyn Fn(&Token) -> bool| {
            let names: Vec<_> =
                of.tokens.iter().filter(|token| differs(token)).map(|it| it.name.clone()).collect();
            (!names.is_empty()).then(|| names.join(" "))
        };
        let new = names(self, &|token| !before.tokens.contains(token));
        let gone = names(before, &|token| !self.tokens.contains(token));
        info!(new, gone, "the tokens of the control API were replaced");
    }
}

impl Users {
    /// Returns the roles of a user, or `None` if the user is refused.
    pub(super) fn roles_of(&self, uid: u32) -> Option<ControlRoles> {
        if uid == ROOT || uid == self.own {
            return Some(ControlRole::Admin.into());
        }
        let allowed = self.allowed.iter().filter(|user| user.uid == uid);
        allowed.map(|user| user.roles.clone()).reduce(|roles, more| roles.and(&more))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_have_the_roles_that_are_configured() {
        let roles = |text: &str| text.parse::<ControlRoles>().unwrap();
        let user = |uid, text| LocalUser { uid, roles: roles(text) };
        let allowed = vec![user(1001, "read"), user(1002, "push"), user(1002, "trial"), user(0, "read")];
        let users = Users { own: 1000, allowed };
        let found = [0, 1000, 1001, 1002, 1003, u32::MAX].map(|uid| users.roles_of(uid));
        let wanted = [Some("admin"), Some("admin"), Some("read"), Some("push,trial"), None, None]
            .map(|it| it.map(roles));
        assert_eq!(found, wanted);
    }
}
