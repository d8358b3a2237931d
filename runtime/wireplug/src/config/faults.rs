//! The configuration of the number of faults that a codec may have.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use wireplug_base::units;

/// The number of faults that a codec may have. Faults are traps, calls that do not end, and answers
/// that break the contract. Each fault ends one connection. If a packet can make a codec fail, a
/// client can reach these limits on purpose. `per-address` stops a single address before it reaches
/// `suspend`. Against an attack from many addresses, fix the codec and swap it. The limits can also
/// be turned off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct FaultLimits {
    /// The number of faults within the window after which the server rolls a version back to the
    /// one before it, if there is one. The same number ends the trial of a candidate. 0: never.
    #[schemars(range(max = 10_000))]
    pub rollback: u32,
    /// The number of faults within the window after which the codec opens no sessions for the
    /// length of the window. This applies if the codec cannot be rolled back. Afterwards it opens
    /// sessions again. For one more window, a tenth of this number is enough to suspend it again.
    /// It must be more than `per-address`. 0: never.
    #[schemars(range(max = 10_000))]
    pub suspend: u32,
    /// The number of faults within the window after which the listeners of the codec refuse a
    /// client's address for the length of the window. Open connections of this address stay.
    /// Further faults of the address do not count towards `suspend`, so that one address cannot
    /// suspend the codec for everybody. They do count towards `rollback`, because behind a load
    /// balancer that hides addresses, a bad version fails for one address only. After a suspension,
    /// the faults of one address count towards `suspend` only up to a tenth of this number. The
    /// address is the one in a PROXY header, if there is one. For IPv6, the /64 network counts.
    /// Behind a load balancer that hides addresses, set this to 0; otherwise all its clients are
    /// refused together. 20 is far more than an honest client causes, and a fifth of `suspend`. 0:
    /// never.
    #[schemars(range(max = 10_000))]
    pub per_address: u32,
    /// The window in which faults are counted.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::PositiveDuration")]
    pub window: Duration,
}

impl Default for FaultLimits {
    fn default() -> Self {
        Self { rollback: 10, suspend: 100, per_address: 20, window: Duration::from_secs(60) }
    }
}
