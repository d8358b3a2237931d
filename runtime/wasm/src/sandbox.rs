//! A sandbox: one store with one instance, and the limits of every call into it.
//!
//! It lives as long as its connection. After any error it must be dropped: a trap poisons the whole
//! store.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::component::{ComponentNamedList, Instance, InstancePre, Lift, Lower, TypedFunc};
use wasmtime::{PoolConcurrencyLimitError, Store, StoreContextMut, Trap, UpdateDeadline};

use super::account::{Code, SandboxAccount};
use super::limits::{HANDLES, answer_bytes};
use super::places::{Place, Tenant};
use wireplug_core::codec::CodecLimits;
use wireplug_core::codec::cpu::{CpuAccount, CpuTime, Meter, TICK, thread_cpu_time};
use wireplug_core::codec::{CodecError, Reason};

/// A deadline this many ticks ahead is at least one whole period of the ticks away, which is three
/// quarters of a tick or more.
const FIRST_EXPIRY: u64 = 2;

/// A call that took so much CPU time is a slow one (`slow-calls`). An honest call takes
/// microseconds.
const SLOW: Duration = Duration::from_millis(2);

/// What wasmtime says when an answer is larger than the store allows.
const FUEL_EXHAUSTED: &str = "fuel allocated for hostcalls has been exhausted";

/// What a store carries: the memory it is charged for and the time of the call in progress.
pub(super) struct State {
    memory: SandboxAccount,
    call: Call,
}

/// What the sandboxes of a codec are made from.
#[derive(Clone)]
pub(super) struct Blueprint {
    pub(super) pre: InstancePre<State>,
    pub(super) limits: CodecLimits,
    /// The code that they run, charged to the codec's account.
    pub(super) code: Arc<Code>,
    /// What the host keeps for the instances of each, in bytes.
    pub(super) host_bytes: usize,
    /// CPU time of all sandboxes of the slot.
    pub(super) cpu: Arc<CpuAccount>,
    /// The codec's share of the large pool, if they live there.
    pub(super) tenant: Option<Arc<Tenant>>,
    /// Whether the engine counts fuel.
    pub(super) metered: bool,
}

/// One store with one instance of a codec.
pub(super) struct Sandbox {
    store: Store<State>,
    /// Given back behind the store.
    _place: Option<Place>,
    slow: SlowCalls,
    meter: Meter,
    /// Above so many bytes of memory it is nearly full.
    nearly_full: usize,
    pub(super) instance: Instance,
}

impl Sandbox {
    /// Makes a store and an instance in it. Start functions run here, under the limit of opening.
    pub(super) fn new(blueprint: &Blueprint) -> Result<Self, CodecError> {
        let Blueprint { pre, limits, code, host_bytes, cpu, tenant, metered } = blueprint;
        let place = tenant.as_ref().map(Tenant::take_or_spare).transpose()?;
        let mut memory = SandboxAccount::new(code, limits.memory, limits.total_memory);
        memory.charge(*host_bytes)?;
        let mut meter = Meter::new(Arc::clone(cpu));
        let begun = meter.begin();
        let call = Call {
            cpu: limits.open_cpu,
            wall: limits.call_wall,
            started: begun.cpu(),
            expiries: 0,
            slow: false,
            overrun: None,
        };
        let mut store = Store::new(pre.engine(), State { memory, call });
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(answer_bytes(limits.max_packet));
        store.set_max_component_handles(HANDLES);
        store.epoch_deadline_callback(|mut store| store.data_mut().call.expired());
        store.set_epoch_deadline(FIRST_EXPIRY);
        if *metered {
            // It is counted and never runs out.
            store.set_fuel(u64::MAX).map_err(|error| classify(&error, store.data()))?;
        }
        let instance = pre.instantiate(&mut store);
        meter.end(begun);
        match instance {
            Ok(instance) => {
                let slow = SlowCalls::new(limits.slow_calls);
                Ok(Self { store, _place: place, slow, meter, nearly_full: usize::MAX, instance })
            }
            Err(error) => Err(classify(&error, store.data())),
        }
    }

    /// From now on calls have the limits of a session at work, not of one that opens.
    pub(super) fn opened(&mut self, limits: &CodecLimits) {
        let state = self.store.data_mut();
        state.call.cpu = limits.call_cpu;
        let used = state.memory.used();
        // Of what it may still grow: interpreters open with most of their memory taken.
        self.nearly_full = used + limits.memory.saturating_sub(used) / 4 * 3;
        self.slow = SlowCalls::new(limits.slow_calls);
        // What it took to open is the codec's, and not the session's.
        self.meter.take(false);
    }

    /// The CPU time of the calls since this was called last; from now on they are measured or not.
    pub(super) fn take_cpu_time(&mut self, measures: bool) -> CpuTime {
        self.meter.take(measures)
    }

    /// Whether a session at work has used up three quarters of the memory that was left when it
    /// opened. Says so once.
    pub(super) fn is_nearly_full(&mut self) -> bool {
        let is = self.store.data().memory.used() > self.nearly_full;
        if is {
            self.nearly_full = usize::MAX;
        }
        is
    }

