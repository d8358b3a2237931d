//! The versions of the dictionary and of the schemas. By its version, a client knows whether it
//! already has them from an earlier connection.

use data_encoding::BASE64;
use md5::{Digest, Md5};

/// The MD5 of a JSON text, in base64.
pub(crate) type Version = [u8; 24];

/// Returns the version of a JSON text.
pub(crate) fn version(json: &str) -> Version {
    let mut version = [0; 24];
    BASE64.encode_mut(&Md5::digest(json), &mut version);
    version
}
