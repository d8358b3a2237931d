//! Where a listener's codec comes from.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::app::App;
use crate::codec::wasm::{Limits, POMELO, WasmCodec, WasmEngine};
use crate::codec::{self, Codec};

/// Where a listener's codec comes from, with its options: a JSON object whose keys the codec defines.
pub struct CodecSource(Kind);

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
        Self(Kind::Bytes(name.to_owned(), wasm.into(), options))
    }

    /// A component in a file.
    pub fn file(path: impl Into<PathBuf>, options: Value) -> Self {
        Self(Kind::File(path.into(), options))
    }

    /// A codec that is compiled in.
    pub fn native(codec: Arc<dyn Codec>) -> Self {
        Self(Kind::Native(codec))
    }

    pub(super) fn load(
        self,
        engine: &WasmEngine,
        app: &App,
        limits: Limits,
    ) -> anyhow::Result<Arc<dyn Codec>> {
        let load = |wasm: &[u8], options: Value| {
            let Value::Object(options) = options else {
                bail!("a codec's options are a JSON object, and not {options}");
            };
            let options = codec::options_with_routes(options, &app.routes());
            Ok(Arc::new(WasmCodec::load(engine, wasm, options, limits)?) as Arc<dyn Codec>)
        };
        match self.0 {
            Kind::Native(codec) => Ok(codec),
            Kind::Bytes(name, wasm, options) => {
                load(&wasm, options).with_context(|| format!("cannot load the codec {name}"))
            }
            Kind::File(path, options) => {
                let wasm = std::fs::read(&path)
                    .with_context(|| format!("cannot read the codec {}", path.display()))?;
                load(&wasm, options).with_context(|| format!("cannot load the codec {}", path.display()))
            }
        }
    }
}

impl fmt::Debug for CodecSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Bytes(name, _, options) => write!(f, "{name} {options}"),
            Kind::File(path, options) => write!(f, "{} {options}", path.display()),
            Kind::Native(codec) => write!(f, "native {}", codec.description().name),
        }
    }
}
