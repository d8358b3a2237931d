//! Measures a component before it is compiled, and refuses a component over a bound.
//!
//! A file of a few kilobytes can hold components that instantiate each other a hundred million
//! times, or that are nested so deeply that the compiler runs out of memory. So one pass over the
//! file counts its items, and the resources that one sandbox would need. The pass takes time linear
//! in the size of the file, does not recurse, and allocates no more than the bounds allow. It does
//! not validate: items that it does not understand are left to the validator, which runs after it.

mod footprint;
mod scope;
mod types;

use wasmparser::{Encoding, KnownCustom, Name, NameSectionReader, Parser, Payload};

pub(super) use self::footprint::Footprint;
use self::scope::Scopes;
use crate::LoadError;
use crate::config::ComponentBounds;
use wireplug_core::codec::Reason;

/// A bound: its key under `[compile.bounds]`, and what it limits.
#[derive(Clone, Copy)]
struct Bound {
    key: &'static str,
    what: &'static str,
}

/// Counts the items of a component.
///
/// # Errors
/// Returns an error if the component is over a bound, if its parts cannot be counted, or if it is
/// malformed.
pub(super) fn measure(wasm: &[u8], bounds: &ComponentBounds) -> Result<Footprint, LoadError> {
    FILE_SIZE.check(wasm.len() as u64, bounds.file_size as u64)?;
    let mut count = Count { bounds, wasm, in_file: InFile::default(), scopes: Scopes::new() };
    for payload in Parser::new(0).parse_all(wasm) {
        count.add(payload.map_err(malformed)?)?;
    }
    match count.scopes.root() {
        Some(footprint) => Ok(footprint),
        None => Err(invalid("it has no end")),
    }
}

/// The items in the file, whether they are instantiated or not.
#[derive(Default)]
struct InFile {
    components: u64,
    core_modules: u64,
    definitions: u64,
    types: u64,
    functions: u64,
    globals: u64,
    tables: u64,
    table_elements: u64,
    memories: u64,
    memory: u64,
    segments: u64,
    names: u64,
}

/// A count in progress.
struct Count<'a> {
    bounds: &'a ComponentBounds,
    wasm: &'a [u8],
    in_file: InFile,
    scopes: Scopes,
}

const FILE_SIZE: Bound = Bound { key: "file-size", what: "bytes in the file" };
const NESTING: Bound = Bound { key: "nesting", what: "components or types nested in each other" };
const COMPONENTS: Bound = Bound { key: "components", what: "components" };
const COMPONENT_INSTANCES: Bound =
    Bound { key: "component-instances", what: "component instances in a sandbox" };
const CORE_MODULES: Bound = Bound { key: "core-modules", what: "core modules" };
const CORE_INSTANCES: Bound = Bound { key: "core-instances", what: "core instances in a sandbox" };
const DEFINITIONS: Bound = Bound { key: "definitions", what: "definitions that link its parts" };
const TYPES: Bound = Bound { key: "types", what: "types" };
const FUNCTIONS: Bound = Bound { key: "functions", what: "functions" };
const FUNCTIONS_PER_MODULE: Bound = Bound { key: "functions-per-module", what: "functions in a core module" };
const BODY_SIZE: Bound = Bound { key: "body-size", what: "bytes in a function's body" };
const LOCALS: Bound = Bound { key: "locals", what: "locals of a function" };
const GLOBALS: Bound = Bound { key: "globals", what: "globals" };
const TABLES: Bound = Bound { key: "tables", what: "tables" };
const TABLE_ELEMENTS: Bound = Bound { key: "table-elements", what: "table elements at first" };
const MEMORIES: Bound = Bound { key: "memories", what: "linear memories" };
const INITIAL_MEMORY: Bound = Bound { key: "initial-memory", what: "bytes of linear memory at first" };
const SEGMENTS: Bound = Bound { key: "segments", what: "data and element segments" };
const NAMES: Bound = Bound { key: "names", what: "imports and exports of core modules" };
const FUNCTION_NAME: Bound = Bound { key: "function-name", what: "bytes in the name of a function" };

