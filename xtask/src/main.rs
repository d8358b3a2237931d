//! The recipes that people and CI share: `cargo xtask help` lists them.
//!
//! xtask uses only the standard library and `anyhow`, so that it compiles in a second.

mod bench;
mod codec;
mod console;
mod features;
mod fuzz;
mod lint;
mod package;
mod peers;
mod process;
mod project;
mod prose;
mod soak;
mod test;

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::project::Project;

struct Recipe {
    name: &'static str,
    /// The syntax of the recipe's arguments; empty if it takes none.
    arguments: &'static str,
    help: &'static str,
    run: fn(&Project, &[String]) -> Result<()>,
}

const RECIPES: &[Recipe] = &[
    Recipe {
        name: "test",
        arguments: "[-- ARGS]",
        help: "run all tests that need no other program; ARGS go to the test binaries",
        run: test::run,
    },
    Recipe {
        name: "peers",
        arguments: "[-- ARGS]",
        help: "install programs of others, and run the tests with them; ARGS choose tests",
        run: peers::run,
    },
    Recipe {
        name: "lint",
        arguments: "",
        help: "check formatting, prose, clippy, rustdoc, dependencies, their licenses and advisories",
        run: lint::run,
    },
    Recipe {
        name: "features",
        arguments: "",
        help: "check the library without features, and with each of them alone",
        run: features::run,
    },
    Recipe {
        name: "prose",
        arguments: "[--shrink]",
        help: "check line widths and words of prose, as `lint` does; --shrink shortens the list of files that fail",
        run: prose::run,
    },
    Recipe {
        name: "codec",
        arguments: "[--check]",
        help: "build the codecs that the runtime carries; --check only compares them with the committed files",
        run: codec::run,
    },
    Recipe {
        name: "console",
        arguments: "[--check]",
        help: "build the console of the control API; --check tests it, and compares it with the committed files",
        run: console::run,
    },
    Recipe {
        name: "package",
        arguments: "",
        help: "package the crates that are meant for crates.io, and build each from its package",
        run: package::run,
    },
    Recipe {
        name: "fuzz",
        arguments: "[SECONDS]",
        help: "run each fuzz target for SECONDS, 60 by default; needs a C++ compiler",
        run: fuzz::run,
    },
    Recipe {
        name: "soak",
        arguments: "NAME [SECONDS]",
        help: "run one soak for SECONDS, 600 by default: siege, handoff, drain, failing, some, sleep or idle; \
               idle has two runs, and takes a number of SESSIONS too",
        run: soak::run,
    },
    Recipe {
        name: "bench",
        arguments: "[table | -- ARGS]",
        help: "run all benchmarks; ARGS go to the benchmark binaries; `table` compares figures with goals",
        run: bench::run,
    },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(exit) = fuzz::compile(&arguments) {
        return exit;
    }
    match dispatch(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: &[String]) -> Result<()> {
    let Some((name, rest)) = arguments.split_first() else {
        bail!("which recipe?\n{}", help());
    };
    if ["help", "--help", "-h"].contains(&name.as_str()) {
        println!("{}", help());
        return Ok(());
    }
    let Some(recipe) = RECIPES.iter().find(|recipe| recipe.name == name) else {
        bail!("there is no recipe `{name}`\n{}", help());
    };
    if recipe.arguments.is_empty() && !rest.is_empty() {
        bail!("`{name}` takes no arguments, but got `{}`", rest.join(" "));
    }
    (recipe.run)(&Project::find()?, rest)
}

fn help() -> String {
    let usages = RECIPES.iter().map(|recipe| {
        let usage = format!("{} {}", recipe.name, recipe.arguments);
        format!("  cargo xtask {usage:<18} {}", recipe.help)
    });
    let mut lines = vec!["Recipes:".to_owned()];
    lines.extend(usages);
    lines.join("\n")
}
