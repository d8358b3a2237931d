//! Sources: where the codec of a slot comes from.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value};

#[cfg(feature = "nats")]
use super::object::{ObjectReference, ObjectStores};
use super::remote::{Fetched, Remote};
use super::{SourceError, SourceFault};
use crate::codec::{Codec, Digest, Options};
#[cfg(feature = "oci")]
use crate::config::RegistryConfig;
use crate::config::{CodecLimits, FaultLimits, SwapConfig};
use wireplug_core::codec::overrides::Overrides;
use wireplug_wasm::{WasmEngine, WasmLoader};

/// Pomelo's protocol. Its sources are `guest-examples/pomelo`.
const POMELO: &[u8] = include_bytes!("../../codecs/pomelo.wasm");

/// Pomelo's message format over Socket.IO. Its sources are `guest-examples/sio`.
const SIO: &[u8] = include_bytes!("../../codecs/sio.wasm");

/// The source of a codec: where it comes from, its options, and the settings of the slot that is
/// made of it.
///
/// Listeners with clones of one source share one slot. If a source is [swapped
/// in](super::Slot::swap), the slot takes only the codec and its options, and keeps its own
/// settings.
///
/// ```
/// use serde_json::json;
/// use wireplug::config::CodecLimits;
/// use wireplug::CodecSource;
///
/// let chat = CodecSource::file("codecs/chat.wasm", json!({ "heartbeat": 30 }))
///     .named("chat")
///     .limits(CodecLimits { memory: 8 << 20, ..CodecLimits::default() });
/// ```
#[derive(Clone)]
#[must_use]
pub struct CodecSource {
    pub(super) kind: Kind,
    pub(super) options: Options,
    pub(crate) settings: Settings,
    /// Tells clones of one source from sources that only look alike.
    identity: Arc<()>,
    /// Whether a rollout has put the component there. The configuration names another place, and
    /// the slot stays at this version.
    pub(super) is_rolled_out: bool,
}

#[derive(Clone)]
pub(super) enum Kind {
    /// A component that is part of the program.
    BuiltIn(&'static [u8]),
    Bytes(Bytes),
    File(PathBuf),
    /// A component in the network, which must be fetched before it can be read.
    #[cfg_attr(
        not(any(feature = "nats", feature = "oci")),
        allow(dead_code, reason = "no feature has such sources")
    )]
    Remote(Arc<dyn Remote>),
    /// A component in an object store, whose source belongs to no server yet.
    #[cfg(feature = "nats")]
    Object(ObjectReference),
    Fetched(Fetched),
    /// The last version from a file or the network that was loaded, and where it came from.
    Kept(Bytes, String),
    Native(Arc<dyn Codec>),
}

/// The settings of a slot, which it keeps when its codec changes.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) name: String,
    pub(crate) limits: CodecLimits,
    pub(crate) swap: SwapConfig,
    pub(crate) faults: FaultLimits,
    /// Whether components may import WASI. A call of such an import traps.
    pub(crate) allow_unused_wasi: bool,
    /// The digest of the only component that is accepted.
    pub(crate) pin: Option<Digest>,
    /// The overrides of every codec in the slot.
    pub(crate) overrides: Overrides,
    /// How registries are reached from which another version is rolled out.
    #[cfg(feature = "oci")]
    registry: RegistryConfig,
}

impl CodecSource {
    /// Returns the built-in Pomelo codec, which is a sandboxed component.
    /// `guest-examples/pomelo/README.md` describes its options.
    pub fn pomelo(options: impl Into<Options>) -> Self {
        Self::new("pomelo", Kind::BuiltIn(POMELO), options)
    }

    /// Returns the built-in codec for Pomelo's clients over Socket.IO, which is a sandboxed
    /// component. `guest-examples/sio/README.md` describes its options.
    pub fn sio(options: impl Into<Options>) -> Self {
        Self::new("sio", Kind::BuiltIn(SIO), options)
    }

    /// Returns the source of a component in memory. The slot is called `name`. A server with
    /// [`Trust`](crate::trust::Trust) checks its signatures like those of a file.
    pub fn bytes(name: &str, wasm: impl Into<Bytes>, options: impl Into<Options>) -> Self {
        Self::new(name, Kind::Bytes(wasm.into()), options)
    }

    /// Returns the source of a component in a file. The slot is named after the file. Test vectors
    /// beside the file (`NAME.vectors`) are replayed before the codec is used.
    pub fn file(path: impl Into<PathBuf>, options: impl Into<Options>) -> Self {
        let path = path.into();
        let name = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Self::new(&name, Kind::File(path), options)
    }

    /// Returns the source of a component in a registry of containers. The slot is named after the
    /// repository.
    #[cfg(feature = "oci")]
    pub fn registry(registry: crate::registry::Registry, options: impl Into<Options>) -> Self {
        let name = registry.name().to_owned();
        Self::new(&name, Kind::Remote(Arc::new(registry)), options)
    }

