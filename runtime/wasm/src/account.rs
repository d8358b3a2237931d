//! The account of the host's memory for components: what is charged, and when a charge is released.
//!
//! A sandbox is charged for its linear memory, its tables and the host's memory for its instances,
//! each before it is allocated. The memory of all sandboxes of a codec is charged to the codec's
//! account. So is the code of each loaded generation of the codec.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use wasmtime::ResourceLimiter;

use super::error::LoadError;
use super::limits::{LARGE, TABLE_ELEMENTS};
use super::places::{Places, Tenant};
use wireplug_core::codec::{CodecError, Reason};

/// The size of a table element in bytes: a reference to a function.
const TABLE_ELEMENT: usize = 8;

/// The factor by which the size of the code is charged: once for the code itself, and once for the
/// memory that wasmtime allocates when it loads the code. That memory holds the images of memories,
/// and the tables that describe the code.
const CODE: usize = 2;

/// The memory that is charged to a codec: all of its generations together.
#[derive(Debug, Default)]
pub(super) struct CodecAccount {
    /// The memory of sandboxes, of states and of code, in bytes.
    charged: AtomicUsize,
    /// The memory of code alone, in bytes.
    code: AtomicUsize,
    /// The codec's share of the large pool, while the pool holds a component of the codec.
    tenant: Mutex<Weak<Tenant>>,
}

impl CodecAccount {
    /// Returns the memory of all sandboxes and of the states of sleeping sessions, without the
    /// code, in bytes.
    pub(super) fn sandboxes(&self) -> usize {
        self.charged.load(Ordering::Relaxed).saturating_sub(self.code.load(Ordering::Relaxed))
    }

    /// Returns the memory of all sandboxes and of the code, in bytes.
    pub(super) fn total(&self) -> usize {
        self.charged.load(Ordering::Relaxed)
    }

    /// Returns the memory of the code alone, in bytes.
    pub(super) fn code(&self) -> usize {
        self.code.load(Ordering::Relaxed)
    }

    /// Returns the codec's share of the large pool, and joins the pool if it has none.
    pub(super) fn tenant(&self, places: &Places) -> Arc<Tenant> {
        let mut tenant = self.tenant.lock().unwrap_or_else(PoisonError::into_inner);
        tenant.upgrade().unwrap_or_else(|| {
            let joined = Arc::new(places.join());
            *tenant = Arc::downgrade(&joined);
            joined
        })
    }

    /// Charges bytes, unless the codec would then have more than `total`. Returns whether they were
    /// charged.
    fn charge(&self, bytes: usize, total: usize) -> bool {
        let below = |charged: usize| charged.checked_add(bytes).filter(|sum| *sum <= total);
        self.charged.fetch_update(Ordering::Relaxed, Ordering::Relaxed, below).is_ok()
    }

    /// Charges the state of a session that sleeps. The memory of its sandbox, which is larger, is
    /// given back next.
    pub(super) fn charge_state(&self, bytes: usize) {
        self.charged.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn give_back(&self, bytes: usize) {
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

    /// Returns the account to which the code is charged.
    pub(super) fn account(&self) -> &CodecAccount {
        &self.account
    }
}

impl Drop for Code {
    fn drop(&mut self) {
        // In this order, so that the sandboxes never seem to have less memory than they have.
        self.account.code.fetch_sub(self.charged, Ordering::Relaxed);
        self.account.give_back(self.charged);
    }
}

/// Grants memory to a sandbox, and charges it to the sandbox's codec. It also keeps the code alive
/// that the sandbox runs.
pub(super) struct SandboxAccount {
    max: usize,
    /// The limit for all sandboxes of the codec together, in bytes.
    total: usize,
    used: usize,
    code: Arc<Code>,
    /// The last refusal.
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
            Refused::Sandbox(..) => CodecError::Memory(reason.into()),
            // Other sandboxes have the memory, so this sandbox is not at fault.
            Refused::Total(_) => CodecError::Exhausted(reason),
        }
    }
}

impl SandboxAccount {
    /// Creates the account of a sandbox that has no memory yet and may have `max` bytes.
    pub(super) fn new(code: &Arc<Code>, max: usize, total: usize) -> Self {
        Self { max, total, used: 0, code: Arc::clone(code), refused: None }
    }

    /// Returns the memory of the sandbox, in bytes.
    pub(super) fn used(&self) -> usize {
        self.used
    }

    /// Returns the last refusal since the current call began.
    pub(super) fn refused(&self) -> Option<Refused> {
        self.refused
    }

    /// Forgets the last refusal, because another call begins.
    pub(super) fn begin_call(&mut self) {
        self.refused = None;
    }

    /// Charges bytes before they are allocated.
    ///
    /// # Errors
    /// Returns an error if the sandbox, or all sandboxes of the codec together, would exceed their
    /// limit.
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
        // wasmtime will refuse this growth, so it is not charged.
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
