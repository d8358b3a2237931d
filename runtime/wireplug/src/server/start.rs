//! Starts a server: loads the codecs, starts the listeners, and spawns the tasks that accept
//! clients.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::accepting::accept;
use super::admission::{Admission, ConnectionLimit};
use super::awake::AwakeLimit;
use super::listener::{Resolved, cannot_listen};
use super::slots::Slots;
use super::{ListenerContext, RunningServer, Server, ServerState, StartError, descriptors, nodes};
use crate::session::Sessions;
use crate::stats::Counters;
use wireplug_base::LogLimit;
use wireplug_connectors::Connector;
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
            compile,
            compiler,
            on_compiling,
            cluster,
        } = self;
        if listeners.is_empty() {
            return Err(StartError::NoListener);
        }
        let certificates = Certificates::default();
        let joining = nodes::join(cluster, &mut app, certificates.clone()).await?;
        let listeners = listeners.into_iter().map(|listener| listener.resolve(&connectors, &default_codecs));
        let listeners: Vec<Resolved> = listeners.collect::<Result<_, _>>()?;
        descriptors::raise_limit();
        config.max_connections = descriptors::limit_connections(config.max_connections, &listeners);
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
        let time = RunningTime::default();
        let mut started: Vec<(Box<dyn Connector>, ListenerContext)> = Vec::new();
        for listener in listeners {
            let slot = slots.of(listener.codec.clone(), listener.named).await?;
            let mut options = listener.options(&config);
            options.certificates = certificates.clone();
            options.time = time.clone();
            listener.check(&slot, &options, &config)?;
            let Resolved { mut connector, access, limits, .. } = listener;
            let wanted = connector.url();
            connector.start(&options).await.map_err(cannot_listen(&wanted))?;
            let max_datagram = connector.max_datagram();
            slot.add_listener(connector.url(), connector.kinds(), max_datagram.is_some())
                .map_err(StartError::Fit)?;
            let admission = Admission::new(access);
            started.push((connector, ListenerContext { slot, admission, limits, max_datagram }));
        }
        let slots = slots.into_vec();

        let awake = AwakeLimit::new(config.awake_limit(), time.now());
        let state = Arc::new(ServerState {
            connectors,
            connections: ConnectionLimit::new(config.max_connections),
            sessions: Sessions::new(
                config.sessions_per_user,
                std::mem::take(&mut app.hooks),
                joining.remote_sessions(),
                time.clone(),
            ),
            routes: app.finish(),
            config,
            counters: Counters::default(),
            log_limit: LogLimit::new(),
            ordinary_log_limit: LogLimit::new(),
            next_id: AtomicU64::new(1),
            time: time.clone(),
            spare: SpareDescriptor::open(),
            awake,
        });
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let urls = started.iter().map(|(connector, _)| connector.url()).collect();
        for (connector, listener) in started {
            let (state, listener) = (Arc::clone(&state), Arc::new(listener));
            tasks.spawn(accept(state, connector, listener, stop.clone(), tasks.clone()));
        }
        let stopped = stop.clone();
        tasks.spawn(async move { stopped.run_until_cancelled(time.keep()).await });
        for slot in slots.iter().filter(|slot| slot.settings().swap.watch) {
            tasks.spawn(slot.clone().watch(slot.digest(), stop.clone()));
        }
        let nodes = joining.start(&state, &slots, &compiler);
        given_up.disarm();
        Ok(RunningServer { state, slots, urls, nodes, compiler, stop, tasks })
    }
}
