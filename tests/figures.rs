//! The figures of benchmarks and soaks, for the recipe that compares them with the goals.
//!
//! `cargo xtask bench table` sets the variable `WIREPLUG_FIGURES`. Each benchmark appends its
//! figures to that file, and prints its own tables all the same.

use std::fs::OpenOptions;
use std::io::Write as _;

/// The variable with the file of the figures.
const FILE: &str = "WIREPLUG_FIGURES";

/// Reports a figure. `name` is known to `xtask/src/bench/goals.rs`.
///
/// # Panics
/// Panics if the file cannot be written.
pub fn report(name: &str, value: f64) {
    let Some(path) = std::env::var_os(FILE) else { return };
    let file = OpenOptions::new().create(true).append(true).open(path);
    let written = file.and_then(|mut file| writeln!(file, "{name} {value}"));
    written.unwrap_or_else(|error| panic!("the figure {name} cannot be written: {error}"));
}
