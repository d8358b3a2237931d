//! What a component may contain. It is checked before the component is compiled.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use wireplug_base::units;

/// What a component may contain. The server refuses a component over a bound before it compiles it,
/// because a small file can take gigabytes and minutes to compile. Each default is several times
/// what the largest measured codecs need. These are the Python example with componentize-py 0.25
/// ("Python") and the JavaScript example with componentize-qjs 0.4 ("QuickJS").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct ComponentBounds {
    /// The size of the file. Python has 17.7 MiB, QuickJS 2.0 MiB.
    #[serde(with = "units::size")]
    #[schemars(with = "units::PositiveSize")]
    pub file_size: usize,
    /// The depth to which components, and the types of components, are nested. Python has 2,
    /// QuickJS 4.
    #[schemars(range(min = 1, max = 100))]
    pub nesting: u32,
    /// The components in the file, including the component itself. Python has 4, QuickJS 26.
    #[schemars(range(min = 1, max = 100_000))]
    pub components: u32,
    /// The instances of components in one sandbox. A component that is instantiated twice counts
    /// twice, with everything that it instantiates. Python has 4, QuickJS 26.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub component_instances: u32,
    /// The core modules in the file. Python has 38, QuickJS 11.
    #[schemars(range(min = 1, max = 100_000))]
    pub core_modules: u32,
    /// The instances of core modules in one sandbox, counted like `component-instances`. Python has
    /// 38, QuickJS 11. A sandbox of the standard pool has room for 4, a sandbox of the large pool
    /// for 256.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub core_instances: u32,
    /// The definitions that link the parts of a component: instances with their arguments, aliases,
    /// canonical functions, imports and exports, counted like `component-instances`. Python has
    /// 3,251, QuickJS 1,066.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub definitions: u32,
    /// The types in the file, with everything that the types of components declare. Without these
    /// declarations, Python has 1,501 and QuickJS 549.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub types: u32,
    /// The functions in the file. Each is compiled. Python has 13,492, QuickJS 1,716.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub functions: u32,
    /// The functions of one core module. Python has 10,625, QuickJS 1,585.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub functions_per_module: u32,
    /// The size of the body of one function. The time to compile a function grows faster than its
    /// body. Python has 417 KiB, QuickJS 53 KiB.
    #[serde(with = "units::size")]
    #[schemars(with = "units::PositiveSize")]
    pub body_size: usize,
    /// The local variables of one function. Python has 271, QuickJS 86.
    #[schemars(range(min = 1, max = 50_000))]
    pub locals: u32,
    /// The globals in one sandbox, and in the file. Each global takes 16 bytes of the host's memory
    /// in each sandbox. Python has 871, QuickJS 19.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub globals: u32,
    /// The tables in one sandbox, and in the file. Python has 2, QuickJS 3. A sandbox of the
    /// standard pool has room for 2, a sandbox of the large pool for 16.
    #[schemars(range(min = 1, max = 100_000))]
    pub tables: u32,
    /// The initial elements of all tables in one sandbox together, and of all tables in the file.
    /// Python has 5,790, QuickJS 769, a codec in Go 5,500 and more. No table grows beyond 10,000
    /// elements.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub table_elements: u32,
    /// The linear memories in one sandbox, and in the file. Python has 1, QuickJS 3. A sandbox of
    /// the standard pool has room for 1, a sandbox of the large pool for 4.
    #[schemars(range(min = 1, max = 100_000))]
    pub memories: u32,
    /// The initial size of all linear memories in one sandbox together, and of all in the file.
    /// `limits.memory` of a codec also bounds it. Python has 12.6 MiB, QuickJS 1.9 MiB.
    #[serde(with = "units::size")]
    #[schemars(with = "units::PositiveSize")]
    pub initial_memory: usize,
    /// The data and element segments in the file. Python has 1,944, QuickJS 10,010.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub segments: u32,
    /// The imports and exports of the core modules in the file. Python has 6,846, QuickJS 387.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub names: u32,
    /// The length of the name of a function. When a codec traps, the server copies the names of up
    /// to 24 functions. Python has 1,615 bytes, QuickJS 173.
    #[serde(with = "units::size")]
    #[schemars(with = "units::PositiveSize")]
    pub function_name: usize,
}

impl Default for ComponentBounds {
    fn default() -> Self {
        Self {
            file_size: 64 << 20,
            nesting: 16,
            components: 100,
            component_instances: 100,
            core_modules: 500,
            core_instances: 500,
            definitions: 25_000,
            types: 25_000,
            functions: 100_000,
            functions_per_module: 50_000,
            body_size: 2 << 20,
            locals: 5_000,
            globals: 20_000,
            tables: 100,
            table_elements: 50_000,
            memories: 16,
            initial_memory: 64 << 20,
            segments: 50_000,
            names: 50_000,
            function_name: 64 << 10,
        }
    }
}
