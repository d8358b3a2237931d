//! `wireplug codec push`, `pull`, and `list` of a repository or a bucket: with registries and with
//! object stores of NATS.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use tokio::time::timeout;
use wasmparser::{Encoding, Parser, Payload};
use wireplug::codec::Digest;
use wireplug::config::{NatsConfig, RegistryConfig};
use wireplug::objects::{ObjectClient, ObjectError};
use wireplug::registry::{Interfaces, Registry};

/// How long an exchange with a registry or an object store may take, in all. A person waits, and
/// can give up.
const TIMEOUT: Duration = Duration::from_secs(600);

/// How a registry or NATS is reached.
#[derive(clap::Args)]
pub(super) struct Reach {
    /// Reach the registry over HTTP without TLS. A registry on this machine needs no flag.
    #[arg(long)]
    plain_http: bool,
    /// A PEM file with the root certificates for the registry or NATS, instead of those of the
    /// system.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// For nats://BUCKET/NAME, the NATS server. Unless it is given, nats://127.0.0.1:4222.
    #[arg(long, value_name = "URL")]
    nats_url: Option<String>,
    /// For nats://BUCKET/NAME, a file with the credentials of a user, as nsc writes it.
    #[arg(long, value_name = "FILE.creds")]
    nats_credentials: Option<PathBuf>,
}

#[derive(clap::Args)]
pub(super) struct Push {
    /// The component.
    #[arg(value_name = "FILE.wasm")]
    file: PathBuf,
    /// Where it goes: oci://REGISTRY/REPOSITORY:TAG, or nats://BUCKET/NAME.
    reference: String,
    #[command(flatten)]
    reach: Reach,
}

#[derive(clap::Args)]
pub(super) struct Pull {
    /// Where it is: oci://REGISTRY/REPOSITORY:TAG, oci://REGISTRY/REPOSITORY@sha256:…, or
    /// nats://BUCKET/NAME.
    reference: String,
    /// The file to write. Unless it is given, the file is named after the repository or the object.
    #[arg(short, long, value_name = "FILE.wasm")]
    output: Option<PathBuf>,
    #[command(flatten)]
    reach: Reach,
}

impl Reach {
    /// Returns how a registry is reached.
    fn registry(self) -> anyhow::Result<RegistryConfig> {
        let Self { plain_http, ca_file, nats_url, nats_credentials } = self;
        let is_nats = nats_url.is_some() || nats_credentials.is_some();
        ensure!(!is_nats, "--nats-url and --nats-credentials go with nats://BUCKET/NAME");
        Ok(RegistryConfig { timeout: TIMEOUT, plain_http, ca_file, ..RegistryConfig::default() })
    }

    /// Connects to NATS.
    async fn nats(self) -> anyhow::Result<ObjectClient> {
        let Self { plain_http, ca_file, nats_url, nats_credentials } = self;
        ensure!(!plain_http, "--plain-http goes with a registry: oci://REGISTRY/REPOSITORY");
        let url = nats_url.as_deref().unwrap_or("nats://127.0.0.1:4222");
        let config = NatsConfig { ca_file, credentials_file: nats_credentials, ..NatsConfig::at(url) };
        Ok(ObjectClient::connect(&config).await?)
    }

    /// Returns whether a flag was given.
    pub(super) fn is_given(&self) -> bool {
        let Self { plain_http, ca_file, nats_url, nats_credentials } = self;
        *plain_http || ca_file.is_some() || nats_url.is_some() || nats_credentials.is_some()
    }
}

pub(super) async fn push(Push { file, reference, reach }: Push) -> anyhow::Result<()> {
    let wasm = super::read(&file)?;
    let interfaces = interfaces(&wasm).with_context(|| file.display().to_string())?;
    let digest = Digest::of(&wasm);
    let pushed = if is_object(&reference) {
        let client = reach.nats().await?;
        in_time(client.push(&reference, wasm.into())).await?;
        reference
    } else {
        Registry::new(&reference, reach.registry()?)?.push(wasm.into(), &interfaces).await?
    };
    say!("{pushed}\n  the component has the sha256 {digest}");
    Ok(())
}

pub(super) async fn pull(Pull { reference, output, reach }: Pull) -> anyhow::Result<()> {
    let (component, reference) = if is_object(&reference) {
        let client = reach.nats().await?;
        (in_time(client.pull(&reference)).await?, reference)
    } else {
        let pulled = Registry::new(&reference, reach.registry()?)?.pull().await?;
        (pulled.component, pulled.reference)
    };
    let output = output.unwrap_or_else(|| named_after(&reference));
    fs::write(&output, &component).with_context(|| format!("cannot write {}", output.display()))?;
    let digest = Digest::of(&component);
    say!("{}: {reference}\n  the component has the sha256 {digest}", output.display());
    Ok(())
}

/// Lists the tags of a repository, or the objects in a bucket.
pub(super) async fn list(place: &str, reach: Reach) -> anyhow::Result<()> {
    let list = if is_object(place) {
        let client = reach.nats().await?;
        in_time(client.list(place)).await?
    } else {
        Registry::repository(place, reach.registry()?)?.tags().await?
    };
    list.iter().for_each(|line| say!("{line}"));
    Ok(())
}

fn is_object(reference: &str) -> bool {
    reference.starts_with("nats://")
}

async fn in_time<T>(exchange: impl Future<Output = Result<T, ObjectError>>) -> anyhow::Result<T> {
    let ended = timeout(TIMEOUT, exchange).await;
    Ok(ended.with_context(|| format!("NATS has not answered within {} s", TIMEOUT.as_secs()))??)
}

/// Returns the file of a component that is not given another name.
fn named_after(reference: &str) -> PathBuf {
    let repository = reference.split_once('@').map_or(reference, |(repository, _)| repository);
    let name = repository.rsplit('/').next().unwrap_or_default();
    let name = name.split(':').next().unwrap_or_default();
    PathBuf::from(format!("{}.wasm", name.strip_suffix(".wasm").unwrap_or(name)))
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
