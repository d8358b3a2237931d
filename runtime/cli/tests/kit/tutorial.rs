//! `docs/tutorial.md`, from an empty folder to a thermometer's answer.

use super::{Folder, Guide};

const TUTORIAL: &str = include_str!("../../../../docs/tutorial.md");

#[test]
fn every_command_and_every_file() {
    let folder = Folder::new("tutorial");
    let mut guide = Guide::new(&folder.0);
    guide.follow(TUTORIAL);
    assert_eq!(guide.blocks, 15, "not all of the page was done");
}
