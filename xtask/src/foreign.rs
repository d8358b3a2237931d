//! Programs of other projects that the tests talk to: clients, a NATS server, and the libraries of
//! services.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::process;
use crate::project::Project;

/// A variable. With the value `required`, a missing foreign program is a failure.
pub(crate) const REQUIRED: &str = "WIREPLUG_FOREIGN";
/// A variable with the folder in which the clients are installed. The tests read it.
const FOLDER: &str = "WIREPLUG_FOREIGN_DIR";

/// A test, or the common beginning of the names of several tests, with what it needs.
struct Client {
    test: &'static str,
    needs: &'static [Needs],
}

enum Needs {
    /// Node.js and these npm packages.
    Npm(&'static [&'static str]),
    /// Python and this module, in the virtual environment.
    Python(&'static str),
    /// A program on the search path.
    Program(&'static str),
    /// The toolchain's target for codecs in Rust.
    Target,
    /// A C compiler for WebAssembly, with a libc.
    WasmC,
    /// The toolchain of Go, on the search path or in the virtual environment.
    Go,
}

const CLIENTS: &[Client] = &[
    Client { test: "foreign::websocket", needs: &[Needs::Npm(&["pomelo-client-websocket"])] },
    Client { test: "foreign::refused_by_its_version", needs: &[Needs::Npm(&["pomelo-client-websocket"])] },
    Client {
        test: "foreign::jsclient",
        needs: &[Needs::Npm(&["pomelo-jsclient-websocket", "pomelo-protocol", "pomelo-protobuf", "ws"])],
    },
    Client { test: "foreign::tcp", needs: &[Needs::Npm(&["pomelo-protocol"])] },
    Client { test: "foreign::udp", needs: &[Needs::Npm(&["pomelo-protocol"])] },
    Client { test: "foreign::socketio", needs: &[Needs::Npm(&["socket.io-client"])] },
    Client { test: "foreign::pypomelo", needs: &[Needs::Python("pypomelo")] },
    Client { test: "foreign::autobahn", needs: &[Needs::Python("kosoku")] },
    Client {
        test: "connectors::unix::a_foreign_client_over_a_unix_socket",
        needs: &[Needs::Program("python3")],
    },
    Client { test: "connectors::tls::clients::openssl_", needs: &[Needs::Program("openssl")] },
    Client { test: "connectors::tls::clients::curl_", needs: &[Needs::Program("curl")] },
    Client { test: "connectors::websocket::curl_", needs: &[Needs::Program("curl")] },
    Client {
        test: "behind_nats::services::in_javascript",
        needs: &[Needs::Program("nats-server"), Needs::Npm(&["@nats-io/transport-node"])],
    },
    Client {
        test: "behind_nats::services::in_python",
        needs: &[Needs::Program("nats-server"), Needs::Python("nats")],
    },
    Client {
        test: "behind_nats::guide::its_python",
        needs: &[Needs::Program("nats-server"), Needs::Python("nats")],
    },
    Client { test: "behind_nats::", needs: &[Needs::Program("nats-server")] },
    Client { test: "kit::projects::in_rust", needs: &[Needs::Target, Needs::Program("nc")] },
    Client { test: "kit::projects::in_c", needs: &[Needs::WasmC, Needs::Program("nc")] },
    Client { test: "kit::projects::in_go", needs: &[Needs::Go, Needs::Program("nc")] },
    Client { test: "kit::projects::in_javascript", needs: &[Needs::Program("npm"), Needs::Program("nc")] },
    Client { test: "kit::projects::in_python", needs: &[Needs::Program("python3"), Needs::Program("nc")] },
    Client { test: "kit::tutorial::first_part", needs: &[Needs::Target, Needs::Program("nc")] },
    Client {
        test: "kit::tutorial::second_part",
        needs: &[Needs::Target, Needs::Program("python3"), Needs::Program("nc")],
    },
    Client { test: "kit::examples::json_lines", needs: &[Needs::Target, Needs::Program("nc")] },
    Client {
        test: "kit::examples::mqtt",
        needs: &[Needs::Target, Needs::Program("mosquitto_pub"), Needs::Python("paho")],
    },
    Client { test: "kit::mqtt::mosquitto", needs: &[Needs::Target, Needs::Program("mosquitto_sub")] },
    Client {
        test: "kit::examples::irc",
        needs: &[Needs::WasmC, Needs::Program("nc"), Needs::Npm(&["irc-framework"])],
    },
    Client {
        test: "kit::examples::msgpack",
        needs: &[Needs::Program("npm"), Needs::Npm(&["notepack.io", "ws"])],
    },
    Client { test: "kit::examples::telemetry", needs: &[Needs::Program("python3")] },
    Client { test: "kit::examples::library_of_python", needs: &[Needs::Program("python3")] },
    Client { test: "kit::examples::library_of_c", needs: &[Needs::Program("cc"), Needs::Program("ar")] },
    Client { test: "kit::examples::library_of_go", needs: &[Needs::Go] },
    Client {
        test: "kit::digits::in_rust",
        needs: &[Needs::Target, Needs::Program("nc"), Needs::Program("openssl")],
    },
    Client { test: "kit::digits::in_c", needs: &[Needs::WasmC] },
    Client { test: "kit::digits::in_go", needs: &[Needs::Go] },
    Client { test: "kit::digits::in_javascript", needs: &[Needs::Program("npm")] },
    Client { test: "kit::digits::in_python", needs: &[Needs::Program("python3")] },
    Client { test: "kit::go::", needs: &[Needs::Go] },
    Client { test: "kit::traps::in_go", needs: &[Needs::Go] },
    Client { test: "kit::wrong::a_length", needs: &[Needs::Target] },
    Client { test: "kit::wrong::a_case", needs: &[Needs::WasmC] },
    Client { test: "kit::wrong::a_handoff", needs: &[Needs::Target] },
    Client { test: "kit::wrong::a_state", needs: &[Needs::Go] },
];

/// The target for which codecs in Rust are built.
const TARGET: &str = "wasm32-unknown-unknown";

/// The files that pin the versions to install.
const NPM_FILES: &[&str] = &["package.json", "package-lock.json"];
const PYTHON_FILE: &str = "requirements.txt";

/// Runs the recipe: installs what is missing or out of date.
pub(crate) fn run(project: &Project, _arguments: &[String]) -> Result<()> {
    let folder = folder(project);
    let wanted = project.path("tests/foreign");
    fs::create_dir_all(&folder).with_context(|| format!("{} can't be made", folder.display()))?;
    install_npm(&wanted, &folder)?;
    install_python(&wanted, &folder)?;
    println!("xtask: the foreign clients are in {}", folder.display());
    Ok(())
}

pub(crate) fn required() -> bool {
    env::var_os(REQUIRED).is_some_and(|value| value == "required")
}

/// Returns the tests whose clients are missing, or the common beginning of their names, each with
/// what it lacks.
pub(crate) fn missing(project: &Project) -> Vec<(String, String)> {
    let folder = folder(project);
    let lacks = |client: &Client| Some((client.test.to_owned(), lack(client, &folder)?));
    CLIENTS.iter().filter_map(lacks).collect()
}

/// Sets the variables by which a test run finds the clients.
pub(crate) fn announce(project: &Project, command: &mut Command) {
    let folder = folder(project);
    command.env("NODE_PATH", folder.join("node_modules"));
    command.env(FOLDER, folder);
}

fn folder(project: &Project) -> PathBuf {
    match env::var_os(FOLDER) {
        Some(chosen) => project.root().join(chosen),
        None => project.target().join("foreign"),
    }
}

fn lack(client: &Client, folder: &Path) -> Option<String> {
    client.needs.iter().find_map(|needs| lacks(needs, folder))
}

fn lacks(needs: &Needs, folder: &Path) -> Option<String> {
    match needs {
        Needs::Npm(packages) => {
            if !process::succeeds(Command::new("node").arg("--version")) {
                return Some("node".to_owned());
            }
            let gone = |package: &&&str| !npm_package(folder, package).is_file();
            let package = packages.iter().find(gone)?;
            Some(format!("npm package {package}"))
        }
        Needs::Python(module) => {
            let import = format!("import {module}");
            let there = process::succeeds(python(folder).args(["-c", &import]));
            (!there).then(|| format!("Python module {module}"))
        }
        Needs::Program(name) => {
            // The exit code does not matter. Some programs wait for input, so the input is empty.
            let there = Command::new(name).arg("--version").stdin(Stdio::null()).output().is_ok();
            (!there).then(|| (*name).to_owned())
        }
        Needs::Go => {
            let installed = folder.join("venv/bin/go");
            let there =
                [Path::new("go"), &installed].map(|go| process::succeeds(Command::new(go).arg("version")));
            (!there.contains(&true)).then(|| "the toolchain of Go".to_owned())
        }
        Needs::Target => {
            let folder =
                process::output(Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]));
            let there = folder.is_ok_and(|folder| Path::new(&folder).is_dir());
            (!there).then(|| format!("target {TARGET}: rustup target add {TARGET}"))
        }
        Needs::WasmC => {
            let mut clang = Command::new("clang");
            clang.args([
                "--target=wasm32-wasi",
                "-include",
                "stdlib.h",
                "-fsyntax-only",
                "-x",
                "c",
                "/dev/null",
            ]);
            let there =
                process::succeeds(&mut clang) && process::succeeds(Command::new("wasm-ld").arg("--version"));
            (!there).then(|| {
                "C for WebAssembly: Debian's clang lld wasi-libc libclang-rt-14-dev-wasm32".to_owned()
            })
        }
    }
}

