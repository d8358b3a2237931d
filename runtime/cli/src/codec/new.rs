//! `wireplug codec new`: makes the project of a codec, which can be built and run at once.
//!
//! All projects speak the same small protocol, so that their vectors and the client in their README
//! are the same.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use wit_parser::UnresolvedPackageGroup;

#[derive(clap::Args)]
pub(super) struct Args {
    /// The project's folder, whose last part is the codec's name: small letters, digits and
    /// hyphens, beginning with a letter. `.` is the folder that one is in.
    #[arg(value_name = "NAME")]
    folder: PathBuf,
    /// The language to write it in.
    #[arg(long, value_enum)]
    lang: Language,
}

#[derive(Clone, Copy, ValueEnum)]
enum Language {
    Rust,
    C,
    Go,
    Js,
    Python,
}

/// A file of a project: its path and its content. In the content, `{{name}}` stands for the codec's
/// name and `{{world}}` for that name as WIT writes it.
type File = (&'static str, &'static str);

/// Returns the files of a template.
macro_rules! files {
    ($from:literal: $($file:literal),* $(,)?) => {
        &[$(($file, include_str!(concat!("../../../../guest-sdk/", $from, $file)))),*]
    };
}

/// The files of the SDK, and the folder that they go into.
struct Part {
    to: &'static str,
    files: &'static [File],
}

const VECTORS: &str = include_str!("../../../../guest-sdk/templates/lines.vectors");

const CONTRACT: &str = include_str!("../../../../wit/codec.wit");

impl Language {
    fn template(self) -> &'static [File] {
        match self {
            Self::Rust => {
                files!("templates/rust/": ".cargo/config.toml", ".gitignore", "Cargo.toml", "README.md", "src/lib.rs")
            }
            Self::C => files!("templates/c/": ".gitignore", "README.md", "codec.c", "wit/world.wit"),
            Self::Go => {
                files!("templates/go/": ".gitignore", "README.md", "codec.go", "go.mod", "wit/world.wit")
            }
            Self::Js => {
                files!("templates/js/": ".gitignore", "README.md", "codec.js", "package-lock.json", "package.json", "wit/world.wit")
            }
            Self::Python => {
                files!("templates/python/": ".gitignore", "README.md", "codec.py", "requirements.txt", "wit/world.wit")
            }
        }
    }

    /// Returns the SDK of this language, in the version of this runtime.
    fn sdk(self) -> Part {
        match self {
            Self::Rust => Part {
                to: "wireplug-guest",
                files: files!(
                    "": "Cargo.toml", "macros/Cargo.toml", "macros/src/component_type.rs", "macros/src/lib.rs", "src/abi.rs",
                    "src/abi/arena.rs", "src/answer.rs", "src/codec.rs", "src/cut.rs", "src/description.rs", "src/events.rs",
                    "src/exported.rs", "src/flat.rs", "src/framer.rs", "src/heap.rs", "src/ids.rs", "src/instance.rs",
                    "src/lib.rs", "src/options.rs", "src/packets.rs", "src/testing.rs", "src/testing/stream.rs", "src/trap.rs", "src/types.rs",
                ),
            },
            Self::C => Part {
                to: "wireplug",
                files: files!(
                    "c/": "wireplug.c", "wireplug.h", "wireplug_abi.c", "wireplug_abi.h", "wireplug_arena.c", "wireplug_arena.h",
                    "wireplug_batch.c", "wireplug_bytes.c", "wireplug_cut.c", "wireplug_cut.h", "wireplug_flat.c", "wireplug_flat.h",
                    "wireplug_ids.c", "wireplug_ids.h", "wireplug_json.c", "wireplug_json.h", "wireplug_stream.c", "wireplug_trap.c",
                ),
            },
            Self::Go => Part {
                to: "wireplug",
                files: files!(
                    "go/": "buffers.go", "codec.go", "cut/cut.go", "description.go", "events.go", "exports_batch.go", "exports_broadcast.go",
                    "exports_clock.go", "exports_codec.go", "exports_farewell.go", "exports_framer.go", "exports_handoff.go",
                    "exports_handshake.go", "exports_requests.go", "exports_tls_upgrade.go", "fault.go", "go.mod", "ids/ids.go",
                    "ids/state.go", "inspect.go", "lacks_broadcast.go", "lacks_clock.go", "lacks_farewell.go", "lacks_framer.go", "lacks_handoff.go",
                    "lacks_handshake.go", "lacks_requests.go", "lacks_tls_upgrade.go", "memory_component.go", "options.go",
                    "options/options.go", "packets.go", "result_component.go", "stream.go", "trap_component.go", "trap_native.go",
                    "types.go",
                ),
            },
            Self::Js => Part {
                to: "wireplug",
                files: files!(
                    "js/": "cut.js", "description.js", "events.js", "faults.js", "ids.js", "stream.js", "text.js", "values.js", "wireplug.js",
                ),
            },
            Self::Python => Part {
                to: "wireplug",
                files: files!(
                    "python/wireplug/": "__init__.py", "batch.py", "component.py", "cut.py", "flat_events.py", "framer.py", "guards.py",
                    "ids.py", "late_imports.py", "values.py",
                ),
            },
        }
    }

    /// Returns the path of the contract in a project.
    fn contract(self) -> &'static str {
        match self {
            Self::Rust => "wireplug-guest/wit/codec.wit",
            _ => "wit/deps/wireplug-codec/codec.wit",
        }
    }
}

