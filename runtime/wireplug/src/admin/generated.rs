//! A token that is generated into a file at the start.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

use super::token::{self, Token};

/// The number of random bytes in a generated token.
const RANDOM: usize = 32;

/// A file with a generated token. It is removed when this is dropped.
pub(super) struct GeneratedFile {
    pub(super) path: PathBuf,
    /// Device and inode, which distinguish the file from that of another server. `None` if it is
    /// left to another process.
    identity: Option<(u64, u64)>,
}

impl GeneratedFile {
    /// Generates a token with the role `admin`, and writes it into a file to which only this user
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
            anyhow::Ok((generated, Token::generated(&token)))
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
        let shown = path.display();
        let text = token::read(path).with_context(|| format!("the generated token in {shown}"))?;
        let token = text.trim();
        ensure!(!token.is_empty(), "there is no token in {shown}");
        Ok((Self { path: path.to_owned(), identity: None }, Token::generated(token)))
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
    use super::*;
    use crate::config::ControlRole;

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
        assert!(token.is(newer.trim()) && token.roles == ControlRole::Admin.into());
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
        assert!(
            token.is(text.trim()) && token.name == "generated" && token.roles == ControlRole::Admin.into()
        );
        old.leave();
        assert!(path.exists());
        new.own();
        drop(new);
        assert!(!path.exists());
        fs::remove_dir_all(&folder).unwrap();
    }
}
