//! Options of codecs, shadows, and the native twin of the Pomelo codec.

mod native;
mod options;
mod shadow;
