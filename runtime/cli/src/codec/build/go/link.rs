//! Links a module of the Go toolchain with the module that answers its system calls, so that one
//! module without a system remains.
//!
//! An adapter that `wit-component` links would stay a module of its own: each connection would pay
//! for another core instance, and each call for a jump through a table.

use std::collections::BTreeMap;
use std::convert::Infallible;

use anyhow::{Context as _, bail};
use wasm_encoder::reencode::{self, Reencode};
use wasm_encoder::{
    CodeSection, CustomSection, ElementSection, EntityType, ExportSection, Function, FunctionSection,
    GlobalSection, ImportSection, MemorySection, Module, NameMap, NameSection, StartSection, TableSection,
    TypeSection,
};
use wasmparser::{ExternalKind, GlobalSectionReader, Import, TypeRef, TypeSectionReader};

use super::parts::Parts;
use super::segments;

/// The module that answers system calls.
const SYSTEM: &str = include_str!("system.wat");

/// The system as the Go toolchain calls it, and as `system.wat` does.
const WASI: (&str, &str) = ("wasi_snapshot_preview1", "wasi");

/// The SDK's functions in `system.wat`.
const SDK: &str = "wireplug";

/// The function of a Go program that starts its runtime.
const START: &str = "_initialize";

/// What an unknown call of the system returns: it is not implemented.
const ENOSYS: i32 = 52;

/// Links a module of the Go toolchain. The result imports what the component model provides, runs
/// Go's own start when it is instantiated, and exports the codec's functions, the memory, and the
/// record of a trap.
///
/// # Errors
/// Returns an error if the toolchain made another kind of module than this function knows.
pub(super) fn link(go: &[u8]) -> anyhow::Result<Vec<u8>> {
    let system = wat::parse_str(SYSTEM).context("in system.wat")?;
    let go = Parts::of(go).context("cannot read the module of the Go toolchain")?;
    let system = Parts::of(&system).context("in system.wat")?;
    let link = Link::new(&go, &system)?;
    link.encode().context("cannot link the module of the Go toolchain")
}

/// The plan of a link. Functions are numbered in this order: the imports that stay, the functions
/// of the Go program, those of the system, and a stub for each unknown call of the system.
struct Link<'a> {
    go: &'a Parts<'a>,
    system: &'a Parts<'a>,
    /// The imports that the component model provides.
    kept: Vec<&'a Import<'a>>,
    /// The type of each stub.
    stubs: Vec<u32>,
    of_go: Renumbered,
    of_system: Renumbered,
    start: u32,
}

/// The new numbers of the items of one module.
struct Renumbered {
    functions: Vec<u32>,
    first_type: u32,
    first_global: u32,
}

impl Reencode for Renumbered {
    type Error = Infallible;

    fn function_index(&mut self, function: u32) -> Result<u32, reencode::Error> {
        Ok(self.functions[function as usize])
    }

    fn type_index(&mut self, of_type: u32) -> Result<u32, reencode::Error> {
        Ok(self.first_type + of_type)
    }

    fn global_index(&mut self, global: u32) -> Result<u32, reencode::Error> {
        Ok(self.first_global + global)
    }
}

impl<'a> Link<'a> {
    fn new(go: &'a Parts<'a>, system: &'a Parts<'a>) -> anyhow::Result<Self> {
        let count = |items: usize| u32::try_from(items).context("it has too many functions");
        let is_provided = |import: &&Import<'_>| import.module != WASI.0 && import.module != SDK;
        let kept: Vec<_> = go.imports.iter().filter(is_provided).collect();
        let first_of_go = count(kept.len())?;
        let first_of_system = first_of_go + count(go.functions.len())?;
        let imported_by_system = count(system.imported().count())?;
        let first_stub = first_of_system + count(system.functions.len())?;

        let mut stubs = Vec::new();
        let mut functions = Vec::new();
        let mut number_kept = 0..;
        for import in &go.imports {
            let TypeRef::Func(of_type) = import.ty else {
                bail!("it imports {} of {}, which is no function", import.name, import.module);
            };
            let module = if import.module == WASI.0 { WASI.1 } else { import.module };
            functions.push(match system.exported(&format!("{module} {}", import.name)) {
                Some(function) => first_of_system + function - imported_by_system,
                None if module == WASI.1 => {
                    stubs.push(of_type);
                    first_stub + count(stubs.len() - 1)?
                }
                None if module == SDK => {
                    bail!("its SDK is of another version of wireplug: it imports {}", import.name);
                }
                None => number_kept.next().unwrap_or_default(),
            });
        }
        functions.extend(first_of_go..first_of_system);
        let of_go = Renumbered { functions, first_type: 0, first_global: 0 };

        let exported = |name: &str| {
            let function = go.exported(name).with_context(|| {
                format!("it does not export {name}: codec.go imports the package \"wireplug\", which does")
            })?;
            anyhow::Ok(of_go.functions[function as usize])
        };
        let mut functions = Vec::new();
        for import in system.imports.iter().filter(|import| matches!(import.ty, TypeRef::Func(_))) {
            functions.push(exported(import.name)?);
        }
        functions.extend(first_of_system..first_stub);
        let of_system = Renumbered {
            functions,
            first_type: go.types.as_ref().map_or(0, TypeSectionReader::count),
            first_global: go.globals.as_ref().map_or(0, GlobalSectionReader::count),
        };
        let start = exported(START)?;
        Ok(Self { go, system, kept, stubs, of_go, of_system, start })
    }

