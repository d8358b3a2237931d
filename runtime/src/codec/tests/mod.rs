//! Options of codecs, and shadows.

mod driver;
mod large;
mod options;
pub(super) mod script;
mod shadow;
