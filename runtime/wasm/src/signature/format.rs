//! The section of signatures as bytes.
//!
//! What a file says about lengths is compared with what is there. Nothing is allocated for a length
//! that a file only claims.

use wasmparser::{BinaryReader, BinaryReaderError};

use super::keys::hex;
use super::{Fingerprint, MAX_HASHES, MAX_SECTION, MAX_SIGNATURES, SignatureError};

/// The first bytes of a component: the magic number, the version and the layer. No signature covers
/// them, so no other bytes are accepted.
const HEADER: [u8; 8] = *b"\0asm\x0d\0\x01\0";

/// The number of custom sections.
const CUSTOM: u8 = 0;

/// The name of the section.
const NAME: &str = "signature";

/// The version of the format, the number of the content type "module or component", and the number
/// of SHA-256.
const FORM: [u8; 3] = [1, 1, 1];

/// The number of Ed25519.
const ED25519: u8 = 1;

/// The length of a SHA-256, in bytes.
const HASH: usize = 32;

/// How much of the id of a key is shown, in bytes. The ids that this module writes have 12.
const MAX_CLAIM: usize = 32;

/// The text with which each signed message begins, so that a key cannot sign a component by
/// accident while it signs something else.
const DOMAIN: &[u8] = b"wasmsig";

/// A component, cut into its signatures and what they are about.
pub(super) struct Cut<'a> {
    /// What the section of signatures holds, if the component begins with one.
    pub(super) section: Option<&'a [u8]>,
    /// Everything behind that section.
    pub(super) content: &'a [u8],
}

/// Signatures of the same hashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SignedHashes<'a> {
    /// One hash after the other.
    pub(super) hashes: &'a [u8],
    pub(super) signatures: Vec<Signature<'a>>,
}

/// An Ed25519 signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Signature<'a> {
    /// The id of the key, as the signer says. May be empty.
    pub(super) key_id: &'a [u8],
    pub(super) bytes: &'a [u8],
}

impl<'a> Cut<'a> {
    pub(super) fn of(wasm: &'a [u8]) -> Result<Self, SignatureError> {
        let content = wasm.strip_prefix(&HEADER).ok_or(SignatureError::NotAComponent)?;
        let unsigned = Self { section: None, content };
        if content.first() != Some(&CUSTOM) {
            return Ok(unsigned);
        }
        let mut file = BinaryReader::new(&content[1..], HEADER.len() + 1);
        let section = slice(&mut file)?;
        let mut section = BinaryReader::new(section, 0);
        if section.read_string().map_err(malformed)? != NAME {
            return Ok(unsigned);
        }
        let size = section.bytes_remaining();
        limit("bytes in the section `signature`", size, MAX_SECTION)?;
        let section = section.read_bytes(size).map_err(malformed)?;
        let size = file.bytes_remaining();
        Ok(Self { section: Some(section), content: file.read_bytes(size).map_err(malformed)? })
    }
}

impl SignedHashes<'_> {
    /// Returns the hash of the longest part of the content.
    pub(super) fn last(&self) -> Option<&[u8]> {
        self.hashes.rchunks_exact(HASH).next()
    }

    /// Returns what a key signs.
    pub(super) fn message(&self) -> Vec<u8> {
        [DOMAIN, &FORM, self.hashes].concat()
    }
}

impl Signature<'_> {
    /// Returns the id of the key as people see it.
    pub(super) fn claim(&self) -> String {
        match self.key_id {
            [] => "without an id".to_owned(),
            id => hex(&id[..id.len().min(MAX_CLAIM)]),
        }
    }

    /// Returns whether the signature does not claim to be another key's.
    pub(super) fn may_be_by(&self, fingerprint: Fingerprint) -> bool {
        self.key_id.is_empty() || self.key_id == fingerprint.bytes()
    }
}

