//! The parts of a module that a link puts together.

use std::collections::BTreeMap;

use anyhow::bail;
use wasmparser::{
    Data, ElementSectionReader, Export, ExternalKind, FunctionBody, GlobalSectionReader, Import, KnownCustom,
    MemorySectionReader, Name, Parser, Payload, TableSectionReader, TypeRef, TypeSectionReader,
};

/// The sections of a module that a link reads.
#[derive(Default)]
pub(super) struct Parts<'a> {
    pub(super) types: Option<TypeSectionReader<'a>>,
    pub(super) imports: Vec<Import<'a>>,
    /// The type of each defined function.
    pub(super) functions: Vec<u32>,
    pub(super) tables: Option<TableSectionReader<'a>>,
    pub(super) memories: Option<MemorySectionReader<'a>>,
    pub(super) globals: Option<GlobalSectionReader<'a>>,
    pub(super) exports: Vec<Export<'a>>,
    pub(super) elements: Option<ElementSectionReader<'a>>,
    pub(super) bodies: Vec<FunctionBody<'a>>,
    pub(super) data: Vec<Data<'a>>,
    pub(super) names: BTreeMap<u32, &'a str>,
    pub(super) producers: Option<&'a [u8]>,
}

impl<'a> Parts<'a> {
    pub(super) fn of(module: &'a [u8]) -> anyhow::Result<Self> {
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
    pub(super) fn exported(&self, name: &str) -> Option<u32> {
        let is_it = |export: &&Export<'_>| export.kind == ExternalKind::Func && export.name == name;
        Some(self.exports.iter().find(is_it)?.index)
    }

    /// Returns the types of the imported functions.
    pub(super) fn imported(&self) -> impl Iterator<Item = u32> {
        self.imports.iter().filter_map(|import| match import.ty {
            TypeRef::Func(of_type) => Some(of_type),
            _ => None,
        })
    }
}
