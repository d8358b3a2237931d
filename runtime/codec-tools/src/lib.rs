//! Tools for authors of codecs, as a library: for the commands `wireplug codec check` and
//! `wireplug codec bench`, and for an author's own tests.
//!
//! | module | its job |
//! |---|---|
//! | [`check`] | whether a codec keeps what every codec promises, whatever its protocol is |
//! | [`mod@bench`] | what a codec costs, beside one that does nothing |
//!
//! Both take the calls of a codec from its [test vectors](wireplug_core::vectors), and call its
//! sessions through the same [driver](wireplug_core::codec::driver) as the server.

pub mod bench;
pub mod check;
#[cfg(test)]
mod tests;
