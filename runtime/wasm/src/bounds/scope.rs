//! The components and modules that are open during a measurement, and the meaning of their indices.
//!
//! A component can only instantiate items that come earlier in the file, so the footprint of an
//! instance is known when the pass reaches the instance. Modules and components from outside, as
//! imports or as exports of an instance, have no known footprint. A component that instantiates one
//! of them is refused, because its needs cannot be counted. No toolchain produces such components.

use wasmparser::{
    ComponentAlias, ComponentExport, ComponentExternalKind, ComponentInstance, ComponentOuterAliasKind,
    Element, ElementItems, ElementKind, Instance, TypeRef,
};

use super::footprint::Footprint;
use super::invalid;
use crate::LoadError;

/// The size of a page of linear memory is 2 to this power, in bytes.
const PAGE: u32 = 16;

/// The size in bytes of a core instance, without the items counted below.
const CORE_INSTANCE: u64 = 1 << 10;

/// The size in bytes of a memory or a table, without its contents.
const MEMORY_OR_TABLE: u64 = 256;

/// The sizes in bytes of a global, a reference to a function and an import, each the largest of its
/// kind.
const GLOBAL: u64 = 16;
const FUNCTION_REFERENCE: u64 = 32;
const IMPORT: u64 = 32;

/// The sizes in bytes of a passive data segment, and of an element of a passive element segment.
const PASSIVE_DATA: u64 = 12;
const PASSIVE_ELEMENT: u64 = 16;

/// The item of an index, as the number of a footprint; `None` for an item from outside.
type Known = Option<usize>;

/// The open components and modules, the innermost last.
pub(super) struct Scopes {
    open: Vec<Scope>,
    /// The footprints of the closed modules and components.
    footprints: Vec<Footprint>,
    root: Option<Footprint>,
}

enum Scope {
    Component(ComponentScope),
    Module(ModuleScope),
}

/// An open component.
#[derive(Default)]
pub(super) struct ComponentScope {
    modules: Vec<Known>,
    components: Vec<Known>,
    needs: Footprint,
}

/// An open core module.
#[derive(Default)]
pub(super) struct ModuleScope {
    imports: u64,
    pub(super) exports: u64,
    pub(super) functions: u64,
    pub(super) globals: u64,
    pub(super) data: u64,
    elements: u64,
    passive_elements: u64,
    tables: u64,
    table_elements: u64,
    largest_table: u64,
    memories: u64,
    memory: u64,
    largest_memory: u64,
}

impl Scopes {
    pub(super) fn new() -> Self {
        Self { open: Vec::new(), footprints: Vec::new(), root: None }
    }

    /// Returns how many components and modules are open.
    pub(super) fn depth(&self) -> u64 {
        self.open.len() as u64
    }

    pub(super) fn is_module(&self) -> bool {
        matches!(self.open.last(), Some(Scope::Module(_)))
    }

    pub(super) fn begin_component(&mut self) {
        let scope = ComponentScope { needs: Footprint::of_component(), ..ComponentScope::default() };
        self.open.push(Scope::Component(scope));
    }

    pub(super) fn begin_module(&mut self) {
        self.open.push(Scope::Module(ModuleScope::default()));
    }

    /// Closes the innermost scope, and gives it an index in the enclosing one.
    pub(super) fn end(&mut self) {
        let Some(closed) = self.open.pop() else { return };
        let number = self.footprints.len();
        let (footprint, is_module) = match closed {
            Scope::Component(component) => (component.needs, false),
            Scope::Module(module) => (module.footprint(), true),
        };
        match self.open.last_mut() {
            Some(Scope::Component(parent)) => {
                self.footprints.push(footprint);
                let indices = if is_module { &mut parent.modules } else { &mut parent.components };
                indices.push(Some(number));
            }
            _ => self.root = Some(footprint.with_store()),
        }
    }

    /// Returns the footprint of the whole file after it was closed.
    pub(super) fn root(&self) -> Option<Footprint> {
        self.root
    }

    /// Returns the open component.
    pub(super) fn component(&mut self) -> Result<&mut ComponentScope, LoadError> {
        match self.open.last_mut() {
            Some(Scope::Component(component)) => Ok(component),
            _ => Err(invalid("a part of a component lies outside of one")),
        }
    }

    /// Returns the open core module.
    pub(super) fn module(&mut self) -> Result<&mut ModuleScope, LoadError> {
        match self.open.last_mut() {
            Some(Scope::Module(module)) => Ok(module),
            _ => Err(invalid("a part of a core module lies outside of one")),
        }
    }

    /// Counts an instance of a core module. Returns how many definitions it takes.
    pub(super) fn instantiate_module(&mut self, instance: &Instance<'_>) -> Result<u64, LoadError> {
        match instance {
            Instance::Instantiate { module_index, args } => {
                let known = self.component()?.modules.get(*module_index as usize).copied();
                self.instantiate(known, "module")?;
                Ok(1 + args.len() as u64)
            }
            Instance::FromExports(exports) => Ok(1 + exports.len() as u64),
        }
    }

    /// Counts an instance of a component. Returns how many definitions it takes.
    pub(super) fn instantiate_component(
        &mut self,
        instance: &ComponentInstance<'_>,
    ) -> Result<u64, LoadError> {
        match instance {
            ComponentInstance::Instantiate { component_index, args } => {
                let known = self.component()?.components.get(*component_index as usize).copied();
                self.instantiate(known, "component")?;
                Ok(1 + args.len() as u64)
            }
            ComponentInstance::FromExports(exports) => {
                let component = self.component()?;
                for export in exports {
                    // The exports of an instance that is made of exports get no index of their own.
                    component.known(export.kind, export.index)?;
                }
                Ok(1 + exports.len() as u64)
            }
        }
    }

