//! A sandbox: one store with one instance, and the limits of every call into it.
//!
//! A sandbox lives as long as its connection, unless the session moves. After any error it must be
//! dropped, because a trap makes the whole store unusable.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::{Engine, PoolConcurrencyLimitError, Store, Trap, UpdateDeadline};

use super::account::{Code, SandboxAccount};
use super::direct::{Handles, Oversized};
use super::guest::Guest;
use super::input::Input;
use super::limits::{HANDLES, answer_bytes};
use super::places::{Place, Tenant};
use super::trap;
use wireplug_core::codec::CodecLimits;
use wireplug_core::codec::cpu::{CpuAccount, CpuTime, Meter, TICK, thread_cpu_time};
use wireplug_core::codec::{CodecError, Reason, ResolvedOptions, Secrets};

/// The deadline of a call, in ticks. Two ticks are at least one whole period, which is three
/// quarters of the mean period or more.
const FIRST_EXPIRY: u64 = 2;

/// The CPU time from which a call counts as slow (`slow-calls`). An honest call takes microseconds.
const SLOW: Duration = Duration::from_millis(2);

/// The message of wasmtime for an answer that is larger than the store allows.
const FUEL_EXHAUSTED: &str = "fuel allocated for hostcalls has been exhausted";

/// What is wrong with such an answer.
const OVERSIZED: &str = "more than a call may hand back";

/// The state of a store: the account of its memory, and the time of the call in progress.
pub(super) struct State {
    memory: SandboxAccount,
    call: Call,
    /// The handles of the guest, if it is called directly.
    pub(super) handles: Handles,
}

/// A linked codec, of which sandboxes make instances.
pub(super) trait Linked: Send + Sync {
    fn engine(&self) -> &Engine;

    /// Makes an instance in a store of its own. Start functions run here.
    fn instantiate(&self, store: &mut Store<State>) -> wasmtime::Result<Box<dyn Guest>>;
}

/// The parts from which the sandboxes of a codec are made.
#[derive(Clone)]
pub(super) struct Blueprint {
    pub(super) linked: Arc<dyn Linked>,
    pub(super) limits: CodecLimits,
    /// The code that the sandboxes run. It is charged to the codec's account.
    pub(super) code: Arc<Code>,
    /// The host's memory for the instances of each sandbox, in bytes.
    pub(super) host_bytes: usize,
    /// The account of the CPU time of all sandboxes of the slot.
    pub(super) cpu: Arc<CpuAccount>,
    /// The codec's share of the large pool, if its sandboxes are there.
    pub(super) tenant: Option<Arc<Tenant>>,
    /// Whether the engine counts fuel.
    pub(super) metered: bool,
}

/// One store with one instance of a codec.
pub(super) struct Sandbox {
    store: Store<State>,
    /// Dropped after the store, so that the place becomes free only then.
    _place: Option<Place>,
    slow: SlowCalls,
    meter: Meter,
    /// The number of bytes of memory above which the sandbox is nearly full.
    nearly_full: usize,
    /// The secrets that must not appear in the texts of the guest.
    secrets: Secrets,
    guest: Box<dyn Guest>,
}

impl Sandbox {
    /// Makes a store and an instance in it. Start functions run here, under the time limit for
    /// opening. The guest may know these `secrets`.
    pub(super) fn new(blueprint: &Blueprint, secrets: &Secrets) -> Result<Self, CodecError> {
        let Blueprint { linked, limits, code, host_bytes, cpu, tenant, metered } = blueprint;
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
        let mut store = Store::new(linked.engine(), State { memory, call, handles: Handles::default() });
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(answer_bytes(limits.max_packet));
        store.set_max_component_handles(HANDLES);
        store.epoch_deadline_callback(|mut store| store.data_mut().call.expired());
        store.set_epoch_deadline(FIRST_EXPIRY);
        if *metered {
            // Fuel is counted and never runs out.
            store.set_fuel(u64::MAX).map_err(|error| classify(&error, &mut store, secrets))?;
        }
        let guest = linked.instantiate(&mut store);
        meter.end(begun);
        match guest {
            Ok(guest) => {
                let slow = SlowCalls::new(limits.slow_calls);
                let (nearly_full, secrets) = (usize::MAX, secrets.clone());
                Ok(Self { store, _place: place, slow, meter, nearly_full, secrets, guest })
            }
            Err(error) => Err(classify(&error, &mut store, secrets)),
        }
    }

