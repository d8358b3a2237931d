//! Trust: whose codecs a server loads.
//!
//! A codec that comes from a file, from memory or through the control API is trusted if one of the
//! keys in [`Trust`] has signed it. Built-in codecs and native codecs are part of the program, and
//! are trusted as it is.

use std::fmt::Write as _;
use std::path::Path;

use tracing::warn;

use crate::config::{Key, Problem, Problems, TrustConfig};
pub use wireplug_wasm::signature::{
    Fingerprint, KeyError, PrivateKey, PublicKey, SignatureError, Signatures,
};

/// The keys of those whose codecs a server loads, and whether it loads others too. By default there
/// are no keys, and the server loads every codec.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Trust {
    keys: Vec<TrustedKey>,
    require: bool,
}

/// A public key with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
struct TrustedKey {
    name: String,
    key: PublicKey,
}

/// Who vouches for a codec.
#[derive(Clone, Debug, Default)]
pub(crate) struct Signers {
    /// Whether the codec is part of the program.
    by_program: bool,
    /// The trusted keys that have signed the codec.
    trusted: Vec<TrustedKey>,
    /// The ids of other keys that are said to have signed it.
    others: Vec<String>,
    /// Why no trusted key has signed it.
    problem: Option<String>,
}

impl Trust {
    /// Requires that one of the keys has signed each codec. Without a key, no codec is loaded.
    pub fn required() -> Self {
        Self { keys: Vec::new(), require: true }
    }

    /// Adds a key. The name stands in the status of the codecs that it has signed, and in the audit
    /// log.
    pub fn key(mut self, name: &str, key: PublicKey) -> Self {
        self.keys.push(TrustedKey { name: name.to_owned(), key });
        self
    }

    /// Reads the keys of a configuration whose paths are relative to `directory`. Warns of files
    /// that other users can write.
    pub(crate) fn of(config: &TrustConfig, directory: &Path) -> Result<Self, Problems> {
        let TrustConfig { require, keys } = config;
        let (mut trust, mut list) = (Self { keys: Vec::new(), require: *require }, Vec::new());
        for (name, config) in keys {
            match config.read(directory) {
                Ok((key, doubts)) => {
                    for doubt in doubts {
                        warn!(key = name, file = ?config.file, warning = %doubt, "others can replace a trusted key");
                    }
                    trust = trust.key(name, key);
                }
                Err(unreadable) => {
                    let key = Key::default().name("trust").name("keys").name(name);
                    list.push(Problem { position: None, key, what: unreadable.what });
                }
            }
        }
        if list.is_empty() { Ok(trust) } else { Err(Problems { file: None, list }) }
    }

    /// Finds out who signed a component. Compiles nothing of it.
    pub(crate) fn signers(&self, wasm: &[u8]) -> Signers {
        let signatures = match Signatures::of(wasm) {
            Ok(signatures) => signatures,
            Err(error) => return Signers { problem: Some(error.to_string()), ..Signers::default() },
        };
        let claims = signatures.claims();
        let trusted: Vec<_> =
            self.keys.iter().filter(|trusted| signatures.is_signed_by(&trusted.key)).cloned().collect();
        let is_known = |claim: &String| trusted.iter().any(|trusted| trusted.fingerprint() == *claim);
        let claimed = claims.iter().map(|claim| self.name_of(claim)).collect::<Vec<_>>().join(" and ");
        let problem = if !trusted.is_empty() {
            None
        } else if signatures.is_empty() {
            Some("it is not signed".to_owned())
        } else if signatures.is_changed() {
            Some(format!("it was changed after it was signed, as it says by {claimed}"))
        } else if claims.iter().any(|claim| self.keys.iter().any(|key| key.fingerprint() == *claim)) {
            Some(format!("its signature, as it says by {claimed}, is not valid"))
        } else {
            Some(format!("it is signed by a key that is not trusted, as it says {claimed}"))
        };
        let others = match signatures.is_changed() {
            true => Vec::new(),
            false => claims.iter().filter(|claim| !is_known(claim)).cloned().collect(),
        };
        Signers { by_program: false, trusted, others, problem }
    }

    /// Checks whether a codec may be loaded: a trusted key has signed it, or need not have.
    ///
    /// # Errors
    /// Returns why the codec is refused: what is wrong, which keys are trusted, and what to do.
    pub(crate) fn admits(&self, signers: &Signers) -> Result<(), String> {
        match self.doubt(signers) {
            Some(why) if self.require => Err(why),
            _ => Ok(()),
        }
    }

    /// Does the same as [`Trust::admits`], and warns of a codec that is loaded although no trusted
    /// key has signed it.
    pub(crate) fn check(&self, codec: &str, signers: &Signers) -> Result<(), String> {
        self.admits(signers)?;
        if let Some(why) = self.doubt(signers) {
            warn!(slot = codec, warning = why, "a codec is loaded that no trusted key has signed");
        }
        Ok(())
    }

    /// Warns of a codec that runs, and would not be loaded now.
    pub(crate) fn warn_of_running(&self, codec: &str, signers: &Signers) {
        if let Err(why) = self.admits(signers) {
            warn!(slot = codec, warning = why, "a codec runs on that would not be loaded any more");
        }
    }

    /// Returns why no key that is trusted now vouches for a codec. Returns `None` if one does, or
    /// if nobody asks for it.
    fn doubt(&self, signers: &Signers) -> Option<String> {
        let Signers { by_program, trusted, problem, .. } = signers;
        if *by_program || (self.keys.is_empty() && !self.require) {
            return None;
        }
        if trusted.iter().any(|signer| self.keys.iter().any(|key| key.key == signer.key)) {
            return None;
        }
        let why = problem.clone().unwrap_or_else(|| {
            let names: Vec<_> = trusted.iter().map(|key| &*key.name).collect();
            format!("the key that has signed it, {}, is not trusted any more", names.join(" and "))
        });
        Some(format!("{why}. {}", self.advice()))
    }

