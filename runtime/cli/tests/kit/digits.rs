//! The codecs of `guest-examples/digits`, which cut their stream themselves. Each is built, tested
//! and checked as the README says, and all give the same answers. The codec in Rust is also served
//! to netcat, and to OpenSSL, which switches to TLS.

use std::fs;
use std::path::Path;

use super::examples::EXAMPLES;
use super::guide;

/// Runs the blocks of one section of the README.
fn follow(section: &str, blocks: usize) {
    let folder = Path::new(EXAMPLES).join("digits");
    let readme = fs::read_to_string(folder.join("README.md")).expect("there is one");
    let (_, behind) = readme.split_once(&format!("\n### {section}\n")).expect("there is the section");
    let (section, _) = behind.split_once("\n### ").unwrap_or((behind, ""));
    let mut guide = guide(&folder);
    guide.follow(section);
    assert_eq!(guide.blocks, blocks, "not all of the section was done");
}

#[test]
fn in_rust() {
    follow("In Rust", 7);
}

#[test]
fn in_c() {
    follow("In C", 1);
}

#[test]
fn in_go() {
    follow("In Go", 1);
}

#[test]
fn in_javascript() {
    follow("In JavaScript", 1);
}

#[test]
fn in_python() {
    follow("In Python", 1);
}
