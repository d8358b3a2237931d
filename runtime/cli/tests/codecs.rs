//! Tests of the tools for codec authors: projects, the SDKs, the examples and `wireplug codec`.
//! Commands and files on the documentation pages are used as they are there.

mod kit;
mod program;
