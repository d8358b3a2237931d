//! The checks that a change must pass besides its tests.

use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::process;
use crate::project::Project;
use crate::prose;
use crate::test::SHARED_MEMORY;

/// The longest time for the download of the advisory database, which has about 10 MB.
const ADVISORIES_TIMEOUT: Duration = Duration::from_secs(60);

/// The time between two looks at a program that runs.
const PAUSE: Duration = Duration::from_millis(100);

pub(crate) fn run(project: &Project, _arguments: &[String]) -> Result<()> {
    format(project)?;
    prose::check(project)?;
    clippy(project)?;
    rustdoc(project)?;
    let advisories = dependencies(project)?;
    // At the end, where people read it.
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
    const ALL: &[&str] = &["clippy", "--workspace", "--exclude", "wireplug-fuzz", "--all-targets"];
    const STRICT: &[&str] = &["--", "-D", "warnings"];
    let guests = ["clippy", "--workspace", "--all-targets"];
    process::run(project.guest_cargo().args(guests).args(STRICT))?;
    // Without the feature shm, as users build by default; the tests are built with it.
    process::run(project.cargo().args(ALL).args(STRICT))?;
    if SHARED_MEMORY {
        process::run(project.cargo().args(ALL).args(["--features", "shm"]).args(STRICT))?;
    }
    Ok(())
}

/// Builds the pages of all libraries, where a broken link is an error.
fn rustdoc(project: &Project) -> Result<()> {
    let mut cargo = project.cargo();
    cargo.args(["doc", "--workspace", "--exclude", "wireplug-fuzz", "--no-deps", "--lib"]);
    process::run(cargo.env("RUSTDOCFLAGS", "-D warnings"))
}

/// Checks dependencies by the rules of deny.toml. Returns the result of the check of advisories.
fn dependencies(project: &Project) -> Result<String> {
    if !process::succeeds(project.cargo().args(["deny", "--version"])) {
        let how = "`cargo install cargo-deny --locked` installs it";
        return Ok(format!(
            "left out: dependencies, licenses and ADVISORIES are NOT checked (no cargo-deny); {how}"
        ));
    }
    let mut what = vec!["bans", "sources", "licenses"];
    let unreachable = fetch_advisories(project)?;
    if unreachable.is_none() {
        what.push("advisories");
    }
    // The graph of dependents has hundreds of lines for each duplicate crate. `cargo tree --invert`
    // shows it.
    const CHECK: &[&str] = &["check", "--hide-inclusion-graph"];
    process::run(project.cargo().arg("deny").args(CHECK).args(&what))?;
    let mut guests = project.guest_cargo();
    guests.args(["deny", "--config"]).arg(project.path("deny.toml"));
    // The components have few dependencies, so not every allowed license is there.
    guests.args(CHECK).args(["--allow", "license-not-encountered"]);
    process::run(guests.args(&what))?;
    Ok(match unreachable {
        None => "advisories: checked, none concerns a dependency".to_owned(),
        Some(why) => format!("left out: ADVISORIES are NOT checked ({why})"),
    })
}

/// Fetches the database of advisories. If that fails, returns a reason instead of an error: not
/// every machine reaches the database's host, and that is no fault of the change.
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

/// Returns whether a program succeeds, or `None` if it still runs after `limit`. The program is
/// then killed.
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