    fn advice(&self) -> String {
        let mut text = "A codec needs the signature of one of these keys:".to_owned();
        for (at, key) in self.keys.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            // Writing to a string cannot fail.
            let _ = write!(text, "{comma} {} ({})", key.name, key.fingerprint());
        }
        if self.keys.is_empty() {
            text += " none is trusted";
        }
        text + ". `wireplug codec sign` signs a file; `trust.keys` in the configuration names the keys"
    }

    /// Returns the name of the key with a fingerprint, and the fingerprint.
    fn name_of(&self, fingerprint: &str) -> String {
        match self.keys.iter().find(|key| key.fingerprint() == fingerprint) {
            Some(key) => format!("{} ({fingerprint})", key.name),
            None => fingerprint.to_owned(),
        }
    }
}

impl TrustedKey {
    fn fingerprint(&self) -> String {
        self.key.fingerprint().to_string()
    }
}

impl Signers {
    /// The codec is part of the program.
    pub(crate) fn program() -> Self {
        Self { by_program: true, ..Self::default() }
    }

    /// Returns the names of the trusted keys that have signed the codec. The others follow, as
    /// `unknown:` and the id that the signature gives its key.
    pub(crate) fn names(&self) -> Vec<String> {
        let trusted = self.trusted.iter().map(|key| key.name.clone());
        trusted.chain(self.others.iter().map(|id| format!("unknown:{id}"))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0\x00\x0b\x04note hello";

    fn key() -> PrivateKey {
        PrivateKey::generate().expect("there are random bytes")
    }

    fn refused(trust: &Trust, wasm: &[u8]) -> String {
        trust.check("chat", &trust.signers(wasm)).expect_err("it is refused")
    }

    #[test]
    fn errors_say_whose_signature_it_is_and_which_keys_are_trusted() {
        let (release, ci, stranger) = (key(), key(), key());
        let trust = Trust::required().key("release", release.public()).key("ci", ci.public());
        let (release_id, ci_id) = (release.public().fingerprint(), ci.public().fingerprint());
        let keys = format!(
            ". A codec needs the signature of one of these keys: release ({release_id}), ci ({ci_id}). "
        );
        let why = refused(&trust, COMPONENT);
        assert!(
            why.starts_with(&format!("it is not signed{keys}`wireplug codec sign` signs a file")),
            "{why}"
        );
        let strange = stranger.sign(COMPONENT).expect("it can be signed");
        let id = stranger.public().fingerprint();
        let why = refused(&trust, &strange);
        assert!(
            why.starts_with(&format!("it is signed by a key that is not trusted, as it says {id}{keys}")),
            "{why}"
        );
        assert_eq!(trust.signers(&strange).names(), [format!("unknown:{id}")]);
        let mut changed = release.sign(COMPONENT).expect("it can be signed");
        *changed.last_mut().expect("it is not empty") = b'!';
        let why = refused(&trust, &changed);
        let wanted =
            format!("it was changed after it was signed, as it says by release ({release_id}){keys}");
        assert!(why.starts_with(&wanted), "{why}");
        assert!(trust.signers(&changed).names().is_empty());
        // The last byte of the section is the last one of the signature.
        let mut forged = release.sign(COMPONENT).expect("it can be signed");
        let last = forged.len() - (COMPONENT.len() - 8) - 1;
        forged[last] ^= 1;
        let why = refused(&trust, &forged);
        let wanted = format!("its signature, as it says by release ({release_id}), is not valid{keys}");
        assert!(why.starts_with(&wanted), "{why}");
        assert!(refused(&Trust::required(), COMPONENT).contains("these keys: none is trusted. "));
        let why = refused(&trust, b"(module)");
        assert!(why.starts_with(&format!("it is not a WebAssembly component{keys}")), "{why}");
    }

    #[test]
    fn one_trusted_key_is_enough_and_all_signers_are_named() {
        let (release, ci, stranger) = (key(), key(), key());
        let trust = Trust::required().key("release", release.public()).key("ci", ci.public());
        let signed = stranger.sign(&ci.sign(COMPONENT).expect("it is signed")).expect("it is signed");
        let signers = trust.signers(&signed);
        assert_eq!(trust.check("chat", &signers), Ok(()));
        assert_eq!(
            signers.names(),
            ["ci".to_owned(), format!("unknown:{}", stranger.public().fingerprint())]
        );
        // A key that is taken out while the codec loads.
        let later = Trust::required().key("release", release.public());
        let why = later.check("chat", &signers).expect_err("it is not trusted any more");
        assert!(why.starts_with("the key that has signed it, ci, is not trusted any more. "), "{why}");
    }

    #[test]
    fn what_is_not_required_is_loaded_and_named() {
        let (release, stranger) = (key(), key());
        let trust = Trust { require: false, ..Trust::required().key("release", release.public()) };
        let signed = stranger.sign(COMPONENT).expect("it is signed");
        for wasm in [COMPONENT, &signed, b"(module)"] {
            let signers = trust.signers(wasm);
            assert_eq!(trust.check("chat", &signers), Ok(()));
            assert!(trust.doubt(&signers).is_some());
        }
        let program = Signers::program();
        assert!(trust.doubt(&program).is_none() && program.names().is_empty());
        assert_eq!(Trust::required().check("chat", &program), Ok(()));
        assert!(Trust::default().doubt(&Trust::default().signers(COMPONENT)).is_none());
    }
}
