//! Other versions of a codec: the same behaviour, another digest.

use bytes::Bytes;
use wireplug::codec::Digest;

/// The Pomelo codec that is built in.
pub const POMELO: &[u8] = include_bytes!("../runtime/codecs/pomelo.wasm");

/// The Pomelo codec that is built in, as the version of this number.
pub fn pomelo(number: u64) -> Bytes {
    version(POMELO, number)
}

/// A component with a custom section more, which changes its digest and nothing else.
pub fn version(component: &[u8], number: u64) -> Bytes {
    const NAME: &[u8] = b"version";
    let data = number.to_string();
    let mut wasm = component.to_vec();
    // The section's id, its length, its name behind a length, its data. All lengths have one byte.
    wasm.extend([0, (1 + NAME.len() + data.len()) as u8, NAME.len() as u8]);
    wasm.extend(NAME);
    wasm.extend(data.as_bytes());
    wasm.into()
}

/// The digest of a component.
pub fn digest(component: &[u8]) -> Digest {
    Digest::of(component)
}