    /// Applies the limits of an open session to the calls from now on. Before, the limits for
    /// opening apply.
    pub(super) fn opened(&mut self, limits: &CodecLimits) {
        let state = self.store.data_mut();
        state.call.cpu = limits.call_cpu;
        let used = state.memory.used();
        // A fraction of the free memory, because interpreters open with most of their memory in
        // use.
        self.nearly_full = used + limits.memory.saturating_sub(used) / 4 * 3;
        self.slow = SlowCalls::new(limits.slow_calls);
        // The time to open is charged to the codec, and not to the session.
        self.meter.take(false);
    }

    /// Returns the CPU time of the calls since the last call of this method. From now on, the time
    /// of calls is measured if `measures` is true, and is estimated otherwise.
    pub(super) fn take_cpu_time(&mut self, measures: bool) -> CpuTime {
        self.meter.take(measures)
    }

    /// Returns whether an open session has used three quarters of the memory that was free when it
    /// opened. Returns true only once.
    pub(super) fn is_nearly_full(&mut self) -> bool {
        let is = self.store.data().memory.used() > self.nearly_full;
        if is {
            self.nearly_full = usize::MAX;
        }
        is
    }

    /// Sets the options of the codec.
    pub(super) fn configure(&mut self, options: &ResolvedOptions) -> Result<(), CodecError> {
        let configured = self.call(|guest, store| guest.configure(store, options.expose()))?;
        configured.map_err(|reason| self.refused(&reason))
    }

    /// Allows a call to return the whole memory. Only for a sandbox whose memory is read out and
    /// that no client can reach.
    pub(super) fn read_out(&mut self, limits: &CodecLimits) {
        self.store.set_hostcall_fuel(limits.memory.saturating_mul(2));
    }

    /// Returns the remaining fuel, or `None` if fuel is not counted.
    pub(super) fn fuel_left(&self) -> Option<u64> {
        self.store.get_fuel().ok()
    }

    /// Creates the error for a refusal of the guest.
    pub(super) fn refused(&self, reason: &str) -> CodecError {
        CodecError::Refused(Reason::new(self.secrets.redact(reason.as_bytes())))
    }

    /// Calls the guest within its limits. `run` makes one call of the contract.
    pub(super) fn call<R>(
        &mut self,
        run: impl FnOnce(&mut dyn Guest, &mut Store<State>) -> wasmtime::Result<R>,
    ) -> Result<R, CodecError> {
        let begun = self.meter.begin();
        let state = self.store.data_mut();
        state.call.begin(begun.cpu());
        state.memory.begin_call();
        self.store.set_epoch_deadline(FIRST_EXPIRY);
        let called = run(&mut *self.guest, &mut self.store);
        let called = called.map_err(|error| classify(&error, &mut self.store, &self.secrets));
        self.meter.end(begun);
        if called.is_ok() && self.store.data().call.slow && self.slow.is_over() {
            let limit = self.slow.max;
            return Err(CodecError::Slow(Reason::new(format!("more than {limit} slow calls in a second"))));
        }
        called
    }

    /// Calls the guest within its limits. If the call ends inside the guest's code, the error shows
    /// the input, which `input` returns for the position at which the guest was.
    pub(super) fn call_with<'a, R>(
        &mut self,
        input: impl FnOnce(Option<usize>) -> Input<'a>,
        run: impl FnOnce(&mut dyn Guest, &mut Store<State>) -> wasmtime::Result<R>,
    ) -> Result<R, CodecError> {
        self.call(run).map_err(|error| {
            error.with_input(|at| {
                let (what, bytes) = input(at);
                (what, self.secrets.redact(bytes))
            })
        })
    }
}

