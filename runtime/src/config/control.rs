//! The configuration of the control API.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use wireplug_base::units;

/// The control API: HTTP, by which codecs are listed, swapped, tried and rolled back. Clients with the role `change`
/// can replace the codecs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct ControlConfig {
    /// Where it listens: `unix:///PATH` or `http://IP:PORT`; a plain `IP:PORT` means the latter, and port 0 takes a
    /// free one. Unless it is set, the server listens on the Unix socket `wireplug/control.sock` in `$XDG_RUNTIME_DIR`,
    /// or without that variable on `wireplug-UID/control.sock` in the folder of temporary files; the commands look for
    /// it there too. On a Unix socket the kernel tells the client's user: root and the server's own user have the role
    /// `change`, all others are refused unless `allow` names them. Over TCP each request needs a token, on
    /// loopback too. It speaks no TLS: let a tunnel or a proxy that does carry it over networks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "units::ControlAddress")]
    pub listen: Option<ControlAddress>,
    /// Other users of this machine who may connect to the Unix socket, each with a role:
    /// `allow = [{ uid = 1001, role = "read" }]`. Needs `listen`: the default socket is in a folder that only the
    /// server's user can enter.
    #[serde(default)]
    pub allow: Vec<LocalUser>,
    /// A file with the tokens of clients over TCP that have the role `change`; a path relative to the configuration
    /// file. Each line is a token of 16 ASCII characters or more, or a name and a token; the name appears in the audit
    /// log. Other users must not be able to read the file. It is read at the start. Unless it is set, each start
    /// generates a token in a file of mode 0600, prints the path of that file, and the commands find it there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PathBuf")]
    pub token_file: Option<PathBuf>,
    /// The same for clients over TCP that have the role `read`: they list nodes and codecs, and change nothing. Unless
    /// it is set, there are no such clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PathBuf")]
    pub read_token_file: Option<PathBuf>,
    /// A file to which each change is appended as one line of JSON: who changed which codec, when, from which digest
    /// to which, forced or not, and the outcome. A path relative to the configuration file. The server creates it with
    /// mode 0600, and creates it again after it was renamed, so that logs can be rotated. The log has the same lines, with
    /// the target `wireplug::audit`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PathBuf")]
    pub audit_log: Option<PathBuf>,
    /// The largest component that can be sent. Interpreters with their libraries have some 20 MB.
    #[serde(default = "max_upload", with = "units::size")]
    #[schemars(with = "units::PositiveSize")]
    pub max_upload: usize,
}

/// A user of this machine who may connect to the control API's Unix socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LocalUser {
    /// The number of the user, as `id -u` prints it.
    #[schemars(range(max = 4_294_967_294_u32))]
    pub uid: u32,
    /// What this user may do.
    pub role: ControlRole,
}

/// What a client of the control API may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ControlRole {
    /// List nodes and codecs.
    Read,
    /// Everything: also swap, try, promote, roll back and reload codecs.
    Change,
}

impl ControlRole {
    /// Whether a client with this role may do what needs `needed`.
    pub fn includes(self, needed: Self) -> bool {
        match self {
            Self::Change => true,
            Self::Read => needed == Self::Read,
        }
    }

    /// The name, as a configuration has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Change => "change",
        }
    }
}

/// Where a control API listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ControlAddress {
    /// A Unix socket: `unix:///PATH`.
    Unix(PathBuf),
    /// HTTP over TCP: `http://IP:PORT`.
    Http(SocketAddr),
}

/// A text that is not the address of a control API.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not an address of the control API, such as unix:///run/wireplug/control.sock or http://127.0.0.1:3011"
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
        let address = text.strip_prefix("http://").unwrap_or(text);
        address.strip_suffix('/').unwrap_or(address).parse().map(Self::Http).map_err(|_| bad())
    }
}

impl fmt::Display for ControlAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Http(address) => write!(f, "http://{address}"),
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
    /// On the default Unix socket, for root and the server's own user.
    fn default() -> Self {
        Self {
            listen: None,
            allow: Vec::new(),
            token_file: None,
            read_token_file: None,
            audit_log: None,
            max_upload: max_upload(),
        }
    }
}

impl ControlConfig {
    /// At this address, with the default limits.
    pub fn at(listen: ControlAddress) -> Self {
        Self { listen: Some(listen), ..Self::default() }
    }

    /// The keys that have no effect beside `listen`, or not without it, each with the reason.
    pub(crate) fn misfits(&self) -> Vec<(&'static str, &'static str)> {
        let is_tcp = matches!(self.listen, Some(ControlAddress::Http(_)));
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
        for (key, file) in [("token-file", &self.token_file), ("read-token-file", &self.read_token_file)] {
            if file.is_some() && !is_tcp {
                found.push((
                    key,
                    "tokens are for TCP; on a Unix socket the kernel tells the client's user: leave this key out, \
                     or set `listen` to http://IP:PORT",
                ));
            }
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
        ] {
            assert_eq!(
                text.parse::<ControlAddress>().map(|address| address.to_string()).as_deref(),
                Ok(shown)
            );
        }
        let bad = ["", "unix://run/control.sock", "unix:///", "https://127.0.0.1:1", "localhost:1", "3011"];
        for text in bad {
            assert!(text.parse::<ControlAddress>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_role_includes_itself_and_change_includes_all() {
        use ControlRole::{Change, Read};
        assert!(Change.includes(Read) && Change.includes(Change) && Read.includes(Read));
        assert!(!Read.includes(Change));
    }
}
