//! The WebAssembly proposals that components may use.
//!
//! One list is the engines' configuration and the validator's. What is not on it is refused with
//! its name before anything is compiled, so that a new release of wasmtime brings no proposal that
//! nobody decided on.

use wasmparser::{BinaryReaderError, Validator, WasmFeatures};
use wasmtime::Config;

use self::Remedy::{Instead, Without};
use super::compiler::CompileError;
use super::language::Language;
use wireplug_core::codec::Reason;

/// What is on: what compilers emit by default, and the component model.
///
/// Tail calls are off: no toolchain emits them by default, and a proposal that no codec needs is
/// code of the compiler that no attacker should reach.
pub(super) const ENABLED: WasmFeatures = WasmFeatures::FLOATS
    .union(WasmFeatures::MUTABLE_GLOBAL)
    .union(WasmFeatures::SIGN_EXTENSION)
    .union(WasmFeatures::SATURATING_FLOAT_TO_INT)
    .union(WasmFeatures::MULTI_VALUE)
    .union(WasmFeatures::BULK_MEMORY)
    .union(WasmFeatures::REFERENCE_TYPES)
    .union(WasmFeatures::SIMD)
    .union(WasmFeatures::EXTENDED_CONST)
    .union(WasmFeatures::COMPONENT_MODEL);

/// A proposal that is off.
struct Proposal {
    name: &'static str,
    /// It, and what it stands on.
    features: WasmFeatures,
    remedy: Remedy,
}

