//! Native codecs, which are compiled into the server. A native codec implements
//! [`Codec`](wireplug_core::codec::Codec) and
//! [`CodecSession`](wireplug_core::codec::CodecSession). A codec override implements only one
//! direction: [`Decode`] or [`Encode`].

mod overrides;
mod pomelo;

pub(crate) use overrides::Overrides;
pub use overrides::{Decode, DecodeError, Decoded, Encode};
pub use pomelo::NativePomelo;