    fn encode(mut self) -> anyhow::Result<Vec<u8>> {
        let mut module = Module::new();
        self.types_and_functions(&mut module)?;
        self.tables_and_memories(&mut module)?;
        self.globals_and_exports(&mut module)?;
        module.section(&StartSection { function_index: self.start });
        self.elements_and_code(&mut module)?;
        module.section(&segments::joined(&self.system.data, &self.go.data)?);
        self.custom(&mut module);
        Ok(module.finish())
    }

    fn types_and_functions(&mut self, module: &mut Module) -> anyhow::Result<()> {
        let mut types = TypeSection::new();
        for (numbers, parts) in [(&mut self.of_go, self.go), (&mut self.of_system, self.system)] {
            if let Some(section) = &parts.types {
                numbers.parse_type_section(&mut types, section.clone())?;
            }
        }
        module.section(&types);

        let mut imports = ImportSection::new();
        for import in &self.kept {
            let TypeRef::Func(of_type) = import.ty else { continue };
            imports.import(import.module, import.name, EntityType::Function(of_type));
        }
        module.section(&imports);

        let mut functions = FunctionSection::new();
        for (numbers, parts) in [(&mut self.of_go, self.go), (&mut self.of_system, self.system)] {
            for of_type in &parts.functions {
                functions.function(numbers.type_index(*of_type)?);
            }
        }
        self.stubs.iter().for_each(|of_type| {
            functions.function(*of_type);
        });
        module.section(&functions);
        Ok(())
    }

    fn tables_and_memories(&mut self, module: &mut Module) -> anyhow::Result<()> {
        if let Some(section) = &self.go.tables {
            let mut tables = TableSection::new();
            self.of_go.parse_table_section(&mut tables, section.clone())?;
            module.section(&tables);
        }
        if let Some(section) = &self.go.memories {
            let mut memories = MemorySection::new();
            self.of_go.parse_memory_section(&mut memories, section.clone())?;
            module.section(&memories);
        }
        Ok(())
    }

    fn globals_and_exports(&mut self, module: &mut Module) -> anyhow::Result<()> {
        let mut globals = GlobalSection::new();
        for (numbers, parts) in [(&mut self.of_go, self.go), (&mut self.of_system, self.system)] {
            if let Some(section) = &parts.globals {
                numbers.parse_global_section(&mut globals, section.clone())?;
            }
        }
        module.section(&globals);

        // Exports that the link has used up are not exported any more.
        let is_used =
            |name: &str| name == START || self.system.imports.iter().any(|import| import.name == name);
        let mut exports = ExportSection::new();
        for export in &self.go.exports {
            if export.kind != ExternalKind::Func || !is_used(export.name) {
                self.of_go.parse_export(&mut exports, *export)?;
            }
        }
        let answers_import =
            |name: &str| name.split_once(' ').is_some_and(|(module, _)| module == WASI.1 || module == SDK);
        for export in self.system.exports.iter().filter(|export| !answers_import(export.name)) {
            self.of_system.parse_export(&mut exports, *export)?;
        }
        module.section(&exports);
        Ok(())
    }

