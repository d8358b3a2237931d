//! Builds a codec in C: compiles the project's sources to a module with clang, and makes a
//! component of the module, whose exports are those of the project's world.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

use super::progress::Progress;
use super::world::World;
use super::{BUILD, Built, libc, start, tool};

/// The SDK's folder in a project.
const SDK: &str = "wireplug";

const INSTALL: &str = "install clang 14 or later with its WebAssembly linker and a libc (Debian: apt install clang lld wasi-libc \
     libclang-rt-dev-wasm32), or a WASI SDK and set WASI_SDK_PATH, or zig (pip install ziglang)";

/// The compiler's flags. The stack has only 64 KiB, because each connection has its own. The stack
/// lies below the data, so that an overflow traps. When a codec traps, the runtime shows the names
/// of functions, and reads the record of `wireplug_trap.c`.
const FLAGS: &[&str] = &[
    "-std=c11",
    "-O2",
    "-Wall",
    "-Wextra",
    "-mexec-model=reactor",
    "-Wl,--strip-debug",
    "-Wl,--export=wireplug_trap",
    "-Wl,-z,stack-size=65536",
];

/// A flag that zig does not know; zig puts the stack first anyway.
const STACK_FIRST: &str = "-Wl,--stack-first";

pub(super) fn build(folder: &Path, progress: &Progress) -> anyhow::Result<Built> {
    let world = World::of(folder)?;
    let name = world.name().to_owned();
    let build = folder.join(BUILD);
    fs::create_dir_all(&build).with_context(|| format!("cannot make {}", build.display()))?;

    progress.step(format!("building {name}: clang"));
    let core = build.join("core.wasm");
    let mut clang = compiler(&build)?;
    clang.args(FLAGS).args(world.exports().map(exported));
    for include in [folder, &folder.join(SDK)] {
        clang.arg("-I").arg(include);
    }
    clang.args(sources(folder)?).args(sources(&folder.join(SDK))?).arg("-o").arg(&core);
    tool::warnings(&tool::run(&mut clang, INSTALL)?);

    progress.step(format!("building {name}: component"));
    let core = fs::read(&core).with_context(|| format!("cannot read {}", core.display()))?;
    libc::check(&core)?;
    let component = component(&core, &world).context("what clang made does not become a component")?;
    Ok(Built { name, component })
}

/// Makes a component of a module that has the exports of a world.
fn component(core: &[u8], world: &World) -> anyhow::Result<Vec<u8>> {
    let mut core = start::of_its_own(core)?;
    embed_component_metadata(&mut core, &world.resolve, world.id, StringEncoding::UTF8)?;
    ComponentEncoder::default().validate(true).module(&core)?.encode()
}

/// Returns the flag that tells the SDK that an interface is exported.
fn exported(name: &str) -> String {
    format!("-DWIREPLUG_{}", name.to_uppercase().replace('-', "_"))
}

/// Returns all C sources of a folder, sorted by name.
fn sources(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let files = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut sources = files.map(|file| Ok(file?.path())).collect::<std::io::Result<Vec<_>>>()?;
    sources.retain(|file| file.extension().is_some_and(|extension| extension == "c"));
    sources.sort();
    Ok(sources)
}

/// The equivalent of `python3 -m ziglang`, without the current folder in the module path. The
/// current folder may be the project, and a module `ziglang` in the project must not run.
const ZIG_OF_PYTHON: &str = "import sys; sys.path[:] = [folder for folder in sys.path if folder]; import runpy; \
     runpy.run_module('ziglang', run_name='__main__', alter_sys=True)";

/// Returns the compiler to use: a WASI SDK if `WASI_SDK_PATH` names one, otherwise clang if it can
/// link for WebAssembly, otherwise zig, which has a libc of its own.
fn compiler(build: &Path) -> anyhow::Result<Command> {
    if let Some(sdk) = env::var_os("WASI_SDK_PATH") {
        return Ok(clang(Path::new(&sdk).join("bin/clang")));
    }
    // Compiles an empty module. If that works, later errors are about the codec. The output is not
    // /dev/null, because a linker that runs as root may replace it by a file.
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
