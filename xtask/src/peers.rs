//! The recipe `cargo xtask peers`: tests with programs of other projects, such as clients, a NATS
//! server, and the toolchains of codecs. The recipe installs these programs first.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::console;
use crate::process;
use crate::project::Project;
use crate::test;

/// A variable with the folder in which the packages of npm and PyPI are installed. The tests read
/// it.
const FOLDER: &str = "WIREPLUG_PEERS_DIR";

/// The beginnings of the names of the tests that need a program of others. `test` leaves them out.
pub(crate) const TESTS: &[&str] = &[
    "behind_http::",
    "behind_nats::",
    "connectors::proxies::",
    "connectors::tls::clients::curl_",
    "connectors::tls::clients::openssl_",
    "connectors::unix::python_",
    "connectors::websocket::curl_",
    "registry::peers::",
    "control::openapi::schemathesis_",
    "control::prometheus::",
    "deploy::checked_by::",
    "gallery::",
    "in_the_browser::",
    "kit::",
    "interop::",
    "streams::tls::openssl_",
];

/// Debian's packages with programs that tests run. Those of other systems have other names.
const DEBIAN: &[&str] = &[
    "chromium",
    "clang",
    "curl",
    "docker-registry",
    "haproxy",
    "libclang-rt-dev-wasm32",
    "lld",
    "mosquitto-clients",
    "nats-server",
    "netcat-openbsd",
    "nginx-light",
    "openssl",
    "postgresql-client",
    "prometheus",
    "redis-tools",
    "sip-tester",
    "sipsak",
    "systemd",
    "wasi-libc",
];

/// Programs that tests run. Node.js and Python come from the machine, because their versions
/// matter.
const PROGRAMS: &[&str] = &[
    "ar",
    "cc",
    "chromium",
    "clang",
    "curl",
    "docker-registry",
    "haproxy",
    "mosquitto_pub",
    "nats-server",
    "nc",
    "nginx",
    "node",
    "npm",
    "openssl",
    "prometheus",
    "promtool",
    "psql",
    "python3",
    "redis-benchmark",
    "redis-cli",
    "sipp",
    "sipsak",
    "systemd-analyze",
    "wasm-ld",
];

/// The target for which codecs in Rust are built.
const TARGET: &str = "wasm32-unknown-unknown";

/// The files that pin the versions to install.
pub(crate) const NPM_FILES: &[&str] = &["package.json", "package-lock.json"];
const PYTHON_FILE: &str = "requirements.txt";

pub(crate) fn run(project: &Project, arguments: &[String]) -> Result<()> {
    let chosen = test::after_dashes("peers", arguments)?;
    install(project)?;
    let mut cargo = project.cargo();
    test::of_the_workspace(&mut cargo);
    // Without the examples in documentation: those are tests of `test`.
    cargo.args(["--tests", "--"]);
    if chosen.is_empty() {
        cargo.args(TESTS);
    } else {
        cargo.args(chosen);
    }
    let folder = folder(project);
    // The toolchain of Go is a package of PyPI. One of the machine comes first.
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain([folder.join("venv/bin")]);
    cargo.env("PATH", env::join_paths(folders)?);
    cargo.env("NODE_PATH", folder.join("node_modules"));
    cargo.env(FOLDER, folder);
    process::run(&mut cargo)
}

/// Installs what is missing or out of date.
fn install(project: &Project) -> Result<()> {
    let folder = folder(project);
    let wanted = project.path("tests/peers");
    fs::create_dir_all(&folder).with_context(|| format!("{} can't be made", folder.display()))?;
    install_debian()?;
    install_target()?;
    let missing: Vec<_> = PROGRAMS.iter().copied().filter(|program| !is_there(program)).collect();
    if !missing.is_empty() {
        bail!("these programs are missing: {}; Debian has them in: {}", missing.join(", "), DEBIAN.join(" "));
    }
    install_npm(&wanted, &folder)?;
    console::install(project)?;
    install_python(&wanted, &folder)?;
    println!("xtask: the packages of npm and PyPI are in {}", folder.display());
    Ok(())
}

