//! Codecs that are compiled in: they implement [`Codec`](super::Codec) and
//! [`CodecSession`](super::CodecSession) themselves, or only one direction of it: [`Decode`], [`Encode`].

mod halves;
mod pomelo;

pub(crate) use halves::Halves;
pub use halves::{Decode, DecodeError, Decoded, Encode};
pub use pomelo::NativePomelo;
