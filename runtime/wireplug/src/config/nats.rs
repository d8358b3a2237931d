//! The configuration of NATS.

#[cfg(feature = "nats")]
use std::path::Path;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use wireplug_base::units;

/// NATS. Over NATS, services answer requests, and nodes find each other: `docs/nats.md`. With this
/// table, the services in `[services.NAME]` are the whole application. Those without a `url` are
/// behind NATS.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NatsConfig {
    /// Servers of one NATS system, each `nats://HOST:PORT`, or `tls://HOST:PORT` where TLS is a
    /// must. They are tried in this order, and the first that lets the node in is taken; when a
    /// connection is lost, again from the first on. Without credentials: those stand in files of
    /// their own.
    #[schemars(with = "Vec<units::NatsServer>", length(min = 1))]
    pub servers: Vec<String>,
    /// The beginning of all subjects. Nodes with the same prefix work as one server.
    #[serde(default = "prefix")]
    #[schemars(with = "units::SubjectPrefix")]
    pub prefix: String,
    /// The beginning of the subjects on which this node hears replies. NATS permissions can then
    /// tell the replies to nodes from those to other programs.
    #[serde(default = "inbox_prefix")]
    #[schemars(with = "units::SubjectPrefix")]
    pub inbox_prefix: String,
    /// The beginning of the name of this node. Random letters and digits follow, so that each start
    /// creates a new node. The default is the name of the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "units::NodeName")]
    pub node: Option<String>,
    /// A file with the credentials of a user, as `nsc` writes it (`.creds`); a path relative to the
    /// configuration file, like those below. Let no other user read the file. The node reads all
    /// these files at each connect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PathBuf")]
    pub credentials_file: Option<PathBuf>,
    /// A file with an authorization token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PathBuf")]
    pub token_file: Option<PathBuf>,
    /// The name of a user. The password of the user is in `password-file`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub user: Option<String>,
    /// A file with the password of `user`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PathBuf")]
    pub password_file: Option<PathBuf>,
    /// A PEM file with the root certificates for the servers. It replaces the root certificates of
    /// the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PathBuf")]
    pub ca_file: Option<PathBuf>,
    /// A PEM file with the certificate of this node, for servers that ask for one. The key of the
    /// certificate is in `key-file`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PathBuf")]
    pub certificate_file: Option<PathBuf>,
    /// A PEM file with the key of `certificate-file`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PathBuf")]
    pub key_file: Option<PathBuf>,
}

fn prefix() -> String {
    "wireplug".to_owned()
}

fn inbox_prefix() -> String {
    "_INBOX".to_owned()
}

impl NatsConfig {
    /// Creates a configuration for this server, `nats://HOST:PORT`, with the defaults.
    pub fn at(server: &str) -> Self {
        Self {
            servers: vec![server.to_owned()],
            prefix: prefix(),
            inbox_prefix: inbox_prefix(),
            node: None,
            credentials_file: None,
            token_file: None,
            user: None,
            password_file: None,
            ca_file: None,
            certificate_file: None,
            key_file: None,
        }
    }

    /// Returns whether it names files.
    pub fn has_files(&self) -> bool {
        self.files().iter().any(|(_, file)| file.is_some())
    }

    /// Returns its files with their keys.
    pub(crate) fn files(&self) -> [(&'static str, Option<&PathBuf>); 6] {
        [
            ("credentials-file", self.credentials_file.as_ref()),
            ("token-file", self.token_file.as_ref()),
            ("password-file", self.password_file.as_ref()),
            ("ca-file", self.ca_file.as_ref()),
            ("certificate-file", self.certificate_file.as_ref()),
            ("key-file", self.key_file.as_ref()),
        ]
    }

    /// Returns the same configuration with its paths, which are relative to `directory`, made
    /// complete.
    #[cfg(feature = "nats")]
    pub(crate) fn within(&self, directory: &Path) -> Self {
        let whole = |path: &Option<PathBuf>| path.as_ref().map(|path| directory.join(path));
        Self {
            credentials_file: whole(&self.credentials_file),
            token_file: whole(&self.token_file),
            password_file: whole(&self.password_file),
            ca_file: whole(&self.ca_file),
            certificate_file: whole(&self.certificate_file),
            key_file: whole(&self.key_file),
            ..self.clone()
        }
    }
}
