//! Other versions of a codec: the same behaviour, another digest.

use bytes::Bytes;
use wireplug::codec::Digest;

/// The Pomelo codec that is built in.
pub const POMELO: &[u8] = include_bytes!("../runtime/wireplug/codecs/pomelo.wasm");

/// The Pomelo codec that is built in, as the version of this number.
pub fn pomelo(number: u64) -> Bytes {
    version(POMELO, number)
}

/// A component as the version of this number.
pub fn version(component: &[u8], number: u64) -> Bytes {
    noted(component, &number.to_string())
}

/// A component with a short note in it, in a custom section. The note changes the digest of the
/// component and nothing else.
pub fn noted(component: &[u8], note: &str) -> Bytes {
    const NAME: &[u8] = b"note";
    let mut wasm = component.to_vec();
    // The section's id, its length, its name behind a length, its data. All lengths have one byte.
    wasm.extend([0, (1 + NAME.len() + note.len()) as u8, NAME.len() as u8]);
    wasm.extend(NAME);
    wasm.extend(note.as_bytes());
    wasm.into()
}

/// The digest of a component.
pub fn digest(component: &[u8]) -> Digest {
    Digest::of(component)
}
