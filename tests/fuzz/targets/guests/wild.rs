//! A component around a core module that wasm-smith generates.
//!
//! A module that is only generated would never get beyond its description, because chance does not
//! produce a valid one. So the items of the generated module become the beginning of an honest
//! guest. Each function of the contract does one of four things: it does what the guest does, what
//! the generated function does, or both one after the other, or it returns the fuzzer's bytes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::LazyLock;

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use wasm_smith::{Config, Module};
use wasmparser::{Parser, Payload};
use wireplug_tests::hostile::{self, Framing, Function, Guest, VERSION};

/// The imports and exports of every generated module: those of a guest, with the names of the
/// functions alone.
static SHAPE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let functions: String = Function::ALL
        .into_iter()
        .map(|function| (function.name(), function.parameters()))
        .chain([(REALLOC, "(param i32 i32 i32 i32)")])
        .map(|(name, parameters)| format!("(func (export \"{name}\") {parameters} (result i32) unreachable)"))
        .collect();
    let text = format!(
        r#"(module
          (import "[export]wireplug:codec/codec@{VERSION}" "[resource-new]session" (func (param i32) (result i32)))
          (memory (export "memory") 2)
          {functions})"#
    );
    wat::parse_str(text).expect("the text is well-formed")
});

const REALLOC: &str = "realloc";

/// The address of the fuzzer's bytes if they are an answer. The guest does not use this address.
const ANSWER: usize = 4096;

/// The implementation of a function of the contract.
#[derive(Clone, Copy)]
enum Body {
    Honest,
    Generated,
    GeneratedThenHonest,
    Bytes,
}

/// Returns a component; with `proposals`, one that may use proposals that the runtime refuses.
/// Returns `None` if it could not be put together.
pub fn component(input: &mut Unstructured<'_>, proposals: bool) -> Result<Option<Vec<u8>>> {
    let mut guest = Guest::new("wild");
    if input.arbitrary()? {
        guest = guest.handshake();
    }
    if input.arbitrary()? {
        guest = guest.client_requests();
    }
    if input.arbitrary()? {
        guest = guest.framing(Framing::Length);
    }
    if input.arbitrary()? {
        let payload = input.choose(&[hostile::Payload::Text, hostile::Payload::Tagged])?;
        guest = guest.payload(*payload);
    }
    if input.arbitrary()? {
        guest = guest.max_packet(input.int_in_range(1..=64)?);
    }
    let mut bodies = Vec::new();
    for function in Function::ALL {
        bodies.push((function, body(function, input)?));
    }
    let generated_realloc = !input.ratio(7, 8)?;
    let length = input.int_in_range(0..=256)?;
    let answer = input.bytes(length.min(input.len()))?.to_vec();

    let config = config(input, proposals)?;
    let module = Module::new(config, input)?.to_bytes();
    let Some(Items { text, functions }) = Items::of(&module) else { return Ok(None) };

    guest = guest.beginning_with(&text).items(&data(&answer));
    for (function, body) in bodies {
        if let Some(body) = body.and_then(|body| written(function, body, functions.get(function.name())?)) {
            guest = guest.with(function, &body);
        }
    }
    if generated_realloc && let Some(number) = functions.get(REALLOC) {
        guest = guest.realloc(&call(*number, 4));
    }
    Ok(guest.try_build().ok())
}

/// Chooses the body of a function. `None` means that the function is not exported, or stays honest.
fn body(function: Function, input: &mut Unstructured<'_>) -> Result<Option<Body>> {
    // Functions that run before a codec is loaded are mostly honest, so that most codecs are
    // loaded.
    let is_first = matches!(function, Function::Describe | Function::Configure | Function::Open);
    Ok(match input.int_in_range(0..=if is_first { 31 } else { 7 })? {
        1 | 2 => Some(Body::Generated),
        3 => Some(Body::Bytes),
        4 | 5 => Some(Body::GeneratedThenHonest),
        6 => Some(Body::Honest),
        // A used-up input also gives this value.
        _ => None,
    })
}

