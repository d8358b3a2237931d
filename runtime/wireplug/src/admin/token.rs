//! The tokens of clients over TCP: read from files, or generated into one.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};

use crate::codec::Digest;
use crate::config::ControlRole;

/// The shortest token, in characters. A shorter one could be guessed.
const MIN_TOKEN: usize = 16;

/// The longest name of a token, in characters: it stands in each line of the audit log.
const MAX_NAME: usize = 32;

/// The bits of a file's mode that let other users read a token or write one of their own.
const OPEN_TO_OTHERS: u32 = 0o026;

/// The longest file of tokens, in bytes.
const MAX_FILE: u64 = 64 << 10;

/// The number of random bytes in a generated token.
const RANDOM: usize = 32;

/// The name of a generated token in the audit log.
const GENERATED: &str = "generated";

/// A token, of which only the digest is kept.
pub(super) struct Token {
    pub(super) name: String,
    pub(super) role: ControlRole,
    digest: Digest,
}

impl Token {
    /// Reads the tokens of a role from a file.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, other users can read or write it, or a line is
    /// not a valid token. The error never repeats a line.
    pub(super) fn read(file: &Path, role: ControlRole) -> anyhow::Result<Vec<Self>> {
        let read = || {
            let opened = File::open(file)?;
            let mode = opened.metadata()?.mode();
            ensure!(
                mode & OPEN_TO_OTHERS == 0,
                "other users can read or write it (mode {:o}): chmod 600 {}",
                mode & 0o777,
                file.display()
            );
            let mut text = String::new();
            opened.take(MAX_FILE).read_to_string(&mut text)?;
            parse(&text, role)
        };
        read().with_context(|| format!("the tokens of the control API in {}", file.display()))
    }

    /// Returns whether `given` is this token. Digests are compared, so the duration does not help
    /// to guess the token.
    pub(super) fn is(&self, given: &str) -> bool {
        Digest::of(given.as_bytes()) == self.digest
    }

    fn new(name: &str, role: ControlRole, token: &str) -> Self {
        Self { name: name.to_owned(), role, digest: Digest::of(token.as_bytes()) }
    }
}

/// Parses lines that have a token, or a name and a token.
fn parse(text: &str, role: ControlRole) -> anyhow::Result<Vec<Token>> {
    let mut tokens = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let words: Vec<_> = line.split_whitespace().collect();
        let unnamed = format!("line-{number}");
        let (name, token) = match words[..] {
            [] => continue,
            [token] => (&*unnamed, token),
            [name, token] => (name, token),
            _ => bail!("line {number} has more than a name and a token"),
        };
        ensure!(
            name.len() <= MAX_NAME
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)),
            "line {number}: a name has at most {MAX_NAME} letters, digits, `-`, `_` and `.`"
        );
        ensure!(
            token.len() >= MIN_TOKEN && token.bytes().all(|byte| byte.is_ascii_graphic()),
            "line {number}: a token is {MIN_TOKEN} characters of ASCII or more, without spaces; \
             `openssl rand -hex 32` makes one"
        );
        tokens.push(Token::new(name, role, token));
    }
    ensure!(!tokens.is_empty(), "there is no token in it: `openssl rand -hex 32` makes one");
    Ok(tokens)
}

/// A file with a generated token. It is removed when this is dropped.
pub(super) struct GeneratedFile {
    pub(super) path: PathBuf,
    /// Device and inode, which distinguish the file from that of another server. `None` if it is
    /// left to another process.
    identity: Option<(u64, u64)>,
}

impl GeneratedFile {
    /// Generates a token with the role `change`, and writes it into a file to which only this user
    /// has access. An older file is replaced. Only this user may have access to the folder.
    ///
    /// # Errors
    /// Returns an error if the system has no random bytes, or the file cannot be written.
    pub(super) fn create(path: &Path) -> anyhow::Result<(Self, Token)> {
        let create = || {
            let mut random = [0; RANDOM];
            getrandom::fill(&mut random)?;
            let mut token = String::new();
            for byte in random {
                write!(token, "{byte:02x}")?;
            }
            // A reader sees the old file or the new one, and never half of one.
            let unfinished = path.with_extension(format!("token.{}", std::process::id()));
            let _ = fs::remove_file(&unfinished);
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
            file.write_all(format!("{token}\n").as_bytes())?;
            let metadata = file.metadata()?;
            fs::rename(&unfinished, path)?;
            let generated = Self { path: path.to_owned(), identity: Some((metadata.dev(), metadata.ino())) };
            anyhow::Ok((generated, Token::new(GENERATED, ControlRole::Change, &token)))
        };
        create()
            .with_context(|| format!("cannot generate the token of the control API into {}", path.display()))
    }
}

