//! Whole components that attack the loader by nesting, by the number of their parts, or by their
//! names.
//!
//! Each component here is a *part*: it exports nothing. By itself, the runtime must refuse it.
//! [`beside`] puts it into an otherwise honest codec, so that it goes through all steps of a codec:
//! it is compiled, instantiated when the codec is loaded, and instantiated again for every client.
//!
//! | function | what there is too much of | what grows in the host |
//! |---|---|---|
//! | [`nested`] | components inside each other | the stack and the memory of the compiler |
//! | [`fan_out`] | instances of instances | memory and time of the compiler, at a file of a few kB |
//! | [`instances`] | core instances | memory of each sandbox; what each costs is the module's affair |
//! | [`types`] | types | the engine's table of types, for as long as the codec is loaded |
//! | [`doubled_type`] | one type that is as large as 2^n | the effort to compare and to translate it |
//! | [`adapters`] | functions that connect two components | code that the compiler generates by itself |
//! | [`aliases`] | names for one function | memory of the compiler |
//! | [`imports`] | imports with long names | the text of the error |
//!
//! Their core modules come from [`super::modules`].

use std::fmt::Write as _;

use wasm_encoder::{
    Alias, Component, ComponentAliasSection, ComponentExportKind, ComponentImportSection,
    ComponentInstanceSection, ComponentSection, ComponentSectionId, ComponentTypeRef, ComponentTypeSection,
    ComponentValType, ExportKind, InstanceSection, ModuleArg, PrimitiveValType, RawSection,
};
use wasmparser::{Parser, Payload};

use super::modules;

/// Returns components nested this deep.
pub fn nested(depth: usize) -> Vec<u8> {
    let mut component = Component::new().finish();
    for _ in 0..depth {
        component = around(&component).finish();
    }
    component
}

/// Returns a component whose instantiation instantiates `leaf` `width`^`depth` times.
pub fn fan_out(leaf: &[u8], width: u32, depth: u32) -> Vec<u8> {
    let mut component = leaf.to_vec();
    for _ in 0..depth {
        let mut instances = ComponentInstanceSection::new();
        for _ in 0..width {
            instances.instantiate(0, NO_ITEMS);
        }
        let mut outer = around(&component);
        outer.section(&instances);
        component = outer.finish();
    }
    component
}

/// Returns a component with this many instances of a core module.
pub fn instances(module: &[u8], count: u32) -> Vec<u8> {
    let mut instances = InstanceSection::new();
    for _ in 0..count {
        instances.instantiate(0, NO_ARGUMENTS);
    }
    let mut component = Component::new();
    component.section(&raw(ComponentSectionId::CoreModule, module)).section(&instances);
    component.finish()
}

/// Returns a component with this many different types.
pub fn types(count: u32) -> Vec<u8> {
    const TYPES: [PrimitiveValType; 4] =
        [PrimitiveValType::U8, PrimitiveValType::U32, PrimitiveValType::F64, PrimitiveValType::String];
    let mut types = ComponentTypeSection::new();
    for n in 0..count {
        // The number in base 4, so that 12 parts distinguish 16 million types.
        let parts = (0..12).map(|digit| ComponentValType::from(TYPES[(n >> (2 * digit) & 3) as usize]));
        types.ty().defined_type().tuple(parts);
    }
    let mut component = Component::new();
    component.section(&types);
    component.finish()
}

/// Returns a component with a type that is a pair of pairs, and so on, this deep.
pub fn doubled_type(depth: u32) -> Vec<u8> {
    let mut types = ComponentTypeSection::new();
    let mut part = ComponentValType::from(PrimitiveValType::String);
    for n in 0..depth {
        types.ty().defined_type().tuple([part, part]);
        part = ComponentValType::Type(n);
    }
    let mut component = Component::new();
    component.section(&types);
    component.finish()
}

/// Returns a component that connects two others by this many functions, each with this many
/// parameters. The compiler generates a function for each of them.
pub fn adapters(count: u32, parameters: u32) -> Vec<u8> {
    let mut parts = [const { String::new() }; 5];
    let [lifted, imported, lowered, wanted, given] = &mut parts;
    let listed = |one: &str| (0..parameters).map(|n| one.replace('#', &n.to_string())).collect::<String>();
    // A function takes up to 16 parameters one by one, and more as one address.
    let (core, component) = (
        if parameters * 2 <= 16 { "i32 i32 ".repeat(parameters as usize) } else { "i32".to_owned() },
        listed("(param \"p#\" string)"),
    );
    let mut functions = String::new();
    for n in 0..count {
        write_all(&mut functions, format_args!("(func (export \"f{n}\") (param {core}))"));
        write_all(
            lifted,
            format_args!(
                "(func (export \"f{n}\") {component} (canon lift (core func $i \"f{n}\") (memory $i \"memory\") (realloc (func $i \"realloc\"))))"
            ),
        );
        write_all(imported, format_args!("(import \"f{n}\" (func $f{n} {component}))"));
        write_all(
            lowered,
            format_args!(
                "(core func $l{n} (canon lower (func $f{n}) (memory $m \"memory\") (realloc (func $m \"realloc\"))))"
            ),
        );
        write_all(wanted, format_args!("(import \"\" \"f{n}\" (func (param {core})))"));
        write_all(given, format_args!("(export \"f{n}\" (func $l{n}))"));
    }
    let arguments: String = (0..count).map(|n| format!("(with \"f{n}\" (func $callee \"f{n}\"))")).collect();
    let text = format!(
        r#"(component
          (component $Callee
            (core module $M
              (memory (export "memory") 1)
              (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 0))
              {functions})
            (core instance $i (instantiate $M))
            {lifted})
          (component $Caller
            {imported}
            (core module $Memory
              (memory (export "memory") 1)
              (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 0)))
            (core instance $m (instantiate $Memory))
            {lowered}
            (core module $M {wanted})
            (core instance (instantiate $M (with "" (instance {given})))))
          (instance $callee (instantiate $Callee))
          (instance (instantiate $Caller {arguments})))"#
    );
    wat::parse_str(&text).expect("the text is well-formed")
}

