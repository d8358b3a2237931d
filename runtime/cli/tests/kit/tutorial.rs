//! Runs `docs/tutorial.md`, from an empty folder to a thermometer's answer.

use super::{Guide, folder};

const TUTORIAL: &str = include_str!("../../../../docs/tutorial.md");

#[test]
fn every_command_and_every_file() {
    let folder = folder("tutorial");
    let mut guide = Guide::new(folder.root());
    guide.follow(TUTORIAL);
    assert_eq!(guide.blocks, 15, "not all of the page was done");
}
