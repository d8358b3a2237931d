//! What a change must pass besides its tests.

use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::foreign;
use crate::process;
use crate::project::Project;
use crate::test::SHARED_MEMORY;

/// How long the database of advisories may take to come. It has some 10 MB.
const ADVISORIES_TIMEOUT: Duration = Duration::from_secs(60);

/// How often a program that runs is looked at.
const PAUSE: Duration = Duration::from_millis(100);

pub(crate) fn run(project: &Project, _arguments: &[String]) -> Result<()> {
    format(project)?;
    clippy(project)?;
    let advisories = dependencies(project)?;
    // What was not checked stands at the end, where it is read.
    if !SHARED_MEMORY {
        println!("xtask: left out: clippy of the feature shm (it is there on Linux only)");
    }
    println!("xtask: {advisories}");
    Ok(())
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
        process::run(project.cargo().args(ALL).args(["--features", "shm"]).args(STRICT))?;
    }
    Ok(())
}

/// Checks dependencies by the rules of deny.toml. Returns what became of the check of advisories.
fn dependencies(project: &Project) -> Result<String> {
    if !process::succeeds(project.cargo().args(["deny", "--version"])) {
        let how = "`cargo install cargo-deny --locked` installs it";
        if foreign::required() {
            bail!("{}=required, but cargo-deny is missing; {how}", foreign::REQUIRED);
        }
        return Ok(format!(
            "left out: dependencies, licenses and ADVISORIES are NOT checked (no cargo-deny); {how}"
        ));
    }
    let mut what = vec!["bans", "sources", "licenses"];
    let unreachable = fetch_advisories(project)?;
    if unreachable.is_none() {
        what.push("advisories");
    }
    // Without the graph of who uses what, hundreds of lines for a crate that is there twice: `cargo tree
    // --invert` tells it.
    const CHECK: &[&str] = &["check", "--hide-inclusion-graph"];
    process::run(project.cargo().arg("deny").args(CHECK).args(&what))?;
    let mut guests = project.guest_cargo();
    guests.args(["deny", "--config"]).arg(project.path("deny.toml"));
    // The components' small tree does not have every license that the rules allow.
    guests.args(CHECK).args(["--allow", "license-not-encountered"]);
    process::run(guests.args(&what))?;
    Ok(match unreachable {
        None => "advisories: checked, none concerns a dependency".to_owned(),
        Some(why) => format!("left out: ADVISORIES are NOT checked ({why})"),
    })
}

/// Fetches the database of advisories. Returns why it cannot be had here, if so: not every machine reaches its host, and
/// that is no mistake of a change.
fn fetch_advisories(project: &Project) -> Result<Option<String>> {
    let mut fetch = project.cargo();
    fetch.args(["deny", "fetch", "db"]).env("GIT_TERMINAL_PROMPT", "0");
    let fetched = finishes_within(&mut fetch, ADVISORIES_TIMEOUT)?;
    Ok(match fetched {
        Some(true) => None,
        Some(false) => Some("their database cannot be reached".to_owned()),
        None => Some(format!("their database did not come within {} s", ADVISORIES_TIMEOUT.as_secs())),
    })
}

/// Whether a program succeeds. None: it was still at work after that time, and was ended.
fn finishes_within(command: &mut Command, limit: Duration) -> Result<Option<bool>> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().context("a program cannot be started")?;
    let begun = Instant::now();
    while begun.elapsed() < limit {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status.success()));
        }
        thread::sleep(PAUSE);
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_hangs_is_ended() {
        let run = |script: &str| {
            finishes_within(Command::new("sh").args(["-c", script]), Duration::from_millis(500)).ok()
        };
        assert_eq!(
            [run("exit 0"), run("exit 1"), run("exec sleep 600")],
            [Some(Some(true)), Some(Some(false)), Some(None)]
        );
    }
}
