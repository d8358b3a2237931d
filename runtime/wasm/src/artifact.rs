//! Compiled components: their machine code, and the only place where it is loaded to run.

use bytes::Bytes;
use wasmtime::component::Component;
use wasmtime::{Engine, Module, Precompiled};

/// The first bytes of a core module. A component has another version there.
const CORE_MODULE: &[u8] = b"\0asm\x01\0\0\0";

/// Machine code that an engine has loaded.
pub(super) enum Loaded {
    Component(Component),
    /// The core module of a component that is called directly.
    Module(Module),
}

/// The machine code of a component, or of the core module of one. This process, one of its compile
/// workers, or an earlier process with the same user and the same compiler has compiled it.
pub(super) struct Artifact(Bytes);

impl Artifact {
    /// Compiles a component, or a core module, for any engine with the same compiler settings as
    /// this one.
    pub(super) fn compile(engine: &Engine, wasm: &[u8]) -> wasmtime::Result<Self> {
        let artifact = if wasm.starts_with(CORE_MODULE) {
            engine.precompile_module(wasm)
        } else {
            engine.precompile_component(wasm)
        };
        artifact.map(|artifact| Self(artifact.into()))
    }

    /// Creates an artifact from the output of [`compile`](Self::compile) in a compile worker, or
    /// from the cache.
    pub(super) fn made_by_us(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// Returns the size in bytes.
    pub(super) fn size(&self) -> usize {
        self.0.len()
    }

    /// Returns the machine code.
    pub(super) fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// Loads the machine code into an engine.
    #[expect(unsafe_code, reason = "wasmtime cannot know who made what it is given")]
    pub(super) fn load(&self, engine: &Engine) -> wasmtime::Result<Loaded> {
        // SAFETY: An artifact was made by `compile`. This happened in this process, in a compile
        // worker, or in an earlier process. The user of this process has chosen the worker's
        // program, and nobody else controls it. An artifact of an earlier process comes from the
        // cache: from a file of this user, in a directory that no other user can enter. The
        // checksum shows that the file has not changed since then. wasmtime itself checks that the
        // artifact was made by this version of the compiler with these settings.
        unsafe {
            match Engine::detect_precompiled(&self.0) {
                Some(Precompiled::Module) => Module::deserialize(engine, &self.0).map(Loaded::Module),
                _ => Component::deserialize(engine, &self.0).map(Loaded::Component),
            }
        }
    }
}
