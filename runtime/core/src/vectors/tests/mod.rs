//! Vectors are read, replayed, and written anew.

mod parse;
mod replay;
mod syntax;
mod update;

use super::{Mismatch, Vectors};
use crate::codec::tests::script::Script;

fn vectors(text: &str) -> Vectors {
    Vectors::parse(text).unwrap_or_else(|bad| panic!("{bad}"))
}

/// What replaying this on a scripted codec comes to.
fn replay(text: &str) -> Vec<Mismatch> {
    vectors(text).replay(&Script::default()).collect()
}
