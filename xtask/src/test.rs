//! The one command that runs all tests.

use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::foreign;
use crate::process;
use crate::project::Project;

/// Whether this system has the connector of the feature `shm`.
pub(crate) const SHARED_MEMORY: bool = cfg!(target_os = "linux");

/// The test that needs two network namespaces.
const IN_NAMESPACES: &str = "is_noticed_by_the_deadline_for_writing";

/// A script that makes two network namespaces and a link between them, as the test does.
const MAKE_NAMESPACES: &str = "unshare -n sleep 5 & peer=$!; sleep 0.5; ip link add here type veth peer name there && \
                               ip link set there netns $peer; works=$?; kill $peer; exit $works";

pub(crate) fn run(project: &Project, arguments: &[String]) -> Result<()> {
    let arguments = after_dashes("test", arguments)?;
    let missing = foreign::missing(project);
    if foreign::required() && !missing.is_empty() {
        bail!(
            "{}=required, but these tests lack their client: {}\n`cargo xtask foreign` installs the clients",
            foreign::REQUIRED,
            list(&missing)
        );
    }

    let mut cargo = project.cargo();
    of_the_workspace(&mut cargo);
    cargo.arg("--").args(arguments);
    for (test, _) in &missing {
        cargo.args(["--skip", test]);
    }
    let namespaces = cfg!(target_os = "linux") && has_namespaces();
    if !namespaces {
        cargo.args(["--skip", IN_NAMESPACES]);
    }
    foreign::announce(project, &mut cargo);
    let result = codecs(project, arguments).and_then(|()| process::run(&mut cargo));

    // At the end, where people see it.
    if !SHARED_MEMORY {
        println!("xtask: left out: the tests of shm:// (it is there on Linux only)");
    }
    if !namespaces {
        println!(
            "xtask: left out: {IN_NAMESPACES} (no network namespaces: unshare, ip, and the right to use them)"
        );
    }
    if !missing.is_empty() {
        println!("xtask: left out: {}", list(&missing));
        println!("xtask: `cargo xtask foreign` installs the clients that these tests need");
    }
    result
}

/// Adds the arguments that select the workspace's tests. All recipes use the same ones; otherwise
/// dependencies would be built twice.
pub(crate) fn of_the_workspace(cargo: &mut Command) {
    // The fuzz targets need a C++ compiler, and have a recipe of their own.
    cargo.args(["test", "--release", "--workspace", "--exclude", "wireplug-fuzz"]);
    if SHARED_MEMORY {
        cargo.args(["--features", "shm"]);
    }
}

/// Reports whether this system allows new network namespaces.
fn has_namespaces() -> bool {
    [&["unshare", "-n"][..], &["unshare", "-Urn"]].into_iter().any(|way| {
        let mut command = Command::new(way[0]);
        command.args(&way[1..]).args(["sh", "-c", MAKE_NAMESPACES]).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    })
}

/// Runs the codecs' own tests, which need no component.
fn codecs(project: &Project, arguments: &[String]) -> Result<()> {
    let mut cargo = project.guest_cargo();
    process::run(cargo.args(["test", "--workspace", "--"]).args(arguments))
}

/// Returns the arguments after `--`.
pub(crate) fn after_dashes<'a>(recipe: &str, arguments: &'a [String]) -> Result<&'a [String]> {
    match arguments.split_first() {
        None => Ok(&[]),
        Some((dashes, rest)) if dashes == "--" => Ok(rest),
        Some((other, _)) => {
            bail!("`{other}` is not known here; write `cargo xtask {recipe} -- {other}`")
        }
    }
}

fn list(missing: &[(String, String)]) -> String {
    let words = missing.iter().map(|(test, lack)| format!("{test} (no {lack})"));
    words.collect::<Vec<_>>().join(", ")
}
