//! JavaScript: esbuild bundles the codec with its npm dependencies, and componentize-qjs puts QuickJS beside it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use super::progress::Progress;
use super::world::World;
use super::{BUILD, Built, tool};

const INSTALL: &str = "npm ci --ignore-scripts, in the project's folder (Node.js 20 or later)";

pub(super) fn build(folder: &Path, progress: &Progress) -> anyhow::Result<Built> {
    let name = World::of(folder)?.name().to_owned();
    let build = folder.join(BUILD);
    fs::create_dir_all(&build).with_context(|| format!("cannot make {}", build.display()))?;

    progress.step(format!("building {name}: esbuild"));
    let bundle = build.join("bundle.js");
    let mut esbuild = npm(folder, "esbuild")?;
    esbuild.arg(folder.join("codec.js")).args(["--bundle", "--format=esm", "--platform=neutral"]);
    esbuild
        .args(["--main-fields=module,main", "--log-level=warning"])
        .arg(format!("--outfile={}", bundle.display()));
    let output = tool::run(&mut esbuild, INSTALL)?;
    tool::warnings(&output);

    progress.step(format!("building {name}: componentize-qjs"));
    let component = build.join("component.wasm");
    let mut componentize = npm(folder, "componentize-qjs")?;
    // The synchronous calling convention, and no import: each is a stub in the component.
    componentize.args(["--sync", "--stub-wasi"]).arg("--wit").arg(folder.join("wit"));
    componentize.arg("--js").arg(&bundle).args(["-n", &name]).arg("-o").arg(&component);
    tool::run(&mut componentize, INSTALL)?;
    let component = fs::read(&component).with_context(|| format!("cannot read {}", component.display()))?;
    Ok(Built { name, component })
}

/// A program that npm has put into the project.
fn npm(folder: &Path, program: &str) -> anyhow::Result<Command> {
    let file = Path::new("node_modules/.bin").join(program);
    let file: PathBuf = folder.join(file);
    if !file.exists() {
        bail!("{program} is missing: {INSTALL}");
    }
    // Its first line asks for node.
    if !tool::is_there("node", &["--version"]) {
        bail!("node is missing: install Node.js 20 or later");
    }
    let file = file.canonicalize().with_context(|| format!("cannot find {}", file.display()))?;
    Ok(Command::new(file))
}
