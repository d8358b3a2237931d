//! Checks the library without features, and with each of its features alone. Code that only one
//! feature uses must be left out without that feature. `lint` checks the library with all features,
//! as the command uses it.

use anyhow::Result;

use crate::process;
use crate::project::Project;
use crate::test::SHARED_MEMORY;

/// The features of the crate `wireplug`.
const FEATURES: &[&str] =
    &["", "config-file", "control", "http", "metrics", "nats", "oci", "otel", "socketio", "shm"];

pub(crate) fn run(project: &Project, _arguments: &[String]) -> Result<()> {
    for feature in FEATURES.iter().filter(|feature| SHARED_MEMORY || **feature != "shm") {
        let mut cargo = project.cargo();
        cargo.args(["clippy", "--package", "wireplug", "--no-default-features"]);
        process::run(cargo.args(["--features", feature, "--", "-D", "warnings"]))?;
    }
    if !SHARED_MEMORY {
        println!("xtask: left out: the feature shm (it is there on Linux only)");
    }
    Ok(())
}