impl GeneratedFile {
    /// Takes over the file of another process, with its token. Only this user may have access to
    /// the folder. The file is removed only after [`GeneratedFile::own`], because the other process
    /// may have to go on.
    ///
    /// # Errors
    /// Returns an error if there is no such file, or it has no token.
    pub(super) fn take_over(path: &Path) -> anyhow::Result<(Self, Token)> {
        let token = Token::read(path, ControlRole::Change)?.swap_remove(0);
        let file = Self { path: path.to_owned(), identity: None };
        Ok((file, Token { name: GENERATED.to_owned(), ..token }))
    }

    /// Has the file removed when this is dropped.
    pub(super) fn own(&mut self) {
        self.identity = identity(&self.path);
    }

    /// Leaves the file to another process.
    pub(super) fn leave(mut self) {
        self.identity = None;
    }
}

impl Drop for GeneratedFile {
    fn drop(&mut self) {
        if self.identity.is_some() && identity(&self.path) == self.identity {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino())).ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn lines_are_tokens_with_or_without_a_name() {
        let tokens = parse("0123456789abcdef\n\n ci  fedcba9876543210 \n", ControlRole::Read).unwrap();
        let names: Vec<_> = tokens.iter().map(|token| token.name.as_str()).collect();
        assert_eq!(names, ["line-1", "ci"]);
        assert!(tokens[0].is("0123456789abcdef") && tokens[1].is("fedcba9876543210"));
        assert!(!tokens[0].is("fedcba9876543210"));
    }

    #[test]
    fn what_is_no_token_is_reported_by_its_line_and_never_repeated() {
        for (text, wanted) in [
            ("", "no token in it"),
            ("\nsecret", "line 2: a token is 16 characters"),
            ("a b 0123456789abcdef", "line 1 has more"),
            ("n/a 0123456789abcdef", "line 1: a name has at most"),
            ("0123456789abcdé0123456", "line 1: a token is"),
        ] {
            let why = parse(text, ControlRole::Change).err().map(|error| error.to_string());
            assert!(why.as_deref().is_some_and(|why| why.contains(wanted)), "{text:?}: {why:?}");
            assert!(why.is_some_and(|why| !why.contains("secret") && !why.contains("abcd")), "{text:?}");
        }
    }

    #[test]
    fn a_generated_token_is_for_the_owner_alone_and_gone_with_the_server() {
        let folder = std::env::temp_dir().join(format!("wireplug-token-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
        let path = folder.join("control-1.token");
        let (first, _) = GeneratedFile::create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let text = fs::read_to_string(&path).unwrap();
        let (second, token) = GeneratedFile::create(&path).unwrap();
        // The first server ends, and leaves the file of the second.
        drop(first);
        let newer = fs::read_to_string(&path).unwrap();
        assert!(newer != text && newer.len() == 2 * RANDOM + 1);
        assert!(token.is(newer.trim()) && token.role == ControlRole::Change);
        drop(second);
        assert!(!path.exists());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_generated_token_is_the_same_in_the_process_that_takes_over() {
        let folder = std::env::temp_dir().join(format!("wireplug-token-moved-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
        let path = folder.join("control-1.token");
        assert!(GeneratedFile::take_over(&path).is_err());
        let (old, _) = GeneratedFile::create(&path).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let (failed, _) = GeneratedFile::take_over(&path).unwrap();
        drop(failed);
        let (mut new, token) = GeneratedFile::take_over(&path).unwrap();
        assert!(token.is(text.trim()) && token.name == GENERATED && token.role == ControlRole::Change);
        old.leave();
        assert!(path.exists());
        new.own();
        drop(new);
        assert!(!path.exists());
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let path = std::env::temp_dir().join(format!("wireplug-tokens-{}", std::process::id()));
        fs::write(&path, "0123456789abcdef").unwrap();
        for (mode, is_taken) in [(0o600, true), (0o640, true), (0o644, false), (0o620, false)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(Token::read(&path, ControlRole::Read).is_ok(), is_taken, "{mode:o}");
        }
        fs::remove_file(&path).unwrap();
    }
}