fn folder(project: &Project) -> PathBuf {
    match env::var_os(FOLDER) {
        Some(chosen) => project.root().join(chosen),
        None => project.target().join("peers"),
    }
}

/// Reports whether a program can be started.
fn is_there(program: &str) -> bool {
    // The exit code does not matter. Some programs wait for input, so the input is empty.
    let mut command = Command::new(program);
    command.arg("--version").stdin(Stdio::null()).output().is_ok()
}

/// Installs Debian's packages, on a machine that has dpkg.
fn install_debian() -> Result<()> {
    let installed = process::succeeds(Command::new("dpkg").arg("--status").args(DEBIAN));
    if installed || !is_there("dpkg") {
        return Ok(());
    }
    let is_root = process::output(Command::new("id").arg("-u"))? == "0";
    let apt = |arguments: &[&str]| {
        let mut command = Command::new(if is_root { "env" } else { "sudo" });
        command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]).args(arguments);
        process::run(&mut command)
    };
    apt(&["update"])?;
    apt(&[&["install", "--yes", "--no-install-recommends"], DEBIAN].concat())
        .context("Debian's packages could not be installed")
}

fn install_target() -> Result<()> {
    let installed = process::output(Command::new("rustup").args(["target", "list", "--installed"]))?;
    if installed.lines().any(|target| target == TARGET) {
        return Ok(());
    }
    process::run(Command::new("rustup").args(["target", "add", TARGET]))
}

fn install_npm(wanted: &Path, folder: &Path) -> Result<()> {
    if same(wanted, folder, NPM_FILES) {
        return Ok(());
    }
    // npm reads both files from this folder, and `same` compares them.
    note(wanted, folder, NPM_FILES)?;
    let done = npm_ci(folder);
    if done.is_err() {
        // An installation that broke off must not look finished.
        forget(folder, NPM_FILES)?;
    }
    done.context("the packages of npm could not be installed (Node.js 20 and npm are needed)")
}

fn install_python(wanted: &Path, folder: &Path) -> Result<()> {
    if same(wanted, folder, &[PYTHON_FILE]) {
        return Ok(());
    }
    forget(folder, &[PYTHON_FILE])?;
    let venv = folder.join("venv");
    process::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))
        .context("no virtual environment (Python 3 with venv and pip is needed)")?;
    let mut pip = Command::new(venv.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--requirement"]);
    process::run(pip.arg(wanted.join(PYTHON_FILE))).context("the packages of PyPI could not be installed")?;
    note(wanted, folder, &[PYTHON_FILE])
}

/// Installs the packages that the files in `folder` pin.
pub(crate) fn npm_ci(folder: &Path) -> Result<()> {
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
    process::run(npm.current_dir(folder))
}

/// Returns whether `folder` was installed from the current files.
pub(crate) fn same(wanted: &Path, folder: &Path, files: &[&str]) -> bool {
    let equal = |file: &&str| match (fs::read(wanted.join(file)), fs::read(folder.join(file))) {
        (Ok(wanted), Ok(noted)) => wanted == noted,
        _ => false,
    };
    files.iter().all(equal)
}

pub(crate) fn note(wanted: &Path, folder: &Path, files: &[&str]) -> Result<()> {
    for file in files {
        fs::copy(wanted.join(file), folder.join(file))
            .with_context(|| format!("{file} can't be copied to {}", folder.display()))?;
    }
    Ok(())
}

fn forget(folder: &Path, files: &[&str]) -> Result<()> {
    for file in files {
        let path = folder.join(file);
        if path.exists() {
            fs::remove_file(&path).with_context(|| format!("{} can't be removed", path.display()))?;
        }
    }
    Ok(())
}
