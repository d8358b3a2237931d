//! Loading: makes a codec that is ready from a source, or an error that says what is wrong and what
//! to do.

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use tracing::warn;

use super::source::{CodecSource, Kind};
use super::{SourceError, SourceFault};
use crate::codec::{Codec, Digest, Options, ResolvedOptions};
use crate::trust::{Signers, Trust};
use wireplug_base::FileFingerprint;
use wireplug_base::ownership::{self, Doubt};
use wireplug_core::codec::overrides::Overrides;
use wireplug_core::vectors::Vectors;
use wireplug_wasm::{WasmCodec, WasmLoader};

/// The largest component, in bytes. Interpreters with their libraries have some 20 MB.
pub(crate) const MAX_COMPONENT: u64 = 256 << 20;

/// A codec that is ready to open sessions.
pub(super) struct Loaded {
    pub(super) codec: Arc<dyn Codec>,
    /// The component, or `None` if the codec is native.
    pub(super) component: Option<Component>,
    /// Who vouches for the codec.
    pub(super) signers: Signers,
    pub(super) options: LoadOptions,
    /// How long it took to load.
    pub(super) took: Duration,
    /// Where the codec came from, as a text for people.
    pub(super) origin: String,
    /// Whether it is the last good version, which was kept.
    pub(super) is_kept: bool,
    /// The component, if it was read from a file or fetched.
    pub(super) file: Option<Bytes>,
}

/// A codec's options. Two are equal if the options were given alike and the secrets have the same
/// values.
#[derive(Clone, Debug)]
pub(super) struct LoadOptions {
    /// The options as they were given, to be shown and to be resolved again.
    pub(super) given: Options,
    resolved: ResolvedOptions,
    /// Warnings about files of secrets that other users can read.
    warnings: Vec<String>,
}

impl PartialEq for LoadOptions {
    fn eq(&self, other: &Self) -> bool {
        self.given == other.given && self.resolved == other.resolved
    }
}

impl LoadOptions {
    /// Reads the secrets among a source's options.
    pub(super) fn resolve(source: &CodecSource, routes: &[Arc<str>]) -> Result<Self, SourceError> {
        let given = source.options.clone();
        let resolved = given
            .resolve(routes)
            .map_err(|error| SourceError::new(source.not_loaded(), SourceFault::Options(error.into())))?;
        Ok(Self { given, resolved: resolved.options, warnings: resolved.warnings })
    }
}

/// The component from which a codec was loaded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Component {
    pub(super) digest: Digest,
    /// The size of the component, in bytes.
    pub(super) size: usize,
}

/// A source's component, which is read and hashed, but not compiled.
pub(super) struct Read<'a> {
    source: &'a CodecSource,
    component: Option<(Component, Bytes)>,
    /// The ways in which other users could have written the file.
    doubts: Vec<Doubt>,
}

/// Reads a source. A source in the network must have been fetched.
pub(super) fn read(source: &CodecSource) -> Result<Read<'_>, SourceError> {
    let (wasm, doubts) = match &source.kind {
        Kind::Native(_) => return Ok(Read { source, component: None, doubts: Vec::new() }),
        Kind::Remote(_) => unreachable!("a source in the network is fetched first"),
        #[cfg(feature = "nats")]
        Kind::Object(_) => unreachable!("a source gets the object stores of its server first"),
        Kind::BuiltIn(wasm) => (Bytes::from_static(wasm), Vec::new()),
        Kind::Bytes(wasm) | Kind::Kept(wasm, _) => (wasm.clone(), Vec::new()),
        Kind::Fetched(fetched) => (fetched.component.clone(), Vec::new()),
        Kind::File(path) => {
            let (wasm, doubts) = read_file(path).map_err(|error| {
                let what = format!("cannot read the codec {}", path.display());
                SourceError::new(what, SourceFault::File(error.into()))
            })?;
            (Bytes::from(wasm), doubts)
        }
    };
    let component = Component { digest: Digest::of(&wasm), size: wasm.len() };
    Ok(Read { source, component: Some((component, wasm)), doubts })
}

