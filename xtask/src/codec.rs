//! The codecs that the runtime carries, built from their sources in guest-examples.
//!
//! The same sources and toolchain give the same bytes in every folder, so the committed files can
//! be checked.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;
use crate::project::Project;

const TARGET: &str = "wasm32-unknown-unknown";

/// The flags in the .cargo/config.toml of the codecs' workspace. Flags in the environment replace
/// those of the file, so `flags` repeats them.
const FLAGS: &str = "-Ctarget-feature=+simd128\u{1f}-Clink-arg=-zstack-size=65536";

/// The files that cargo builds, each with the file that is committed.
const CARRIED: &[(&str, &str)] = &[
    ("digits.wasm", "tests/digits.wasm"),
    ("nothing_codec.wasm", "runtime/codec-tools/nothing.wasm"),
    ("pomelo_codec.wasm", "runtime/wireplug/codecs/pomelo.wasm"),
    ("pomelo_framer.wasm", "tests/pomelo_framer.wasm"),
    ("sio_codec.wasm", "runtime/wireplug/codecs/sio.wasm"),
];

pub(crate) fn run(project: &Project, arguments: &[String]) -> Result<()> {
    let check = match arguments {
        [] => false,
        [argument] if argument == "--check" => true,
        _ => bail!("`codec` takes only --check, but got `{}`", arguments.join(" ")),
    };
    let built = build(project)?;
    for (name, committed) in CARRIED {
        let (from, to) = (built.join(name), project.path(committed));
        if check {
            compare(&from, &to, committed)?;
        } else {
            copy(&from, &to, committed)?;
        }
    }
    Ok(())
}

/// Builds every component. Returns the folder that holds them.
fn build(project: &Project) -> Result<PathBuf> {
    let sysroot = PathBuf::from(rustc(project, &["--print", "sysroot"])?);
    if !sysroot.join("lib/rustlib").join(TARGET).is_dir() {
        bail!("the toolchain can't build codecs; install its target: rustup target add {TARGET}");
    }
    // First, so that `flags` sees the folders with the sources of dependencies.
    process::run(project.guest_cargo().args(["fetch", "--locked", "--target", TARGET]))?;
    let mut cargo = project.guest_cargo();
    cargo.args(["build", "--release", "--locked", "--target", TARGET]);
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags(project, &sysroot)?);
    // Incremental builds give other bytes.
    cargo.env("CARGO_INCREMENTAL", "0");
    process::run(&mut cargo)?;
    Ok(project.guest_target().join(TARGET).join("release"))
}

/// Returns the compiler's flags: those of the workspace, and those that keep this machine's folders
/// out of the panic messages.
fn flags(project: &Project, sysroot: &Path) -> Result<OsString> {
    let cargo = cargo_home()?;
    // If two folders match a path, the later one wins.
    let mut folders =
        vec![(project.root().to_owned(), "/wireplug".to_owned()), (cargo.clone(), "/cargo".to_owned())];
    // Their names contain the registry's host, which a mirror changes.
    for entry in fs::read_dir(cargo.join("registry/src")).into_iter().flatten() {
        folders.push((entry?.path(), "/cargo/registry".to_owned()));
    }
    let version = rustc(project, &["--version", "--verbose"])?;
    let commit = version
        .lines()
        .find_map(|line| line.strip_prefix("commit-hash: "))
        .context("rustc --version --verbose has no commit-hash")?;
    folders.push((sysroot.to_owned(), "/rust".to_owned()));
    // Panic messages must name the sources of the library in the same way whether or not they are
    // installed.
    folders.push((sysroot.join("lib/rustlib/src/rust"), format!("/rustc/{commit}")));

    let mut flags = OsString::from(FLAGS);
    for (folder, name) in folders {
        // U+001F separates encoded flags. Unlike a space, it is in no folder's name.
        flags.push("\u{1f}--remap-path-prefix=");
        flags.push(folder);
        flags.push("=");
        flags.push(name);
    }
    Ok(flags)
}

fn cargo_home() -> Result<PathBuf> {
    if let Some(chosen) = env::var_os("CARGO_HOME") {
        return Ok(chosen.into());
    }
    let home = env::home_dir().context("neither CARGO_HOME nor a home folder is known")?;
    Ok(home.join(".cargo"))
}

/// Runs the compiler of the toolchain that runs xtask. Returns its output.
fn rustc(project: &Project, arguments: &[&str]) -> Result<String> {
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    process::output(rustc.current_dir(project.root()).args(arguments))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("{} can't be read", path.display()))
}

fn copy(from: &Path, to: &Path, committed: &str) -> Result<()> {
    let bytes = read(from)?;
    let changed = fs::read(to).map_or(true, |old| old != bytes);
    if changed {
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(to, &bytes).with_context(|| format!("{} can't be written", to.display()))?;
    }
    let what = if changed { "written" } else { "unchanged" };
    println!("xtask: {committed} {what}, {} bytes", bytes.len());
    Ok(())
}

fn compare(from: &Path, to: &Path, committed: &str) -> Result<()> {
    let built = read(from)?;
    let todo = "run `cargo xtask codec` and commit it";
    let Ok(old) = fs::read(to) else {
        bail!("{committed} is not there; {todo}");
    };
    if old != built {
        bail!(
            "{committed} ({} bytes) is not what its sources give ({} bytes); {todo}",
            old.len(),
            built.len()
        );
    }
    println!("xtask: {committed} is what its sources give, {} bytes", built.len());
    Ok(())
}
