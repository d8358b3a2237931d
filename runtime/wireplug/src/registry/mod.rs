//! Codecs in registries of containers (OCI): `oci://REGISTRY/REPOSITORY:TAG`.
//!
//! A codec in a registry is an artifact of the Wasm layout of the CNCF: a configuration of the type
//! `application/vnd.wasm.config.v0+json`, and the component as the only layer. `docs/registries.md`
//! is the page for operators.
//!
//! | file | its job |
//! |---|---|
//! | `reference` | parses references |
//! | `credentials` | finds the credentials in the files that `docker login` and others write |
//! | `client` | makes the client of one exchange, and names what goes wrong |
//! | `layout` | the manifest and the configuration of an artifact |
//!
//! What a registry sends is never trusted: it has limits of time and size, and the digests of the
//! manifest and of the component are computed here.

mod client;
mod credentials;
mod layout;
mod reference;

use std::future::pending;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _};
use oci_client::manifest::OCI_IMAGE_MEDIA_TYPE;
use tokio::time::{sleep, timeout};

use self::client::Exchange;
pub use self::client::RegistryError;
pub(crate) use self::client::check_roots;
pub use self::layout::Interfaces;
use self::reference::Reference;
use crate::codec::Digest;
use crate::config::RegistryConfig;
use crate::slot::{Fetched, MAX_COMPONENT, Remote};
use wireplug_base::BoxError;

/// The largest manifest, in bytes. It is what registries must accept at least.
const MAX_MANIFEST: usize = 4 << 20;

/// How many tags are asked for at a time, and how often. More tags than that are left out.
const TAGS: (usize, usize) = (1000, 100);

/// A place in a registry: a repository, and a tag or a digest in it. Cheap to clone.
///
/// ```no_run
/// use serde_json::json;
/// use wireplug::CodecSource;
/// use wireplug::config::RegistryConfig;
/// use wireplug::registry::{Registry, RegistryError};
///
/// let chat = Registry::new("oci://registry.example/team/chat:1.4", RegistryConfig::default())?;
/// let chat = CodecSource::registry(chat, json!({ "heartbeat": 30 })).named("chat");
/// # Ok::<_, RegistryError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Registry {
    reference: Reference,
    config: Arc<RegistryConfig>,
}

/// A component that was pulled.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Pulled {
    /// The component. Nothing of it was checked but its digest.
    pub component: Bytes,
    /// The reference of this version alone: it has the digest of the manifest.
    pub reference: String,
    /// The digest of the manifest: `sha256:` and 64 digits.
    pub manifest: String,
}

impl Registry {
    /// Creates the place with a reference: `oci://REGISTRY/REPOSITORY:TAG`, or
    /// `oci://REGISTRY/REPOSITORY@sha256:…`. Connects to nothing.
    ///
    /// # Errors
    /// Returns an error if it is no such reference.
    pub fn new(reference: &str, config: RegistryConfig) -> Result<Self, RegistryError> {
        let reference = Reference::parse(reference)?;
        if !reference.has_version() {
            return Err(reference.wrong("it has neither a tag nor a digest"));
        }
        Ok(Self { reference, config: Arc::new(config) })
    }

    /// Creates a place with a repository, of which only the tags can be listed:
    /// `oci://REGISTRY/REPOSITORY`.
    ///
    /// # Errors
    /// Returns an error if it is no such reference.
    pub fn repository(reference: &str, config: RegistryConfig) -> Result<Self, RegistryError> {
        let reference = Reference::parse(reference)?;
        if reference.has_version() {
            return Err(reference.wrong("tags are listed of a repository: leave the tag and the digest out"));
        }
        Ok(Self { reference, config: Arc::new(config) })
    }

    /// Returns the last part of the repository's name.
    pub(crate) fn name(&self) -> &str {
        self.reference.name()
    }

    /// Pulls the component. Its digest and that of the manifest are compared with what arrived.
    ///
    /// # Errors
    /// Returns an error if the registry does not answer in time, refuses, has no such version, or
    /// answers with anything but an artifact of the Wasm layout.
    pub async fn pull(&self) -> Result<Pulled, RegistryError> {
        self.in_time(self.pull_whole()).await
    }

    /// Returns the digest of the manifest that the tag names: `sha256:` and 64 digits.
    ///
    /// # Errors
    /// Returns an error if the registry does not answer in time, refuses, or has no such version.
    pub async fn digest(&self) -> Result<String, RegistryError> {
        self.in_time(async {
            let exchange = self.begin().await?;
            let found = exchange.client.fetch_manifest_digest(self.reference.oci(), &exchange.auth).await;
            found.map_err(|error| exchange.failed(&error))
        })
        .await
    }

    /// Pushes a component under the tag. Returns the reference of this version alone, which has the
    /// digest of the manifest. The same component always has the same digest.
    ///
    /// # Errors
    /// Returns an error if the reference has a digest, the component is too large, the registry
    /// does not answer in time or refuses.
    pub async fn push(&self, component: Bytes, interfaces: &Interfaces) -> Result<String, RegistryError> {
        if self.reference.has_digest() {
            return Err(self.reference.wrong("a push goes to a tag, and the registry computes the digest"));
        }
        if component.len() as u64 > MAX_COMPONENT {
            return Err(too_large(component.len() as u64));
        }
        self.in_time(self.push_whole(component, interfaces)).await
    }

