//! The command `wireplug`: its output, its exit codes and its servers. The tests are one binary, so
//! that wasmtime is linked once.
//!
//! | module | what it tests |
//! |---|---|
//! | `bench` | `wireplug bench` |
//! | `calls` | `wireplug call` and `wireplug bench` over each transport |
//! | `cli` | `wireplug serve` with its options, and the errors of wrong commands |
//! | `codec` | `wireplug codec`, as authors of codecs use it |
//! | `compile` | compiling in worker processes |
//! | `config` | configuration files, and `wireplug config` |
//! | `control` | the control API, the commands over it, and what SIGHUP reloads |
//! | `deploy` | the files of `docs/deploy` |
//! | `descriptors` | a server that runs out of file descriptors |
//! | `gone` | a client whose machine has lost its network |
//! | `in_the_browser` | the console in Chromium |
//! | `log` | the output of `wireplug serve` |
//! | `registry` | codecs in registries: `wireplug codec push`, `pull` and `list`, and servers |
//! | `signing` | `wireplug codec keygen`, `sign` and `verify` |
//! | `systemd` | what is reported to the service manager |
//! | `upgrade` | `wireplug upgrade` |
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
mod deploy;
#[cfg(target_os = "linux")]
mod descriptors;
#[cfg(target_os = "linux")]
mod gone;
mod in_the_browser;
mod log;
mod registry;
#[cfg(target_os = "linux")]
mod siege;
mod signing;
mod systemd;
mod traces;
mod upgrade;

/// The manifest of this crate: a file that is neither a codec, a configuration nor a certificate.
const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
