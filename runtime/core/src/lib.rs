//! The sans-I/O core of wireplug: how bytes are cut into packets, and what a codec is.
//!
//! It takes bytes and a time and gives back bytes and events. It knows no socket, no task, no
//! sandbox and no configuration file, so each rule is tested without a network and without waiting.
//!
//! | module | its job |
//! |---|---|
//! | [`framing`] | cuts bytes into packets and joins packets into bytes |
//! | [`codec`] | the traits of a codec, flat batches and their checks, the CPU account of a codec |

pub mod codec;
pub mod framing;
pub mod vectors;
