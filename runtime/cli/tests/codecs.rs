//! The kit of codec authors: projects, the SDKs, the examples, and what `wireplug codec` says of
//! them. What is on the pages is run as it stands there.

mod kit;
mod program;
