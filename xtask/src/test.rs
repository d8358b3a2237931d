//! The recipe `cargo xtask test`: all tests but those with programs of others, which are the recipe
//! `peers`.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::peers;
use crate::process;
use crate::project::Project;

/// Whether the connector `shm://` exists on this system: it does on Linux.
pub(crate) const SHARED_MEMORY: bool = cfg!(target_os = "linux");

/// A test that needs rights or tools which not every user of a system has, and what it needs.
struct Privileged {
    test: &'static str,
    lack: &'static str,
    is_there: fn() -> bool,
}

const PRIVILEGED: [Privileged; 2] = [
    Privileged {
        test: "is_noticed_by_the_deadline_for_writing",
        lack: "no network namespaces: unshare, ip, and the right to use them",
        is_there: has_namespaces,
    },
    Privileged {
        test: "other_users_have_the_role_that_is_configured_or_none",
        lack: "no right to run a command as another user: root has it",
        is_there: has_other_users,
    },
];

/// The id of the user and group as which `has_other_users` runs a command.
const OTHER_USER: u32 = 64001;

/// A script that makes a second network namespace and a link to it, as the first test of
/// `PRIVILEGED` does.
const MAKE_NAMESPACES: &str = "unshare -n sleep 5 & peer=$!; sleep 0.5; ip link add here type veth peer name there && \
                               ip link set there netns $peer; works=$?; kill $peer; exit $works";

pub(crate) fn run(project: &Project, arguments: &[String]) -> Result<()> {
    let arguments = after_dashes("test", arguments)?;
    let mut cargo = project.cargo();
    of_the_workspace(&mut cargo);
    // All of its tests need programs of others.
    cargo.args(["--exclude", "wireplug-gallery"]);
    cargo.arg("--").args(arguments);
    for test in peers::TESTS {
        cargo.args(["--skip", test]);
    }
    let privileged: Vec<_> = PRIVILEGED.iter().filter(|privileged| !(privileged.is_there)()).collect();
    for Privileged { test, .. } in &privileged {
        cargo.args(["--skip", test]);
    }
    let result = codecs(project, arguments).and_then(|()| process::run(&mut cargo));

    // Printed last, where people see which tests were left out.
    if !SHARED_MEMORY {
        println!("xtask: left out: the tests of shm:// (it is there on Linux only)");
    }
    for Privileged { test, lack, .. } in privileged {
        println!("xtask: left out: {test} ({lack})");
    }
    println!(
        "xtask: left out: the tests with programs of others, which `cargo xtask peers` installs and runs"
    );
    result
}

/// Adds the arguments that select the workspace's tests.
pub(crate) fn of_the_workspace(cargo: &mut Command) {
    select(cargo, "test");
}

/// Adds a command of cargo, `test` or `bench`, and the packages. All recipes select the same ones;
/// otherwise dependencies would be built twice.
pub(crate) fn select(cargo: &mut Command, command: &str) {
    // The fuzz targets need a C++ compiler, and a recipe of their own runs them.
    cargo.args([command, "--workspace", "--exclude", "wireplug-fuzz"]);
    if SHARED_MEMORY {
        cargo.args(["--features", "shm"]);
    }
}

/// Reports whether this user may make network namespaces on this system.
fn has_namespaces() -> bool {
    let ways = [&["unshare", "-n"][..], &["unshare", "-Urn"]];
    cfg!(target_os = "linux")
        && ways.into_iter().any(|way| {
            let mut command = Command::new(way[0]);
            command.args(&way[1..]).args(["sh", "-c", MAKE_NAMESPACES]).stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        })
}

/// Reports whether a command can be run as another user.
fn has_other_users() -> bool {
    process::succeeds(Command::new("true").uid(OTHER_USER).gid(OTHER_USER))
}

/// Runs the unit tests of the codecs, which are built for the host and not as components.
fn codecs(project: &Project, arguments: &[String]) -> Result<()> {
    let mut cargo = project.guest_cargo();
    process::run(cargo.args(["test", "--workspace", "--"]).args(arguments))
}

/// Returns the arguments after `--`.
///
/// # Errors
/// Returns an error if the arguments begin with anything but `--`.
pub(crate) fn after_dashes<'a>(recipe: &str, arguments: &'a [String]) -> Result<&'a [String]> {
    match arguments.split_first() {
        None => Ok(&[]),
        Some((dashes, rest)) if dashes == "--" => Ok(rest),
        Some((other, _)) => {
            bail!("`{other}` is not known here; write `cargo xtask {recipe} -- {other}`")
        }
    }
}
