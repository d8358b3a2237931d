//! `wireplug codec build`: runs the toolchain of a codec's language and writes a component.
//!
//! Programs of the project run only after a question, or with `--yes`.

mod c;
mod consent;
mod go;
mod javascript;
mod libc;
mod progress;
mod python;
mod rust;
mod start;
mod tool;
mod world;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, bail};

use self::progress::Progress;
use self::world::World;

/// The folder for intermediate files, in the project.
const BUILD: &str = "build";

#[derive(clap::Args)]
pub(super) struct Args {
    /// The codec's project.
    #[arg(value_name = "FOLDER", default_value = ".")]
    folder: PathBuf,
    /// Run the programs of the project without asking. Off a terminal there is nobody to ask, and
    /// this is needed.
    #[arg(long)]
    yes: bool,
}

/// A language, which is recognized by a file that each of its projects has.
struct Language {
    name: &'static str,
    file: &'static str,
    /// The programs of the project that a build runs, as text for people. Empty if a build runs
    /// only compilers of this machine.
    runs: &'static [&'static str],
    /// Builds the component.
    build: fn(&Path, &Progress) -> anyhow::Result<Built>,
}

/// A component, and the codec's name.
struct Built {
    name: String,
    component: Vec<u8>,
}

const LANGUAGES: &[Language] = &[
    Language {
        name: "Rust",
        file: "Cargo.toml",
        runs: &[
            "cargo and rustc, as rust-toolchain.toml and .cargo/config.toml name them",
            "build scripts and procedural macros of the project and of its dependencies",
        ],
        build: rust::build,
    },
    Language { name: "C", file: "codec.c", runs: &[], build: c::build },
    Language { name: "Go", file: "codec.go", runs: &[], build: go::build },
    Language {
        name: "JavaScript",
        file: "codec.js",
        runs: &["node_modules/.bin/esbuild", "node_modules/.bin/componentize-qjs"],
        build: javascript::build,
    },
    Language {
        name: "Python",
        file: "codec.py",
        runs: &[".venv/bin/componentize-py, or without that file the one that PATH finds"],
        build: python::build,
    },
];

pub(super) fn run(Args { folder, yes }: Args) -> anyhow::Result<()> {
    let shown = folder.display();
    if !folder.is_dir() {
        bail!("{shown} is not a folder: give the folder of a codec's project");
    }
    let Some(language) = LANGUAGES.iter().find(|language| folder.join(language.file).is_file()) else {
        let files: Vec<_> =
            LANGUAGES.iter().map(|language| format!("{} ({})", language.file, language.name)).collect();
        bail!(
            "{shown} is no project of a codec: one has {}. `wireplug codec new` makes one",
            files.join(", ")
        );
    };
    consent::ask(&folder, language.name, language.runs, yes)?;
    let begun = Instant::now();
    let progress = Progress::start(format!("building in {}", language.name));
    let built = (language.build)(&folder, &progress);
    drop(progress);
    let Built { name, component } = built.with_context(|| format!("cannot build {shown}"))?;
    // An interface that the author wrote but did not export is silently missing. This list shows
    // which interfaces are exported.
    let world = World::of_component(&component).with_context(|| format!("cannot build {shown}"))?;
    let exports = world.exports().collect::<Vec<_>>().join(", ");
    let file = folder.join(&name).with_extension("wasm");
    replace(&file, &component).with_context(|| format!("cannot write {}", file.display()))?;
    say!(
        "{}: {} KiB, from {} in {:.1} s; it exports {exports}",
        file.display(),
        component.len().div_ceil(1024),
        language.name,
        begun.elapsed().as_secs_f64()
    );
    Ok(())
}

/// Replaces a file at once, so that a server that watches it never reads an incomplete one.
fn replace(file: &Path, component: &[u8]) -> std::io::Result<()> {
    // The name contains the process id, because two builds may run at the same time.
    let unfinished = file.with_extension(format!("wasm.{}", std::process::id()));
    fs::write(&unfinished, component)?;
    fs::rename(unfinished, file)
}