/// Returns the kind of failure of an error from wasmtime, with what the guest left behind if the
/// error ended it.
fn classify(error: &wasmtime::Error, store: &mut Store<State>, secrets: &Secrets) -> CodecError {
    let traces = trap::traces(error, store.into());
    let state = store.data();
    let mut failed = kind(error, state, traces.text.as_deref(), secrets);
    if let Some(failure) = failed.failure_mut() {
        failure.set_backtrace(traces.backtrace);
        traces.position.into_iter().for_each(|position| failure.set_position(position));
    }
    failed
}

/// Returns the kind of failure of an error from wasmtime. `panic` is the text that the guest left.
fn kind(error: &wasmtime::Error, state: &State, panic: Option<&[u8]>, secrets: &Secrets) -> CodecError {
    if let Some(overrun) = state.call.overrun {
        return CodecError::Deadline(Reason::new(overrun.to_string()).into());
    }
    if let Some(error) = error.downcast_ref::<PoolConcurrencyLimitError>() {
        return CodecError::Exhausted(Reason::new(error.to_string()));
    }
    let trap = error.downcast_ref::<Trap>();
    if error.is::<Oversized>() {
        return CodecError::Oversized(Reason::new(OVERSIZED));
    }
    // A guest that is refused memory usually traps next with `unreachable`. Other traps, such as a
    // stack overflow, have another cause.
    if let (Some(refused), None | Some(Trap::UnreachableCodeReached)) = (state.memory.refused(), trap) {
        return refused.into();
    }
    match (trap, panic) {
        // A panic ends with `unreachable`. After any other trap, the text has another cause.
        (Some(Trap::UnreachableCodeReached), Some(panic)) => {
            let text = [b"panicked at ", &*secrets.redact(panic)].concat();
            CodecError::Trap(Reason::new(text).into())
        }
        (Some(trap), _) => {
            let text = trap.to_string();
            CodecError::Trap(Reason::new(text.trim_start_matches("wasm trap: ")).into())
        }
        // wasmtime does not export the type of this error, so its text is compared. A test triggers
        // it.
        (None, _) if error.root_cause().to_string().contains(FUEL_EXHAUSTED) => {
            CodecError::Oversized(Reason::new(OVERSIZED))
        }
        // If the error ended the guest, its context is what the guest left behind.
        (None, _) if trap::ended_guest(error) => {
            CodecError::Trap(Reason::new(error.root_cause().to_string()).into())
        }
        (None, _) => CodecError::Trap(Reason::new(format!("{error:#}")).into()),
    }
}

// === time ===

/// The time of the call in progress.
///
/// Epochs count wall time, and a busy host deschedules threads. So the first expiry only reads the
/// thread's CPU clock, and a later expiry ends the call if the CPU time since then is over the
/// limit. A call that ends before its first expiry reads no clock. If calls are measured, as those
/// of a codec over its budget are, the clock was read when the call began, and the limit applies
/// from then on.
struct Call {
    cpu: Duration,
    wall: Duration,
    /// The thread's CPU clock when the call began, if calls are measured. Otherwise its value at
    /// the first expiry.
    started: Option<Duration>,
    expiries: u32,
    /// Whether the call has used CPU time of [`SLOW`] or more.
    slow: bool,
    overrun: Option<Overrun>,
}

/// The limit of time that a call has exceeded.
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
        // The tick may be late and the thread may have waited, so only CPU time counts.
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

    /// Counts one slow call, and returns whether there are too many.
    fn is_over(&mut self) -> bool {
        let now = Instant::now();
        if self.since.is_none_or(|since| now - since > Duration::from_secs(1)) {
            (self.since, self.count) = (Some(now), 0);
        }
        self.count += 1;
        self.count > self.max
    }
}