fn npm_package(folder: &Path, package: &str) -> PathBuf {
    folder.join("node_modules").join(package).join("package.json")
}

fn python(folder: &Path) -> Command {
    Command::new(folder.join("venv/bin/python"))
}

/// Reports whether everything of a kind is installed.
fn is_complete(folder: &Path, is_of_kind: impl Fn(&Needs) -> bool) -> bool {
    let mut needs = CLIENTS.iter().flat_map(|client| client.needs).filter(|needs| is_of_kind(needs));
    needs.all(|needs| lacks(needs, folder).is_none())
}

fn install_npm(wanted: &Path, folder: &Path) -> Result<()> {
    if is_complete(folder, |needs| matches!(needs, Needs::Npm(_))) && same(wanted, folder, NPM_FILES) {
        return Ok(());
    }
    // An installation that breaks off must not look finished.
    forget(folder, NPM_FILES)?;
    // npm reads both files from this folder, and `same` compares them.
    note(wanted, folder, NPM_FILES)?;
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
    let done = process::run(npm.current_dir(folder));
    if done.is_err() {
        forget(folder, NPM_FILES)?;
    }
    done.context("the npm clients could not be installed (Node.js 20 and npm are needed)")
}

fn install_python(wanted: &Path, folder: &Path) -> Result<()> {
    if is_complete(folder, |needs| matches!(needs, Needs::Python(_) | Needs::Go))
        && same(wanted, folder, &[PYTHON_FILE])
    {
        return Ok(());
    }
    forget(folder, &[PYTHON_FILE])?;
    let mut venv = Command::new("python3");
    process::run(venv.args(["-m", "venv", "--clear"]).arg(folder.join("venv")))
        .context("no virtual environment (Python 3 with venv and pip is needed)")?;
    let mut pip = python(folder);
    pip.args(["-m", "pip", "install", "--quiet", "--requirement"]);
    process::run(pip.arg(wanted.join(PYTHON_FILE))).context("the Python client could not be installed")?;
    note(wanted, folder, &[PYTHON_FILE])
}

/// Returns whether `folder` was installed from the current files.
fn same(wanted: &Path, folder: &Path, files: &[&str]) -> bool {
    let equal = |file: &&str| match (fs::read(wanted.join(file)), fs::read(folder.join(file))) {
        (Ok(wanted), Ok(noted)) => wanted == noted,
        _ => false,
    };
    files.iter().all(equal)
}

fn note(wanted: &Path, folder: &Path, files: &[&str]) -> Result<()> {
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
