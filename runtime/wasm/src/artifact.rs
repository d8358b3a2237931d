//! Compiled components: machine code, and the one place that runs it.

use bytes::Bytes;
use wasmtime::Engine;
use wasmtime::component::Component;

/// The machine code of a component: made by this process, by a compile worker of it, or by a
/// process like it that had the same user and the same compiler.
pub(super) struct Artifact(Bytes);

impl Artifact {
    /// Compiles a component, for any engine with the compiler settings of this one.
    pub(super) fn compile(engine: &Engine, wasm: &[u8]) -> wasmtime::Result<Self> {
        engine.precompile_component(wasm).map(|artifact| Self(artifact.into()))
    }

    /// What [`compile`](Self::compile) made: in a compile worker, or earlier and read from the
    /// cache.
    pub(super) fn made_by_us(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// Its size, in bytes.
    pub(super) fn size(&self) -> usize {
        self.0.len()
    }

    /// The machine code.
    pub(super) fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// The component, for an engine that has room for it.
    #[expect(unsafe_code, reason = "wasmtime cannot know who made what it is given")]
    pub(super) fn component(&self, engine: &Engine) -> wasmtime::Result<Component> {
        // SAFETY: An artifact was made by `compile`: in this process; or in a compile worker, a
        // program that whoever runs this process has named and that answers to nobody else; or it
        // was read from the cache, from a file of this user in a directory that nobody else may
        // enter, unchanged since then, as its checksum says. That it was made by this version of
        // the compiler with these settings wasmtime checks itself.
        unsafe { Component::deserialize(engine, &self.0) }
    }
}
