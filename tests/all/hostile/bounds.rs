//! Components that are refused before they are compiled because they are too large, too deep or
//! have too many parts.

use std::time::{Duration, Instant};

use wireplug::config::{CodecLimits, ComponentBounds};
use wireplug_tests::hostile::heavy::{
    around, functions, globals, instantiated, nested, nested_types, with_instances,
};
use wireplug_tests::versions::POMELO;
use wireplug_wasm::{WasmEngine, WasmLoader};

/// Each refusal takes milliseconds, but the machine may be busy.
const SOON: Duration = Duration::from_secs(2);

fn loader(bounds: ComponentBounds) -> WasmLoader {
    let limits = CodecLimits::default();
    let engine = WasmEngine::new(4, limits.memory).expect("room for few sandboxes");
    WasmLoader::new(&engine.bounds(bounds), limits)
}

/// Returns why a component is refused under these bounds.
fn refusal(wasm: &[u8], bounds: ComponentBounds) -> String {
    let loader = loader(bounds);
    let begun = Instant::now();
    let error = loader.load(wasm, "{}".into()).err().expect("it is over a bound").to_string();
    assert!(begun.elapsed() < SOON, "{:?}: {error}", begun.elapsed());
    error
}

fn refused_for(wasm: &[u8], key: &str) {
    let error = refusal(wasm, ComponentBounds::default());
    assert!(error.starts_with("it is over a bound: "), "{error}");
    assert!(error.contains(&format!("raise `{key}` under [compile.bounds]")), "{error}");
}

#[test]
fn components_nested_in_each_other() {
    let wasm = nested(12_000);
    assert!(wasm.len() < 200_000);
    refused_for(&wasm, "nesting");
}

#[test]
fn components_that_instantiate_each_other_a_hundred_million_times() {
    let wasm = instantiated(100, 4);
    assert!(wasm.len() < 10_000);
    refused_for(&wasm, "core-instances");
}

#[test]
fn nine_hundred_thousand_functions() {
    refused_for(&functions(900_000), "functions-per-module");
}

#[test]
fn sixty_instances_with_a_million_globals_each() {
    refused_for(&with_instances(POMELO, &globals(1_000_000), 60), "globals");
}

/// The parser that runs after the measurement reads such types by recursion.
#[test]
fn types_nested_in_each_other() {
    refused_for(&nested_types(300_000), "nesting");
    refused_for(&around(&around(&nested_types(300_000))), "nesting");
}

#[test]
fn a_count_that_is_a_lie() {
    // A type section that claims four billion types and ends.
    let wasm = b"\0asm\x0d\0\x01\0\x07\x05\xff\xff\xff\xff\x0f";
    let error = refusal(wasm, ComponentBounds::default());
    assert!(error.contains("it does not compile") || error.contains("`types`"), "{error}");
}

#[test]
fn what_nobody_can_count() {
    for (text, what) in [
        (
            "(core type $t (module)) (import \"m\" (core module $m (type $t))) (core instance (instantiate $m))",
            "module",
        ),
        ("(import \"c\" (component $c)) (instance (instantiate $c))", "component"),
    ] {
        let wasm = wat::parse_str(format!("(component {text})")).expect("well-formed");
        let error = refusal(&wasm, ComponentBounds::default());
        assert!(error.contains(&format!("it instantiates a {what} that it imports")), "{error}");
    }
}

/// Outer aliases refer to items of enclosing components, and exports have indices of their own.
#[test]
fn what_is_counted_through_aliases_and_exports() {
    let text = "(component
        (core module $empty)
        (component $inner
          (alias outer 1 $empty (core module $alias))
          (export $exported \"m\" (core module $alias))
          (core instance (instantiate $alias))
          (core instance (instantiate $exported)))
        (component $outer
          (alias outer 1 $inner (component $alias))
          (instance (instantiate $alias))
          (instance (instantiate $alias)))
        (instance (instantiate $outer))
        (core instance (instantiate $empty)))";
    let wasm = wat::parse_str(text).expect("well-formed");
    let inspection = loader(ComponentBounds::default()).inspect(&wasm);
    assert_eq!(inspection.needs.expect("it compiles").core_instances, 5, "{:?}", inspection.refused);
}

/// The built-in component reaches each bound if the bound is slightly too low for it.
#[test]
fn each_bound_by_its_key() {
    type Set = fn(&mut ComponentBounds);
    let bounds: [(&str, Set); 19] = [
        ("file-size", |bounds| bounds.file_size = 1000),
        ("nesting", |bounds| bounds.nesting = 1),
        ("components", |bounds| bounds.components = 1),
        ("component-instances", |bounds| bounds.component_instances = 1),
        ("core-modules", |bounds| bounds.core_modules = 1),
        ("core-instances", |bounds| bounds.core_instances = 1),
        ("definitions", |bounds| bounds.definitions = 10),
        ("types", |bounds| bounds.types = 10),
        ("functions", |bounds| bounds.functions = 10),
        ("functions-per-module", |bounds| bounds.functions_per_module = 10),
        ("body-size", |bounds| bounds.body_size = 100),
        ("locals", |bounds| bounds.locals = 1),
        ("globals", |bounds| bounds.globals = 0),
        ("tables", |bounds| bounds.tables = 0),
        ("table-elements", |bounds| bounds.table_elements = 1),
        ("memories", |bounds| bounds.memories = 0),
        ("initial-memory", |bounds| bounds.initial_memory = 1000),
        ("segments", |bounds| bounds.segments = 0),
        ("function-name", |bounds| bounds.function_name = 100),
    ];
    for (key, set) in bounds {
        let mut bounds = ComponentBounds::default();
        set(&mut bounds);
        let error = refusal(POMELO, bounds);
        assert!(error.contains(&format!("raise `{key}` under [compile.bounds]")), "{key}: {error}");
    }
    let mut bounds = ComponentBounds::default();
    bounds.names = 1;
    assert!(refusal(POMELO, bounds).contains("raise `names` under"));
}