/// What the author of a component changes.
#[derive(Clone, Copy)]
enum Remedy {
    /// Switches this feature of the target off, as Rust and LLVM call it.
    Without(&'static str),
    /// Does this instead.
    Instead(&'static str),
}

impl Proposal {
    const fn new(name: &'static str, features: WasmFeatures, remedy: Remedy) -> Self {
        Self { name, features, remedy }
    }
}

const FUNCTION_REFERENCES: WasmFeatures = WasmFeatures::FUNCTION_REFERENCES;
const GARBAGE_COLLECTION: WasmFeatures =
    FUNCTION_REFERENCES.union(WasmFeatures::GC).union(WasmFeatures::GC_TYPES);
const EXCEPTIONS: WasmFeatures = GARBAGE_COLLECTION.union(WasmFeatures::EXCEPTIONS);
const ASYNC: WasmFeatures =
    WasmFeatures::CM_ASYNC.union(WasmFeatures::CM_ASYNC_STACKFUL).union(WasmFeatures::CM_MORE_ASYNC_BUILTINS);

const TO_LINEAR_MEMORY: &str = "compile it for linear memory, without the garbage collector of WebAssembly";
const SYNCHRONOUS: &str =
    "generate its bindings without `async`: the contract has synchronous functions only";
const CONTRACT_ONLY: &str = "export the contract's interfaces and nothing else";

/// Everything that is off, the simplest first: where several would do, the first is named.
const DISABLED: &[Proposal] = &[
    Proposal::new("tail calls", WasmFeatures::TAIL_CALL, Without("tail-call")),
    Proposal::new("multiple memories", WasmFeatures::MULTI_MEMORY, Without("multimemory")),
    Proposal::new("relaxed SIMD", WasmFeatures::RELAXED_SIMD, Without("relaxed-simd")),
    Proposal::new("wide arithmetic", WasmFeatures::WIDE_ARITHMETIC, Without("wide-arithmetic")),
    Proposal::new("threads", WasmFeatures::THREADS, Without("atomics")),
    Proposal::new(
        "memory64",
        WasmFeatures::MEMORY64,
        Instead("build it for wasm32 instead of wasm64, and keep its memories and tables 32-bit"),
    ),
    Proposal::new(
        "custom page sizes",
        WasmFeatures::CUSTOM_PAGE_SIZES,
        Instead("link it without --page-size, with pages of 64 KiB"),
    ),
    Proposal::new("legacy exceptions", WasmFeatures::LEGACY_EXCEPTIONS, Without("exception-handling")),
    Proposal::new("typed function references", FUNCTION_REFERENCES, Instead(TO_LINEAR_MEMORY)),
    Proposal::new(
        "references to objects (externref)",
        WasmFeatures::GC_TYPES,
        Instead(
            "keep objects of the host in a table of its own memory: a codec has no host whose objects it could hold",
        ),
    ),
    Proposal::new("garbage collection", GARBAGE_COLLECTION, Instead(TO_LINEAR_MEMORY)),
    Proposal::new("exceptions", EXCEPTIONS, Without("exception-handling")),
    Proposal::new(
        "stack switching",
        EXCEPTIONS.union(WasmFeatures::STACK_SWITCHING),
        Instead("compile it without stack switching"),
    ),
    Proposal::new(
        "shared-everything threads",
        GARBAGE_COLLECTION.union(WasmFeatures::THREADS).union(WasmFeatures::SHARED_EVERYTHING_THREADS),
        Instead("compile it for one thread"),
    ),
    Proposal::new(
        "memory control",
        WasmFeatures::MEMORY_CONTROL,
        Instead("compile it without memory control"),
    ),
    Proposal::new(
        "custom descriptors",
        GARBAGE_COLLECTION.union(WasmFeatures::CUSTOM_DESCRIPTORS),
        Instead(TO_LINEAR_MEMORY),
    ),
    Proposal::new(
        "compact imports",
        WasmFeatures::COMPACT_IMPORTS,
        Instead("link it without compact import sections"),
    ),
    Proposal::new("component-model async", ASYNC, Instead(SYNCHRONOUS)),
    Proposal::new(
        "component-model threading",
        ASYNC.union(WasmFeatures::CM_THREADING).union(WasmFeatures::THREADS),
        Instead(SYNCHRONOUS),
    ),
    Proposal::new(
        "component-model error-context",
        ASYNC.union(WasmFeatures::CM_ERROR_CONTEXT),
        Instead(SYNCHRONOUS),
    ),
    Proposal::new("component-model values", WasmFeatures::CM_VALUES, Instead(CONTRACT_ONLY)),
    Proposal::new("component-model nested names", WasmFeatures::CM_NESTED_NAMES, Instead(CONTRACT_ONLY)),
    Proposal::new(
        "component-model fixed-length lists",
        WasmFeatures::CM_FIXED_LENGTH_LISTS,
        Instead(CONTRACT_ONLY),
    ),
    Proposal::new("component-model maps", WasmFeatures::CM_MAP, Instead(CONTRACT_ONLY)),
    Proposal::new(
        "component-model garbage collection",
        GARBAGE_COLLECTION.union(WasmFeatures::CM_GC),
        Instead(TO_LINEAR_MEMORY),
    ),
    Proposal::new(
        "component-model memory64",
        WasmFeatures::MEMORY64.union(WasmFeatures::CM64),
        Instead("build it for wasm32 instead of wasm64"),
    ),
    Proposal::new("component-model implements", WasmFeatures::CM_IMPLEMENTS, Instead(CONTRACT_ONLY)),
    Proposal::new("component-model canonical names", WasmFeatures::CM_CANON_NAMES, Instead(CONTRACT_ONLY)),
];

/// What the engines run besides, though no component may use it: where one component in the file
/// calls another, wasmtime makes a module itself that has the memories of both, and panics if its
/// configuration refuses that module.
const FOR_ADAPTERS: WasmFeatures = WasmFeatures::MULTI_MEMORY;

/// Switches an engine's proposals on and off. Components must be [validated](validate) all the
/// same.
pub(super) fn configure(config: &mut Config) {
    let enabled = ENABLED.union(FOR_ADAPTERS);
    config.wasm_features(WasmFeatures::all().difference(enabled), false);
    config.wasm_features(enabled, true);
}

/// Validates a component, with no proposal but those that are on.
///
/// # Errors
/// Returns an error if the component is not valid, with the proposal that it uses where there is
/// one.
pub(super) fn validate(wasm: &[u8]) -> Result<(), CompileError> {
    let Err(error) = validate_with(wasm, ENABLED) else { return Ok(()) };
    let why = match used(wasm, &error) {
        Some(Proposal { name, remedy, .. }) => format!(
            "it uses the WebAssembly proposal {name}, which is off: {} ({})",
            remedy.for_language(Language::of(wasm)),
            Reason::new(error.to_string())
        ),
        None => format!("it does not compile: {}", Reason::new(error.to_string())),
    };
    Err(CompileError::refused(&why))
}

fn validate_with(wasm: &[u8], features: WasmFeatures) -> Result<(), BinaryReaderError> {
    Validator::new_with_features(features).validate_all(wasm).map(drop)
}

/// The proposal without which a component is not valid: the first with which it is, or else the one
/// with which validation gets furthest.
fn used(wasm: &[u8], error: &BinaryReaderError) -> Option<&'static Proposal> {
    // Where the validator names what is missing, only few have to be tried.
    let missing = error.missing_wasm_feature().unwrap_or(WasmFeatures::all());
    let (mut furthest, mut offset) = (None, error.offset());
    for proposal in DISABLED.iter().filter(|proposal| proposal.features.intersects(missing)) {
        match validate_with(wasm, ENABLED.union(proposal.features)) {
            Ok(()) => return Some(proposal),
            Err(other) if other.offset() > offset => (furthest, offset) = (Some(proposal), other.offset()),
            Err(_) => {}
        }
    }
    furthest
}

impl Remedy {
    /// In words for those who write this language.
    fn for_language(self, language: Option<Language>) -> String {
        let feature = match self {
            Without(feature) => feature,
            Instead(remedy) => return remedy.to_owned(),
        };
        match language {
            Some(Language::Rust) => {
                format!("build it without `-C target-feature=+{feature}`, in RUSTFLAGS or .cargo/config.toml")
            }
            Some(Language::C) => format!("compile and link it without -m{feature}"),
            Some(Language::Go) => format!("build it for a target without the feature {feature}"),
            Some(Language::Python | Language::JavaScript) => {
                "build it with the release of the tool that a project of `wireplug codec new` names"
                    .to_owned()
            }
            None => format!(
                "switch the target feature `{feature}` off: for Rust, without `-C target-feature=+{feature}`; for C, \
                 without -m{feature}"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{DISABLED, ENABLED};
    use wasmparser::WasmFeatures;

    #[test]
    fn every_proposal_is_on_or_has_a_name() {
        let named = DISABLED.iter().fold(ENABLED, |sum, proposal| sum.union(proposal.features));
        assert_eq!(named, WasmFeatures::all());
        for proposal in DISABLED {
            assert!(!ENABLED.contains(proposal.features), "{} is on", proposal.name);
        }
    }
}
