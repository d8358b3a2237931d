//! Options that contain secrets, and the removal of secrets from texts.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use memchr::memmem;

/// The length in bytes from which each line of a secret with several lines is also removed by
/// itself. A shorter line, such as the first line of PEM, may occur in any text.
const MIN_LINE: usize = 16;

/// A text to remove, and the text that replaces it.
#[derive(Clone, PartialEq, Eq)]
struct Quote {
    text: String,
    /// The reference to the secret, as JSON: `{"env":"NAME"}`.
    reference: String,
}

impl Quote {
    /// Returns all forms in which a text may quote a secret.
    fn all(secret: &str, reference: &str) -> Vec<Self> {
        let lines = secret.lines().filter(|line| line.len() >= MIN_LINE);
        let texts = [secret].into_iter().chain(lines).flat_map(quoted);
        texts.map(|text| Self { text, reference: reference.to_owned() }).collect()
    }
}

/// Returns a text as it is, and as JSON and Rust escape it.
fn quoted(text: &str) -> [String; 4] {
    let json = serde_json::Value::from(text).to_string();
    [
        text.to_owned(),
        json[1..json.len() - 1].to_owned(),
        text.escape_debug().to_string(),
        text.escape_default().to_string(),
    ]
}

/// The secrets among a codec's options. They are removed from the codec's text before it is shown
/// or logged. This helps if a codec quotes a wrong key in an error. It cannot stop a codec that
/// reveals a secret on purpose, in parts or in another encoding.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets(Option<Arc<[Quote]>>);

impl Secrets {
    /// Creates the secrets. Each is a pair of the secret and the text that replaces it, such as
    /// `{"env":"NAME"}`.
    pub fn new<'a>(secrets: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self::of(secrets.into_iter().flat_map(|(secret, reference)| Quote::all(secret, reference)).collect())
    }

    fn of(mut quotes: Vec<Quote>) -> Self {
        // The longest quote comes first: if a part of it were replaced first, the rest would
        // remain.
        quotes.sort_unstable_by(|a, b| b.text.len().cmp(&a.text.len()).then_with(|| a.text.cmp(&b.text)));
        quotes.dedup_by(|a, b| a.text == b.text);
        Self((!quotes.is_empty()).then(|| quotes.into()))
    }

    /// Returns whether there are no secrets.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Returns the secrets of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self.0, other.0) {
            (Some(one), Some(other)) => Self::of(one.iter().chain(&*other).cloned().collect()),
            (one, other) => Self(one.or(other)),
        }
    }

    /// Returns the text with each secret replaced by its reference. The text must not be cut
    /// before, or the beginning of a secret could remain.
    pub fn redact<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        let mut text = Cow::Borrowed(text);
        for Quote { text: quote, reference } in self.0.iter().flat_map(|quotes| quotes.iter()) {
            if let Some(redacted) = replaced(&text, quote.as_bytes(), reference.as_bytes()) {
                text = Cow::Owned(redacted);
            }
        }
        text
    }
}

/// Returns the text with each `part` replaced, or `None` if the text does not contain it.
fn replaced(text: &[u8], part: &[u8], by: &[u8]) -> Option<Vec<u8>> {
    let mut replaced = Vec::new();
    let mut end = 0;
    for start in memmem::find_iter(text, part) {
        replaced.extend_from_slice(&text[end..start]);
        replaced.extend_from_slice(by);
        end = start + part.len();
    }
    (end > 0).then(|| {
        replaced.extend_from_slice(&text[end..]);
        replaced
    })
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "none" } else { "some" })
    }
}

/// The options that a codec gets: a JSON object in which the secrets have replaced their
/// references.
#[derive(Clone, PartialEq, Eq)]
pub struct ResolvedOptions {
    json: Arc<str>,
    secrets: Secrets,
}

impl ResolvedOptions {
    /// Creates options from a JSON text and the secrets in it.
    pub fn new(json: String, secrets: Secrets) -> Self {
        Self { json: json.into(), secrets }
    }

    /// Returns the JSON text. Only the codec may get it.
    pub fn expose(&self) -> &str {
        &self.json
    }

    /// Returns the secrets among the options.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }
}

/// Creates options without secrets from a JSON text. References to secrets are not resolved.
impl From<String> for ResolvedOptions {
    fn from(json: String) -> Self {
        Self { json: json.into(), secrets: Secrets::default() }
    }
}

/// Creates options without secrets from a JSON text. References to secrets are not resolved.
impl From<&str> for ResolvedOptions {
    fn from(json: &str) -> Self {
        json.to_owned().into()
    }
}

impl fmt::Debug for ResolvedOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResolvedOptions").field("secrets", &self.secrets).finish_non_exhaustive()
    }
}
