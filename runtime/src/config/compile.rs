//! How components are compiled.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bounds::ComponentBounds;
use wireplug_base::units;

/// How components are compiled. `wireplug` compiles each in a process of its own, which cannot take more
/// than it may have here; an embedded server does so where it was given a worker.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct CompileConfig {
    /// Where compiled components are kept, so that a start need not compile them again: an absolute path,
    /// or one relative to the configuration file. The directory is made if it is missing, and must be this
    /// user's alone. Unless it is set, `wireplug serve` takes `wireplug/compiled` in the user's cache
    /// folder; an embedded server keeps nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PathBuf")]
    pub cache: Option<PathBuf>,
    /// Components that compile at the same time, each within the limits below. One codec leaves a place to
    /// the others, so that its slow component holds up nobody else.
    #[schemars(range(min = 1, max = 64))]
    pub jobs: u32,
    /// Components that wait for their turn; a load beyond them is refused. Each holds its bytes in memory.
    #[schemars(range(min = 0, max = 1000))]
    pub waiting: u32,
    /// Memory of one compilation: the address space of its process, of which the program itself takes some
    /// 250 MiB. The largest real component that was seen, Python's interpreter with its library (18 MB),
    /// takes 530 MiB; QuickJS (2 MB) takes 280 MiB.
    #[serde(with = "units::size")]
    #[schemars(with = "units::PositiveSize")]
    pub memory: usize,
    /// CPU time of one compilation, over all its threads, in whole seconds. Python takes 8 s, and 20 s on a
    /// slow machine; QuickJS takes 1 to 4 s.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::PositiveDuration")]
    pub cpu_time: Duration,
    /// How long one compilation may take, also where the machine is busy. A load compiles up to three times:
    /// the component as it came, to read it out, and with its options set.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::PositiveDuration")]
    pub wall_time: Duration,
    /// The largest compiled component. The server holds it in memory. Python has 34 MiB.
    #[serde(with = "units::size")]
    #[schemars(with = "units::PositiveSize")]
    pub max_artifact: usize,
    /// What a component may hold. It is measured before it is compiled.
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
