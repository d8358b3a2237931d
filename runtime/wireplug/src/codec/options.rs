//! A codec's options, and the secrets among them.
//!
//! Two types keep references and secrets apart. [`Options`] are the options as they were given. In
//! them, a secret is a reference to its place, so they may be shown, logged and kept.
//! [`ResolvedOptions`] contain the secrets, and configure a codec. They are never shown or written
//! anywhere.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use serde_json::{Map, Value};

use wireplug_base::ownership;
use wireplug_core::codec::{ResolvedOptions, SecretReference, Secrets, member_place};

/// The largest secret, in bytes. A chain of certificates with its key has some 10 KiB.
const MAX_SECRET: usize = 64 << 10;

/// A codec's options as they were given: a JSON object whose keys the codec defines.
///
/// Anywhere within it, an object whose only key is `env` or `file`, with a text as its value, is a
/// reference to a secret: `{"env": "NAME"}` is the value of an environment variable, and
/// `{"file": "PATH"}` is the content of a file. The codec gets the secret in place of the reference
/// each time it is loaded. Options are always shown with the reference.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    value: Value,
    directory: PathBuf,
}

impl Options {
    /// Resolves the paths of secrets relative to this directory, instead of the current one.
    #[must_use]
    pub fn within(mut self, directory: &Path) -> Self {
        directory.clone_into(&mut self.directory);
        self
    }

    /// Returns the options, with references in place of secrets.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// Returns the options for test vectors, as JSON: with the application's routes, and with the
    /// text `secret` in the place of each secret.
    pub(crate) fn recorded(&self, routes: &[Arc<str>]) -> String {
        fn without_secrets(value: &Value) -> Value {
            match value {
                value if SecretReference::of(value).is_some() => Value::from("secret"),
                Value::Object(members) => {
                    members.iter().map(|(name, value)| (name.clone(), without_secrets(value))).collect()
                }
                Value::Array(items) => items.iter().map(without_secrets).collect(),
                value => value.clone(),
            }
        }
        let Value::Object(options) = &self.value else { return "{}".to_owned() };
        // The object itself is never a reference.
        let options = options.iter().map(|(name, value)| (name.clone(), without_secrets(value))).collect();
        options_with_routes(options, routes)
    }

    /// Reads the secrets, and adds the application's routes.
    ///
    /// # Errors
    /// Returns an error if the options are not an object, or a secret is missing, empty, too large
    /// or not text. The error names the option, and never contains a secret.
    pub(crate) fn resolve(&self, routes: &[Arc<str>]) -> anyhow::Result<Resolution> {
        let Value::Object(options) = &self.value else {
            bail!("a codec's options are a JSON object, and not {}", self.value);
        };
        let mut resolving =
            Resolving { directory: &self.directory, secrets: Vec::new(), warnings: Vec::new() };
        // The object itself is never a reference, because a codec may have a single option that is
        // called `file`.
        let options = resolving.members(options, "options")?;
        let Resolving { secrets, warnings, .. } = resolving;
        let json = options_with_routes(options, routes);
        let secrets = Secrets::new(secrets.iter().map(|(secret, reference)| (&**secret, &**reference)));
        Ok(Resolution { options: ResolvedOptions::new(json, secrets), warnings })
    }
}

impl From<Value> for Options {
    /// Creates options whose paths of secrets are relative to the current directory.
    fn from(value: Value) -> Self {
        Self { value, directory: PathBuf::new() }
    }
}

impl fmt::Display for Options {
    /// Writes the options as JSON, with references in place of secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

/// The result of resolving options.
pub(crate) struct Resolution {
    pub(crate) options: ResolvedOptions,
    /// Warnings about files of secrets that other users can read, with what to do.
    pub(crate) warnings: Vec<String>,
}

/// The state while options are resolved.
struct Resolving<'a> {
    directory: &'a Path,
    secrets: Vec<(String, String)>,
    warnings: Vec<String>,
}

impl Resolving<'_> {
    fn members(&mut self, members: &Map<String, Value>, place: &str) -> anyhow::Result<Map<String, Value>> {
        let resolve = |(key, value): (&String, &Value)| {
            Ok((key.clone(), self.value(value, &member_place(place, key))?))
        };
        members.iter().map(resolve).collect()
    }

    fn value(&mut self, value: &Value, place: &str) -> anyhow::Result<Value> {
        if let Some(reference) = SecretReference::of(value) {
            let secret = self.read(reference).with_context(|| place.to_owned())?;
            self.secrets.push((secret.clone(), value.to_string()));
            return Ok(Value::String(secret));
        }
        Ok(match value {
            Value::Object(members) => Value::Object(self.members(members, place)?),
            Value::Array(items) => {
                let resolve = |(index, item)| self.value(item, &format!("{place}[{index}]"));
                Value::Array(items.iter().enumerate().map(resolve).collect::<Result<_, _>>()?)
            }
            value => value.clone(),
        })
    }

    fn read(&mut self, reference: SecretReference<'_>) -> anyhow::Result<String> {
        let (secret, what) = match reference {
            SecretReference::Env(name) => {
                let what = format!("the environment variable {name:?}");
                let value = std::env::var_os(name).with_context(|| {
                    format!("{what} is not set: set it where the server starts, or name another")
                })?;
                // The error of a conversion would show the value.
                (value.into_string().ok(), what)
            }
            SecretReference::File(path) => {
                let path = self.directory.join(path);
                let what = format!("the file {}", path.display());
                let read = ownership::read_secret(&path, MAX_SECRET as u64);
                let read = read.with_context(|| format!("{what} cannot be read"))?;
                self.warnings.extend(read.warning);
                (String::from_utf8(read.content).ok().map(without_newline), what)
            }
        };
        let secret = secret.with_context(|| format!("{what} is not UTF-8 text"))?;
        ensure!(!secret.is_empty(), "{what} is empty");
        ensure!(secret.len() <= MAX_SECRET, "{what} is larger than {MAX_SECRET} bytes");
        Ok(secret)
    }
}

/// Removes the line break that editors and `echo` write after a secret.
fn without_newline(mut secret: String) -> String {
    if secret.ends_with('\n') {
        secret.pop();
        if secret.ends_with('\r') {
            secret.pop();
        }
    }
    secret
}

/// Adds the application's routes to a codec's options, unless the options contain `routes`, as the
/// contract with codecs says.
pub(super) fn options_with_routes(mut options: Map<String, Value>, routes: &[Arc<str>]) -> String {
    options.entry("routes").or_insert_with(|| routes.iter().map(|route| Value::from(&**route)).collect());
    Value::Object(options).to_string()
}
