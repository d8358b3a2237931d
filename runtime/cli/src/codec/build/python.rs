//! Builds a codec in Python: componentize-py puts the interpreter and the modules that the codec
//! imports into a component.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;

use super::progress::Progress;
use super::world::World;
use super::{BUILD, Built, tool};

const INSTALL: &str = "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt, in the project's folder (Python 3.10 or later), or \
                       pip install it where PATH finds it";

/// The name of the SDK's package in a project.
const SDK: &str = "wireplug";

pub(super) fn build(folder: &Path, progress: &Progress) -> anyhow::Result<Built> {
    let world = World::of(folder)?;
    let name = world.name().to_owned();
    let build = folder.join(BUILD);
    fs::create_dir_all(&build).with_context(|| format!("cannot make {}", build.display()))?;

    progress.step(format!("building {name}: componentize-py"));
    let component = build.join("component.wasm");
    // Prefers the program in the project's virtual environment to the one in PATH.
    let of_project = folder.join(".venv/bin/componentize-py");
    let mut componentize = match of_project.canonicalize() {
        Ok(program) => Command::new(program),
        Err(_) => Command::new("componentize-py"),
    };
    // The program's own errors name the mistake. A Rust backtrace behind them would not help.
    componentize.env("RUST_BACKTRACE", "0");
    componentize.arg("-d").arg(folder.join("wit"));
    componentize.args(["-w", &world.argument(), "componentize", "--stub-wasi"]);
    // The SDK may be a link out of the folder, which is not followed from within the component that
    // runs here.
    let sdk = folder
        .join(SDK)
        .canonicalize()
        .with_context(|| format!("{SDK}/, the SDK, is missing: `wireplug codec new` has it"))?;
    for path in [Some(folder), sdk.parent()].into_iter().flatten() {
        componentize.arg("-p").arg(path);
    }
    componentize.arg("codec").arg("-o").arg(&component);
    tool::run(&mut componentize, INSTALL).map_err(|error| {
        if error.to_string().contains("'wit_world.exports' has no attribute") {
            return error
                .context("codec.py has an ability that wit/world.wit does not export: name it there");
        }
        error
    })?;
    let component = fs::read(&component).with_context(|| format!("cannot read {}", component.display()))?;
    Ok(Built { name, component })
}
