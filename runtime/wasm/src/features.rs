//! The WebAssembly proposals that components may use.
//!
//! One list configures both the engines and the validator. A component that uses a proposal outside
//! the list is refused, with the name of the proposal, before it is compiled. So a new release of
//! wasmtime does not enable a proposal that wireplug has not chosen.

use wasmparser::{BinaryReaderError, Validator, WasmFeatures};
use wasmtime::Config;

use self::Remedy::{Instead, Without};
use super::compiler::CompileError;
use super::language::Language;
use wireplug_core::codec::Reason;

/// The enabled features: those that compilers emit by default, and the component model.
///
/// Tail calls are disabled: no toolchain emits them by default. A proposal that no codec needs only
/// exposes more compiler code to attackers.
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

/// A disabled proposal.
struct Proposal {
    name: &'static str,
    /// The features of the proposal, including those on which it depends.
    features: WasmFeatures,
    remedy: Remedy,
}

/// How the author of a component avoids a disabled proposal.
#[derive(Clone, Copy)]
enum Remedy {
    /// Disables this feature of the target, by its name in Rust and LLVM.
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

/// All disabled proposals, the simplest first. If several would make a component valid, the first
/// is named.
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

/// A proposal that the engines run although no component may use it. If one component in a file
/// calls another, wasmtime generates a module that has the memories of both. wasmtime panics if its
/// configuration refuses that module.
const FOR_ADAPTERS: WasmFeatures = WasmFeatures::MULTI_MEMORY;

/// Enables and disables the proposals of an engine. Components must still be [validated](validate).
pub(super) fn configure(config: &mut Config) {
    let enabled = ENABLED.union(FOR_ADAPTERS);
    config.wasm_features(WasmFeatures::all().difference(enabled), false);
    config.wasm_features(enabled, true);
}

/// Validates a component, with only the enabled proposals.
///
/// # Errors
/// Returns an error if the component is not valid. The error names the proposal that the component
/// uses, if one is the cause.
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

/// Returns the disabled proposal that a component uses: the first one with which it is valid, or
/// else the one with which validation gets furthest.
fn used(wasm: &[u8], error: &BinaryReaderError) -> Option<&'static Proposal> {
    // If the validator names the missing feature, only a few proposals have to be tried.
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
    /// Describes the remedy for authors in this language.
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
