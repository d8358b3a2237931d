use std::fs;
use std::path::Path;

use wireplug_tests::guide::{Folders, Guide};

/// Runs the blocks of an example's README. `blocks` is their number, so that none is overlooked.
fn follow(example: &str, blocks: usize) {
    let (programs, _) = env!("CARGO_BIN_EXE_redis").rsplit_once('/').expect("a program lies in a folder");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(example);
    let readme = fs::read_to_string(folder.join("README.md")).expect("there is one");
    let mut guide = Guide::new(&folder, Folders { programs, kept: env!("CARGO_TARGET_TMPDIR") });
    guide.follow(&readme);
    assert_eq!(guide.blocks, blocks, "not all of the page was done");
}

#[test]
fn redis() {
    follow("redis", 20);
}

#[test]
fn stomp() {
    follow("stomp", 9);
}

#[test]
fn postgres() {
    follow("postgres", 19);
}

#[test]
fn xmpp() {
    follow("xmpp", 9);
}

#[test]
fn sip() {
    follow("sip", 15);
}

#[test]
fn fix() {
    follow("fix", 10);
}

#[test]
fn modbus() {
    follow("modbus", 8);
}

#[test]
fn ocpp() {
    follow("ocpp", 12);
}

#[test]
fn jt808() {
    follow("jt808", 6);
}

#[test]
fn teltonika() {
    follow("teltonika", 8);
}
