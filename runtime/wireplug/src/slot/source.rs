//! Where a slot's codec comes from.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::codec::native::Overrides;
use crate::codec::{Codec, Digest, Options};
use crate::config::{CodecLimits, FaultLimits, SwapConfig};
use wireplug_wasm::{WasmEngine, WasmLoader};

/// Pomelo's protocol. Its sources are `guest-examples/pomelo`.
const POMELO: &[u8] = include_bytes!("../../codecs/pomelo.wasm");

/// Pomelo's message format over Socket.IO. Its sources are `guest-examples/sio`.
const SIO: &[u8] = include_bytes!("../../codecs/sio.wasm");

/// Where a codec comes from, with its options; and, for the slot that is made of it, its settings.
///
/// Listeners that are given clones of one source share one slot. Of a source that is [swapped
/// in](super::Slot::swap) only the codec and its options count: the slot keeps its settings.
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
}

#[derive(Clone)]
pub(super) enum Kind {
    Bytes(Bytes),
    File(PathBuf),
    Native(Arc<dyn Codec>),
}

/// What a slot keeps, whichever codec is in it.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) name: String,
    pub(crate) limits: CodecLimits,
    pub(crate) swap: SwapConfig,
    pub(crate) faults: FaultLimits,
    /// Imports of WASI are let in, each a trap.
    pub(crate) allow_unused_wasi: bool,
    /// The only component that is let in.
    pub(crate) pin: Option<Digest>,
    /// Win over each codec of the slot.
    pub(crate) overrides: Overrides,
}

impl CodecSource {
    /// The Pomelo codec that is built in, as a sandboxed component. Its options stand in
    /// `guest-examples/pomelo/README.md`.
    pub fn pomelo(options: impl Into<Options>) -> Self {
        Self::bytes("pomelo", Bytes::from_static(POMELO), options)
    }

    /// The codec of Pomelo's clients over Socket.IO that is built in, as a sandboxed component. Its
    /// options stand in `guest-examples/sio/README.md`.
    pub fn sio(options: impl Into<Options>) -> Self {
        Self::bytes("sio", Bytes::from_static(SIO), options)
    }

    /// A component that is in memory already.
    pub fn bytes(name: &str, wasm: impl Into<Bytes>, options: impl Into<Options>) -> Self {
        Self::new(name, Kind::Bytes(wasm.into()), options)
    }

    /// A component in a file, named after it. Test vectors that lie beside it (`NAME.vectors`) are
    /// replayed before it is used.
    pub fn file(path: impl Into<PathBuf>, options: impl Into<Options>) -> Self {
        let path = path.into();
        let name = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Self::new(&name, Kind::File(path), options)
    }

    /// A codec that is compiled in.
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
        };
        Self { kind, options, settings, identity: Arc::default() }
    }

    /// Names the slot; a server has one slot of a name.
    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.settings.name);
        self
    }

    /// Sets the limits of its sandboxes, and of its packets.
    pub fn limits(mut self, limits: CodecLimits) -> Self {
        self.settings.limits = limits;
        self
    }

    /// Sets how it is swapped.
    pub fn swaps(mut self, swap: SwapConfig) -> Self {
        self.settings.swap = swap;
        self
    }

    /// Sets how many faults it may have.
    pub fn faults(mut self, faults: FaultLimits) -> Self {
        self.settings.faults = faults;
        self
    }

    /// Lets in components that import `wasi:*`, as libraries do that never call it. There is
    /// nothing behind such an import: a call of it is a trap, which ends its connection.
    pub fn allow_unused_wasi(mut self, allow: bool) -> Self {
        self.settings.allow_unused_wasi = allow;
        self
    }

    /// Lets in no component but that of this digest.
    pub fn pinned(mut self, digest: Digest) -> Self {
        self.settings.pin = Some(digest);
        self
    }

    /// Lays overrides over whichever codec is in the slot, which is one of its own for that.
    pub(crate) fn with_overrides(mut self, overrides: Overrides) -> Self {
        self.settings.overrides = overrides;
        self.identity = Arc::default();
        self
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.identity, &other.identity)
    }

    /// The file, if it is one.
    pub(crate) fn path(&self) -> Option<&Path> {
        match &self.kind {
            Kind::File(path) => Some(path),
            Kind::Bytes(_) | Kind::Native(_) => None,
        }
    }

    /// What an error begins with that says why it is not loaded.
    pub(super) fn not_loaded(&self) -> String {
        match &self.kind {
            Kind::File(path) => format!("cannot load the codec {}", path.display()),
            Kind::Bytes(_) | Kind::Native(_) => format!("cannot load the codec {}", self.settings.name),
        }
    }

    /// Where it comes from, for people.
    pub(super) fn origin(&self) -> String {
        match &self.kind {
            Kind::Bytes(_) => "memory".to_owned(),
            Kind::File(path) => path.display().to_string(),
            Kind::Native(_) => "native".to_owned(),
        }
    }
}

impl Settings {
    /// Loads components for sandboxes that are charged to an account of their own.
    pub(super) fn loader(&self, engine: &WasmEngine) -> WasmLoader {
        WasmLoader::new(engine, self.limits).named(&self.name).allow_unused_wasi(self.allow_unused_wasi)
    }
}

impl fmt::Debug for CodecSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}) {}", self.settings.name, self.origin(), self.options)
    }
}