    /// Returns the source of a component in an object store of the server's NATS:
    /// `nats://BUCKET/NAME`. The slot is named after the object, without `.wasm`.
    ///
    /// # Errors
    /// Returns an error if it is no such reference.
    #[cfg(feature = "nats")]
    pub fn object(reference: &str, options: impl Into<Options>) -> Result<Self, SourceError> {
        let reference = object(reference)?;
        let name = reference.stem().to_owned();
        Ok(Self::new(&name, Kind::Object(reference), options))
    }

    /// Returns the source of a native codec. The slot is named after the codec.
    pub fn native(codec: Arc<dyn Codec>) -> Self {
        let name = codec.description().name.clone();
        Self::new(&name, Kind::Native(codec), Value::Object(Map::new()))
    }

    fn new(name: &str, kind: Kind, options: impl Into<Options>) -> Self {
        let options = options.into();
        let settings = Settings {
            name: name.to_owned(),
            limits: CodecLimits::default(),
            swap: SwapConfig::default(),
            faults: FaultLimits::default(),
            allow_unused_wasi: false,
            pin: None,
            overrides: Overrides::default(),
            #[cfg(feature = "oci")]
            registry: RegistryConfig::default(),
        };
        Self { kind, options, settings, identity: Arc::default(), is_rolled_out: false }
    }

