//! What a change must pass besides its tests.

use anyhow::{Result, bail};

use crate::foreign;
use crate::process;
use crate::project::Project;
use crate::test::SHARED_MEMORY;

pub(crate) fn run(project: &Project, _arguments: &[String]) -> Result<()> {
    format(project)?;
    clippy(project)?;
    dependencies(project)
}

fn format(project: &Project) -> Result<()> {
    process::run(project.cargo().args(["fmt", "--all", "--check"]))?;
    process::run(project.guest_cargo().args(["fmt", "--all", "--check"]))
}

fn clippy(project: &Project) -> Result<()> {
    const ALL: &[&str] =
        &["clippy", "--release", "--workspace", "--exclude", "wireplug-fuzz", "--all-targets"];
    const STRICT: &[&str] = &["--", "-D", "warnings"];
    let guests = ["clippy", "--workspace", "--all-targets"];
    process::run(project.guest_cargo().args(guests).args(STRICT))?;
    // What users build unless they ask for more: the tests are built with it.
    process::run(project.cargo().args(ALL).args(STRICT))?;
    if SHARED_MEMORY {
        return process::run(project.cargo().args(ALL).args(["--features", "shm"]).args(STRICT));
    }
    println!("xtask: left out: clippy of the feature shm (it is there on Linux only)");
    Ok(())
}

/// By the rules of deny.toml. Advisories are left out: they come from a host that not every machine reaches.
fn dependencies(project: &Project) -> Result<()> {
    if !process::succeeds(project.cargo().args(["deny", "--version"])) {
        let how = "`cargo install cargo-deny --locked` installs it";
        if foreign::required() {
            bail!("{}=required, but cargo-deny is missing; {how}", foreign::REQUIRED);
        }
        println!("xtask: left out: the check of dependencies and licenses (no cargo-deny); {how}");
        return Ok(());
    }
    // Without the graph of who uses what, hundreds of lines for a crate that is there twice: `cargo tree
    // --invert` tells it.
    const CHECK: &[&str] = &["check", "--hide-inclusion-graph"];
    const WHAT: &[&str] = &["bans", "sources", "licenses"];
    process::run(project.cargo().arg("deny").args(CHECK).args(WHAT))?;
    let mut guests = project.guest_cargo();
    guests.args(["deny", "--config"]).arg(project.path("deny.toml"));
    // The components' small tree does not have every license that the rules allow.
    guests.args(CHECK).args(["--allow", "license-not-encountered"]);
    process::run(guests.args(WHAT))
}
