//! Links a module of the Go toolchain with the module that answers its system calls, so that one
//! module without a system remains.
//!
//! An adapter that `wit-component` links would stay a module of its own: each connection would pay
//! for another core instance, and each call for a jump through a table.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::convert::Infallible;

use anyhow::{Context as _, bail, ensure};
use wasm_encoder::reencode::{self, Reencode};
use wasm_encoder::{
    CodeSection, ConstExpr, CustomSection, DataSection, EntityType, ExportSection, Function, FunctionSection,
    GlobalSection, ImportSection, MemorySection, Module, NameMap, NameSection, StartSection, TableSection,
    TypeSection,
};
use wasmparser::{
    Data, DataKind, ElementSectionReader, Export, ExternalKind, FunctionBody, GlobalSectionReader, Import,
    KnownCustom, MemorySectionReader, Name, Operator, Parser, Payload, TableSectionReader, TypeRef,
    TypeSectionReader,
};

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

/// The first address that the Go toolchain uses for data.
const FIRST_DATA: u32 = 12_288;

/// Two data segments become one if at most this many zeros are between them, because the head of a
/// segment takes as many bytes. The toolchain makes tens of thousands of segments.
const MAX_GAP: usize = 16;

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
    link.encode().map_err(|error| anyhow::anyhow!("cannot link the module of the Go toolchain: {error}"))
}

/// The sections of a module that a link reads.
#[derive(Default)]
struct Parts<'a> {
    types: Option<TypeSectionReader<'a>>,
    imports: Vec<Import<'a>>,
    /// The type of each defined function.
    functions: Vec<u32>,
    tables: Option<TableSectionReader<'a>>,
    memories: Option<MemorySectionReader<'a>>,
    globals: Option<GlobalSectionReader<'a>>,
    exports: Vec<Export<'a>>,
    elements: Option<ElementSectionReader<'a>>,
    bodies: Vec<FunctionBody<'a>>,
    data: Vec<Data<'a>>,
    names: BTreeMap<u32, &'a str>,
    producers: Option<&'a [u8]>,
}

impl<'a> Parts<'a> {
    fn of(module: &'a [u8]) -> anyhow::Result<Self> {
        let mut parts = Self::default();
        for payload in Parser::new(0).parse_all(module) {
            match payload? {
                Payload::TypeSection(section) => parts.types = Some(section),
                Payload::ImportSection(section) => {
                    parts.imports = section.into_imports().collect::<Result<_, _>>()?;
                }
                Payload::FunctionSection(section) => {
                    parts.functions = section.into_iter().collect::<Result<_, _>>()?;
                }
                Payload::TableSection(section) => parts.tables = Some(section),
                Payload::MemorySection(section) => parts.memories = Some(section),
                Payload::GlobalSection(section) => parts.globals = Some(section),
                Payload::ExportSection(section) => {
                    parts.exports = section.into_iter().collect::<Result<_, _>>()?;
                }
                Payload::ElementSection(section) => parts.elements = Some(section),
                Payload::CodeSectionEntry(body) => parts.bodies.push(body),
                Payload::DataSection(section) => {
                    parts.data = section.into_iter().collect::<Result<_, _>>()?;
                }
                Payload::CustomSection(section) => match section.as_known() {
                    KnownCustom::Name(names) => {
                        for part in names {
                            let Name::Function(functions) = part? else { continue };
                            for naming in functions {
                                let naming = naming?;
                                parts.names.insert(naming.index, naming.name);
                            }
                        }
                    }
                    KnownCustom::Producers(_) => parts.producers = Some(section.data()),
                    _ => {}
                },
                Payload::StartSection { .. } => bail!("it has a start function"),
                _ => {}
            }
        }
        Ok(parts)
    }

    /// Returns the index of an exported function.
    fn exported(&self, name: &str) -> Option<u32> {
        let is_it = |export: &&Export<'_>| export.kind == ExternalKind::Func && export.name == name;
        Some(self.exports.iter().find(is_it)?.index)
    }

    /// Returns the types of the imported functions.
    fn imported(&self) -> impl Iterator<Item = u32> {
        self.imports.iter().filter_map(|import| match import.ty {
            TypeRef::Func(of_type) => Some(of_type),
            _ => None,
        })
    }
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
            let function = go.exported(name).with_context(|| format!("it does not export {name}"))?;
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
        module.section(&self.data()?);
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
            let mut elements = wasm_encoder::ElementSection::new();
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

    fn data(&self) -> anyhow::Result<DataSection> {
        let mut data = DataSection::new();
        let mut add = |Segment { at, bytes }: Segment<'_>| {
            data.active(0, &ConstExpr::i32_const(at.cast_signed()), bytes.iter().copied());
        };
        self.system.data.iter().try_for_each(|data| segment(data).map(&mut add))?;
        let mut before: Option<Segment<'_>> = None;
        for data in &self.go.data {
            let next = segment(data)?;
            ensure!(
                next.at >= FIRST_DATA,
                "it has data at the address {}, which no release of Go up to 1.27 uses",
                next.at
            );
            before = match before {
                Some(mut before) if before.is_followed_by(&next) => {
                    let length = (next.at - before.at) as usize;
                    let bytes = before.bytes.to_mut();
                    bytes.resize(length, 0);
                    bytes.extend_from_slice(&next.bytes);
                    Some(before)
                }
                Some(done) => {
                    add(done);
                    Some(next)
                }
                None => Some(next),
            };
        }
        before.into_iter().for_each(add);
        Ok(data)
    }

    fn custom(&self, module: &mut Module) {
        let names = |numbers: &Renumbered, parts: &Parts<'a>| {
            let numbers = numbers.functions.clone();
            let name =
                move |(function, name): (&u32, &&'a str)| Some((*numbers.get(*function as usize)?, *name));
            parts.names.iter().filter_map(name).collect::<Vec<_>>()
        };
        let mut sorted: BTreeMap<u32, &str> = names(&self.of_system, self.system).into_iter().collect();
        // The toolchain names a function that the system replaces, too.
        sorted.extend(names(&self.of_go, self.go));
        let mut functions = NameMap::new();
        for (function, name) in sorted {
            functions.append(function, name);
        }
        let mut section = NameSection::new();
        section.functions(&functions);
        module.section(&section);
        if let Some(producers) = self.go.producers {
            module.section(&CustomSection { name: "producers".into(), data: producers.into() });
        }
    }
}

/// Bytes at an address of the memory.
struct Segment<'a> {
    at: u32,
    bytes: Cow<'a, [u8]>,
}

impl Segment<'_> {
    /// Returns whether another segment begins shortly after the end of this one.
    fn is_followed_by(&self, next: &Self) -> bool {
        let end = self.at as usize + self.bytes.len();
        (next.at as usize).checked_sub(end).is_some_and(|gap| gap <= MAX_GAP)
    }
}

/// Returns where a data segment is.
fn segment<'a>(data: &Data<'a>) -> anyhow::Result<Segment<'a>> {
    let DataKind::Active { memory_index: 0, offset_expr } = &data.kind else {
        bail!("it has a data segment that is not loaded when it starts");
    };
    let Operator::I32Const { value } = offset_expr.get_operators_reader().read()? else {
        bail!("it has a data segment without a fixed address");
    };
    Ok(Segment { at: value.cast_unsigned(), bytes: data.data.into() })
}