    /// Lets calls hand back the whole memory: for one who reads it out, and whom no client can
    /// reach.
    pub(super) fn read_out(&mut self, limits: &CodecLimits) {
        self.store.set_hostcall_fuel(limits.memory.saturating_mul(2));
    }

    /// What is left of the fuel; none where it is not counted.
    pub(super) fn fuel_left(&self) -> Option<u64> {
        self.store.get_fuel().ok()
    }

    pub(super) fn store(&mut self) -> StoreContextMut<'_, State> {
        (&mut self.store).into()
    }

    /// Calls a function of the guest within its limits.
    pub(super) fn call<P, R>(&mut self, function: &TypedFunc<P, (R,)>, params: P) -> Result<R, CodecError>
    where
        P: ComponentNamedList + Lower,
        (R,): ComponentNamedList + Lift,
    {
        let begun = self.meter.begin();
        let state = self.store.data_mut();
        state.call.begin(begun.cpu());
        state.memory.begin_call();
        self.store.set_epoch_deadline(FIRST_EXPIRY);
        let called = function.call(&mut self.store, params);
        self.meter.end(begun);
        match called {
            Ok(_) if self.store.data().call.slow && self.slow.is_over() => {
                let limit = self.slow.max;
                Err(CodecError::Slow(Reason::new(format!("more than {limit} slow calls in a second"))))
            }
            Ok((result,)) => Ok(result),
            Err(error) => Err(classify(&error, self.store.data())),
        }
    }
}

/// Says what kind of failure wasmtime's error is.
pub(super) fn classify(error: &wasmtime::Error, state: &State) -> CodecError {
    if let Some(overrun) = state.call.overrun {
        return CodecError::Deadline(Reason::new(overrun.to_string()));
    }
    if let Some(error) = error.downcast_ref::<PoolConcurrencyLimitError>() {
        return CodecError::Exhausted(Reason::new(error.to_string()));
    }
    let trap = error.downcast_ref::<Trap>();
    // A guest that is refused memory usually traps next. A stack overflow has nothing to do with
    // it.
    if let (Some(refused), None | Some(Trap::UnreachableCodeReached)) = (state.memory.refused(), trap) {
        return refused.into();
    }
    match trap {
        Some(trap) => CodecError::Trap(Reason::new(trap.to_string())),
        // wasmtime keeps the type of this error to itself, so its text has to do; a test hits it.
        None if error.root_cause().to_string().contains(FUEL_EXHAUSTED) => {
            CodecError::Oversized(Reason::new("more than a call may hand back"))
        }
        None => CodecError::Trap(Reason::new(format!("{error:#}"))),
    }
}

// === time ===

/// The time of the call in progress.
///
/// Epochs count wall time, and a busy host deschedules threads: so the first expiry only notes the
/// thread's CPU clock, and a later one ends the call if the CPU time since then is over the limit.
/// A call that ends before its first expiry reads no clock at all. Where calls are measured, as
/// those of a codec over its budget are, the clock was read when the call began, and the limit
/// holds from there.
struct Call {
    cpu: Duration,
    wall: Duration,
    /// The thread's CPU clock when the call began, if calls are measured; else at the first expiry.
    started: Option<Duration>,
    expiries: u32,
    /// The call has really computed for [`SLOW`].
    slow: bool,
    overrun: Option<Overrun>,
}

/// Which time a call has used up.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(super) enum Overrun {
    #[error("more than {} ms of CPU time", .0.as_millis())]
    Cpu(Duration),
    #[error("more than {} ms of wall time", .0.as_millis())]
    Wall(Duration),
}

impl Call {
    fn begin(&mut self, cpu: Option<Duration>) {
        self.started = cpu;
        self.expiries = 0;
        self.slow = false;
    }

    fn expired(&mut self) -> wasmtime::Result<UpdateDeadline> {
        self.expiries += 1;
        let now = thread_cpu_time();
        let spent = now.saturating_sub(*self.started.get_or_insert(now));
        // The tick may come late, and the thread may have waited: only CPU time tells.
        self.slow |= spent >= SLOW;
        let overrun = if spent >= self.cpu {
            Overrun::Cpu(self.cpu)
        } else if TICK * self.expiries >= self.wall {
            Overrun::Wall(self.wall)
        } else {
            return Ok(UpdateDeadline::Continue(1));
        };
        self.overrun = Some(overrun);
        Err(wasmtime::Error::msg(overrun.to_string()))
    }
}

/// Counts the slow calls of a second.
struct SlowCalls {
    max: u32,
    count: u32,
    since: Option<Instant>,
}

impl SlowCalls {
    fn new(max: u32) -> Self {
        Self { max, count: 0, since: None }
    }

    /// Counts one, and says whether there are too many.
    fn is_over(&mut self) -> bool {
        let now = Instant::now();
        if self.since.is_none_or(|since| now - since > Duration::from_secs(1)) {
            (self.since, self.count) = (Some(now), 0);
        }
        self.count += 1;
        self.count > self.max
    }
}