impl Read<'_> {
    pub(super) fn digest(&self) -> Option<Digest> {
        self.component.as_ref().map(|(component, _)| component.digest)
    }

    /// Checks who signed the component, compiles and checks it, replays its test vectors, and adds
    /// the slot's overrides.
    pub(super) fn load(
        self,
        loader: &WasmLoader,
        options: LoadOptions,
        pin: Option<Digest>,
        trust: &Trust,
        overrides: &Overrides,
    ) -> Result<Loaded, SourceError> {
        let name = &self.source.settings.name;
        let mut loaded = self.load_whole(loader, options, pin, trust)?;
        loaded.codec = overrides.over(loaded.codec).map_err(|error| {
            let what = format!("a codec override does not go with the codec {name}");
            SourceError::new(what, SourceFault::Override(error.into()))
        })?;
        Ok(loaded)
    }

    fn load_whole(
        self,
        loader: &WasmLoader,
        options: LoadOptions,
        pin: Option<Digest>,
        trust: &Trust,
    ) -> Result<Loaded, SourceError> {
        let start = Instant::now();
        let source = self.source;
        let Some((component, wasm)) = self.component else {
            let Kind::Native(codec) = &source.kind else {
                unreachable!("only native codecs have no component")
            };
            check_pin(None, pin)
                .map_err(|why| SourceError::new(source.not_loaded(), SourceFault::Pin(why)))?;
            return Ok(Loaded {
                codec: Arc::clone(codec),
                component: None,
                signers: Signers::program(),
                options,
                took: start.elapsed(),
                origin: source.origin(),
                is_kept: false,
                file: None,
            });
        };
        let signers = match &source.kind {
            Kind::BuiltIn(_) => Signers::program(),
            _ => trust.signers(&wasm),
        };
        let load = || -> Result<WasmCodec, SourceFault> {
            check_pin(Some(component.digest), pin).map_err(SourceFault::Pin)?;
            check_owners(source, &self.doubts, pin.is_some())?;
            // The cache has compiled code of components that nobody has signed, so this comes
            // before anything that reads it.
            trust.check(&source.settings.name, &signers).map_err(SourceFault::Unsigned)?;
            for warning in &options.warnings {
                warn!(slot = source.settings.name, warning, "a codec's secret is not kept");
            }
            let codec = loader.load(&wasm, options.resolved.clone()).map_err(SourceFault::Component)?;
            if let Kind::File(path) = &source.kind {
                replay_vectors(&path.with_extension("vectors"), &codec)
                    .map_err(|error| SourceFault::Vectors(error.into()))?;
            }
            Ok(codec)
        };
        let codec = load().map_err(|cause| SourceError::new(source.not_loaded(), cause))?;
        Ok(Loaded {
            codec: Arc::new(codec),
            component: Some(component),
            signers,
            options,
            took: start.elapsed(),
            origin: source.origin(),
            is_kept: source.is_kept(),
            file: matches!(source.kind, Kind::File(_) | Kind::Fetched(_)).then_some(wasm),
        })
    }
}

/// Warns of each way in which other users could have written a codec's file. Returns an error if
/// any user of the machine could have written the file, unless its digest was compared with the
/// pin.
fn check_owners(source: &CodecSource, doubts: &[Doubt], is_pinned: bool) -> Result<(), SourceFault> {
    for doubt in doubts {
        if doubt.by_anybody && !is_pinned {
            let why = format!("{doubt}, or pin the component with `sha256` in the configuration");
            return Err(SourceFault::Untrusted(why));
        }
        let (slot, file) = (&source.settings.name, source.origin());
        warn!(slot, file, warning = %doubt, "others can replace a codec");
    }
    Ok(())
}

/// Returns an error if the slot is pinned to another component. A native codec has no digest, and
/// does not match any pin.
pub(super) fn check_pin(digest: Option<Digest>, pin: Option<Digest>) -> Result<(), String> {
    match (digest, pin) {
        (None, Some(_)) => Err("the slot is pinned to a component, and this codec is native".to_owned()),
        (Some(digest), Some(pin)) if digest != pin => Err(format!(
            "its sha256 is {digest}, and the slot is pinned to {pin}: \
             if it is the right file, change `sha256` in the configuration"
        )),
        _ => Ok(()),
    }
}

/// Checks a codec against the test vectors in a file, if the file exists.
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
    let codec = codec.with_options(vectors.options().into()).with_context(|| format!("in {shown}"))?;
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

/// Reads a whole file. Returns an error if the file changes meanwhile. Also returns the ways in
/// which other users could have written the file.
fn read_file(path: &Path) -> anyhow::Result<(Vec<u8>, Vec<Doubt>)> {
    let mut file = ownership::open_file(path)?;
    let before = file.metadata()?;
    ensure!(before.len() <= MAX_COMPONENT, "it has {} bytes, and the most is {MAX_COMPONENT}", before.len());
    let doubts = ownership::doubts(path, &file)?;
    let mut wasm = Vec::with_capacity(before.len() as usize);
    (&mut file).take(MAX_COMPONENT + 1).read_to_end(&mut wasm)?;
    let after = file.metadata()?;
    ensure!(
        FileFingerprint::of(&before) == FileFingerprint::of(&after) && wasm.len() as u64 == after.len(),
        "it changed while it was read: write it beside the old one and rename it, or try again"
    );
    Ok((wasm, doubts))
}
