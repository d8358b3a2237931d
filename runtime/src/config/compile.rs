//! How components are compiled.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::units;

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
    /// Components that compile at the same time. Two of them may take all that is allowed here twice. One
    /// codec leaves a place to the others, so that its slow component holds up nobody else.
    #[schemars(range(min = 1, max = 64))]
    pub jobs: u32,
    /// Components that wait for their turn; a load beyond them is refused. Each holds its bytes in memory.
    #[schemars(range(min = 0, max = 1000))]
    pub waiting: u32,
    /// Memory of one compilation: the address space of its process, of which the program itself takes some
    /// 0.1 GiB.
    #[serde(with = "units::size")]
    #[schemars(with = "units::PositiveSize")]
    pub memory: usize,
    /// CPU time of one compilation, over all its threads, in whole seconds.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::PositiveDuration")]
    pub cpu_time: Duration,
    /// How long one compilation may take, also where the machine is busy.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::PositiveDuration")]
    pub wall_time: Duration,
    /// The largest compiled component. The server holds it in memory.
    #[serde(with = "units::size")]
    #[schemars(with = "units::PositiveSize")]
    pub max_artifact: usize,
}

impl Default for CompileConfig {
    fn default() -> Self {
        Self {
            cache: None,
            jobs: 2,
            waiting: 16,
            memory: 2 << 30,
            cpu_time: Duration::from_secs(60),
            wall_time: Duration::from_secs(120),
            max_artifact: 256 << 20,
        }
    }
}
