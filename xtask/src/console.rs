//! The recipe `cargo xtask console`: the page of the control API, built from TypeScript.
//!
//! The same sources and the same packages give the same bytes, so the committed files can be
//! checked. Whoever builds wireplug needs no Node.js.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::peers::{NPM_FILES, note, npm_ci, same};
use crate::process;
use crate::project::Project;

/// The files that the runtime embeds.
const BUILT: &[&str] = &["index.html", "console.css", "console.js"];

pub(crate) fn run(project: &Project, arguments: &[String]) -> Result<()> {
    let check = match arguments {
        [] => false,
        [argument] if argument == "--check" => true,
        _ => bail!("`console` takes only --check, but got `{}`", arguments.join(" ")),
    };
    install(project)?;
    let folder = folder(project);
    if !check {
        return build(&folder, "dist");
    }
    process::run(Command::new("npm").args(["test"]).current_dir(&folder))?;
    let built = project.target().join("console");
    let out = built.to_str().context("the target folder is not UTF-8")?;
    build(&folder, out)?;
    for name in BUILT {
        let (built, committed) = (built.join(name), folder.join("dist").join(name));
        if read(&built)? != read(&committed)? {
            bail!("{} is not what its sources give: run `cargo xtask console`", committed.display());
        }
    }
    Ok(())
}

/// Installs the packages with which the console is built and tested, if they are missing or out of
/// date.
pub(crate) fn install(project: &Project) -> Result<()> {
    let folder = folder(project);
    // npm removes this folder before it installs, and with it the note of what was installed.
    let installed = folder.join("node_modules");
    if same(&folder, &installed, NPM_FILES) {
        return Ok(());
    }
    npm_ci(&folder).context("the packages of the console could not be installed")?;
    note(&folder, &installed, NPM_FILES)
}

fn folder(project: &Project) -> PathBuf {
    project.path("runtime/wireplug/console")
}

fn build(folder: &Path, out: &str) -> Result<()> {
    let mut npm = Command::new("npm");
    npm.args(["run", "build", "--", "--outDir", out, "--emptyOutDir"]);
    process::run(npm.current_dir(folder))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("{} can't be read", path.display()))
}
