//! The configuration of the control API.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::roles::{ControlRole, ControlRoles};
use wireplug_base::units;
use wireplug_connectors::config::TlsConfig;

/// The control API, over HTTP. It shows what the server does; lists, swaps, tries and rolls back
/// codecs; and operates the server. What a client may do depends on its roles.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct ControlConfig {
    /// Where the control API listens: `unix:///PATH`, `https://IP:PORT` or `http://IP:PORT`. A
    /// plain `IP:PORT` means `http://IP:PORT`, and port 0 selects a free port. By default, the
    /// server listens on the Unix socket `wireplug/control.sock` in `$XDG_RUNTIME_DIR`. Without
    /// this variable, it listens on `wireplug-UID/control.sock` in the folder of temporary files.
    /// The commands look in the same places. On a Unix socket, the kernel tells the server the user
    /// of the client. Root and the server's own user have the role `admin`. All other users are
    /// refused unless `allow` names them. Over TCP, each request needs a token, also on loopback,
    /// or over TLS a certificate that `certificates` names. Over networks, use `https://`: without
    /// TLS, who can read the network can read the tokens, and the server logs a warning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "units::ControlAddress")]
    pub listen: Option<ControlAddress>,
    /// Other users of this machine who may connect to the Unix socket, each with their roles:
    /// `allow = [{ uid = 1001, roles = ["read"] }]`. This key needs `listen`, because only the
    /// server's user can enter the folder of the default socket.
    #[serde(default)]
    pub allow: Vec<LocalUser>,
    /// TLS, which `https://` needs. With `client-ca`, clients can show certificates in place of a
    /// token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "TlsConfig")]
    pub tls: Option<TlsConfig>,
    /// Clients that need no token, because they show a certificate, each with their roles:
    /// `certificates = [{ subject = "CN=ci", roles = ["trial"] }]`. This key needs `tls.client-ca`.
    /// A client with another certificate needs a token, and so does one without a certificate, if
    /// `tls.client-certificates` is `"optional"`.
    #[serde(default)]
    pub certificates: Vec<ControlCertificate>,
    /// A file with the tokens of clients over TCP; a path relative to the configuration file. Each
    /// line is `NAME ROLES TOKEN`, or `NAME ROLES TOKEN EXPIRES`. The name appears in the audit
    /// log. The roles have commas between them, such as `read,push`. The token has at least 16
    /// ASCII characters; `sha256:` and the SHA-256 of a token in hexadecimal may stand in its
    /// place. A token expires at a time such as `2027-01-31T06:00:00Z`, or at the beginning of a
    /// day such as `2027-01-31`, both in UTC. Lines that begin with `#` are comments. Other users
    /// must not be able to read the file. The server reads it at the start and at each reload.
    /// Without this key, each start generates a token with the role `admin` in a file of mode 0600,
    /// and prints the path of this file. The commands find the token there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PathBuf")]
    pub token_file: Option<PathBuf>,
    /// A file for the audit log; a path relative to the configuration file. The server appends one
    /// line of JSON for each change: who changed which codec, when, from which digest to which, the
    /// keys that have signed it, whether it was forced, and the outcome. The server creates the
    /// file with mode 0600. It creates the file again after the file was renamed, so that logs can
    /// be rotated. The log has the same lines, with the target `wireplug::audit`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PathBuf")]
    pub audit_log: Option<PathBuf>,
    /// The largest component that a client can send. Interpreters with their libraries have about
    /// 20 MB.
    #[serde(default = "max_upload", with = "units::size")]
    #[schemars(with = "units::PositiveSize")]
    pub max_upload: usize,
    /// The names of JSON fields whose values no trace of a session shows:
    /// `trace-mask = ["password", "token"]`. The values are hidden wherever such a field lies in a
    /// packet, if the protocol carries JSON as text. Packets that are saved as test vectors are
    /// complete, because they would not replay otherwise; with this key, only clients with the role
    /// `admin` get them.
    #[serde(default)]
    pub trace_mask: Vec<String>,
}

/// A user of this machine who may connect to the control API's Unix socket.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LocalUser {
    /// The number of the user, as `id -u` prints it.
    #[schemars(range(max = 4_294_967_294_u32))]
    pub uid: u32,
    /// What this user may do.
    #[schemars(with = "Vec<ControlRole>", length(min = 1))]
    pub roles: ControlRoles,
}

/// A client certificate that the control API accepts in place of a token.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ControlCertificate {
    /// The whole subject of the certificate in the form of RFC 4514, as `openssl x509 -noout
    /// -subject -nameopt RFC2253 -in FILE` prints it behind `subject=`. It appears in the audit
    /// log.
    pub subject: String,
    /// What a client with this certificate may do.
    #[schemars(with = "Vec<ControlRole>", length(min = 1))]
    pub roles: ControlRoles,
}

/// The address of a control API.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ControlAddress {
    /// A Unix socket: `unix:///PATH`.
    Unix(PathBuf),
    /// HTTP over TCP: `http://IP:PORT`.
    Http(SocketAddr),
    /// HTTP over TLS: `https://IP:PORT`.
    Https(SocketAddr),
}

