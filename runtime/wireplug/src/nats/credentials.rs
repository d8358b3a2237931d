//! The credentials with which a node authenticates to NATS.
//!
//! Their files are read at each connect, so rotated credentials take effect at the next connect.
//! (The client library itself reads the TLS files at each connect.)

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, bail};
use async_nats::Auth;
use nkeys::KeyPair;
use tracing::warn;

use crate::config::NatsConfig;
use wireplug_base::ownership::{self, SecretFile};

/// The largest file with a secret, in bytes. Credentials have about 1 KiB, and a key in PEM has up
/// to about 12 KiB.
const MAX_SECRET: u64 = 1 << 20;

/// The files with which a node authenticates to NATS.
pub(super) struct Credentials {
    config: NatsConfig,
    /// The last warning about each file. A warning is logged when it changes, and not at each
    /// connect.
    warned: Mutex<BTreeMap<PathBuf, String>>,
}

impl Credentials {
    pub(super) fn new(config: &NatsConfig) -> Self {
        Self { config: config.clone(), warned: Mutex::default() }
    }

    /// Reads the files, and signs the NATS server's nonce if there is a credentials file. Blocks on
    /// the disk.
    ///
    /// # Errors
    /// Returns an error if a file cannot be read, or does not hold what the configuration says. The
    /// error never quotes the file.
    pub(super) fn read(&self, nonce: &[u8]) -> anyhow::Result<Auth> {
        let mut auth = Auth::new();
        let config = &self.config;
        if let Some(file) = &config.credentials_file {
            let credentials = self.secret(file)?;
            let (jwt, key) = parse(&credentials)
                .with_context(|| format!("{} holds no NATS credentials", file.display()))?;
            auth.signature =
                Some(key.sign(nonce).with_context(|| format!("the key in {} cannot sign", file.display()))?);
            auth.jwt = Some(jwt.to_owned());
        }
        if let Some(file) = &config.token_file {
            auth.token = Some(self.secret(file)?);
        }
        if let (Some(user), Some(file)) = (&config.user, &config.password_file) {
            (auth.username, auth.password) = (Some(user.clone()), Some(self.secret(file)?));
        }
        if let Some(file) = &config.key_file {
            // The client library reads the key. It is read here only to check the file, and to
            // warn.
            self.secret(file)?;
        }
        Ok(auth)
    }

    /// Reads a file with a secret, and logs a warning if other users can read or change the file.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, is larger than [`MAX_SECRET`], or is not UTF-8.
    fn secret(&self, file: &Path) -> anyhow::Result<String> {
        let read = || -> anyhow::Result<_> {
            let SecretFile { content, warning } = ownership::read_secret(file, MAX_SECRET)?;
            self.warn(file, warning);
            // The error of the conversion would show the content.
            String::from_utf8(content).ok().context("it is not UTF-8 text")
        };
        let text = read().with_context(|| format!("cannot read {}", file.display()))?;
        Ok(text.trim().to_owned())
    }

    fn warn(&self, file: &Path, warning: Option<String>) {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        match warning {
            Some(warning) if warned.get(file) == Some(&warning) => {}
            Some(warning) => {
                warn!(warning, "a secret of NATS is not kept");
                warned.insert(file.to_owned(), warning);
            }
            None => drop(warned.remove(file)),
        }
    }
}

/// Returns the JWT of a user and the key that belongs to it from a file that `nsc` wrote. Each
/// stands alone on a line, between a line of dashes above it and one below it.
///
/// # Errors
/// Returns an error if one of them is missing, or the key is invalid.
fn parse(credentials: &str) -> anyhow::Result<(&str, KeyPair)> {
    let is_mark = |line: &str| line.starts_with("---") && line.ends_with("---");
    let lines: Vec<&str> = credentials.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let mut parts = lines.windows(3).filter_map(|lines| match *lines {
        [begin, part, end] if is_mark(begin) && !is_mark(part) && is_mark(end) => Some(part),
        _ => None,
    });
    let (Some(jwt), Some(seed)) = (parts.next(), parts.next()) else {
        bail!("they have a USER JWT and a USER NKEY SEED, each between two lines of dashes");
    };
    // The library's error might show a part of the seed.
    let key = KeyPair::from_seed(seed).ok().context("its USER NKEY SEED is none")?;
    Ok((jwt, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_read_as_nsc_writes_them() {
        let key = KeyPair::new_user();
        let seed = key.seed().unwrap();
        let text = format!(
            "-----BEGIN NATS USER JWT-----\r\neyJ0eXAi.e30.x-_\r\n------END NATS USER JWT------\r\n\n\
             ************************* IMPORTANT *************************\nNKEYs are sensitive.\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n\n****\n"
        );
        let (jwt, read) = parse(&text).unwrap();
        assert_eq!((jwt, read.public_key()), ("eyJ0eXAi.e30.x-_", key.public_key()));
        for wrong in ["", "a token", &text[..80], &text.replace(&seed, "SUANOSEED")] {
            let error = format!("{:#}", parse(wrong).expect_err("it is refused"));
            assert!(!error.contains("SUANOSEED") && !error.contains("eyJ0"), "{error}");
        }
    }
}
