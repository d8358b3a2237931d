//! The keys that sign components.
//!
//! A key is kept as OpenSSL keeps it: a private key as PKCS#8 in PEM, a public key as its
//! `SubjectPublicKeyInfo` in PEM.

use std::fmt::{self, Write as _};
use std::ops::Deref;
use std::str::FromStr;

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _};
use ed25519_dalek::pkcs8::{EncodePublicKey as _, KeypairBytes};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2_11::Sha256;

/// The length of a private key, in bytes.
const SEED: usize = 32;

/// The length of a fingerprint, in bytes.
const FINGERPRINT: usize = 12;

/// Why a text is not a key, or no key was generated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The text is not an Ed25519 public key.
    #[error(
        "it is not an Ed25519 public key in PEM, as `wireplug codec keygen` and `openssl pkey -pubout` write it"
    )]
    Public,
    /// The text is a private key, and a public one is wanted.
    #[error("it is a private key, and the public key belongs here: keep the private one where it signs")]
    Secret,
    /// The public key is one with which a signature of anything can be made.
    #[error("it is a weak key, which proves nothing: generate another one with `wireplug codec keygen`")]
    Weak,
    /// The text is not an Ed25519 private key.
    #[error(
        "it is not an Ed25519 private key in PEM without a passphrase, as `wireplug codec keygen` and `openssl genpkey \
         -algorithm ed25519` write it"
    )]
    Private,
    /// The system has no random bytes.
    #[error("the system has no random bytes for a key")]
    Random,
}

/// An Ed25519 public key, with which signatures are verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

/// What identifies a key for people: 24 hexadecimal digits, made from the public key. Signatures
/// name their key by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; FINGERPRINT]);

/// An Ed25519 private key, which signs components. It is wiped from memory when it is dropped.
pub struct PrivateKey(SigningKey);

impl FromStr for PublicKey {
    type Err = KeyError;

    /// Reads a public key in PEM, or the base64 of its only line.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        let key = match text.starts_with("-----") {
            true => VerifyingKey::from_public_key_pem(text),
            false => VerifyingKey::from_public_key_pem(&format!(
                "-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n"
            )),
        };
        match key {
            Ok(key) if key.is_weak() => Err(KeyError::Weak),
            Ok(key) => Ok(Self(key)),
            Err(_) if text.contains("PRIVATE KEY") => Err(KeyError::Secret),
            Err(_) => Err(KeyError::Public),
        }
    }
}

impl PublicKey {
    /// Returns the key in PEM.
    pub fn to_pem(&self) -> String {
        self.0.to_public_key_pem(LineEnding::LF).expect("a key of 32 bytes is always written")
    }

    /// Returns the base64 of the only line of the key in PEM.
    pub fn to_line(&self) -> String {
        self.to_pem().lines().filter(|line| !line.starts_with("-----")).collect()
    }

    /// Returns what identifies the key for people.
    pub fn fingerprint(&self) -> Fingerprint {
        // As `wasmsign2` does, so that each program finds the key of a signature of the other.
        let mut code = Hmac::<Sha256>::new_from_slice(self.0.as_bytes()).expect("a key has any length");
        code.update(b"key_id");
        let code = code.finalize().into_bytes();
        Fingerprint(*code.first_chunk().expect("a code has 32 bytes"))
    }

    /// Returns whether a signature of this message is this key's.
    pub(super) fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let signature = Signature::from_slice(signature);
        signature.is_ok_and(|signature| self.0.verify_strict(message, &signature).is_ok())
    }
}

impl Fingerprint {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl PrivateKey {
    /// Generates a key.
    ///
    /// # Errors
    /// Returns an error if the system has no random bytes.
    pub fn generate() -> Result<Self, KeyError> {
        let mut seed = [0; SEED];
        getrandom::fill(&mut seed).map_err(|_| KeyError::Random)?;
        Ok(Self(SigningKey::from_bytes(&seed)))
    }

    /// Reads a private key in PEM that has no passphrase.
    ///
    /// # Errors
    /// Returns an error if the text is anything else. The error never repeats it.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        SigningKey::from_pkcs8_pem(text.trim()).map(Self).map_err(|_| KeyError::Private)
    }

    /// Returns the key in PEM. Only a file that nobody else can read may have it. The text is wiped
    /// from memory when it is dropped.
    pub fn to_pem(&self) -> impl Deref<Target = String> + use<> {
        // Without the public key, which old programs do not expect there.
        let pair = KeypairBytes { secret_key: self.0.to_bytes(), public_key: None };
        pair.to_pkcs8_pem(LineEnding::LF).expect("a key of 32 bytes is always written")
    }

    /// Returns the public key of this key.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    pub(super) fn signature(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey").field("public", &self.public()).finish_non_exhaustive()
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
