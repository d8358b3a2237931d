//! C: the bindings are generated from the project's world, clang makes a module of them and of the
//! project's sources, and that is made a component of.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use wit_bindgen_core::Files;
use wit_component::ComponentEncoder;

use super::progress::Progress;
use super::world::World;
use super::{BUILD, Built, libc, tool};

/// What the bindings are called in every project, so that `wireplug.c` knows them.
const BINDINGS: &str = "guest";

/// The SDK's folder in a project.
const SDK: &str = "wireplug";

const INSTALL: &str = "install clang 14 or later with its WebAssembly linker and a libc (Debian: apt install clang lld wasi-libc \
     libclang-rt-dev-wasm32), or a WASI SDK and set WASI_SDK_PATH, or zig (pip install ziglang)";

/// A stack of 64 KiB, since each connection has its own; it lies below the data, so that an
/// overflow traps.
const FLAGS: &[&str] = &[
    "-std=c11",
    "-O2",
    "-Wall",
    "-Wextra",
    "-mexec-model=reactor",
    "-Wl,--strip-all",
    "-Wl,-z,stack-size=65536",
];

/// Only zig does not know it, and does it anyway.
const STACK_FIRST: &str = "-Wl,--stack-first";

pub(super) fn build(folder: &Path, progress: &Progress) -> anyhow::Result<Built> {
    let mut world = World::of(folder)?;
    let name = world.name().to_owned();
    let build = folder.join(BUILD);
    fs::create_dir_all(&build).with_context(|| format!("cannot make {}", build.display()))?;
    let bindings = bindings(&mut world, &build)?;

    progress.step(format!("building {name}: clang"));
    let core = build.join("core.wasm");
    let mut clang = compiler(&build)?;
    clang.args(FLAGS).args(world.exports().map(|name| format!("-DWIREPLUG_{}", name.to_uppercase())));
    for include in [folder, &build, &folder.join(SDK)] {
        clang.arg("-I").arg(include);
    }
    clang.args(sources(folder)?).args(sources(&folder.join(SDK))?).args(bindings).arg("-o").arg(&core);
    tool::warnings(&tool::run(&mut clang, INSTALL)?);

    progress.step(format!("building {name}: component"));
    let core = fs::read(&core).with_context(|| format!("cannot read {}", core.display()))?;
    libc::check(&core)?;
    let component =
        ComponentEncoder::default().validate(true).module(&core).and_then(|mut encoder| encoder.encode());
    let component = component.context("what clang made does not become a component")?;
    Ok(Built { name, component })
}

/// Generates the bindings. Gives the files that are to be compiled and linked.
fn bindings(world: &mut World, build: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let options = wit_bindgen_c::Opts { rename_world: Some(BINDINGS.to_owned()), ..Default::default() };
    let mut files = Files::default();
    options.build().generate(&mut world.resolve, world.id, &mut files).context("in wit/")?;
    let mut linked = Vec::new();
    for (name, content) in files.iter() {
        let file = build.join(name);
        // An unchanged one stays as old as it is.
        if fs::read(&file).map_or(true, |old| old != content) {
            fs::write(&file, content).with_context(|| format!("cannot write {}", file.display()))?;
        }
        if !name.ends_with(".h") {
            linked.push(file);
        }
    }
    Ok(linked)
}

/// All sources of a folder, in the order of their names.
fn sources(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let files = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut sources = files.map(|file| Ok(file?.path())).collect::<std::io::Result<Vec<_>>>()?;
    sources.retain(|file| file.extension().is_some_and(|extension| extension == "c"));
    sources.sort();
    Ok(sources)
}

/// What `python3 -m ziglang` does, but for the current folder, which may be the project: a module
/// of that name in it must not run.
const ZIG_OF_PYTHON: &str = "import sys; sys.path[:] = [folder for folder in sys.path if folder]; import runpy; \
     runpy.run_module('ziglang', run_name='__main__', alter_sys=True)";

/// A WASI SDK where one is named; else clang, if it has all that it takes; else zig, which brings
/// its own libc.
fn compiler(build: &Path) -> anyhow::Result<Command> {
    if let Some(sdk) = env::var_os("WASI_SDK_PATH") {
        return Ok(clang(Path::new(&sdk).join("bin/clang")));
    }
    // An empty module: where that works, what an error says later is about the codec. Not to
    // /dev/null: a linker that root runs may replace it by a file.
    let [empty, module] = ["empty.c", "empty.wasm"].map(|name| build.join(name));
    fs::write(&empty, "").with_context(|| format!("cannot write {}", empty.display()))?;
    let mut trial = clang("clang".into());
    trial.arg("-mexec-model=reactor").arg(&empty).arg("-o").arg(&module);
    let missing = match tool::run(&mut trial, INSTALL) {
        Ok(_) => return Ok(clang("clang".into())),
        Err(missing) => missing,
    };
    for (program, zig) in [("zig", &["cc"][..]), ("python3", &["-c", ZIG_OF_PYTHON, "cc"])] {
        if tool::is_there(program, &[zig, &["--version"]].concat()) {
            let mut zig_cc = Command::new(program);
            zig_cc.args(zig).args(["-target", "wasm32-wasi"]);
            return Ok(zig_cc);
        }
    }
    Err(missing).with_context(|| format!("there is no C compiler that can make WebAssembly: {INSTALL}"))
}

fn clang(program: PathBuf) -> Command {
    let mut clang = Command::new(program);
    clang.args(["--target=wasm32-wasi", STACK_FIRST]);
    clang
}
