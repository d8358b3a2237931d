//! Memory that components cost the host: what is charged, to whom, and when it is given back.
//!
//! A sandbox is charged for its linear memory, its tables and what the host keeps for its
//! instances, each before it is allocated. What all sandboxes of a codec have together is charged
//! to the codec's account, and so is the code of each of its generations that is loaded.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use wasmtime::ResourceLimiter;

use super::error::LoadError;
use super::limits::{LARGE, TABLE_ELEMENTS};
use super::places::{Places, Tenant};
use wireplug_core::codec::{CodecError, Reason};

/// Bytes of an element of a table: a reference to a function.
const TABLE_ELEMENT: usize = 8;

/// What of the code's size is charged: the code, and once more as much for what wasmtime makes of
/// it when it is loaded, which are the images of memories and the tables that describe the code.
const CODE: usize = 2;

/// What a codec has taken: all of its generations together.
#[derive(Debug, Default)]
pub(super) struct CodecAccount {
    /// Bytes of sandboxes and of code.
    charged: AtomicUsize,
    /// Bytes of code alone.
    code: AtomicUsize,
    /// The codec's share of the large pool, while a component of it lives there.
    tenant: Mutex<Weak<Tenant>>,
}

impl CodecAccount {
    /// The memory of all sandboxes, in bytes, without the code.
    pub(super) fn sandboxes(&self) -> usize {
        self.charged.load(Ordering::Relaxed).saturating_sub(self.code.load(Ordering::Relaxed))
    }

    /// The memory of all sandboxes and of the code, in bytes.
    pub(super) fn total(&self) -> usize {
        self.charged.load(Ordering::Relaxed)
    }

    /// The code alone, in bytes.
    pub(super) fn code(&self) -> usize {
        self.code.load(Ordering::Relaxed)
    }

    /// The codec's share of the large pool.
    pub(super) fn tenant(&self, places: &Places) -> Arc<Tenant> {
        let mut tenant = self.tenant.lock().unwrap_or_else(PoisonError::into_inner);
        tenant.upgrade().unwrap_or_else(|| {
            let joined = Arc::new(places.join());
            *tenant = Arc::downgrade(&joined);
            joined
        })
    }

    /// Charges bytes, unless the codec would have more than `total`.
    fn charge(&self, bytes: usize, total: usize) -> bool {
        let below = |charged: usize| charged.checked_add(bytes).filter(|sum| *sum <= total);
        self.charged.fetch_update(Ordering::Relaxed, Ordering::Relaxed, below).is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.charged.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The code of a component, charged to its codec until it is dropped.
#[derive(Debug)]
pub(super) struct Code {
    account: Arc<CodecAccount>,
    charged: usize,
}

impl Code {
    /// Charges the code of a component, of `size` bytes, to an account that may have `total` bytes.
    ///
    /// # Errors
    /// Returns an error if the codec would have more than `total` bytes.
    pub(super) fn charge(account: &Arc<CodecAccount>, size: usize, total: usize) -> Result<Self, LoadError> {
        let charged = size.saturating_mul(CODE);
        if !account.charge(charged, total) {
            let taken = account.total();
            return Err(LoadError::NoRoom(format!(
                "its compiled code takes {charged} bytes, the codec has taken {taken} already, and `total-memory` \
                 under its limits allows {total}: raise it, or make the component smaller"
            )));
        }
        account.code.fetch_add(charged, Ordering::Relaxed);
        Ok(Self { account: Arc::clone(account), charged })
    }

    /// The account that it is charged to.
    pub(super) fn account(&self) -> &CodecAccount {
        &self.account
    }
}

impl Drop for Code {
    fn drop(&mut self) {
        // In this order, so that the sandboxes never seem to have less than they have.
        self.account.code.fetch_sub(self.charged, Ordering::Relaxed);
        self.account.give_back(self.charged);
    }
}

/// Grants a sandbox memory, and charges its codec for it. It holds the code too, which the sandbox
/// runs.
pub(super) struct SandboxAccount {
    max: usize,
    /// What all sandboxes of the codec may have together.
    total: usize,
    used: usize,
    code: Arc<Code>,
    /// What was refused last.
    refused: Option<Refused>,
}

/// Memory that was refused, in bytes.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("{0} bytes wanted, {1} allowed")]
    Sandbox(usize, usize),
    #[error("all sandboxes of this codec together would have more than {0} bytes")]
    Total(usize),
}

impl From<Refused> for CodecError {
    fn from(refused: Refused) -> Self {
        let reason = Reason::new(refused.to_string());
        match refused {
            Refused::Sandbox(..) => CodecError::Memory(reason),
            // Others have it: that is no fault of this one.
            Refused::Total(_) => CodecError::Exhausted(reason),
        }
    }
}

impl SandboxAccount {
    /// Of a sandbox that has nothing yet and may have `max` bytes.
    pub(super) fn new(code: &Arc<Code>, max: usize, total: usize) -> Self {
        Self { max, total, used: 0, code: Arc::clone(code), refused: None }
    }

    /// What the sandbox has, in bytes.
    pub(super) fn used(&self) -> usize {
        self.used
    }

    /// What was refused since the last call began.
    pub(super) fn refused(&self) -> Option<Refused> {
        self.refused
    }

    /// Forgets what was refused: another call begins.
    pub(super) fn begin_call(&mut self) {
        self.refused = None;
    }

    /// Charges bytes before they are allocated.
    ///
    /// # Errors
    /// Returns an error if the sandbox or all of the codec's would have more than they may.
    pub(super) fn charge(&mut self, bytes: usize) -> Result<(), Refused> {
        let refused = if bytes > self.max.saturating_sub(self.used) {
            Refused::Sandbox(self.used.saturating_add(bytes), self.max)
        } else if self.code.account().charge(bytes, self.total) {
            self.used += bytes;
            return Ok(());
        } else {
            Refused::Total(self.total)
        };
        self.refused = Some(refused);
        Err(refused)
    }
}

impl ResourceLimiter for SandboxAccount {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        // What wasmtime refuses afterwards is not charged.
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        Ok(self.charge(desired.saturating_sub(current)).is_ok())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if desired > TABLE_ELEMENTS || maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        Ok(self.charge(desired.saturating_sub(current).saturating_mul(TABLE_ELEMENT)).is_ok())
    }

    fn instances(&self) -> usize {
        LARGE.core_instances as usize
    }

    fn memories(&self) -> usize {
        LARGE.memories as usize
    }

    fn tables(&self) -> usize {
        LARGE.tables as usize
    }
}

impl Drop for SandboxAccount {
    fn drop(&mut self) {
        self.code.account().give_back(self.used);
    }
}
