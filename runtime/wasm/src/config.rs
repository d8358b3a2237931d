//! How components are compiled.

mod bounds;

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::bounds::ComponentBounds;
use wireplug_base::units;

/// How components are compiled. `wireplug` compiles each component in a separate process, which
/// cannot use more than the limits here. An embedded server does the same if it was given a worker.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct CompileConfig {
    /// The directory of compiled components, so that a start need not compile them again: an
    /// absolute path, or a path relative to the configuration file. A missing directory is created.
    /// The directory must belong to this user alone. By default, `wireplug serve` uses
    /// `wireplug/compiled` in the user's cache folder, and an embedded server stores nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PathBuf")]
    pub cache: Option<PathBuf>,
    /// The number of components that compile at the same time, each within the limits below. With
    /// two or more, one codec never takes all places, so that its slow component delays no other
    /// codec.
    #[schemars(range(min = 1, max = 64))]
    pub jobs: u32,
    /// The number of components that may wait for their turn. Further loads are refused. Each
    /// waiting component keeps its bytes in memory.
    #[schemars(range(min = 0, max = 1000))]
    pub waiting: u32,
    /// The memory of one compilation: the address space of its process. The program itself takes
    /// about 250 MiB of it. The largest real component so far, Python's interpreter with its
    /// library (18 MB), takes 530 MiB. QuickJS (2 MB) takes 280 MiB.
    #[serde(with = "units::size")]
    #[schemars(with = "units::PositiveSize")]
    pub memory: usize,
    /// The CPU time of one compilation, of all its threads together, in whole seconds. Python takes
    /// 8 s, or 20 s on a slow machine. QuickJS takes 1 to 4 s.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::PositiveDuration")]
    pub cpu_time: Duration,
    /// The wall time of one compilation, also on a busy machine. A load compiles up to three times:
    /// the component as it is, to read its description, and with its options set.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::PositiveDuration")]
    pub wall_time: Duration,
    /// The largest compiled component. The server keeps it in memory. Python has 34 MiB.
    #[serde(with = "units::size")]
    #[schemars(with = "units::PositiveSize")]
    pub max_artifact: usize,
    /// What a component may contain. The server measures it before it compiles the component.
    pub bounds: ComponentBounds,
}

impl Default for CompileConfig {
    fn default() -> Self {
        Self {
            cache: None,
            jobs: 2,
            waiting: 16,
            memory: 2 << 30,
            cpu_time: Duration::from_secs(120),
            wall_time: Duration::from_secs(300),
            max_artifact: 256 << 20,
            bounds: ComponentBounds::default(),
        }
    }
}
