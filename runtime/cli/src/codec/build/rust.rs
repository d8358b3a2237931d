//! Builds a codec in Rust: cargo runs the whole build, and the linker that the project configures
//! makes the component.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use serde::Deserialize;

use super::progress::Progress;
use super::{Built, tool};

const TARGET: &str = "wasm32-unknown-unknown";
const INSTALL: &str = "install Rust with rustup (rustup.rs)";

/// The parts of Cargo.toml that are read.
#[derive(Deserialize)]
struct Manifest {
    package: Package,
}

#[derive(Deserialize)]
struct Package {
    name: String,
}

/// A message of cargo about a file that it has built.
#[derive(Deserialize)]
struct Artifact {
    manifest_path: PathBuf,
    filenames: Vec<PathBuf>,
}

pub(super) fn build(folder: &Path, progress: &Progress) -> anyhow::Result<Built> {
    let manifest = folder.join("Cargo.toml");
    let text = fs::read_to_string(&manifest).context("cannot read Cargo.toml")?;
    let Manifest { package: Package { name } } = toml::from_str(&text).context("in Cargo.toml")?;
    let mut rustc = Command::new("rustc");
    rustc.current_dir(folder).args(["--print", "target-libdir", "--target", TARGET]);
    let library = tool::run(&mut rustc, INSTALL)?;
    if !Path::new(String::from_utf8_lossy(&library.stdout).trim()).is_dir() {
        bail!("the toolchain has no target {TARGET}: rustup target add {TARGET}");
    }

    progress.step(format!("building {name}: cargo build"));
    let mut cargo = Command::new("cargo");
    // Cargo runs in the project's folder, so that the configuration there applies.
    cargo.current_dir(folder).args(["build", "--release", "--quiet", "--target", TARGET]);
    cargo.args(["--message-format", "json-render-diagnostics"]);
    let output = tool::run(&mut cargo, INSTALL)?;
    tool::warnings(&output);

    let manifest = manifest.canonicalize().context("cannot find Cargo.toml again")?;
    let lines = output.stdout.split(|byte| *byte == b'\n');
    let artifacts = lines.filter_map(|line| serde_json::from_slice::<Artifact>(line).ok());
    let of_this = artifacts.filter(|artifact| artifact.manifest_path == manifest);
    let wasm = of_this
        .flat_map(|artifact| artifact.filenames)
        .find(|file| file.extension().is_some_and(|extension| extension == "wasm"));
    let Some(wasm) = wasm else {
        bail!("cargo makes no component of it: Cargo.toml needs `crate-type = [\"cdylib\"]` under [lib]");
    };
    let component = fs::read(&wasm).with_context(|| format!("cannot read {}", wasm.display()))?;
    if wasmparser::Parser::is_core_wasm(&component) {
        bail!(
            "what cargo made is a core module and no component: .cargo/config.toml needs\n[target.{TARGET}]\nlinker = \"wasm-component-ld\""
        );
    }
    Ok(Built { name, component })
}