impl Bound {
    fn check(self, found: u64, limit: impl Into<u64>) -> Result<(), LoadError> {
        let limit = limit.into();
        let Self { key, what } = self;
        if found <= limit { Ok(()) } else { Err(LoadError::Bound { key, what, found, limit }) }
    }
}

impl Count<'_> {
    fn add(&mut self, payload: Payload<'_>) -> Result<(), LoadError> {
        match payload {
            Payload::Version { encoding, .. } => self.begin(encoding),
            Payload::End(_) => {
                self.scopes.end();
                Ok(())
            }
            payload if self.scopes.is_module() => self.add_to_module(payload),
            payload => self.add_to_component(payload),
        }
    }

    fn begin(&mut self, encoding: Encoding) -> Result<(), LoadError> {
        match encoding {
            Encoding::Module => {
                self.in_file.core_modules += 1;
                CORE_MODULES.check(self.in_file.core_modules, self.bounds.core_modules)?;
                self.scopes.begin_module();
            }
            Encoding::Component => {
                self.in_file.components += 1;
                COMPONENTS.check(self.in_file.components, self.bounds.components)?;
                NESTING.check(self.scopes.depth() + 1, self.bounds.nesting)?;
                self.scopes.begin_component();
            }
        }
        Ok(())
    }

    fn add_to_component(&mut self, payload: Payload<'_>) -> Result<(), LoadError> {
        match payload {
            Payload::InstanceSection(section) => {
                for instance in section {
                    let size = self.scopes.instantiate_module(&instance.map_err(malformed)?)?;
                    self.define(size)?;
                }
            }
            Payload::ComponentInstanceSection(section) => {
                for instance in section {
                    let size = self.scopes.instantiate_component(&instance.map_err(malformed)?)?;
                    self.define(size)?;
                }
            }
            Payload::ComponentAliasSection(section) => {
                for alias in section {
                    self.scopes.alias(&alias.map_err(malformed)?)?;
                    self.define(1)?;
                }
            }
            Payload::ComponentImportSection(section) => {
                for import in section {
                    self.scopes.component()?.import(import.map_err(malformed)?.ty.kind());
                    self.define(1)?;
                }
            }
            Payload::ComponentExportSection(section) => {
                for export in section {
                    self.scopes.component()?.export(&export.map_err(malformed)?)?;
                    self.define(1)?;
                }
            }
            Payload::ComponentCanonicalSection(section) => {
                self.scopes.component()?.canonical(section.count().into());
                self.define(section.count().into())?;
            }
            Payload::ComponentStartSection { .. } => self.define(1)?,
            Payload::CoreTypeSection(section) => self.types(section.count().into())?,
            Payload::ComponentTypeSection(section) => {
                let (count, depth) = types::scan(self.wasm, section.range(), self.bounds)?;
                NESTING.check(depth, self.bounds.nesting)?;
                self.types(count)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn add_to_module(&mut self, payload: Payload<'_>) -> Result<(), LoadError> {
        let bounds = self.bounds;
        match payload {
            Payload::TypeSection(section) => self.types(section.count().into())?,
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    self.scopes.module()?.import(import.map_err(malformed)?.ty);
                    self.name(1)?;
                }
            }
            Payload::ExportSection(section) => {
                self.scopes.module()?.exports += u64::from(section.count());
                self.name(section.count().into())?;
            }
            Payload::FunctionSection(section) => {
                let module = self.scopes.module()?;
                module.functions += u64::from(section.count());
                FUNCTIONS_PER_MODULE.check(module.functions, bounds.functions_per_module)?;
                self.in_file.functions += u64::from(section.count());
                FUNCTIONS.check(self.in_file.functions, bounds.functions)?;
            }
            Payload::CodeSectionEntry(body) => {
                BODY_SIZE.check(body.range().len() as u64, bounds.body_size as u64)?;
                let mut locals = 0u64;
                for group in body.get_locals_reader().map_err(malformed)? {
                    locals += u64::from(group.map_err(malformed)?.0);
                    LOCALS.check(locals, bounds.locals)?;
                }
            }
            Payload::GlobalSection(section) => {
                self.scopes.module()?.globals += u64::from(section.count());
                self.in_file.globals += u64::from(section.count());
                GLOBALS.check(self.in_file.globals, bounds.globals)?;
            }
            Payload::TableSection(section) => {
                self.in_file.tables += u64::from(section.count());
                TABLES.check(self.in_file.tables, bounds.tables)?;
                for table in section {
                    let initial = table.map_err(malformed)?.ty.initial;
                    self.in_file.table_elements = self.in_file.table_elements.saturating_add(initial);
                    TABLE_ELEMENTS.check(self.in_file.table_elements, bounds.table_elements)?;
                    self.scopes.module()?.table(initial);
                }
            }
            Payload::MemorySection(section) => {
                self.in_file.memories += u64::from(section.count());
                MEMORIES.check(self.in_file.memories, bounds.memories)?;
                for memory in section {
                    let memory = memory.map_err(malformed)?;
                    let bytes = self.scopes.module()?.memory(memory.initial, memory.page_size_log2);
                    self.in_file.memory = self.in_file.memory.saturating_add(bytes);
                    INITIAL_MEMORY.check(self.in_file.memory, bounds.initial_memory as u64)?;
                }
            }
            Payload::ElementSection(section) => {
                self.segments(section.count())?;
                for element in section {
                    self.scopes.module()?.elements(&element.map_err(malformed)?);
                }
            }
            Payload::DataSection(section) => {
                self.scopes.module()?.data += u64::from(section.count());
                self.segments(section.count())?;
            }
            Payload::CustomSection(section) => {
                if let KnownCustom::Name(names) = section.as_known() {
                    self.function_names(names)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Checks the names of a module's functions. The validator ignores malformed names, and
    /// wasmtime reads none behind them.
    fn function_names(&self, names: NameSectionReader<'_>) -> Result<(), LoadError> {
        for names in names.map_while(Result::ok) {
            let Name::Function(functions) = names else { continue };
            for naming in functions.into_iter().map_while(Result::ok) {
                FUNCTION_NAME.check(naming.name.len() as u64, self.bounds.function_name as u64)?;
            }
        }
        Ok(())
    }

    /// Counts definitions of the open component, and checks what the component needs so far.
    fn define(&mut self, count: u64) -> Result<(), LoadError> {
        let bounds = self.bounds;
        self.in_file.definitions = self.in_file.definitions.saturating_add(count);
        DEFINITIONS.check(self.in_file.definitions, bounds.definitions)?;
        let needs = self.scopes.component()?.define(count);
        DEFINITIONS.check(needs.definitions, bounds.definitions)?;
        COMPONENT_INSTANCES.check(needs.component_instances, bounds.component_instances)?;
        CORE_INSTANCES.check(needs.core_instances, bounds.core_instances)?;
        GLOBALS.check(needs.globals, bounds.globals)?;
        TABLES.check(needs.tables, bounds.tables)?;
        TABLE_ELEMENTS.check(needs.table_elements, bounds.table_elements)?;
        MEMORIES.check(needs.memories, bounds.memories)?;
        INITIAL_MEMORY.check(needs.memory, bounds.initial_memory as u64)
    }

    fn types(&mut self, count: u64) -> Result<(), LoadError> {
        self.in_file.types = self.in_file.types.saturating_add(count);
        TYPES.check(self.in_file.types, self.bounds.types)
    }

    fn name(&mut self, count: u64) -> Result<(), LoadError> {
        self.in_file.names += count;
        NAMES.check(self.in_file.names, self.bounds.names)
    }

    fn segments(&mut self, count: u32) -> Result<(), LoadError> {
        self.in_file.segments += u64::from(count);
        SEGMENTS.check(self.in_file.segments, self.bounds.segments)
    }
}

fn malformed(error: wasmparser::BinaryReaderError) -> LoadError {
    invalid(Reason::new(error.to_string()).as_str())
}

fn invalid(why: &str) -> LoadError {
    LoadError::refused(format!("it does not compile: {why}"))
}
