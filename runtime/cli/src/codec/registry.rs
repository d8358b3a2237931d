//! `wireplug codec push`, `pull`, and `list` of the tags of a repository.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use wasmparser::{Encoding, Parser, Payload};
use wireplug::codec::Digest;
use wireplug::config::RegistryConfig;
use wireplug::registry::{Interfaces, Registry};

/// How long an exchange with a registry may take, in all. A person waits, and can give up.
const TIMEOUT: Duration = Duration::from_secs(600);

/// How a registry is reached.
#[derive(clap::Args)]
pub(super) struct Reach {
    /// Reach the registry over HTTP without TLS. A registry on this machine needs no flag.
    #[arg(long)]
    plain_http: bool,
    /// A PEM file with the root certificates for the registry, instead of those of the system.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

#[derive(clap::Args)]
pub(super) struct Push {
    /// The component.
    #[arg(value_name = "FILE.wasm")]
    file: PathBuf,
    /// Where it goes: oci://REGISTRY/REPOSITORY:TAG.
    reference: String,
    #[command(flatten)]
    reach: Reach,
}

#[derive(clap::Args)]
pub(super) struct Pull {
    /// Where it is: oci://REGISTRY/REPOSITORY:TAG, or oci://REGISTRY/REPOSITORY@sha256:…
    reference: String,
    /// The file to write. Unless it is given, the file is named after the repository.
    #[arg(short, long, value_name = "FILE.wasm")]
    output: Option<PathBuf>,
    #[command(flatten)]
    reach: Reach,
}

impl Reach {
    fn config(self) -> RegistryConfig {
        let Self { plain_http, ca_file } = self;
        RegistryConfig { timeout: TIMEOUT, plain_http, ca_file, ..RegistryConfig::default() }
    }

    /// Returns whether a flag was given.
    pub(super) fn is_given(&self) -> bool {
        self.plain_http || self.ca_file.is_some()
    }
}

pub(super) async fn push(Push { file, reference, reach }: Push) -> anyhow::Result<()> {
    let wasm = super::read(&file)?;
    let interfaces = interfaces(&wasm).with_context(|| file.display().to_string())?;
    let digest = Digest::of(&wasm);
    let pinned = Registry::new(&reference, reach.config())?.push(wasm.into(), &interfaces).await?;
    say!("{pinned}\n  the component has the sha256 {digest}");
    Ok(())
}

pub(super) async fn pull(Pull { reference, output, reach }: Pull) -> anyhow::Result<()> {
    let pulled = Registry::new(&reference, reach.config())?.pull().await?;
    let output = output.unwrap_or_else(|| named_after(&pulled.reference));
    fs::write(&output, &pulled.component).with_context(|| format!("cannot write {}", output.display()))?;
    let digest = Digest::of(&pulled.component);
    say!("{}: {}\n  the component has the sha256 {digest}", output.display(), pulled.reference);
    Ok(())
}

pub(super) async fn tags(repository: &str, reach: Reach) -> anyhow::Result<()> {
    for tag in Registry::repository(repository, reach.config())?.tags().await? {
        say!("{tag}");
    }
    Ok(())
}

/// Returns the file of a component that is not given another name.
fn named_after(reference: &str) -> PathBuf {
    let repository = reference.split_once('@').map_or(reference, |(repository, _)| repository);
    let name = repository.rsplit('/').next().unwrap_or_default();
    let name = name.split(':').next().unwrap_or_default();
    PathBuf::from(format!("{name}.wasm"))
}

/// Returns the names that a component imports and exports.
fn interfaces(wasm: &[u8]) -> anyhow::Result<Interfaces> {
    let mut interfaces = Interfaces::default();
    let mut depth = 0;
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.context("this is not a WebAssembly component")? {
            Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => {
                bail!("this is a core module, and a codec is a component");
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) if depth > 0 => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    interfaces.imports.push(import?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    interfaces.exports.push(export?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(interfaces)
}
