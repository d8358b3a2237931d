//! Other versions of a codec, which behave the same and have another digest.

use bytes::Bytes;
use wireplug::codec::Digest;

/// The built-in Pomelo codec.
pub const POMELO: &[u8] = include_bytes!("../runtime/wireplug/codecs/pomelo.wasm");

/// The codec of `guest-examples/digits/rust`, which cuts its stream itself and changes its framing.
pub const DIGITS: &[u8] = include_bytes!("digits.wasm");

/// Returns this version of the built-in Pomelo codec.
pub fn pomelo(number: u64) -> Bytes {
    version(POMELO, number)
}

/// Returns this version of a component.
pub fn version(component: &[u8], number: u64) -> Bytes {
    noted(component, &number.to_string())
}

/// Returns a component with a short note in a custom section. The note changes only the digest of
/// the component.
pub fn noted(component: &[u8], note: &str) -> Bytes {
    const NAME: &[u8] = b"note";
    let mut wasm = component.to_vec();
    // The id of the section, its length, the length of its name, its name and its data. All lengths
    // have one byte.
    wasm.extend([0, (1 + NAME.len() + note.len()) as u8, NAME.len() as u8]);
    wasm.extend(NAME);
    wasm.extend(note.as_bytes());
    wasm.into()
}

/// Returns the digest of a component.
pub fn digest(component: &[u8]) -> Digest {
    Digest::of(component)
}
