//! The tokens of clients over TCP, as a file lists them.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context as _, anyhow, bail, ensure};
use x509_cert::der::DateTime;

use crate::codec::Digest;
use crate::config::{ControlRole, ControlRoles};

/// The shortest token, in characters. A shorter one could be guessed.
const MIN_TOKEN: usize = 16;

/// The longest name of a token, in characters: it stands in each line of the audit log.
const MAX_NAME: usize = 32;

/// The bits of a file's mode that let other users read a token or write one of their own.
const OPEN_TO_OTHERS: u32 = 0o026;

/// The longest file of tokens, in bytes.
const MAX_FILE: u64 = 64 << 10;

/// The name of a generated token in the audit log.
const GENERATED: &str = "generated";

/// What stands before a digest in the place of a token.
const DIGEST: &str = "sha256:";

/// A token, of which only the digest is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) name: String,
    pub(super) roles: ControlRoles,
    pub(super) digest: Digest,
    pub(super) expires: Option<DateTime>,
}

impl Token {
    /// Reads the tokens in a file.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, other users can read or write it, or a line is
    /// not a valid token. The error names the line and never repeats it.
    pub(super) fn read(file: &Path) -> anyhow::Result<Vec<Self>> {
        let tokens = read(file).and_then(|text| parse(&text));
        tokens.with_context(|| format!("the tokens of the control API in {}", file.display()))
    }

    /// Returns the token that the server has generated.
    pub(super) fn generated(token: &str) -> Self {
        let digest = Digest::of(token.as_bytes());
        Self { name: GENERATED.to_owned(), roles: ControlRole::Admin.into(), digest, expires: None }
    }

    /// Returns whether `given` is this token. Digests are compared, so the duration does not help
    /// to guess the token.
    pub(super) fn is(&self, given: &str) -> bool {
        Digest::of(given.as_bytes()) == self.digest
    }

    /// Returns why the token is not accepted any more, if it has expired.
    pub(super) fn expired(&self, now: SystemTime) -> Option<String> {
        let expires = self.expires.filter(|expires| expires.to_system_time() <= now)?;
        Some(format!("the token {} expired at {expires}: replace it in `token-file` of [control]", self.name))
    }
}

/// Reads a file to which no other user has access.
///
/// # Errors
/// Returns an error if the file cannot be read or is too large, or other users can read or write
/// it.
pub(super) fn read(file: &Path) -> anyhow::Result<String> {
    let opened = File::open(file)?;
    let mode = opened.metadata()?.mode();
    ensure!(
        mode & OPEN_TO_OTHERS == 0,
        "other users can read or write it (mode {:o}): chmod 600 {}",
        mode & 0o777,
        file.display()
    );
    let mut text = String::new();
    opened.take(MAX_FILE + 1).read_to_string(&mut text)?;
    ensure!(text.len() as u64 <= MAX_FILE, "it is larger than {} KiB", MAX_FILE >> 10);
    Ok(text)
}

/// Parses lines with a name, roles, a token, and perhaps the time when the token expires. No error
/// repeats a word: in a line with a mistake, any of them may be the token.
fn parse(text: &str) -> anyhow::Result<Vec<Token>> {
    let mut tokens: Vec<(usize, Token)> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let words: Vec<_> = line.split_whitespace().collect();
        let (name, roles, token, expires) = match words[..] {
            [] => continue,
            [first, ..] if first.starts_with('#') => continue,
            [name, roles, token] => (name, roles, token, None),
            [name, roles, token, expires] => (name, roles, token, Some(expires)),
            _ => bail!("line {number}: a line is NAME ROLES TOKEN, or NAME ROLES TOKEN EXPIRES"),
        };
        ensure!(
            name.len() <= MAX_NAME
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)),
            "line {number}: a name has at most {MAX_NAME} letters, digits, `-`, `_` and `.`"
        );
        let roles = roles.parse().map_err(|_| {
            anyhow!(
                "line {number}: the second word is no role: the roles are read, push, trial, swap and admin, several \
                 with commas between them"
            )
        })?;
        let digest = digest(token).with_context(|| format!("line {number}"))?;
        let expires = expires.map(time).transpose().with_context(|| format!("line {number}"))?;
        for (other, token) in &tokens {
            ensure!(token.name != name, "line {number} has the name of line {other}: each token has its own");
            ensure!(token.digest != digest, "line {number} has the token of line {other}: each has its own");
        }
        tokens.push((number, Token { name: name.to_owned(), roles, digest, expires }));
    }
    ensure!(!tokens.is_empty(), "there is no token in it: `openssl rand -hex 32` makes one");
    Ok(tokens.into_iter().map(|(_, token)| token).collect())
}

