//! Tests that vectors are read, replayed, written and updated.

mod faults;
mod parse;
mod record;
mod replay;
mod stream;
mod syntax;
mod update;
mod write;

use super::{Mismatch, Vectors};
use crate::codec::tests::script::Script;

fn vectors(text: &str) -> Vectors {
    Vectors::parse(text).unwrap_or_else(|bad| panic!("{bad}"))
}

/// Replays this text on a scripted codec.
fn replay(text: &str) -> Vec<Mismatch> {
    replay_on(&Script::default(), text)
}

fn replay_on(codec: &Script, text: &str) -> Vec<Mismatch> {
    vectors(text).replay(codec).collect()
}

fn shown(mismatches: &[Mismatch]) -> String {
    mismatches.iter().map(Mismatch::to_string).collect::<Vec<_>>().join("\n")
}
