//! WebAssembly proposals: those that are enabled load and run, and the others are refused by name.

use wireplug::config::CodecLimits;
use wireplug_core::codec::{Codec as _, Events};
use wireplug_tests::hostile::heavy::with_instances;
use wireplug_tests::hostile::{Guest, bodies};
use wireplug_wasm::{LoadError, WasmCodec, WasmEngine, WasmLoader};

use super::{at, peer};

/// A module for each enabled proposal. Its start function or its definitions use the proposal.
const ON: &[(&str, &str)] = &[
    ("floating point", "(func $run (drop (f64.sqrt (f64.const 2)))) (start $run)"),
    ("mutable globals", "(global (export \"g\") (mut i32) (i32.const 1))"),
    ("sign extension", "(func $run (drop (i32.extend8_s (i32.const 255)))) (start $run)"),
    ("saturating conversions", "(func $run (drop (i32.trunc_sat_f32_s (f32.const 1e9)))) (start $run)"),
    (
        "multiple values",
        "(func $two (result i32 i32) (i32.const 1) (i32.const 2)) (func $run (drop (i32.add (call $two)))) (start $run)",
    ),
    (
        "bulk memory",
        "(memory 1) (data $d \"passive\")
         (func $run
           (memory.init $d (i32.const 8) (i32.const 0) (i32.const 7)) (data.drop $d)
           (memory.copy (i32.const 64) (i32.const 8) (i32.const 7))
           (memory.fill (i32.const 0) (i32.const 1) (i32.const 8)))
         (start $run)",
    ),
    (
        "reference types",
        "(table $t 2 funcref) (elem declare func $run)
         (func $run
           (table.set $t (i32.const 0) (ref.func $run))
           (drop (table.grow $t (ref.null func) (i32.const 3)))
           (drop (select (result funcref) (ref.null func) (table.get $t (i32.const 0)) (i32.const 1))))
         (start $run)",
    ),
    (
        "SIMD",
        "(func $run (drop (i32x4.add (v128.const i32x4 1 2 3 4) (i32x4.splat (i32.const 5))))) (start $run)",
    ),
    ("extended constants", "(global i32 (i32.add (i32.const 1) (i32.const 2)))"),
];

/// A module for each disabled proposal of core WebAssembly.
const OFF: &[(&str, &str)] = &[
    ("tail calls", "(func $f (return_call $f))"),
    ("multiple memories", "(memory 1) (memory 1)"),
    ("relaxed SIMD", "(func (drop (i32x4.relaxed_trunc_f32x4_s (v128.const f32x4 1 2 3 4))))"),
    (
        "wide arithmetic",
        "(func (result i64 i64) (i64.add128 (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4)))",
    ),
    ("threads", "(memory 1 1 shared)"),
    ("threads", "(memory 1) (func (drop (i32.atomic.load (i32.const 0))))"),
    ("memory64", "(memory i64 1)"),
    ("memory64", "(table i64 1 funcref)"),
    ("custom page sizes", "(memory 1 (pagesize 1))"),
    ("legacy exceptions", "(func try catch_all end)"),
    ("typed function references", "(type $t (func)) (func (param (ref $t)) (call_ref $t (local.get 0)))"),
    ("references to objects (externref)", "(table 1 externref)"),
    ("garbage collection", "(type (struct (field i32)))"),
    ("garbage collection", "(type (sub (func)))"),
    ("garbage collection", "(func (drop (ref.i31 (i32.const 1))))"),
    ("exceptions", "(tag)"),
    ("exceptions", "(func (block $l (try_table (catch_all $l))))"),
    ("stack switching", "(type $f (func)) (type (cont $f))"),
    ("shared-everything threads", "(global (shared i32) (i32.const 1))"),
];

/// A component for each disabled proposal of the component model.
const OFF_IN_COMPONENTS: &[(&str, &str)] = &[
    ("component-model async", "(core func (canon backpressure.inc))"),
    ("component-model async", "(type (func async))"),
    ("component-model async", "(type (stream u8))"),
    ("component-model error-context", "(type error-context)"),
    ("component-model values", "(import \"v\" (value string))"),
    ("component-model fixed-length lists", "(type (list u8 4))"),
    ("component-model maps", "(type (map u8 u8))"),
];

fn load(wasm: &[u8]) -> Result<WasmCodec, LoadError> {
    let limits = CodecLimits::default();
    let engine = WasmEngine::new(4, limits.memory).expect("room for few sandboxes");
    WasmLoader::new(&engine, limits).load(wasm, "{}".into())
}

