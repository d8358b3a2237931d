//! References to what is in registries.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use super::RegistryError;
use crate::codec::Digest;

/// The beginning of a reference.
const SCHEME: &str = "oci://";

/// A reference: `oci://REGISTRY/REPOSITORY`, with a tag, a digest, both or neither.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reference {
    oci: oci_client::Reference,
    /// Whether the text has a tag or a digest. The library knows the tag `latest` otherwise.
    has_version: bool,
}

impl Reference {
    /// Parses a reference. The registry must be written: there is no default one.
    pub(super) fn parse(text: &str) -> Result<Self, RegistryError> {
        let wrong = |why: &str| Self::error(text, why);
        let rest = text.strip_prefix(SCHEME).ok_or_else(|| wrong("it does not begin so"))?;
        let (registry, path) = rest.split_once('/').ok_or_else(|| wrong("it names no repository"))?;
        if !is_host(registry) {
            return Err(wrong("the registry is a host, and may have a port: HOST:PORT"));
        }
        // With a host that cannot be taken for a part of the repository.
        let parsed: oci_client::Reference =
            format!("registry.invalid/{path}").parse().map_err(|error| wrong(&format!("{error}")))?;
        let (registry, repository) = (registry.to_owned(), parsed.repository().to_owned());
        let (tag, digest) = (parsed.tag().map(str::to_owned), parsed.digest().map(str::to_owned));
        if let Some(digest) = &digest {
            let is_sha256 = |digest: &str| {
                let hex = digest.strip_prefix("sha256:").unwrap_or_default();
                hex.parse().is_ok_and(|digest: Digest| digest.to_string() == hex)
            };
            if !is_sha256(digest) {
                return Err(wrong("a digest is `sha256:` and 64 hexadecimal digits in lower case"));
            }
        }
        // Neither can be in the name of a repository.
        let has_version = path.contains([':', '@']);
        let oci = match (tag, digest) {
            (Some(tag), Some(digest)) => {
                oci_client::Reference::with_tag_and_digest(registry, repository, tag, digest)
            }
            (None, Some(digest)) => oci_client::Reference::with_digest(registry, repository, digest),
            (tag, None) => oci_client::Reference::with_tag(registry, repository, tag.unwrap_or_default()),
        };
        Ok(Self { oci, has_version })
    }

    /// Returns the reference as the library has it.
    pub(super) fn oci(&self) -> &oci_client::Reference {
        &self.oci
    }

    pub(super) fn registry(&self) -> &str {
        self.oci.registry()
    }

    /// Returns the last part of the repository's name.
    pub(super) fn name(&self) -> &str {
        let repository = self.oci.repository();
        repository.rsplit_once('/').map_or(repository, |(_, name)| name)
    }

    /// Returns whether it has a tag or a digest.
    pub(super) fn has_version(&self) -> bool {
        self.has_version
    }

    pub(super) fn digest(&self) -> Option<&str> {
        self.oci.digest()
    }

    /// Returns whether it means one version, which never changes.
    pub(super) fn has_digest(&self) -> bool {
        self.digest().is_some()
    }

    /// Returns whether the registry is on this machine.
    pub(super) fn is_loopback(&self) -> bool {
        let (host, _) = host_and_port(self.registry());
        let host = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    /// Returns the same reference with a digest.
    pub(super) fn at(&self, digest: &str) -> String {
        let oci = &self.oci;
        let (registry, repository) = (oci.registry(), oci.repository());
        match oci.tag() {
            Some(tag) => format!("{SCHEME}{registry}/{repository}:{tag}@{digest}"),
            None => format!("{SCHEME}{registry}/{repository}@{digest}"),
        }
    }

    /// Returns the error for a reference that is not one for its purpose.
    pub(super) fn wrong(&self, why: &str) -> RegistryError {
        Self::error(&self.to_string(), why)
    }

    fn error(text: &str, why: &str) -> RegistryError {
        RegistryError::Reference(format!(
            "{text:?} is not `{SCHEME}REGISTRY/REPOSITORY:TAG` or `{SCHEME}REGISTRY/REPOSITORY@sha256:…`: {why}"
        ))
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.digest() {
            Some(digest) => f.write_str(&self.at(digest)),
            None => {
                write!(f, "{SCHEME}{}/{}", self.oci.registry(), self.oci.repository())?;
                let tag = self.oci.tag().filter(|_| self.has_version);
                tag.map_or(Ok(()), |tag| write!(f, ":{tag}"))
            }
        }
    }
}

/// Splits `HOST:PORT`. The host may be an IPv6 address in brackets.
fn host_and_port(text: &str) -> (&str, Option<&str>) {
    let end = text.rfind(']').map_or(0, |end| end + 1);
    match text[end..].rsplit_once(':') {
        Some((host, port)) => (&text[..end + host.len()], Some(port)),
        None => (text, None),
    }
}

fn is_host(text: &str) -> bool {
    let (host, port) = host_and_port(text);
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte))
    };
    let is_host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => is_name(host),
    };
    is_host && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn references_are_written_as_they_are_read() {
        for text in [
            "oci://registry/team/chat:1.4",
            "oci://registry.example:5000/chat:latest",
            "oci://[::1]:5000/a/b/c:v1",
            "oci://127.0.0.1/chat",
            &format!("oci://registry/team/chat@{DIGEST}"),
            &format!("oci://registry/team/chat:1.4@{DIGEST}"),
        ] {
            assert_eq!(Reference::parse(text).expect(text).to_string(), text);
        }
        let reference = Reference::parse("oci://registry:5000/team/chat:1.4").expect("it is one");
        let oci = reference.oci();
        assert_eq!(
            (oci.registry(), oci.repository(), oci.tag()),
            ("registry:5000", "team/chat", Some("1.4"))
        );
        assert_eq!(reference.name(), "chat");
        assert_eq!(reference.at(DIGEST), format!("oci://registry:5000/team/chat:1.4@{DIGEST}"));
        assert!(!Reference::parse("oci://registry/chat").expect("it is one").has_version());
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        for (text, why) in [
            ("registry/chat:1", "it does not begin so"),
            ("oci://registry", "it names no repository"),
            ("oci:///chat:1", "the registry is a host"),
            ("oci://user@registry/chat:1", "the registry is a host"),
            ("oci://registry:0/chat:1", "the registry is a host"),
            ("oci://[::g]/chat:1", "the registry is a host"),
            ("oci://registry/Chat:1", "invalid"),
            ("oci://registry/chat:1 2", "invalid"),
            ("oci://registry/chat@sha256:12", "invalid"),
            ("oci://registry/../x:1", "invalid"),
        ] {
            let error = Reference::parse(text).expect_err(text).to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn registries_on_this_machine_are_known() {
        let is_loopback = |registry: &str| {
            Reference::parse(&format!("oci://{registry}/chat:1")).expect(registry).is_loopback()
        };
        for registry in ["localhost", "localhost:5000", "127.0.0.1", "127.9.9.9:1", "[::1]:5000", "[::1]"] {
            assert!(is_loopback(registry), "{registry}");
        }
        for registry in ["registry", "localhost.example", "128.0.0.1:5000", "[::2]:5000", "127.0.0.1.example"]
        {
            assert!(!is_loopback(registry), "{registry}");
        }
    }
}
