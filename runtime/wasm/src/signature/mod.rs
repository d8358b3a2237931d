//! Signatures in components: who vouches for the bytes of a codec.
//!
//! The format is that of the WebAssembly tool conventions, which `wasmsign2` reads and writes too
//! (<https://github.com/WebAssembly/tool-conventions/blob/main/Signatures.md>). The first section
//! of a signed component is a custom section with Ed25519 signatures of the SHA-256 of everything
//! behind it. So the signature goes wherever the file goes.
//!
//! A signature counts here only if it covers the whole file. The format also allows signatures of
//! the beginning of a file; whoever accepted these would accept a file that was cut or extended.
//!
//! Whoever may change a file may take signatures out, or put other bytes into the section. So what
//! the section says about itself, such as the id of a key, is a claim until a signature was
//! verified with a key.

mod format;
mod keys;
#[cfg(test)]
mod tests;

use self::format::{Cut, SignedHashes};
pub use self::keys::{Fingerprint, KeyError, PrivateKey, PublicKey};
use wireplug_core::codec::Digest;

/// The most signatures in a component. Each is verified with each trusted key, which takes about
/// 0.05 ms. A component has one signature, or two while a key is replaced.
pub const MAX_SIGNATURES: usize = 16;

/// The most hashes of parts of a component that one set of signatures covers. `wasmsign2` has the
/// same limit.
pub const MAX_HASHES: usize = 64;

/// The largest section of signatures, in bytes. A signature takes about 80 bytes.
pub const MAX_SECTION: usize = 64 << 10;

/// Why the signatures of a component cannot be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// The bytes do not begin as a component does.
    #[error("it is not a WebAssembly component")]
    NotAComponent,
    /// The section of the signatures is not well formed, or of another version of the format.
    #[error("its signatures cannot be read: {0}")]
    Malformed(String),
    /// The section of the signatures is over one of the limits of this module.
    #[error("its signatures cannot be read: there are {found} {what}, and the most is {limit}")]
    Limit {
        /// What is limited.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// The limit.
        limit: usize,
    },
}

/// The signatures in a component.
#[derive(Debug)]
pub struct Signatures<'a> {
    content: Digest,
    sets: Vec<SignedHashes<'a>>,
}

impl<'a> Signatures<'a> {
    /// Reads the signatures of a component. Verifies none of them.
    ///
    /// # Errors
    /// Returns an error if `wasm` does not begin as a component does, or its section of signatures
    /// is malformed or over a limit.
    pub fn of(wasm: &'a [u8]) -> Result<Self, SignatureError> {
        let Cut { section, content } = Cut::of(wasm)?;
        let sets = section.map(format::read).transpose()?.unwrap_or_default();
        Ok(Self { content: Digest::of(content), sets })
    }

    /// Returns whether the component has no signature, not even one of another content.
    pub fn is_empty(&self) -> bool {
        self.sets.iter().all(|set| set.signatures.is_empty())
    }

    /// Returns whether the component was changed after it was signed: it has signatures, and none
    /// of them is about the whole content that it has now.
    pub fn is_changed(&self) -> bool {
        !self.is_empty() && self.whole().all(|set| set.signatures.is_empty())
    }

    /// Returns whether this key has signed the component as it is now.
    pub fn is_signed_by(&self, key: &PublicKey) -> bool {
        let fingerprint = key.fingerprint();
        self.whole().any(|set| {
            let message = set.message();
            let mut signatures = set.signatures.iter();
            signatures.any(|signature| {
                signature.may_be_by(fingerprint) && key.has_signed(&message, signature.bytes)
            })
        })
    }

    /// Returns the ids of the keys that are said to have signed the component: first those of its
    /// content as it is now, or of an earlier content if [it was changed](Self::is_changed). An id
    /// that [`PrivateKey::sign`] or `wasmsign2` has written is the [`Fingerprint`] of the key. A
    /// signature need not have an id. Nothing of this is verified.
    pub fn claims(&self) -> Vec<String> {
        let sets: Vec<_> =
            if self.is_changed() { self.sets.iter().collect() } else { self.whole().collect() };
        let signatures = sets.into_iter().flat_map(|set| &set.signatures);
        signatures.map(|signature| signature.claim()).collect()
    }

    /// Returns the sets of signatures that cover the whole content. A hash covers everything from
    /// the beginning of the content, so the last one decides.
    fn whole(&self) -> impl Iterator<Item = &SignedHashes<'a>> {
        let content = self.content;
        self.sets.iter().filter(move |set| set.last().is_some_and(|hash| *hash == content.0[..]))
    }
}

impl PrivateKey {
    /// Signs a component: returns it with one more signature. The signatures that others have given
    /// to the same content stay. Those of an earlier content, which the component has no more, are
    /// left out; and so is an earlier signature of this key.
    ///
    /// # Errors
    /// Returns an error if `wasm` does not begin as a component does, the signatures in it cannot
    /// be read, or it has too many.
    pub fn sign(&self, wasm: &[u8]) -> Result<Vec<u8>, SignatureError> {
        let before = Signatures::of(wasm)?;
        let content = before.content.0;
        let key = self.public();
        let mut sets: Vec<SignedHashes<'_>> = before.whole().cloned().collect();
        for set in &mut sets {
            let message = set.message();
            set.signatures.retain(|signature| !key.has_signed(&message, signature.bytes));
        }
        let at = sets.iter().position(|set| set.hashes == &content[..]).unwrap_or_else(|| {
            sets.push(SignedHashes { hashes: &content, signatures: Vec::new() });
            sets.len() - 1
        });
        let signature = self.signature(&sets[at].message());
        let id = key.fingerprint();
        sets[at].signatures.push(format::Signature { key_id: id.bytes(), bytes: &signature });
        let found = sets.iter().map(|set| set.signatures.len()).sum();
        if found > MAX_SIGNATURES {
            return Err(SignatureError::Limit { what: "signatures", found, limit: MAX_SIGNATURES });
        }
        Ok(format::with_signatures(&sets, Cut::of(wasm)?.content))
    }
}
