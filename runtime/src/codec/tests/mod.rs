//! Options of codecs, and shadows.

mod large;
mod options;
mod shadow;
