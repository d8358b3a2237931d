//! What one sandbox of a component needs.

/// What one sandbox of a component needs, as far as the file shows it. All counts saturate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Footprint {
    /// Instances of core modules.
    pub(crate) core_instances: u64,
    /// Instances of components, the component itself included.
    pub(crate) component_instances: u64,
    /// Definitions that link the parts.
    pub(crate) definitions: u64,
    /// Globals.
    pub(crate) globals: u64,
    /// Tables.
    pub(crate) tables: u64,
    /// Elements that all tables have at first.
    pub(crate) table_elements: u64,
    /// Elements that the largest table has at first.
    pub(crate) largest_table: u64,
    /// Linear memories.
    pub(crate) memories: u64,
    /// Bytes that all memories have at first.
    pub(crate) memory: u64,
    /// Bytes that the largest memory has at first.
    pub(crate) largest_memory: u64,
    /// An upper bound of the host's memory for all instances, in bytes: globals, references to
    /// functions, imports, and what wasmtime keeps for an instance. Linear memories and tables are
    /// not in it.
    pub(crate) host_bytes: u64,
}

/// Bytes of a store without an instance, with the runtime's own state of a sandbox.
const STORE: u64 = 8 << 10;

/// Bytes of a component instance: its table of handles, its flags, and the core instance that
/// wasmtime makes where functions go from one component to another.
const COMPONENT_INSTANCE: u64 = 1 << 10;

/// Bytes of a canonical function: a trampoline, which is a reference to a function, and what it is
/// made with; or an imported and an exported function between two components. Other definitions
/// are resolved when the component is compiled.
const CANONICAL_FUNCTION: u64 = 96;

impl Footprint {
    /// Of a component that has defined nothing yet.
    pub(super) fn of_component() -> Self {
        Self { component_instances: 1, host_bytes: COMPONENT_INSTANCE, ..Self::default() }
    }

    /// Adds definitions.
    pub(super) fn define(&mut self, count: u64) {
        self.definitions = self.definitions.saturating_add(count);
    }

    /// Adds what the host keeps for canonical functions.
    pub(super) fn canonical(&mut self, count: u64) {
        self.host_bytes = self.host_bytes.saturating_add(count.saturating_mul(CANONICAL_FUNCTION));
    }

    /// Adds all that an instance needs.
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

    /// The whole sandbox, with its store.
    pub(super) fn with_store(self) -> Self {
        Self { host_bytes: self.host_bytes.saturating_add(STORE), ..self }
    }
}
