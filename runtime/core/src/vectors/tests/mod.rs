//! Tests that vectors are read, replayed and updated.

mod parse;
mod replay;
mod syntax;
mod update;

use super::{Mismatch, Vectors};
use crate::codec::tests::script::Script;

fn vectors(text: &str) -> Vectors {
    Vectors::parse(text).unwrap_or_else(|bad| panic!("{bad}"))
}

/// Replays this text on a scripted codec.
fn replay(text: &str) -> Vec<Mismatch> {
    vectors(text).replay(&Script::default()).collect()
}