pub(super) fn run(Args { folder, lang }: Args) -> anyhow::Result<()> {
    let shown = folder.display();
    let name = name(&folder)?;
    check(&name, lang)?;
    match fs::read_dir(&folder).map(|files| files.flatten().any(|file| file.file_name() != ".git")) {
        Ok(true) => {
            bail!("{shown} is there already, and is not empty: give another name, or an empty folder")
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot look into {shown}"));
        }
        _ => {}
    }
    let Part { to, files } = lang.sdk();
    for (file, content) in lang.template() {
        write(&folder.join(file), &content.replace("{{name}}", &name).replace("{{world}}", &world(&name)))?;
    }
    for (file, content) in files {
        write(&folder.join(to).join(file), content)?;
    }
    write(&folder.join(lang.contract()), CONTRACT)?;
    write(&folder.join(&name).with_extension("vectors"), &VECTORS.replace("{{name}}", &name))?;
    say!(
        "{shown} is the project of the codec {name}; {shown}/README.md tells how to build, test and serve it"
    );
    Ok(())
}

/// Returns the last part of a folder's path. Resolves paths that are `.` or end with `..`.
fn name(folder: &Path) -> anyhow::Result<String> {
    let mut whole = folder.to_owned();
    if whole.file_name().is_none() {
        whole = folder.canonicalize().with_context(|| format!("cannot find {}", folder.display()))?;
    }
    Ok(whole.file_name().unwrap_or_default().to_string_lossy().into_owned())
}

/// Returns a name as WIT writes it, with a `%` before it if it is a keyword of WIT.
fn world(name: &str) -> String {
    let plain = UnresolvedPackageGroup::parse("world.wit", &format!("package local:{name};"));
    if plain.is_ok() { name.to_owned() } else { format!("%{name}") }
}

/// The names of crates that every project in Rust depends on, which a codec in Rust cannot have.
const CRATES: &[&str] =
    &["alloc", "core", "proc-macro", "std", "test", "wireplug-guest", "wireplug-guest-macros"];

/// Checks that a name is valid for a crate, an npm module and a world.
fn check(name: &str, lang: Language) -> anyhow::Result<()> {
    let is_word = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_lowercase())
            && word.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
    };
    if name.len() > 64 || !name.split('-').all(is_word) {
        bail!(
            "{name:?} is no name for a codec, which has that of its folder: at most 64 small letters, digits and hyphens, with a letter \
             at the beginning and behind each hyphen"
        );
    }
    if matches!(lang, Language::Rust) && CRATES.contains(&name) {
        bail!("{name:?} is no name for a codec in Rust: a crate that it needs has it");
    }
    Ok(())
}

fn write(file: &Path, content: &str) -> anyhow::Result<()> {
    let written = file.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(file, content));
    written.with_context(|| format!("cannot write {}", file.display()))
}