impl ControlAddress {
    /// Returns the address of TCP, or `None` for a Unix socket.
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Unix(_) => None,
            Self::Http(address) | Self::Https(address) => Some(*address),
        }
    }

    /// Returns whether tokens for this address pass over networks where others can read them.
    #[cfg(any(feature = "control", test))]
    pub(crate) fn is_exposed(&self) -> bool {
        matches!(self, Self::Http(address) if !address.ip().to_canonical().is_loopback())
    }
}

/// The error for a text that is not the address of a control API.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not an address of the control API, such as unix:///run/wireplug/control.sock, http://127.0.0.1:3011 or \
     https://192.0.2.1:3011"
)]
pub struct BadControlAddress(String);

impl FromStr for ControlAddress {
    type Err = BadControlAddress;

    fn from_str(text: &str) -> Result<Self, BadControlAddress> {
        let bad = || BadControlAddress(text.to_owned());
        if let Some(path) = text.strip_prefix("unix://") {
            let path = Path::new(path);
            return if path.is_absolute() && path.file_name().is_some() {
                Ok(Self::Unix(path.to_owned()))
            } else {
                Err(bad())
            };
        }
        let (address, over): (_, fn(SocketAddr) -> Self) = match text.strip_prefix("https://") {
            Some(address) => (address, Self::Https),
            None => (text.strip_prefix("http://").unwrap_or(text), Self::Http),
        };
        address.strip_suffix('/').unwrap_or(address).parse().map(over).map_err(|_| bad())
    }
}

impl fmt::Display for ControlAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Http(address) => write!(f, "http://{address}"),
            Self::Https(address) => write!(f, "https://{address}"),
        }
    }
}

impl Serialize for ControlAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ControlAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

fn max_upload() -> usize {
    64 << 20
}

impl Default for ControlConfig {
    /// Returns a control API on the default Unix socket, for root and the server's own user.
    fn default() -> Self {
        Self {
            listen: None,
            tls: None,
            certificates: Vec::new(),
            allow: Vec::new(),
            token_file: None,
            audit_log: None,
            max_upload: max_upload(),
            trace_mask: Vec::new(),
        }
    }
}

impl ControlConfig {
    /// Creates a control API at this address, with the default limits.
    pub fn at(listen: ControlAddress) -> Self {
        Self { listen: Some(listen), ..Self::default() }
    }

    /// Returns the keys that have no effect together with `listen`, or without it, each with the
    /// reason.
    pub(crate) fn misfits(&self) -> Vec<(&'static str, &'static str)> {
        let is_tcp = self.listen.as_ref().is_some_and(|listen| listen.tcp().is_some());
        let is_tls = matches!(self.listen, Some(ControlAddress::Https(_)));
        let mut found = Vec::new();
        if !self.allow.is_empty() && is_tcp {
            found.push((
                "allow",
                "over TCP the server cannot know a client's user: give other users a token, or set `listen` to a \
                 Unix socket",
            ));
        }
        if !self.allow.is_empty() && self.listen.is_none() {
            found.push((
                "allow",
                "other users cannot enter the folder of the default socket: set `listen` to a Unix socket in a folder \
                 that they can enter, such as unix:///run/wireplug/control.sock",
            ));
        }
        if is_tls && self.tls.is_none() {
            found.push(("tls", "https:// needs this table, with a `certificate` and its `key`"));
        }
        if self.tls.is_some() && !is_tls {
            found.push(("tls", "it would have no effect: set `listen` to https://IP:PORT"));
        }
        if self.tls.as_ref().is_some_and(|tls| tls.starttls) {
            found.push(("tls", "`starttls` is for listeners at tcp://: leave it out"));
        }
        if !self.certificates.is_empty() && self.tls.as_ref().is_none_or(|tls| tls.client_ca.is_none()) {
            found.push((
                "certificates",
                "the server asks no client for a certificate: set `tls.client-ca` to the roots that issue them",
            ));
        }
        if self.token_file.is_some() && !is_tcp {
            found.push((
                "token-file",
                "tokens are for TCP; on a Unix socket the kernel tells the client's user: leave this key out, \
                 or set `listen` to https://IP:PORT or http://IP:PORT",
            ));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        for (text, shown) in [
            ("unix:///run/control.sock", "unix:///run/control.sock"),
            ("http://127.0.0.1:3011", "http://127.0.0.1:3011"),
            ("http://[::1]:3011/", "http://[::1]:3011"),
            ("127.0.0.1:3011", "http://127.0.0.1:3011"),
            ("https://127.0.0.1:3011", "https://127.0.0.1:3011"),
        ] {
            assert_eq!(
                text.parse::<ControlAddress>().map(|address| address.to_string()).as_deref(),
                Ok(shown)
            );
        }
        for (text, is_exposed) in [
            ("0.0.0.0:1", true),
            ("http://192.0.2.1:1", true),
            ("[::]:1", true),
            ("https://192.0.2.1:1", false),
            ("127.0.0.1:1", false),
            ("[::ffff:127.0.0.1]:1", false),
            ("unix:///run/control.sock", false),
        ] {
            assert_eq!(text.parse::<ControlAddress>().map(|it| it.is_exposed()), Ok(is_exposed), "{text}");
        }
        let bad = [
            "",
            "unix://run/control.sock",
            "unix:///",
            "https://localhost:1",
            "tls://127.0.0.1:1",
            "localhost:1",
            "3011",
        ];
        for text in bad {
            assert!(text.parse::<ControlAddress>().is_err(), "{text}");
        }
    }
}
