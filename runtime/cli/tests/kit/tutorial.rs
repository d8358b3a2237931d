//! Runs the two parts of the tutorial, each from an empty folder to a client's answer.

use super::{folder, guide};

const TUTORIAL: &str = include_str!("../../../../docs/tutorial.md");
const STREAMS: &str = include_str!("../../../../docs/tutorial-streams.md");

/// Runs all blocks of a page.
fn follow(page: &str, name: &str, blocks: usize) {
    let folder = folder(name);
    let mut guide = guide(folder.root());
    guide.follow(page);
    assert_eq!(guide.blocks, blocks, "not all of the page was done");
}

#[test]
fn first_part() {
    follow(TUTORIAL, "tutorial", 15);
}

#[test]
fn second_part() {
    follow(STREAMS, "tutorial-streams", 24);
}
