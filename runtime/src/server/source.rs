//! Where a listener's codec comes from.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::app::App;
use crate::codec::wasm::{POMELO, WasmEngine, WasmLoader};
use crate::codec::{self, Codec};
use crate::config::CodecLimits;

/// Where a listener's codec comes from, with its options: a JSON object whose keys the codec defines.
///
/// Listeners that are given clones of one source share what it loads: its sandboxes are charged to one
/// account.
#[derive(Clone)]
pub struct CodecSource {
    kind: Kind,
    limits: CodecLimits,
    /// Tells clones of one source from sources that only look alike.
    identity: Arc<()>,
}

#[derive(Clone)]
enum Kind {
    Bytes(String, Cow<'static, [u8]>, Value),
    File(PathBuf, Value),
    Native(Arc<dyn Codec>),
}

impl CodecSource {
    /// The Pomelo codec that is built in, as a sandboxed component. Its options stand in
    /// `guest-examples/pomelo/README.md`.
    pub fn pomelo(options: Value) -> Self {
        Self::bytes("pomelo", POMELO, options)
    }

    /// A component that is in memory already, under the name by which errors speak of it.
    pub fn bytes(name: &str, wasm: impl Into<Cow<'static, [u8]>>, options: Value) -> Self {
        Self::new(Kind::Bytes(name.to_owned(), wasm.into(), options))
    }

    /// A component in a file.
    pub fn file(path: impl Into<PathBuf>, options: Value) -> Self {
        Self::new(Kind::File(path.into(), options))
    }

    /// A codec that is compiled in.
    pub fn native(codec: Arc<dyn Codec>) -> Self {
        Self::new(Kind::Native(codec))
    }

    /// Sets the limits of its sandboxes, and of its packets.
    pub fn limits(mut self, limits: CodecLimits) -> Self {
        self.limits = limits;
        self
    }

    fn new(kind: Kind) -> Self {
        Self { kind, limits: CodecLimits::default(), identity: Arc::default() }
    }

    pub(super) fn codec_limits(&self) -> CodecLimits {
        self.limits
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.identity, &other.identity)
    }

    pub(super) fn load(&self, engine: &WasmEngine, app: &App) -> anyhow::Result<Arc<dyn Codec>> {
        let load = |wasm: &[u8], options: &Value| -> anyhow::Result<Arc<dyn Codec>> {
            let Value::Object(options) = options else {
                bail!("a codec's options are a JSON object, and not {options}");
            };
            let options = codec::options_with_routes(options.clone(), &app.routes());
            Ok(Arc::new(WasmLoader::new(engine, self.limits).load(wasm, options)?))
        };
        match &self.kind {
            Kind::Native(codec) => Ok(Arc::clone(codec)),
            Kind::Bytes(name, wasm, options) => {
                load(wasm, options).with_context(|| format!("cannot load the codec {name}"))
            }
            Kind::File(path, options) => {
                let wasm = std::fs::read(path)
                    .with_context(|| format!("cannot read the codec {}", path.display()))?;
                load(&wasm, options).with_context(|| format!("cannot load the codec {}", path.display()))
            }
        }
    }
}

impl fmt::Debug for CodecSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Bytes(name, _, options) => write!(f, "{name} {options}"),
            Kind::File(path, options) => write!(f, "{} {options}", path.display()),
            Kind::Native(codec) => write!(f, "native {}", codec.description().name),
        }
    }
}
