//! Codecs that are compiled in: they implement [`Codec`](super::Codec) and
//! [`CodecSession`](super::CodecSession) themselves, or only one direction of it: [`Decode`],
//! [`Encode`].

mod overrides;
mod pomelo;

pub(crate) use overrides::Overrides;
pub use overrides::{Decode, DecodeError, Decoded, Encode};
pub use pomelo::NativePomelo;