    fn elements_and_code(&mut self, module: &mut Module) -> anyhow::Result<()> {
        if let Some(section) = &self.go.elements {
            let mut elements = ElementSection::new();
            self.of_go.parse_element_section(&mut elements, section.clone())?;
            module.section(&elements);
        }
        let mut code = CodeSection::new();
        for (numbers, parts) in [(&mut self.of_go, self.go), (&mut self.of_system, self.system)] {
            for body in &parts.bodies {
                numbers.parse_function_body(&mut code, body.clone())?;
            }
        }
        for _ in &self.stubs {
            let mut stub = Function::new([]);
            stub.instructions().i32_const(ENOSYS).end();
            code.function(&stub);
        }
        module.section(&code);
        Ok(())
    }

    fn custom(&self, module: &mut Module) {
        let mut names = BTreeMap::new();
        for (function, name) in &self.go.names {
            names.insert(self.of_go.functions[*function as usize], (*name).to_owned());
        }
        // A backtrace shows which function of the system was called.
        for export in self.system.exports.iter().filter(|export| export.kind == ExternalKind::Func) {
            names.insert(self.of_system.functions[export.index as usize], export.name.replace(' ', "."));
        }
        let mut functions = NameMap::new();
        for (function, name) in &names {
            functions.append(*function, name);
        }
        let mut section = NameSection::new();
        section.functions(&functions);
        module.section(&section);
        if let Some(producers) = self.go.producers {
            module.section(&CustomSection { name: "producers".into(), data: producers.into() });
        }
    }
}

#[cfg(test)]
mod tests {
    use wasmparser::{Parser, Payload};

    use super::*;

    /// Returns a module as the toolchain makes it, with these further imports and data segments.
    fn module(imports: &str, data: &str) -> Vec<u8> {
        let text = format!(
            r#"(module
                (import "wasi_snapshot_preview1" "fd_write"
                    (func $write (param i32 i32 i32 i32) (result i32)))
                (import "[export]a" "[resource-new]b" (func $new (param i32) (result i32)))
                (import "wasi_snapshot_preview1" "path_readlink"
                    (func $unknown (param i64 i32) (result i32)))
                {imports}
                (memory (export "memory") 1)
                (func $start (export "_initialize")
                    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0))))
                (func (export "wireplug_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 16))
                (func $made (export "made") (result i32)
                    (call $new (call $unknown (i64.const 0) (i32.const 0))))
                (table funcref (elem $start $made))
                {data})"#
        );
        wat::parse_str(text).expect("it is a module")
    }

    /// Returns the error of a link.
    fn error(module: &[u8]) -> String {
        format!("{:#}", link(module).expect_err("it cannot be linked"))
    }

    #[test]
    fn the_system_is_answered_within_the_module() {
        let data =
            r#"(data (i32.const 12288) "a") (data (i32.const 12291) "b") (data (i32.const 20000) "c")"#;
        let linked = link(&module("", data)).expect("it can be linked");
        wasmparser::validate(&linked).expect("it is valid");

        let (mut imports, mut exports, mut segments, mut starts) = (vec![], vec![], vec![], false);
        for payload in Parser::new(0).parse_all(&linked) {
            match payload.expect("it is valid") {
                Payload::ImportSection(section) => {
                    imports.extend(section.into_imports().flatten().map(|import| import.name.to_owned()));
                }
                Payload::ExportSection(section) => {
                    exports.extend(section.into_iter().flatten().map(|export| export.name.to_owned()));
                }
                Payload::DataSection(section) => {
                    segments.extend(section.into_iter().flatten().map(|data| data.data.to_vec()));
                }
                Payload::StartSection { .. } => starts = true,
                _ => {}
            }
        }
        assert_eq!(imports, ["[resource-new]b"]);
        assert_eq!(exports, ["memory", "made", "wireplug_trap", "cabi_realloc"]);
        assert!(segments.ends_with(&[b"a\0\0b".to_vec(), b"c".to_vec()]), "{segments:?}");
        assert!(starts, "the runtime of Go does not start");
    }

    #[test]
    fn what_cannot_be_linked() {
        let low = error(&module("", r#"(data (i32.const 8192) "a")"#));
        assert!(low.contains("data at the address 8192"), "{low}");
        let newer = error(&module(r#"(import "wireplug" "later" (func))"#, ""));
        assert!(newer.contains("its SDK is of another version of wireplug: it imports later"), "{newer}");
        let memory = error(&module(r#"(import "a" "b" (global i32))"#, ""));
        assert!(memory.contains("it imports b of a, which is no function"), "{memory}");
        let other =
            error(&wat::parse_str("(module (memory (export \"memory\") 1))").expect("it is a module"));
        assert!(other.contains("it does not export wireplug_realloc: "), "{other}");
    }
}
