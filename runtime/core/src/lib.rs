//! The sans-I/O core of wireplug: framing, the traits of a codec, and test vectors.
//!
//! The crate takes bytes and a time, and returns bytes and events. It knows no socket, task,
//! sandbox or configuration file, so each rule is tested without a network and without waiting.
//!
//! | module | its job |
//! |---|---|
//! | [`framing`] | cuts bytes into packets and joins packets into bytes |
//! | [`codec`] | the traits of a codec, flat batches and their checks, the CPU account of a codec |
//! | [`vectors`] | reads test vectors, and replays them against a codec |

pub mod codec;
pub mod framing;
pub mod vectors;