/// Reads what a section of signatures holds. Signatures of other algorithms are left out.
pub(super) fn read(section: &[u8]) -> Result<Vec<SignedHashes<'_>>, SignatureError> {
    let mut section = BinaryReader::new(section, 0);
    let form = section.read_bytes(FORM.len()).map_err(malformed)?;
    if form != FORM {
        let what = format!(
            "version, content and hash are {form:?}, and {FORM:?} are known (version 1, a component, SHA-256)"
        );
        return Err(SignatureError::Malformed(what));
    }
    let mut sets = Vec::new();
    let mut found = 0;
    for _ in 0..section.read_var_u32().map_err(malformed)? {
        let set = signed_hashes(slice(&mut section)?, &mut found)?;
        sets.push(set);
    }
    at_end(&section)?;
    Ok(sets)
}

/// Reads signatures of the same hashes. `found` counts the signatures of the whole section.
fn signed_hashes<'a>(set: &'a [u8], found: &mut usize) -> Result<SignedHashes<'a>, SignatureError> {
    let mut set = BinaryReader::new(set, 0);
    let hashes = set.read_var_u32().map_err(malformed)? as usize;
    limit("hashes", hashes, MAX_HASHES)?;
    let hashes = set.read_bytes(hashes * HASH).map_err(malformed)?;
    let count = set.read_var_u32().map_err(malformed)? as usize;
    *found = found.saturating_add(count);
    limit("signatures", *found, MAX_SIGNATURES)?;
    let mut signatures = Vec::new();
    for _ in 0..count {
        let mut signature = BinaryReader::new(slice(&mut set)?, 0);
        let key_id = slice(&mut signature)?;
        let algorithm = signature.read_u8().map_err(malformed)?;
        let bytes = slice(&mut signature)?;
        at_end(&signature)?;
        if algorithm == ED25519 {
            signatures.push(Signature { key_id, bytes });
        }
    }
    at_end(&set)?;
    Ok(SignedHashes { hashes, signatures })
}

/// Returns a component with these signatures.
pub(super) fn with_signatures(sets: &[SignedHashes<'_>], content: &[u8]) -> Vec<u8> {
    let mut section = Vec::new();
    put_slice(&mut section, NAME.as_bytes());
    section.extend(FORM);
    put(&mut section, sets.len());
    for SignedHashes { hashes, signatures } in sets {
        let mut set = Vec::new();
        put(&mut set, hashes.len() / HASH);
        set.extend(*hashes);
        put(&mut set, signatures.len());
        for Signature { key_id, bytes } in signatures {
            let mut signature = Vec::new();
            put_slice(&mut signature, key_id);
            signature.push(ED25519);
            put_slice(&mut signature, bytes);
            put_slice(&mut set, &signature);
        }
        put_slice(&mut section, &set);
    }
    let mut wasm = HEADER.to_vec();
    wasm.push(CUSTOM);
    put_slice(&mut wasm, &section);
    wasm.extend(content);
    wasm
}

/// Reads a length and that many bytes.
fn slice<'a>(reader: &mut BinaryReader<'a>) -> Result<&'a [u8], SignatureError> {
    let length = reader.read_var_u32().map_err(malformed)?;
    reader.read_bytes(length as usize).map_err(malformed)
}

/// Checks that nothing follows. Other bytes would be room for what nobody has signed.
fn at_end(reader: &BinaryReader<'_>) -> Result<(), SignatureError> {
    match reader.bytes_remaining() {
        0 => Ok(()),
        rest => Err(SignatureError::Malformed(format!("{rest} bytes follow that belong to nothing"))),
    }
}

fn limit(what: &'static str, found: usize, limit: usize) -> Result<(), SignatureError> {
    if found <= limit { Ok(()) } else { Err(SignatureError::Limit { what, found, limit }) }
}

fn malformed(error: BinaryReaderError) -> SignatureError {
    SignatureError::Malformed(error.message().to_owned())
}

/// Appends a length and bytes.
fn put_slice(to: &mut Vec<u8>, bytes: &[u8]) {
    put(to, bytes.len());
    to.extend(bytes);
}

/// Appends a number as LEB128.
fn put(to: &mut Vec<u8>, mut number: usize) {
    while number > 0x7f {
        to.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}
