//! The credentials for a registry, in the files that `docker login`, `podman login` and others
//! write.

use std::collections::BTreeMap;
use std::env;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use oci_client::Reference;
use oci_client::secrets::RegistryAuth;
use serde::Deserialize;

/// The largest file of credentials, in bytes. One entry has some 100.
const MAX_FILE: u64 = 1 << 20;

/// A file of credentials. Other keys are those of other programs.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Credentials {
    auths: BTreeMap<String, Entry>,
    /// The helper for registries that have none of their own.
    creds_store: Option<String>,
    cred_helpers: BTreeMap<String, String>,
}

/// The credentials for a registry. An entry without any means that a helper has them.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
}

/// Returns the credentials for a reference: those of the first file that has some.
///
/// # Errors
/// Returns an error if a file cannot be read, or if a program has the credentials.
pub(super) fn find(reference: &Reference) -> anyhow::Result<RegistryAuth> {
    for path in paths() {
        let text = match read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => {
                return Err(
                    anyhow!(error).context(format!("cannot read the credentials in {}", path.display()))
                );
            }
        };
        let found = of_text(&text, reference);
        if let Some(found) = found.with_context(|| format!("the credentials in {}", path.display()))? {
            return Ok(found);
        }
    }
    Ok(RegistryAuth::Anonymous)
}

/// Returns the files that may have credentials, in the order in which they are read.
fn paths() -> Vec<PathBuf> {
    let folder = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let docker = folder("DOCKER_CONFIG").or_else(|| Some(env::home_dir()?.join(".docker")));
    [
        folder("REGISTRY_AUTH_FILE"),
        folder("XDG_RUNTIME_DIR").map(|folder| folder.join("containers/auth.json")),
        docker.map(|folder| folder.join("config.json")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_FILE + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE {
        return Err(io::Error::other(format!("it is larger than {MAX_FILE} bytes")));
    }
    Ok(text)
}

/// Returns the credentials for a reference in the text of a file, if there are some.
fn of_text(text: &str, reference: &Reference) -> anyhow::Result<Option<RegistryAuth>> {
    // The cause would show a part of the text, which is secret.
    let Ok(credentials) = serde_json::from_str::<Credentials>(text) else { bail!("this is no such JSON") };
    let registry = reference.registry();
    if let Some(helper) = credentials.cred_helpers.get(registry) {
        return Err(has_helper(registry, helper));
    }
    // The most specific entry counts: some programs write entries for parts of a registry.
    let entry =
        credentials.auths.iter().filter(|(key, _)| is_for(key, reference)).max_by_key(|(key, _)| key.len());
    match (entry, credentials.creds_store) {
        (None, _) => Ok(None),
        (Some((_, entry)), helper) => match (entry.decoded()?, helper) {
            (Some(auth), _) => Ok(Some(auth)),
            (None, Some(helper)) => Err(has_helper(registry, &helper)),
            (None, None) => Ok(None),
        },
    }
}

fn has_helper(registry: &str, helper: &str) -> anyhow::Error {
    anyhow!(
        "the program docker-credential-{helper} has those for {registry}, and wireplug runs no such programs: write an \
         entry `auth` for {registry}, as `docker login` does without a helper"
    )
}

/// Returns whether an entry is for a reference. Its key is a registry, a part of one, or a URL.
fn is_for(key: &str, reference: &Reference) -> bool {
    let key = key.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/');
    let key = key.strip_suffix("/v1").or_else(|| key.strip_suffix("/v2")).unwrap_or(key);
    let registry = match reference.registry() {
        "docker.io" => reference.resolve_registry(),
        registry => registry,
    };
    let whole = format!("{registry}/{}", reference.repository());
    let key = if key == "docker.io" { "index.docker.io" } else { key };
    whole.strip_prefix(key).is_some_and(|rest| rest.starts_with('/') || rest.is_empty())
}

impl Entry {
    fn decoded(&self) -> anyhow::Result<Option<RegistryAuth>> {
        if let (Some(user), Some(password)) = (&self.username, &self.password) {
            return Ok(Some(RegistryAuth::Basic(user.clone(), password.clone())));
        }
        if self.identitytoken.is_some() {
            bail!(
                "they are an identity token, which wireplug cannot use: log in with a password or an access token"
            );
        }
        let Some(auth) = self.auth.as_ref().filter(|auth| !auth.is_empty()) else { return Ok(None) };
        let text = STANDARD.decode(auth).ok().and_then(|text| String::from_utf8(text).ok());
        let pair = text.as_deref().and_then(|text| text.split_once(':'));
        ensure!(pair.is_some(), "an entry `auth` is `USER:PASSWORD` in base64");
        Ok(pair.map(|(user, password)| RegistryAuth::Basic(user.to_owned(), password.to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn found(text: &Value, registry: &str) -> anyhow::Result<Option<RegistryAuth>> {
        let reference = Reference::with_tag(registry.to_owned(), "team/chat".to_owned(), "1".to_owned());
        of_text(&text.to_string(), &reference)
    }

    fn basic(user: &str, password: &str) -> Option<RegistryAuth> {
        Some(RegistryAuth::Basic(user.to_owned(), password.to_owned()))
    }

    #[test]
    fn the_entry_of_the_registry_counts() {
        let auth = |text: &str| json!({ "auth": STANDARD.encode(text) });
        let text = json!({
            "auths": {
                "one.example": auth("ann:a:b"),
                "https://two.example/v2/": auth("bob:secret"),
                "three.example/team": auth("team:t"),
                "three.example": auth("all:a"),
                "three.example/tea": auth("no:no"),
                "https://index.docker.io/v1/": auth("docker:d"),
                "plain.example:5000": { "username": "eve", "password": "p" },
                "empty.example": {},
            },
            "HttpHeaders": { "User-Agent": "other" },
        });
        for (registry, wanted) in [
            ("one.example", basic("ann", "a:b")),
            ("two.example", basic("bob", "secret")),
            ("three.example", basic("team", "t")),
            ("docker.io", basic("docker", "d")),
            ("plain.example:5000", basic("eve", "p")),
            ("plain.example", None),
            ("empty.example", None),
            ("one.example.org", None),
        ] {
            assert_eq!(found(&text, registry).expect(registry), wanted, "{registry}");
        }
        assert_eq!(found(&json!({}), "one.example").expect("it has no entries"), None);
    }

    #[test]
    fn what_cannot_be_used_is_said_without_the_secrets() {
        for (text, why) in [
            (json!({ "auths": { "r": { "auth": "c2VjcmV0" } } }), "`USER:PASSWORD` in base64"),
            (json!({ "auths": { "r": { "auth": "secret" } } }), "`USER:PASSWORD` in base64"),
            (json!({ "auths": { "r": { "identitytoken": "secret" } } }), "identity token"),
            (json!({ "auths": { "r": {} }, "credsStore": "pass" }), "docker-credential-pass"),
            (json!({ "credHelpers": { "r": "ecr-login" } }), "docker-credential-ecr-login"),
            (json!({ "auths": ["secret"] }), "no such JSON"),
        ] {
            let error = format!("{:#}", found(&text, "r").expect_err(why));
            assert!(error.contains(why) && !error.contains("secret"), "{why}: {error}");
        }
        // A helper that has nothing for the registry is no hindrance.
        assert_eq!(found(&json!({ "credsStore": "pass" }), "r").expect("nothing is there"), None);
    }
}
