//! The command `wireplug`: what it prints, how it ends, and what its servers do. The tests are
//! one binary, so that wasmtime is linked once.
//!
//! | module | what it tests |
//! |---|---|
//! | `bench` | `wireplug bench` |
//! | `calls` | `wireplug call` and `wireplug bench` over each transport |
//! | `cli` | `wireplug serve` with its options, and what the command says of mistakes |
//! | `codec` | `wireplug codec`: what authors of codecs use |
//! | `compile` | compiling in worker processes |
//! | `config` | configuration files, and `wireplug config` |
//! | `control` | the control API, the commands over it, and what SIGHUP reloads |
//! | `descriptors` | a server that runs out of file descriptors |
//! | `gone` | a client whose machine has lost its network |
//! | `log` | what `wireplug serve` writes |
//! | `siege` | a soak: attackers on every transport |

#[path = "../program/mod.rs"]
mod program;

mod bench;
mod calls;
mod cli;
mod codec;
mod compile;
mod config;
mod control;
#[cfg(target_os = "linux")]
mod descriptors;
#[cfg(target_os = "linux")]
mod gone;
mod log;
#[cfg(target_os = "linux")]
mod siege;

/// The manifest of this crate, which is no codec, no configuration and no certificate.
const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
