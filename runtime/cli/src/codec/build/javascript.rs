//! Builds a codec in JavaScript: esbuild bundles the codec with its npm dependencies, and
//! componentize-qjs puts the bundle and QuickJS into a component.
//!
//! Componentize-qjs does not compare the exports of the bundle with the world. A call of an
//! interface that the bundle lacks would trap, and an interface that the world does not name would
//! never be called. So this module compares them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use serde::Deserialize;

use super::progress::Progress;
use super::world::World;
use super::{BUILD, Built, tool};

const INSTALL: &str = "npm ci --ignore-scripts, in the project's folder (Node.js 20 or later)";

/// The file in which esbuild describes its output.
#[derive(Deserialize)]
struct Metafile {
    outputs: BTreeMap<PathBuf, Output>,
}

/// A file that esbuild has written.
#[derive(Deserialize)]
struct Output {
    exports: Vec<String>,
}

pub(super) fn build(folder: &Path, progress: &Progress) -> anyhow::Result<Built> {
    let world = World::of(folder)?;
    let name = world.name().to_owned();
    let build = folder.join(BUILD);
    fs::create_dir_all(&build).with_context(|| format!("cannot make {}", build.display()))?;

    progress.step(format!("building {name}: esbuild"));
    let bundle = build.join("bundle.js");
    let metafile = build.join("bundle.json");
    let mut esbuild = npm(folder, "esbuild")?;
    esbuild.arg(folder.join("codec.js")).args(["--bundle", "--format=esm", "--platform=neutral"]);
    esbuild
        .args(["--main-fields=module,main", "--log-level=warning"])
        .arg(format!("--outfile={}", bundle.display()))
        .arg(format!("--metafile={}", metafile.display()));
    let output = tool::run(&mut esbuild, INSTALL)?;
    tool::warnings(&output);
    compare(&world, &exports(&metafile)?)?;

    progress.step(format!("building {name}: componentize-qjs"));
    let component = build.join("component.wasm");
    let mut componentize = npm(folder, "componentize-qjs")?;
    // `--sync` selects the synchronous calling convention. `--stub-wasi` replaces each import by a
    // stub in the component.
    componentize.args(["--sync", "--stub-wasi"]).arg("--wit").arg(folder.join("wit"));
    componentize.arg("--js").arg(&bundle).args(["-n", &world.argument()]).arg("-o").arg(&component);
    tool::run(&mut componentize, INSTALL)?;
    let component = fs::read(&component).with_context(|| format!("cannot read {}", component.display()))?;
    Ok(Built { name, component })
}

/// Returns the exports of the bundle.
fn exports(metafile: &Path) -> anyhow::Result<Vec<String>> {
    let shown = metafile.display();
    let text = fs::read(metafile).with_context(|| format!("cannot read {shown}"))?;
    let Metafile { outputs } = serde_json::from_slice(&text).with_context(|| format!("in {shown}"))?;
    Ok(outputs.into_values().flat_map(|output| output.exports).collect())
}

/// Checks that the world and the bundle have the same interfaces. Other exports are allowed, such
/// as those for tests.
fn compare(world: &World, exported: &[String]) -> anyhow::Result<()> {
    let is_exported = |name: &str| exported.contains(&camel_case(name));
    if let Some(missing) = world.exports().find(|name| !is_exported(name)) {
        let export = camel_case(missing);
        bail!(
            "wit/world.wit names the interface `{missing}`, which codec.js does not export: add `{export}` to `export const {{ codec, … \
             }} = define(…)`, or take it out of wit/world.wit"
        );
    }
    let is_named = |name: &str| world.exports().any(|named| named == name);
    if let Some((name, item)) = world.interfaces().find(|(name, _)| is_exported(name) && !is_named(name)) {
        let export = camel_case(name);
        bail!(
            "codec.js exports `{export}`, which wit/world.wit does not name, so it would never be called: add `export {item};` to the world, \
             or do not export it"
        );
    }
    Ok(())
}

/// Returns the name of an interface in JavaScript.
fn camel_case(name: &str) -> String {
    let mut words = name.split('-');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let (initial, rest) = word.split_at(1);
        name + &initial.to_uppercase() + rest
    })
}

/// Returns the command for a program that npm has installed in the project.
fn npm(folder: &Path, program: &str) -> anyhow::Result<Command> {
    let file = Path::new("node_modules/.bin").join(program);
    let file: PathBuf = folder.join(file);
    if !file.exists() {
        bail!("{program} is missing: {INSTALL}");
    }
    // The first line of the program's file names node as its interpreter.
    if !tool::is_there("node", &["--version"]) {
        bail!("node is missing: install Node.js 20 or later");
    }
    let file = file.canonicalize().with_context(|| format!("cannot find {}", file.display()))?;
    Ok(Command::new(file))
}
