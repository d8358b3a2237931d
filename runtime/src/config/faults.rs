//! The configuration of how many faults a codec may have.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use wireplug_base::units;

/// How many faults a codec may have: traps, calls without end, answers that break the contract.
/// Each ends one connection. A client that can make a codec fail by a packet can reach these limits
/// on purpose: `per-address` stops one address before it reaches `suspend`. Against many addresses
/// the remedy is to mend the codec and swap it; and the limits can be turned off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct FaultLimits {
    /// Faults within the window at which a version is rolled back to the one before it, if there is
    /// one, and a candidate's trial ends. 0: never by itself.
    #[schemars(range(max = 10_000))]
    pub rollback: u32,
    /// Faults within the window at which a codec that there is no way back from opens no session
    /// for the length of the window. Then they are let in, and a tenth of so many faults ends that.
    /// It must be more than `per-address`. 0: never.
    #[schemars(range(max = 10_000))]
    pub suspend: u32,
    /// Faults within the window at which a client's address is refused at the codec's listeners for
    /// the length of the window. Its open connections stay. Its further faults do not count towards
    /// `suspend`: one address cannot suspend the codec for everybody. They do count towards
    /// `rollback`: behind a load balancer that hides addresses, a bad version fails for one address
    /// only. After a suspension one address counts with a tenth of this. The address is the one
    /// that a PROXY header names; of IPv6 the /64 network counts. Behind a load balancer that hides
    /// addresses set this to 0, or its clients are all refused together. 20 is far more than an
    /// honest client provokes, and a fifth of `suspend`. 0: never.
    #[schemars(range(max = 10_000))]
    pub per_address: u32,
    /// The window.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::PositiveDuration")]
    pub window: Duration,
}

impl Default for FaultLimits {
    fn default() -> Self {
        Self { rollback: 10, suspend: 100, per_address: 20, window: Duration::from_secs(60) }
    }
}