    /// Sets the name of the slot. The slots of a server have different names.
    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.settings.name);
        self
    }

    /// Sets the limits of the codec's sandboxes and of its packets.
    pub fn limits(mut self, limits: CodecLimits) -> Self {
        self.settings.limits = limits;
        self
    }

    /// Sets how the codec is swapped.
    pub fn swaps(mut self, swap: SwapConfig) -> Self {
        self.settings.swap = swap;
        self
    }

    /// Sets how many faults the codec may have.
    pub fn faults(mut self, faults: FaultLimits) -> Self {
        self.settings.faults = faults;
        self
    }

    /// Sets whether components may import `wasi:*`, as libraries do that never call it. Nothing
    /// implements such an import: a call of it traps, which ends the connection.
    pub fn allow_unused_wasi(mut self, allow: bool) -> Self {
        self.settings.allow_unused_wasi = allow;
        self
    }

    /// Sets how registries are reached from which another version of the codec is rolled out.
    #[cfg(feature = "oci")]
    pub fn registries(mut self, registry: RegistryConfig) -> Self {
        self.settings.registry = registry;
        self
    }

    /// Accepts only the component with this digest.
    pub fn pinned(mut self, digest: Digest) -> Self {
        self.settings.pin = Some(digest);
        self
    }

    /// Sets the overrides of every codec in the slot. The slot is then not shared with clones of
    /// the source that were made before.
    pub(crate) fn with_overrides(mut self, overrides: Overrides) -> Self {
        self.settings.overrides = overrides;
        self.identity = Arc::default();
        self
    }

    /// Returns the same source, with its component elsewhere: in a registry (`oci://…`), in an
    /// object store (`nats://…`), or in a file.
    ///
    /// # Errors
    /// Returns an error if it is no such place.
    pub(super) fn at(self, place: &str) -> Result<Self, SourceError> {
        let kind = match place.split_once("://") {
            #[cfg(feature = "oci")]
            Some(("oci", _)) => {
                let registry = crate::registry::Registry::new(place, self.settings.registry.clone());
                let wrong =
                    |error| SourceError::new(format!("{place} is no codec"), SourceFault::Fetch(error));
                Kind::Remote(Arc::new(registry.map_err(|error| wrong(error.into()))?))
            }
            #[cfg(feature = "nats")]
            Some(("nats", _)) => Kind::Object(object(place)?),
            Some(_) => {
                let why = "it is none of the places that this server knows: oci://REGISTRY/REPOSITORY, \
                           nats://BUCKET/NAME, or the path of a file";
                return Err(SourceError::new(format!("{place} is no codec"), SourceFault::Fetch(why.into())));
            }
            None => Kind::File(place.into()),
        };
        Ok(Self { kind, identity: Arc::default(), ..self })
    }

    /// Returns the same source in the object stores of a server, if its component is in one.
    ///
    /// # Errors
    /// Returns an error if the component is in an object store, and the server has none.
    #[cfg(feature = "nats")]
    pub(super) fn in_stores(self, stores: Option<&dyn ObjectStores>) -> Result<Self, SourceError> {
        let Kind::Object(reference) = &self.kind else { return Ok(self) };
        let Some(stores) = stores else {
            let why = "this server has no NATS: it needs [nats] in its configuration";
            let what = format!("cannot fetch the codec {reference}");
            return Err(SourceError::new(what, SourceFault::Fetch(why.into())));
        };
        Ok(Self { kind: Kind::Remote(stores.object(reference)), ..self })
    }

    /// Returns whether the component is in an object store, which only a server that has joined
    /// NATS can read.
    pub(crate) fn needs_nats(&self) -> bool {
        #[cfg(feature = "nats")]
        return matches!(self.kind, Kind::Object(_));
        #[cfg(not(feature = "nats"))]
        false
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.identity, &other.identity)
    }

    /// Returns the path, if the source is a file.
    pub(crate) fn path(&self) -> Option<&Path> {
        match &self.kind {
            Kind::File(path) => Some(path),
            _ => None,
        }
    }

    /// Returns where the component is in the network, if that is where the codec comes from.
    pub(super) fn remote(&self) -> Option<&Arc<dyn Remote>> {
        match &self.kind {
            Kind::Remote(remote) => Some(remote),
            _ => None,
        }
    }

    /// Fetches the component of a source in the network. Returns any other source as it is.
    pub(crate) async fn fetched(&self) -> Result<Self, SourceError> {
        let Some(remote) = self.remote() else { return Ok(self.clone()) };
        let fetched = remote.fetch().await.map_err(|error| {
            let what = format!("cannot fetch the codec {}", remote.reference());
            SourceError::new(what, SourceFault::Fetch(error))
        })?;
        Ok(Self { kind: Kind::Fetched(fetched), ..self.clone() })
    }

    /// Returns the version of a component that was fetched.
    pub(super) fn version(&self) -> Option<String> {
        match &self.kind {
            Kind::Fetched(fetched) => Some(fetched.version.clone()),
            _ => None,
        }
    }

    /// Returns the last version of the source's component that a server has loaded, if it was kept.
    pub(super) fn last_good(&self, engine: &WasmEngine) -> Option<Self> {
        let kept = engine.last_good(&self.name_of_last_good()?)?;
        Some(Self { kind: Kind::Kept(kept, self.origin()), ..self.clone() })
    }

    /// Returns the name under which the source's component is kept.
    pub(super) fn name_of_last_good(&self) -> Option<String> {
        let of = match (self.path(), self.remote()) {
            (Some(path), _) => std::path::absolute(path).ok()?.display().to_string(),
            (None, Some(remote)) => remote.reference(),
            (None, None) => return None,
        };
        Some(format!("{of}\0{}", self.settings.name))
    }

    /// Returns whether it is the last version that was loaded.
    pub(super) fn is_kept(&self) -> bool {
        matches!(self.kind, Kind::Kept(..))
    }

    /// Returns the beginning of an error that says why the codec was not loaded.
    pub(super) fn not_loaded(&self) -> String {
        match &self.kind {
            Kind::File(path) => format!("cannot load the codec {}", path.display()),
            Kind::Remote(remote) => format!("cannot load the codec {}", remote.reference()),
            #[cfg(feature = "nats")]
            Kind::Object(reference) => format!("cannot load the codec {reference}"),
            Kind::Fetched(fetched) => format!("cannot load the codec {}", fetched.origin),
            Kind::Kept(_, of) => format!("cannot load the last good version of {of}"),
            Kind::BuiltIn(_) | Kind::Bytes(_) | Kind::Native(_) => {
                format!("cannot load the codec {}", self.settings.name)
            }
        }
    }

    /// Returns where the codec comes from, for people.
    pub(super) fn origin(&self) -> String {
        match &self.kind {
            Kind::BuiltIn(_) | Kind::Bytes(_) => "memory".to_owned(),
            Kind::File(path) => path.display().to_string(),
            Kind::Remote(remote) => remote.reference(),
            #[cfg(feature = "nats")]
            Kind::Object(reference) => reference.to_string(),
            Kind::Fetched(fetched) => fetched.origin.clone(),
            Kind::Kept(_, of) => format!("the last good version of {of}"),
            Kind::Native(_) => "native".to_owned(),
        }
    }
}

/// Parses a reference to an object.
#[cfg(feature = "nats")]
fn object(reference: &str) -> Result<ObjectReference, SourceError> {
    let parsed = reference.parse::<ObjectReference>();
    parsed.map_err(|error| {
        SourceError::new(format!("{reference} is no codec"), SourceFault::Fetch(error.into()))
    })
}

impl Settings {
    /// Returns a loader of components whose sandboxes are charged to a new account.
    pub(super) fn loader(&self, engine: &WasmEngine) -> WasmLoader {
        WasmLoader::new(engine, self.limits).named(&self.name).allow_unused_wasi(self.allow_unused_wasi)
    }
}

impl fmt::Debug for CodecSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}) {}", self.settings.name, self.origin(), self.options)
    }
}
