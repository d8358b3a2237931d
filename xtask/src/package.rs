//! Packages the crates that are meant for crates.io. cargo builds each of them from its package
//! alone, so a file that lies outside of its crate is found.

use anyhow::Result;

use crate::process;
use crate::project::Project;

/// The crates to package. They are packaged together because they depend on each other, and none of
/// them is on crates.io yet.
const PUBLISHED: &[&str] = &[
    "wireplug-base",
    "wireplug-core",
    "wireplug-wasm",
    "wireplug-connectors",
    "wireplug-pomelo",
    "wireplug",
    "wireplug-codec-tools",
];

pub(crate) fn run(project: &Project, _arguments: &[String]) -> Result<()> {
    let mut cargo = project.cargo();
    cargo.args(["package", "--locked"]);
    PUBLISHED.iter().for_each(|name| {
        cargo.args(["--package", name]);
    });
    process::run(&mut cargo)
}