/// Returns the text of a body. The text may end its function and begin another one.
fn written(function: Function, body: Body, number: &u32) -> Option<String> {
    let (parameters, name) = (function.parameters(), function.name());
    let count = parameters.matches("i32").count() + parameters.matches("i64").count();
    let generated = call(*number, count);
    Some(match body {
        Body::Honest => function.honest().to_owned(),
        Body::Generated => generated,
        Body::Bytes => format!("(i32.const {ANSWER})"),
        Body::GeneratedThenHonest => {
            let arguments: String = (0..count).map(|n| format!("(local.get {n})")).collect();
            format!(
                "(drop {generated}) (call $\"then {name}\" {arguments}))
                 (func $\"then {name}\" {parameters} (result i32) {}",
                function.honest()
            )
        }
    })
}

/// Returns a call that passes on the parameters of its function.
fn call(number: u32, parameters: usize) -> String {
    let arguments: String = (0..parameters).map(|n| format!("(local.get {n})")).collect();
    format!("(call {number} {arguments})")
}

fn data(bytes: &[u8]) -> String {
    let mut text = format!("(data (i32.const {ANSWER}) \"");
    for byte in bytes {
        write!(text, "\\{byte:02x}").expect("a string takes all");
    }
    text + "\")"
}

/// Returns the configuration of a small module, so that thousands can be compiled in a minute. Its
/// loops may be endless.
fn config(input: &mut Unstructured<'_>, proposals: bool) -> Result<Config> {
    let mut config = Config {
        module_shape: Some(SHAPE.clone()),
        max_types: 24,
        max_type_size: 100,
        max_funcs: 20,
        max_globals: 8,
        max_instructions: 60,
        max_tables: 3,
        // Sometimes more elements than a sandbox may have.
        max_table_elements: if input.ratio(7, 8)? { 200 } else { 1_000_000 },
        max_data_segments: input.int_in_range(0..=3)?,
        max_element_segments: input.int_in_range(0..=3)?,
        max_elements: 8,
        max_tags: 2,
        disallow_traps: input.arbitrary()?,
        allow_start_export: !input.ratio(3, 4)?,
        generate_custom_sections: !input.ratio(7, 8)?,
        // These include references to external values, which the runtime refuses.
        reference_types_enabled: !input.ratio(2, 3)?,
        gc_enabled: false,
        exceptions_enabled: false,
        memory64_enabled: false,
        relaxed_simd_enabled: false,
        tail_call_enabled: false,
        threads_enabled: false,
        ..Config::default()
    };
    if proposals {
        config.exceptions_enabled = input.arbitrary()?;
        config.memory64_enabled = input.arbitrary()?;
        config.max_memories = if input.arbitrary()? { 3 } else { 1 };
        config.relaxed_simd_enabled = input.arbitrary()?;
        config.tail_call_enabled = input.arbitrary()?;
        config.threads_enabled = input.arbitrary()?;
        config.custom_page_sizes_enabled = input.arbitrary()?;
        config.wide_arithmetic_enabled = input.arbitrary()?;
        config.gc_enabled = input.arbitrary()?;
        config.shared_everything_threads_enabled = config.gc_enabled && input.arbitrary()?;
        config.custom_descriptors_enabled = config.gc_enabled && input.arbitrary()?;
    }
    Ok(config)
}

/// The items of a module as text, and the numbers of the functions that it exports, by name.
struct Items {
    text: String,
    functions: BTreeMap<String, u32>,
}

impl Items {
    fn of(module: &[u8]) -> Option<Self> {
        let printed = wasmprinter::print_bytes(module).ok()?;
        let inner = printed.trim_end().strip_suffix(')')?;
        // The first line opens the module. The guest has its own import, and exports its own
        // functions.
        let is_item = |line: &&str| {
            let line = line.trim_start();
            !line.starts_with("(import ")
                && (!line.starts_with("(export ") || line.starts_with("(export \"memory\""))
        };
        let text = inner.lines().skip(1).filter(is_item).collect::<Vec<_>>().join("\n");

        let mut functions = BTreeMap::new();
        for payload in Parser::new(0).parse_all(module) {
            if let Payload::ExportSection(exports) = payload.ok()? {
                for export in exports {
                    let export = export.ok()?;
                    functions.insert(export.name.to_owned(), export.index);
                }
            }
        }
        Some(Self { text, functions })
    }
}
