//! Starts a server: loads the codecs, starts the listeners, and spawns the tasks that accept
//! clients.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

use tokio::sync::{Mutex, OnceCell, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::access_log::AccessLog;
use super::admission::ConnectionLimit;
use super::awake::AwakeLimit;
#[cfg(feature = "control")]
use super::command_counts::CommandCounts;
use super::handing::HandedListener;
use super::listener::Resolved;
use super::listeners::{Common, Listeners};
use super::live::Live;
use super::memory::MemoryBudget;
use super::reload::Reloading;
use super::running::Running;
use super::slots::{SlotList, Slots};
use super::taking_over::{self, Prepared};
use super::{RunningServer, Server, ServerState, StartError, accept_limits, descriptors, nodes, services};
use crate::session::{SessionEvent, Sessions};
use crate::session_trace::SessionTraces;
use wireplug_connectors::RateMeter;
use wireplug_connectors::certificates::Certificates;
use wireplug_connectors::listening::SpareDescriptor;
use wireplug_connectors::running_time::RunningTime;

impl Server {
    /// Loads the codecs and starts the listeners. Dropping the future cancels the start and ends
    /// its compile workers at once.
    ///
    /// Raises the process's soft limit of open files to the hard one. If there are fewer file
    /// descriptors than [`max_connections`](crate::config::ServerConfig::max_connections) needs,
    /// the server admits only as many clients as there are descriptors for, and logs a warning.
    ///
    /// # Errors
    /// Returns an error if a codec is refused, a listener cannot be bound, or a codec does not fit
    /// its listener.
    pub async fn start(self) -> Result<RunningServer, StartError> {
        let Server {
            mut app,
            mut config,
            connectors,
            default_codecs,
            listeners,
            mut inherited,
            compile,
            compiler,
            on_compiling,
            cluster,
            services,
            configured,
            builtin_app: _,
            health,
            access_log,
            traces,
            trust,
            takeover,
            #[cfg(feature = "control")]
            events,
        } = self;
        if listeners.is_empty() {
            return Err(StartError::NoListener);
        }
        let certificates = Certificates::default();
        let joining = nodes::join(cluster, &services, &mut app, certificates.clone()).await?;
        let listeners = listeners.into_iter().map(|listener| listener.resolve(&connectors, &default_codecs));
        let mut listeners: Vec<Resolved> = listeners.collect::<Result<_, _>>()?;
        for listener in &mut listeners {
            listener.inherit(&mut inherited)?;
        }
        if let Some(address) = inherited.unwanted() {
            return Err(StartError::UnwantedSocket { address });
        }
        descriptors::raise_limit();
        config.max_connections = {
            let taken = listeners.iter().map(|listener| listener.connector.descriptors());
            descriptors::limit_connections(config.max_connections, taken, 0, services::connections(&services))
        };
        let memory =
            listeners.iter().map(|listener| listener.codec.settings.limits.memory).max().unwrap_or_default();
        let compiler = compiler.limits(&compile);
        let given_up = compiler.stop_on_drop();
        let mut slots = Slots::new(
            &config,
            &compile,
            listeners.len(),
            memory,
            compiler.clone(),
            on_compiling,
            app.routes(),
        )?;
        let trust = Arc::new(trust);
        slots.set_trust(Arc::clone(&trust));
        #[cfg(feature = "nats")]
        joining.objects().into_iter().for_each(|objects| slots.set_objects(objects));
        #[cfg(feature = "control")]
        slots.audit().add_to(events.clone());
        let common = Common {
            certificates: certificates.clone(),
            time: RunningTime::default(),
            health,
            counters: Arc::default(),
        };
        let mut prepared = Vec::new();
        slots.falls_back = true;
        for listener in listeners {
            let slot = slots.of(listener.codec.clone(), listener.named, &trust).await?;
            prepared.push(Prepared::bind(listener, slot, &config, &common, takeover.as_ref()).await?);
        }
        slots.falls_back = false;

        let time = common.time.clone();
        let memory = MemoryBudget::new(config.max_memory);
        let awake = AwakeLimit::new(config.awake_limit(), time.now());
        let session_traces = Arc::new(SessionTraces::default());
        let traced = Arc::clone(&session_traces);
        app.hooks.push(Box::new(move |session, event| {
            if let SessionEvent::Bound(user) = event {
                traced.bound(session, user);
            }
        }));
        let state = Arc::new(ServerState {
            connectors,
            connections: ConnectionLimit::new(config.max_connections),
            accept_rate: RateMeter::new(&accept_limits(&config)),
            sessions: Sessions::new(
                config.sessions_per_user,
                std::mem::take(&mut app.hooks),
                joining.remote_sessions(),
                joining.observers(),
                time.clone(),
            ),
            carried: std::mem::take(&mut app.carried),
            routes: app.finish(),
            config: Live::new(config.clone()),
            counters: Arc::clone(&common.counters),
            access_log: AccessLog::new(access_log),
            traces,
            next_id: AtomicU64::new(1),
            opening: AtomicU64::new(0),
            time: common.time.clone(),
            spare: SpareDescriptor::open(),
            refusals: Semaphore::new(descriptors::most_turned_away()),
            awake,
            memory,
            #[cfg(feature = "control")]
            events: events.clone(),
            session_traces,
        });
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let ended = CancellationToken::new();
        let until = ended.clone();
        tasks.spawn(async move { until.run_until_cancelled(time.keep()).await });
        let (limited, until) = (Arc::clone(&state), ended.clone());
        tasks.spawn(async move {
            until.run_until_cancelled(limited.memory.keep(&limited.sessions)).await;
        });
        let list = Arc::new(SlotList::default());
        slots.all().for_each(|slot| list.add(slot, &stop, &tasks));
        let nodes = joining.start(&state, &list, &compiler);
        let begun = match &takeover {
            Some(takeover) => taking_over::begin(takeover, &nodes, &state).await,
            None => None,
        };
        let (mut listening, mut taken) = (Vec::new(), Vec::new());
        for prepared in prepared {
            let (number, bound) = prepared.bound(&config, &common).await;
            let Some(bound) = bound else { continue };
            let is_shared = begun.is_some() && number.is_some();
            let open = bound.open(is_shared, &state, &stop, &tasks);
            if let Some(number) = number {
                taken.resize(taken.len().max(number + 1), None);
                taken[number] = Some(HandedListener(open.clone()));
            }
            listening.push(open);
        }
        if begun.is_none() {
            // Nobody else reads the sockets that this process has inherited.
            for listener in &listening {
                listener.go_on(None).await;
            }
        }
        let readiness = nodes.clone();
        common.health.set_running(move || readiness.problem());
        given_up.disarm();
        let audit = Arc::clone(slots.audit());
        let mut reloading =
            Mutex::new(Reloading { slots, default_codecs, common, config: configured, file: None });
        let listeners = Listeners::new(listening);
        let health = reloading.get_mut().common.health.clone();
        let running = Running {
            health,
            state,
            listeners,
            slots: list,
            nodes,
            compiler,
            stop,
            ended,
            closed: CancellationToken::new(),
            tasks,
            audit,
            #[cfg(feature = "control")]
            events,
            #[cfg(feature = "control")]
            control: OnceLock::new(),
            #[cfg(feature = "control")]
            client_commands: CommandCounts::default(),
            reloading,
            drains: CancellationToken::new(),
            settled: CancellationToken::new(),
            moved_away: CancellationToken::new(),
            upgrader: OnceLock::new(),
            drained: OnceCell::new(),
        };
        let running = Arc::new(running);
        if let (Some(takeover), Some(answers)) = (takeover, begun) {
            taking_over::go_on(takeover, answers, &running, taken);
        } else {
            running.set_settled();
        }
        Ok(RunningServer(running))
    }
}
