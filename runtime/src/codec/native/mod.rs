//! Codecs that are compiled in: they implement [`Codec`](super::Codec) and
//! [`CodecSession`](super::CodecSession) themselves.

mod pomelo;

pub use pomelo::NativePomelo;
