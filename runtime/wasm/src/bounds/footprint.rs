//! The resources that one sandbox of a component needs.

/// The resources that one sandbox of a component needs, as far as the file shows them. All counts
/// saturate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Footprint {
    /// Instances of core modules.
    pub(crate) core_instances: u64,
    /// Instances of components, the component itself included.
    pub(crate) component_instances: u64,
    /// Definitions that link the parts of the component.
    pub(crate) definitions: u64,
    /// Globals.
    pub(crate) globals: u64,
    /// Tables.
    pub(crate) tables: u64,
    /// The initial elements of all tables together.
    pub(crate) table_elements: u64,
    /// The initial elements of the largest table.
    pub(crate) largest_table: u64,
    /// Linear memories.
    pub(crate) memories: u64,
    /// The initial size of all memories together, in bytes.
    pub(crate) memory: u64,
    /// The initial size of the largest memory, in bytes.
    pub(crate) largest_memory: u64,
    /// An upper bound of the host's memory for all instances, in bytes: globals, references to
    /// functions, imports, and wasmtime's data about an instance. It does not include linear
    /// memories and tables.
    pub(crate) host_bytes: u64,
}

/// The size in bytes of a store without an instance, with the runtime's own state of a sandbox.
const STORE: u64 = 8 << 10;

/// The size in bytes of a component instance: its table of handles, its flags, and the core
/// instance that wasmtime makes if one component calls functions of another.
const COMPONENT_INSTANCE: u64 = 1 << 10;

/// The size in bytes of a canonical function. It is a trampoline, which is a reference to a
/// function, with its inputs; or an imported and an exported function between two components. Other
/// definitions are resolved when the component is compiled.
const CANONICAL_FUNCTION: u64 = 96;

impl Footprint {
    /// Returns the footprint of a component that has defined nothing yet.
    pub(super) fn of_component() -> Self {
        Self { component_instances: 1, host_bytes: COMPONENT_INSTANCE, ..Self::default() }
    }

    /// Adds definitions.
    pub(super) fn define(&mut self, count: u64) {
        self.definitions = self.definitions.saturating_add(count);
    }

    /// Adds the host's memory for canonical functions.
    pub(super) fn canonical(&mut self, count: u64) {
        self.host_bytes = self.host_bytes.saturating_add(count.saturating_mul(CANONICAL_FUNCTION));
    }

    /// Adds the footprint of an instance.
    pub(super) fn instantiate(&mut self, other: &Self) {
        let add = |sum: &mut u64, more: u64| *sum = sum.saturating_add(more);
        add(&mut self.core_instances, other.core_instances);
        add(&mut self.component_instances, other.component_instances);
        add(&mut self.definitions, other.definitions);
        add(&mut self.globals, other.globals);
        add(&mut self.tables, other.tables);
        add(&mut self.table_elements, other.table_elements);
        add(&mut self.memories, other.memories);
        add(&mut self.memory, other.memory);
        add(&mut self.host_bytes, other.host_bytes);
        self.largest_table = self.largest_table.max(other.largest_table);
        self.largest_memory = self.largest_memory.max(other.largest_memory);
    }

    /// Returns the footprint of the whole sandbox, with its store.
    pub(super) fn with_store(self) -> Self {
        Self { host_bytes: self.host_bytes.saturating_add(STORE), ..self }
    }
}
