//! Loading: from a source to a codec that is ready, or to what is wrong with it and what to do.

use std::borrow::Cow;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use super::source::{CodecSource, Kind};
use crate::codec::native::Halves;
use crate::codec::wasm::{WasmCodec, WasmLoader};
use crate::codec::{self, Codec, Digest, Vectors};
use crate::stamp::Stamp;

/// The largest component, in bytes. Interpreters with their libraries have some 20 MB.
const MAX_COMPONENT: u64 = 256 << 20;

/// A codec that is ready to open sessions.
pub(super) struct Loaded {
    pub(super) codec: Arc<dyn Codec>,
    /// None: it is native.
    pub(super) component: Option<Component>,
    /// How long it took to load.
    pub(super) took: Duration,
}

/// What a codec was loaded from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Component {
    pub(super) digest: Digest,
    /// In bytes.
    pub(super) size: usize,
}

/// A source's component, read and weighed, but not compiled.
pub(super) struct Read<'a> {
    source: &'a CodecSource,
    component: Option<(Component, Cow<'a, [u8]>)>,
}

/// Reads a source.
pub(super) fn read(source: &CodecSource) -> anyhow::Result<Read<'_>> {
    let wasm = match &source.kind {
        Kind::Native(_) => return Ok(Read { source, component: None }),
        Kind::Bytes(wasm) => Cow::Borrowed(&wasm[..]),
        Kind::File(path) => {
            let wasm =
                read_file(path).with_context(|| format!("cannot read the codec {}", path.display()))?;
            Cow::Owned(wasm)
        }
    };
    let component = Component { digest: Digest::of(&wasm), size: wasm.len() };
    Ok(Read { source, component: Some((component, wasm)) })
}

impl Read<'_> {
    pub(super) fn digest(&self) -> Option<Digest> {
        self.component.as_ref().map(|(component, _)| component.digest)
    }

    /// The source's options.
    pub(super) fn options(&self) -> &Value {
        &self.source.options
    }

    /// Compiles, checks and tries it, and lays the slot's halves over it.
    pub(super) fn load(
        self,
        loader: &WasmLoader,
        routes: &[Arc<str>],
        pin: Option<Digest>,
        halves: &Halves,
    ) -> anyhow::Result<Loaded> {
        let name = &self.source.settings.name;
        let mut loaded = self.load_whole(loader, routes, pin)?;
        loaded.codec = halves
            .over(loaded.codec)
            .with_context(|| format!("a half of one's own does not go with the codec {name}"))?;
        Ok(loaded)
    }

    fn load_whole(
        self,
        loader: &WasmLoader,
        routes: &[Arc<str>],
        pin: Option<Digest>,
    ) -> anyhow::Result<Loaded> {
        let start = Instant::now();
        let source = self.source;
        let Some((component, wasm)) = self.component else {
            let Kind::Native(codec) = &source.kind else {
                unreachable!("only native codecs have no component")
            };
            check_pin(None, pin)?;
            return Ok(Loaded { codec: Arc::clone(codec), component: None, took: start.elapsed() });
        };
        let load = || {
            check_pin(Some(component.digest), pin)?;
            let Value::Object(options) = &source.options else {
                bail!("a codec's options are a JSON object, and not {}", source.options);
            };
            let options = codec::options_with_routes(options.clone(), routes);
            let codec = loader.load(&wasm, options)?;
            if let Kind::File(path) = &source.kind {
                replay_vectors(&path.with_extension("vectors"), &codec)?;
            }
            Ok(codec)
        };
        let codec = load().with_context(|| match &source.kind {
            Kind::File(path) => format!("cannot load the codec {}", path.display()),
            _ => format!("cannot load the codec {}", source.settings.name),
        })?;
        Ok(Loaded { codec: Arc::new(codec), component: Some(component), took: start.elapsed() })
    }
}

/// Holds a component, or a native codec, to the only component that its slot lets in.
pub(super) fn check_pin(digest: Option<Digest>, pin: Option<Digest>) -> anyhow::Result<()> {
    match (digest, pin) {
        (None, Some(_)) => bail!("the slot is pinned to a component, and this codec is native"),
        (Some(digest), Some(pin)) if digest != pin => bail!(
            "its sha256 is {digest}, and the slot is pinned to {pin}: \
             if it is the right file, change `sha256` in the configuration"
        ),
        _ => Ok(()),
    }
}

/// Holds a codec to the vectors in a file, if there are any.
fn replay_vectors(path: &Path, codec: &WasmCodec) -> anyhow::Result<()> {
    let shown = path.display();
    let text = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Ok(metadata) if metadata.len() > Vectors::MAX as u64 => {
            bail!("its vectors, {shown}, have {} bytes, and the most is {}", metadata.len(), Vectors::MAX)
        }
        _ => fs::read_to_string(path).with_context(|| format!("cannot read its vectors, {shown}"))?,
    };
    let vectors =
        Vectors::parse(text).with_context(|| format!("its vectors, {shown}, are not well written"))?;
    let codec = codec.with_options(vectors.options().to_owned()).with_context(|| format!("in {shown}"))?;
    let mut mismatches = vectors.replay(&codec);
    if let Some(first) = mismatches.next() {
        let others = mismatches.count();
        bail!(
            "it does not answer as its vectors, {shown}, say; the first of {} differences:\n{first}\n\
             `wireplug codec test` shows all of them, and takes its answers over with --update",
            others + 1
        );
    }
    Ok(())
}

/// Reads a file whole: not what was there of it while somebody else wrote.
fn read_file(path: &Path) -> anyhow::Result<Vec<u8>> {
    let before = fs::metadata(path)?;
    ensure!(before.is_file(), "it is not a file");
    ensure!(before.len() <= MAX_COMPONENT, "it has {} bytes, and the most is {MAX_COMPONENT}", before.len());
    let wasm = fs::read(path)?;
    let after = fs::metadata(path)?;
    ensure!(
        Stamp::of(&before) == Stamp::of(&after) && wasm.len() as u64 == after.len(),
        "it changed while it was read: write it beside the old one and rename it, or try again"
    );
    Ok(wasm)
}