fn refusal(wasm: &[u8]) -> String {
    load(wasm).err().expect("it uses what is off").to_string()
}

/// Returns an honest codec with one more core module.
fn with_module(text: &str) -> Vec<u8> {
    let module = wat::parse_str(format!("(module {text})")).unwrap_or_else(|error| panic!("{text}: {error}"));
    with_instances(&Guest::new("feature").build(), &module, 1)
}

#[test]
fn what_is_on_loads_and_runs() {
    for (name, text) in ON {
        let codec = load(&with_module(text)).unwrap_or_else(|error| panic!("{name}: {error}"));
        codec.open(peer(), at(0)).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn what_is_off_is_refused_by_its_name() {
    for (name, text) in OFF {
        let error = refusal(&with_module(text));
        assert!(
            error.starts_with(&format!("it uses the WebAssembly proposal {name}, which is off: ")),
            "{error}"
        );
    }
    for (name, text) in OFF_IN_COMPONENTS {
        let wasm =
            wat::parse_str(format!("(component {text})")).unwrap_or_else(|error| panic!("{text}: {error}"));
        let error = refusal(&wasm);
        assert!(
            error.starts_with(&format!("it uses the WebAssembly proposal {name}, which is off: ")),
            "{error}"
        );
    }
}

#[test]
fn the_error_says_what_to_change() {
    let error = refusal(&with_module("(memory 1 1 shared)"));
    assert!(
        error.contains(
            "switch the target feature `atomics` off: for Rust, without `-C target-feature=+atomics`"
        ),
        "{error}"
    );
    let error = refusal(&with_module("(memory i64 1)"));
    assert!(error.contains("build it for wasm32 instead of wasm64"), "{error}");
}

/// If the function types of the garbage collection proposal were enabled, wasmtime would abort the
/// process at such a call.
#[test]
fn a_call_by_a_type_that_is_not_final() {
    let items = "(type $open (sub (func))) (table $victims 1 funcref) (elem (table $victims) (i32.const 0) func $victim)
                 (func $victim (type $open))";
    let call = "(call_indirect $victims (type $open) (i32.const 0))";
    let in_decode = Guest::new("aborter").items(items).strike(&format!("{call} {}", bodies::TRAP));
    let at_start = Guest::new("aborter").items(items).start(call);
    for guest in [in_decode, at_start] {
        let error = refusal(&guest.build());
        assert!(error.contains("the WebAssembly proposal garbage collection, which is off"), "{error}");
    }
}

/// If one component calls another, wasmtime makes a module with the memories of both. Its own
/// configuration must allow that, or else it panics.
#[test]
fn a_component_that_calls_another() {
    let text = r#"(component
        (component $a
          (core module $m
            (memory (export "memory") 1)
            (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 0))
            (func (export "take") (param i32 i32)))
          (core instance $i (instantiate $m))
          (func (export "take") (param "text" string)
            (canon lift (core func $i "take") (memory $i "memory") (realloc (func $i "realloc")))))
        (component $b
          (import "take" (func $take (param "text" string)))
          (core module $m (memory (export "memory") 1))
          (core instance $i (instantiate $m))
          (core func $lowered (canon lower (func $take) (memory $i "memory")))
          (core module $caller
            (import "" "take" (func $take (param i32 i32)))
            (func $run (call $take (i32.const 0) (i32.const 3))) (start $run))
          (core instance (instantiate $caller (with "" (instance (export "take" (func $lowered)))))))
        (instance $a (instantiate $a))
        (instance (instantiate $b (with "take" (func $a "take")))))"#;
    let error = refusal(&wat::parse_str(text).expect("well-formed"));
    assert!(error.contains("it does not export wireplug:codec/codec@0.2.0"), "{error}");
}

/// Processors differ in the NaN that an operation returns, but the answers of a codec must not
/// differ.
#[test]
fn every_nan_is_the_canonical_one() {
    // An addition may keep the payload of this NaN. The guest traps unless the NaN was replaced.
    let check = "(if (i32.ne (i32.const 0x7fc00000)
            (i32.and (i32.const 0x7fffffff) (i32.reinterpret_f32 (f32.add (f32.const nan:0x200001) (f32.const 1)))))
          (then unreachable))";
    let codec = load(&Guest::new("nan").start(check).build()).expect("each NaN is canonical");
    let mut session = codec.open(peer(), at(0)).expect("it opens");
    let mut packets = wireplug_core::framing::Packets::new();
    packets.push(b"honest");
    session.decode(&packets.into(), at(0), &mut Events::new()).expect("it is honest");
}