    fn instantiate(&mut self, known: Option<Known>, what: &str) -> Result<(), LoadError> {
        match known {
            Some(Some(number)) => {
                let footprint = self.footprints[number];
                self.component()?.needs.instantiate(&footprint);
                Ok(())
            }
            Some(None) => Err(LoadError::refused(format!(
                "it instantiates a {what} that it imports or takes from an instance, so that nobody can count what \
                 it needs: put the {what} into the file, in front of where it is instantiated"
            ))),
            None => Err(invalid(&format!("it instantiates a {what} that it lacks"))),
        }
    }

    /// Gives an index to the target of an alias.
    pub(super) fn alias(&mut self, alias: &ComponentAlias<'_>) -> Result<(), LoadError> {
        match *alias {
            ComponentAlias::InstanceExport { kind, .. } => {
                self.component()?.import(kind);
                Ok(())
            }
            ComponentAlias::Outer { kind, count, index } => {
                let kind = match kind {
                    ComponentOuterAliasKind::CoreModule => ComponentExternalKind::Module,
                    ComponentOuterAliasKind::Component => ComponentExternalKind::Component,
                    ComponentOuterAliasKind::CoreType | ComponentOuterAliasKind::Type => return Ok(()),
                };
                let outer = self.open.iter().rev().nth(count as usize);
                let Some(Scope::Component(outer)) = outer else {
                    return Err(invalid("an alias reaches out of the file"));
                };
                let known = outer.known(kind, index)?;
                self.component()?.add(kind, known);
                Ok(())
            }
            ComponentAlias::CoreInstanceExport { .. } => Ok(()),
        }
    }
}

impl ComponentScope {
    /// Adds definitions. Returns the footprint of the component so far.
    pub(super) fn define(&mut self, count: u64) -> Footprint {
        self.needs.define(count);
        self.needs
    }

    /// Adds canonical functions. They are definitions too.
    pub(super) fn canonical(&mut self, count: u64) {
        self.needs.canonical(count);
    }

    /// Gives an index to an item from outside.
    pub(super) fn import(&mut self, kind: ComponentExternalKind) {
        self.add(kind, None);
    }

    /// Gives another index to an exported item.
    pub(super) fn export(&mut self, export: &ComponentExport<'_>) -> Result<(), LoadError> {
        let known = self.known(export.kind, export.index)?;
        self.add(export.kind, known);
        Ok(())
    }

    fn add(&mut self, kind: ComponentExternalKind, known: Known) {
        match kind {
            ComponentExternalKind::Module => self.modules.push(known),
            ComponentExternalKind::Component => self.components.push(known),
            _ => {}
        }
    }

    fn known(&self, kind: ComponentExternalKind, index: u32) -> Result<Known, LoadError> {
        let known = match kind {
            ComponentExternalKind::Module => self.modules.get(index as usize),
            ComponentExternalKind::Component => self.components.get(index as usize),
            _ => return Ok(None),
        };
        known.copied().ok_or_else(|| invalid("it names a module or a component that it lacks"))
    }
}

impl ModuleScope {
    pub(super) fn import(&mut self, ty: TypeRef) {
        self.imports += 1;
        // An imported function can be referenced like any other function.
        if matches!(ty, TypeRef::Func(_) | TypeRef::FuncExact(_)) {
            self.functions += 1;
        }
    }

    pub(super) fn table(&mut self, initial: u64) {
        self.tables += 1;
        self.table_elements = self.table_elements.saturating_add(initial);
        self.largest_table = self.largest_table.max(initial);
    }

    /// Adds a memory. Returns its initial size in bytes.
    pub(super) fn memory(&mut self, pages: u64, page_size: Option<u32>) -> u64 {
        let page = 1u64.checked_shl(page_size.unwrap_or(PAGE)).unwrap_or(u64::MAX);
        let bytes = pages.saturating_mul(page);
        self.memories += 1;
        self.memory = self.memory.saturating_add(bytes);
        self.largest_memory = self.largest_memory.max(bytes);
        bytes
    }

    pub(super) fn elements(&mut self, element: &Element<'_>) {
        let count = match &element.items {
            ElementItems::Functions(functions) => functions.count(),
            ElementItems::Expressions(_, expressions) => expressions.count(),
        };
        self.elements = self.elements.saturating_add(count.into());
        if matches!(element.kind, ElementKind::Passive) {
            self.passive_elements = self.passive_elements.saturating_add(count.into());
        }
    }

    fn footprint(self) -> Footprint {
        // A reference exists only to a function that is exported, is an element, or is in the
        // initial value of a global.
        let references =
            self.exports.saturating_add(self.elements).saturating_add(self.globals).min(self.functions) + 1;
        let parts = [
            (1, CORE_INSTANCE),
            (self.tables.saturating_add(self.memories), MEMORY_OR_TABLE),
            (self.globals, GLOBAL),
            (references, FUNCTION_REFERENCE),
            (self.imports, IMPORT),
            (self.data, PASSIVE_DATA),
            (self.passive_elements, PASSIVE_ELEMENT),
        ];
        let host_bytes =
            parts.iter().fold(0u64, |sum, (count, bytes)| sum.saturating_add(count.saturating_mul(*bytes)));
        Footprint {
            core_instances: 1,
            component_instances: 0,
            definitions: 0,
            globals: self.globals,
            tables: self.tables,
            table_elements: self.table_elements,
            largest_table: self.largest_table,
            memories: self.memories,
            memory: self.memory,
            largest_memory: self.largest_memory,
            host_bytes,
        }
    }
}