    /// Returns the tags of the repository in alphabetical order, at most 100,000.
    ///
    /// # Errors
    /// Returns an error if the registry does not answer in time, refuses, or has no such
    /// repository.
    pub async fn tags(&self) -> Result<Vec<String>, RegistryError> {
        self.in_time(async {
            let exchange = self.begin().await?;
            let Exchange { client, auth, .. } = &exchange;
            let (count, times) = TAGS;
            let mut tags: Vec<String> = Vec::new();
            for _ in 0..times {
                let last = tags.last().map(String::as_str);
                let page = client.list_tags(self.reference.oci(), auth, Some(count), last).await;
                let page = page.map_err(|error| exchange.failed(&error))?.tags;
                // A registry that knows no pages answers with the same tags again.
                let is_last = page.len() < count || page.last() == tags.last();
                tags.extend(page);
                if is_last {
                    break;
                }
            }
            tags.sort_unstable();
            Ok(tags)
        })
        .await
    }

    async fn pull_whole(&self) -> Result<Pulled, RegistryError> {
        let exchange = self.begin().await?;
        let Exchange { client, auth, .. } = &exchange;
        let reference = self.reference.oci();
        let accepted = [OCI_IMAGE_MEDIA_TYPE];
        let (manifest, _) = client
            .pull_manifest_raw(reference, auth, &accepted)
            .await
            .map_err(|error| exchange.failed(&error))?;
        if manifest.len() > MAX_MANIFEST {
            let what = format!("the manifest has {} bytes, and the most is {MAX_MANIFEST}", manifest.len());
            return Err(RegistryError::Artifact(what));
        }
        let digest = format!("sha256:{}", Digest::of(&manifest));
        if self.reference.digest().is_some_and(|wanted| wanted != digest) {
            return Err(RegistryError::Artifact(format!("the digest of the manifest that came is {digest}")));
        }
        let layer = layout::layer(&manifest)?;
        let mut component = Vec::new();
        // The digest alone is passed on: a descriptor may also name URLs elsewhere.
        let blob = format!("sha256:{}", layer.digest);
        let mut stream = client
            .pull_blob_stream(reference, blob.as_str())
            .await
            .map_err(|error| exchange.failed(&error))?;
        while let Some(part) = stream.next().await {
            let part = part.map_err(|error| exchange.interrupted(&error))?;
            if (component.len() + part.len()) as u64 > layer.size {
                let what = format!("more bytes come than the {} of the component", layer.size);
                return Err(RegistryError::Artifact(what));
            }
            component.extend_from_slice(&part);
        }
        let came = Digest::of(&component);
        if came != layer.digest {
            let what = format!("the component has the digest {}, and what came has {came}", layer.digest);
            return Err(RegistryError::Artifact(what));
        }
        Ok(Pulled { component: component.into(), reference: self.reference.at(&digest), manifest: digest })
    }

    async fn push_whole(&self, component: Bytes, interfaces: &Interfaces) -> Result<String, RegistryError> {
        let exchange = self.begin().await?;
        let Exchange { client, auth, .. } = &exchange;
        let reference = self.reference.oci();
        client.store_auth_if_needed(reference.resolve_registry(), auth).await;
        let artifact = layout::Artifact::of(&component, interfaces);
        for (blob, digest) in [(component, &artifact.component), (artifact.config, &artifact.config_digest)] {
            client.push_blob(reference, blob, digest).await.map_err(|error| exchange.failed(&error))?;
        }
        let digest = format!("sha256:{}", Digest::of(&artifact.manifest));
        let media_type = OCI_IMAGE_MEDIA_TYPE.parse().expect("it is a value of a header");
        let pushed = client.push_manifest_raw(reference, artifact.manifest, media_type).await;
        pushed.map_err(|error| exchange.failed(&error))?;
        Ok(self.reference.at(&digest))
    }

    async fn in_time<T>(
        &self,
        exchange: impl Future<Output = Result<T, RegistryError>>,
    ) -> Result<T, RegistryError> {
        match timeout(self.config.timeout, exchange).await {
            Ok(ended) => ended,
            Err(_) => Err(RegistryError::TimedOut {
                registry: self.reference.registry().to_owned(),
                after: self.config.timeout,
            }),
        }
    }
}

impl Remote for Registry {
    fn reference(&self) -> String {
        self.reference.to_string()
    }

    fn fetch(&self) -> BoxFuture<'_, Result<Fetched, BoxError>> {
        async {
            let Pulled { component, reference, manifest } = self.pull().await?;
            Ok(Fetched { component, version: manifest, origin: reference })
        }
        .boxed()
    }

    fn next_version(self: Arc<Self>) -> BoxFuture<'static, Result<String, BoxError>> {
        async move {
            if self.reference.has_digest() {
                return pending().await;
            }
            sleep(self.config.poll).await;
            Ok(self.digest().await?)
        }
        .boxed()
    }
}

fn too_large(size: u64) -> RegistryError {
    RegistryError::Artifact(format!("the component has {size} bytes, and the most is {MAX_COMPONENT}"))
}