/// Returns the digest of a token, or the digest that stands in its place.
fn digest(token: &str) -> anyhow::Result<Digest> {
    if let Some(digest) = token.strip_prefix(DIGEST) {
        return Ok(digest.parse()?);
    }
    ensure!(
        token.len() >= MIN_TOKEN && token.bytes().all(|byte| byte.is_ascii_graphic()),
        "a token is {MIN_TOKEN} characters of ASCII or more, without spaces; `openssl rand -hex 32` makes one"
    );
    Ok(Digest::of(token.as_bytes()))
}

/// Parses a time of RFC 3339 in UTC, or a day, which stands for its beginning.
fn time(text: &str) -> anyhow::Result<DateTime> {
    let parsed = text.parse().or_else(|_| format!("{text}T00:00:00Z").parse());
    parsed.map_err(|_| {
        anyhow!("a token expires at a time in UTC, such as 2027-01-31T06:00:00Z, or at the beginning of a day, such as 2027-01-31")
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn lines_are_names_roles_and_tokens() {
        let digest = Digest::of(b"a token that is nowhere");
        let text = format!(
            "# people\nann admin 0123456789abcdef\n\n ci  trial,push fedcba9876543210 2027-01-31 \n\
             bob read sha256:{digest} 2027-01-31T06:00:00Z"
        );
        let tokens = parse(&text).unwrap();
        let shown = tokens.iter().map(|token| (token.name.as_str(), token.roles.to_string()));
        let shown: Vec<_> = shown.collect();
        let wanted = [("ann", "admin"), ("ci", "push,trial"), ("bob", "read")];
        assert_eq!(shown, wanted.map(|(name, roles)| (name, roles.to_owned())));
        assert!(tokens[0].is("0123456789abcdef") && tokens[1].is("fedcba9876543210"));
        assert!(!tokens[0].is("fedcba9876543210"));
        assert!(tokens[2].is("a token that is nowhere") && !tokens[2].is(&format!("sha256:{digest}")));
    }

    #[test]
    fn a_token_expires_at_its_time() {
        let tokens = parse(
            "a read 0123456789abcdef 2027-01-31\nb read 1123456789abcdef 2027-01-31T00:00:01Z\n\
             c read 2123456789abcdef",
        );
        let tokens = tokens.unwrap();
        // 2027-01-31T00:00:00Z
        let day = UNIX_EPOCH + Duration::from_secs(1_801_353_600);
        let expired =
            |now| -> Vec<bool> { tokens.iter().map(|token| token.expired(now).is_some()).collect() };
        assert_eq!(expired(day - Duration::from_millis(1)), [false, false, false]);
        assert_eq!(expired(day), [true, false, false]);
        assert_eq!(expired(day + Duration::from_secs(1)), [true, true, false]);
        let why = tokens[1].expired(day + Duration::from_secs(1)).unwrap();
        assert!(why.starts_with("the token b expired at 2027-01-31T00:00:01Z: "), "{why}");
    }

    #[test]
    fn what_is_no_token_is_reported_by_its_line_and_never_repeated() {
        for (text, wanted) in [
            ("", "no token in it"),
            ("# secret admin 0123456789abcdef", "no token in it"),
            ("\na admin secret", "line 2: a token is 16 characters"),
            ("0123456789abcdef", "line 1: a line is NAME ROLES TOKEN, or NAME ROLES TOKEN EXPIRES"),
            ("a 0123456789abcdef", "line 1: a line is NAME ROLES TOKEN"),
            ("a read 0123456789abcdef 2027-01-31 x", "line 1: a line is"),
            ("a 0123456789abcdef 2027-01-31", "line 1: the second word is no role"),
            ("n/a read 0123456789abcdef", "line 1: a name has at most"),
            ("a read 0123456789abcdé0123456", "line 1: a token is"),
            ("a read sha256:0123456789abcdef", "line 1: a digest has 64 hex digits"),
            ("a read 0123456789abcdef 0123456789abcdef", "line 1: a token expires at a time in UTC"),
            ("a read 0123456789abcdef 2027-02-29", "line 1: a token expires at a time in UTC"),
            ("a read 0123456789abcdef 2027-01-31T06:00:00+01:00", "line 1: a token expires"),
            ("a read 0123456789abcdef\n#\na push 1123456789abcdef", "line 3 has the name of line 1"),
            ("a read 0123456789abcdef\nb push 0123456789abcdef", "line 2 has the token of line 1"),
        ] {
            let why = parse(text).err().map(|error| format!("{error:#}"));
            assert!(why.as_deref().is_some_and(|why| why.contains(wanted)), "{text:?}: {why:?}");
            assert!(why.is_some_and(|why| !why.contains("secret") && !why.contains("89abcd")), "{text:?}");
        }
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let path = std::env::temp_dir().join(format!("wireplug-tokens-{}", std::process::id()));
        fs::write(&path, "ann read 0123456789abcdef").unwrap();
        for (mode, is_taken) in [(0o600, true), (0o640, true), (0o644, false), (0o620, false)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(Token::read(&path).is_ok(), is_taken, "{mode:o}");
        }
        fs::remove_file(&path).unwrap();
    }
}
