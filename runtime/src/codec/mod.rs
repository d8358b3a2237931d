//! The codec: turns packets into events and messages into packets.
//!
//! What a codec is stands in `wireplug-core`; here is what a server and the authors of codecs do with one.

pub mod bench;
pub mod check;
pub mod native;
mod options;
pub(crate) mod shadow;
#[cfg(test)]
mod tests;
mod vectors;

pub use options::{Options, options_with_routes, secret_reference};
pub use shadow::{Compared, Difference};
pub use vectors::{BadLine, BadVectors, Mismatch, Vectors};
pub use wireplug_core::codec::*;
pub use wireplug_wasm as wasm;