/// Returns a component with this many aliases of one core function.
pub fn aliases(count: u32) -> Vec<u8> {
    let mut instances = InstanceSection::new();
    instances.instantiate(0, NO_ARGUMENTS);
    let mut aliases = ComponentAliasSection::new();
    for _ in 0..count {
        aliases.alias(Alias::CoreInstanceExport { instance: 0, kind: ExportKind::Func, name: "f0" });
    }
    let mut component = Component::new();
    component
        .section(&raw(ComponentSectionId::CoreModule, &modules::exports(1)))
        .section(&instances)
        .section(&aliases);
    component.finish()
}

/// Returns a component that imports this many functions under names of this many bytes. Each name
/// would change the colour of a terminal and begin a new line in a log.
pub fn imports(count: u32, length: usize) -> Vec<u8> {
    const BEGIN: &str = "url=<\u{1b}[31m\n2026-01-01 WARN forged line\r\u{202e}";
    let mut types = ComponentTypeSection::new();
    types.function().params([] as [(&str, ComponentValType); 0]).result(None);
    let mut imports = ComponentImportSection::new();
    for n in 0..count {
        let mut name = format!("{BEGIN}{n}/");
        name.push_str(&"z".repeat(length.saturating_sub(name.len() + 1)));
        name.push('>');
        imports.import(&name, ComponentTypeRef::Func(0));
    }
    let mut component = Component::new();
    component.section(&types).section(&imports);
    component.finish()
}

/// Returns a codec that also instantiates a part whenever it is instantiated.
///
/// # Panics
/// Panics if `codec` is not a component.
pub fn beside(codec: &[u8], part: &[u8]) -> Vec<u8> {
    let mut instances = ComponentInstanceSection::new();
    instances.instantiate(components_in(codec), NO_ITEMS);
    let mut bytes = codec.to_vec();
    raw(ComponentSectionId::Component, part).append_to_component(&mut bytes);
    instances.append_to_component(&mut bytes);
    bytes
}

const NO_ARGUMENTS: [(&str, ModuleArg); 0] = [];
const NO_ITEMS: [(&str, ComponentExportKind, u32); 0] = [];

/// Returns a component that begins with another one inside it.
fn around(component: &[u8]) -> Component {
    let mut outer = Component::new();
    outer.section(&raw(ComponentSectionId::Component, component));
    outer
}

fn raw(id: ComponentSectionId, data: &[u8]) -> RawSection<'_> {
    RawSection { id: id.into(), data }
}

/// Returns how many components are defined in a component itself, without those nested inside them.
fn components_in(component: &[u8]) -> u32 {
    let (mut depth, mut count) = (0, 0);
    for payload in Parser::new(0).parse_all(component) {
        match payload.expect("a component") {
            Payload::ComponentSection { .. } => {
                count += u32::from(depth == 0);
                depth += 1;
            }
            Payload::ModuleSection { .. } => depth += 1,
            Payload::End(_) if depth > 0 => depth -= 1,
            _ => {}
        }
    }
    count
}

fn write_all(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("a string takes all");
}

/// Returns the component with this many more core instances, each with a memory of one page.
pub fn with_parts(component: &[u8], parts: u8) -> Vec<u8> {
    const CORE_MODULE: u8 = 1;
    const CORE_INSTANCE: u8 = 2;
    const WITH_MEMORY: &[u8] = b"\0asm\x01\0\0\0\x05\x03\x01\x00\x01";

    let mut modules = 0;
    let mut rest = &component[8..];
    while let [section, behind @ ..] = rest {
        let (mut length, mut shift) = (0, 0);
        let digits = behind.iter().take_while(|byte| **byte >= 0x80).count() + 1;
        for byte in &behind[..digits] {
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
        }
        modules += u8::from(*section == CORE_MODULE);
        rest = &behind[digits + length..];
    }
    let mut component = component.to_vec();
    component.extend([CORE_MODULE, WITH_MEMORY.len() as u8]);
    component.extend(WITH_MEMORY);
    for _ in 0..parts {
        // One instance, of this module, with no arguments.
        component.extend([CORE_INSTANCE, 4, 1, 0, modules, 0]);
    }
    component
}
