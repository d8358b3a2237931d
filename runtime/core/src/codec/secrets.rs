//! Options with secrets in them, and texts from which secrets are taken out.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use memchr::memmem;

/// A line of a secret with several is taken out by itself if it has so many bytes: a shorter one,
/// as the first line of PEM, may be a part of any text.
const MIN_LINE: usize = 16;

/// A text that is taken out, and what is shown in its place.
#[derive(Clone, PartialEq, Eq)]
struct Quote {
    text: String,
    /// Where the secret is, as JSON: `{"env":"NAME"}`.
    reference: String,
}

impl Quote {
    /// All ways in which a text may quote a secret.
    fn all(secret: &str, reference: &str) -> Vec<Self> {
        let lines = secret.lines().filter(|line| line.len() >= MIN_LINE);
        let texts = [secret].into_iter().chain(lines).flat_map(quoted);
        texts.map(|text| Self { text, reference: reference.to_owned() }).collect()
    }
}

/// A text as it is, and as JSON and Rust quote it.
fn quoted(text: &str) -> [String; 4] {
    let json = serde_json::Value::from(text).to_string();
    [
        text.to_owned(),
        json[1..json.len() - 1].to_owned(),
        text.escape_debug().to_string(),
        text.escape_default().to_string(),
    ]
}

/// The secrets among a codec's options. They are taken out of what the codec says before people or
/// logs see it. That catches a codec that quotes a wrong key in an error; it cannot stop one that
/// wants to give a secret away, in parts or in another encoding.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets(Option<Arc<[Quote]>>);

impl Secrets {
    /// Creates the secrets, each with the text that is shown in its place, such as
    /// `{"env":"NAME"}`.
    pub fn new<'a>(secrets: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self::of(secrets.into_iter().flat_map(|(secret, reference)| Quote::all(secret, reference)).collect())
    }

    fn of(mut quotes: Vec<Quote>) -> Self {
        // The longest first: what is a part of it would leave the rest.
        quotes.sort_unstable_by(|a, b| b.text.len().cmp(&a.text.len()).then_with(|| a.text.cmp(&b.text)));
        quotes.dedup_by(|a, b| a.text == b.text);
        Self((!quotes.is_empty()).then(|| quotes.into()))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// These and those.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self.0, other.0) {
            (Some(one), Some(other)) => Self::of(one.iter().chain(&*other).cloned().collect()),
            (one, other) => Self(one.or(other)),
        }
    }

    /// Returns a text with the reference in the place of each secret. To be called before the text
    /// is cut, or the beginning of a secret would stay.
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

/// The text with each `part` replaced; none where there is none.
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

/// What a codec is configured with: a JSON object, in which secrets are what they stand for.
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

    /// The JSON text. For the codec, and for nobody else.
    pub fn expose(&self) -> &str {
        &self.json
    }

    /// The secrets among them.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }
}

/// Options without secrets, as a JSON text. References to secrets are not looked for.
impl From<String> for ResolvedOptions {
    fn from(json: String) -> Self {
        Self { json: json.into(), secrets: Secrets::default() }
    }
}

/// Options without secrets, as a JSON text. References to secrets are not looked for.
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
