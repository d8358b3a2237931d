//! The builder of a server: its application, its settings and its listeners.

use std::collections::BTreeMap;

use serde_json::Value;

use super::cluster::Cluster;
use super::listener::DefaultCodecs;
use super::{CodecSource, InheritedSockets, Listener};
use crate::app::{App, Parts};
use crate::config::{BuiltinApp, CompileConfig, Config, LoggedAccess, ServerConfig, ServiceConfig};
#[cfg(feature = "control")]
use crate::events::Events;
use crate::traces::Traces;
use crate::trust::Trust;
use crate::upgrade::Takeover;
use wireplug_connectors::{BoxError, Connector, Connectors, Health, ListenUrl};
use wireplug_wasm::{CompileObserver, Compiler};

/// A server that is not started yet: an application, and the listeners with their protocols.
///
/// ```
/// use serde_json::json;
/// use wireplug::{App, CodecSource, Server};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), wireplug::StartError> {
/// let app = App::new().route("echo", |body: bytes::Bytes| async move { body });
/// let server = Server::new(app)
///     .listen("tcp://127.0.0.1:0", CodecSource::pomelo(json!({})))
///     .start()
///     .await?;
/// // Port 0 is a free one.
/// println!("Clients connect to {}", server.urls()[0]);
/// server.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use]
pub struct Server {
    pub(super) app: Parts,
    pub(super) config: ServerConfig,
    pub(super) connectors: Connectors,
    /// The codecs that connectors may name as their default codec.
    pub(super) default_codecs: DefaultCodecs,
    pub(super) listeners: Vec<Listener>,
    pub(super) inherited: InheritedSockets,
    pub(super) compile: CompileConfig,
    pub(super) compiler: Compiler,
    pub(super) on_compiling: Option<CompileObserver>,
    pub(super) cluster: Option<Box<dyn Cluster>>,
    pub(super) services: BTreeMap<String, ServiceConfig>,
    pub(super) health: Health,
    pub(super) access_log: LoggedAccess,
    pub(super) traces: Traces,
    /// Whose codecs are loaded.
    pub(super) trust: Trust,
    /// The process that this one takes over from.
    pub(super) takeover: Option<Takeover>,
    #[cfg(feature = "control")]
    pub(super) events: Events,
    /// The application of a configuration that this program carries.
    pub(super) builtin_app: Option<BuiltinApp>,
    /// The configuration that all of this comes from, if there is one.
    pub(super) configured: Option<Config>,
}

impl Server {
    /// A server for an application.
    pub fn new<S>(app: App<S>) -> Self {
        Self {
            app: app.into_parts(),
            config: ServerConfig::default(),
            connectors: Connectors::default(),
            default_codecs: DefaultCodecs::default(),
            listeners: Vec::new(),
            inherited: InheritedSockets::default(),
            compile: CompileConfig::default(),
            compiler: Compiler::in_process(),
            on_compiling: None,
            cluster: None,
            services: BTreeMap::new(),
            health: Health::default(),
            access_log: LoggedAccess::default(),
            traces: Traces::default(),
            trust: Trust::default(),
            takeover: None,
            #[cfg(feature = "control")]
            events: Events::default(),
            builtin_app: None,
            configured: None,
        }
    }

    /// Takes over from the process that has started this one for an
    /// [upgrade](crate::RunningServer::upgrade): its listening sockets, and then its sessions. A
    /// listener is known by its URL. Listeners that the old process does not have are bound as
    /// usual.
    pub fn taking_over(mut self, takeover: Takeover) -> Self {
        self.takeover = Some(takeover);
        self
    }

    /// Says that the application of this server is the one that configurations call `app`. Without
    /// this, a configuration that names an application is refused.
    pub fn builtin_app(mut self, app: BuiltinApp) -> Self {
        self.builtin_app = Some(app);
        self
    }

    /// Sets the health that the server keeps up to date, for a program that answers health checks
    /// itself, also while the server starts.
    pub fn health(mut self, health: Health) -> Self {
        self.health = health;
        self
    }

    /// Sets which lines the access log has. A configuration sets it too.
    pub fn access_log(mut self, which: LoggedAccess) -> Self {
        self.access_log = which;
        self
    }

    /// Sets what traces connections and requests.
    #[cfg(feature = "otel")]
    pub fn traces(mut self, traces: Traces) -> Self {
        self.traces = traces;
        self
    }

    /// Sets where the server puts its recent events, for a program that adds the lines of its log
    /// to them.
    #[cfg(feature = "control")]
    pub fn events(mut self, events: Events) -> Self {
        self.events = events;
        self
    }

    /// Sets the settings that concern all listeners together.
    pub fn config(mut self, config: ServerConfig) -> Self {
        self.config = config;
        self
    }

    /// Registers the factory that creates the connectors for URLs with this scheme. See
    /// [`Connectors::register`].
    ///
    /// # Panics
    /// Panics if the scheme is taken or invalid.
    pub fn register_connector<C: Connector>(
        mut self,
        scheme: &str,
        factory: impl Fn(&ListenUrl, Value) -> Result<C, BoxError> + Send + Sync + 'static,
    ) -> Self {
        self.connectors = self.connectors.register(scheme, factory);
        self
    }

    /// Replaces the set of connectors that URLs can name, for example by the set with which a
    /// configuration was read.
    pub fn connectors(mut self, connectors: Connectors) -> Self {
        self.connectors = connectors;
        self
    }

    /// Adds a codec under a name. A connector may name this codec as its [default
    /// codec](Connector::default_codec). Listeners with the same default codec share one codec
    /// slot.
    pub fn default_codec(mut self, name: &str, codec: CodecSource) -> Self {
        self.default_codecs.add(name, codec);
        self
    }

    /// Adds a listener at a URL, with its protocol and the default limits. See [`Listener::new`].
    pub fn listen(self, url: &str, codec: CodecSource) -> Self {
        self.listener(Listener::new(url, codec))
    }

    /// Adds a listener, or a connector with its default codec.
    pub fn listener(mut self, listener: impl Into<Listener>) -> Self {
        self.listeners.push(listener.into());
        self
    }

    /// Sets the sockets that listeners take over instead of binding their addresses: those of the
    /// service manager, or of the process that this one takes the place of. A socket of the service
    /// manager that no listener wants is an error at the start.
    pub fn inherit_sockets(mut self, sockets: InheritedSockets) -> Self {
        self.inherited = sockets;
        self
    }

    /// Lets services answer the routes that begin with their names, except for routes that have a
    /// handler in this application. A service with a [`url`](ServiceConfig::url) is reached over
    /// HTTP, and any other one over NATS. `docs/http-services.md` and `docs/nats.md` say what a
    /// service is. Replaces the services that were set before.
    #[cfg(any(feature = "http", feature = "nats"))]
    pub fn services<Name: Into<String>>(
        mut self,
        services: impl IntoIterator<Item = (Name, ServiceConfig)>,
    ) -> Self {
        self.services = services.into_iter().map(|(name, service)| (name.into(), service)).collect();
        self
    }

    /// Sets how the server reaches other servers, and services behind NATS.
    #[cfg(feature = "nats")]
    pub(crate) fn cluster(mut self, cluster: impl Cluster + 'static) -> Self {
        self.cluster = Some(Box::new(cluster));
        self
    }

    /// Sets how components are compiled.
    pub fn compile(mut self, config: CompileConfig) -> Self {
        self.compile = config;
        self
    }

    /// Sets whose codecs are loaded. By default, every codec is. A configuration with a table
    /// `trust` sets it too.
    pub fn trust(mut self, trust: Trust) -> Self {
        self.trust = trust;
        self
    }

    /// Sets where components are compiled. By default they are compiled in this process. The server
    /// gives the compiler the limits of [`Server::compile`] and a queue of its own.
    pub fn compiler(mut self, compiler: Compiler) -> Self {
        self.compiler = compiler;
        self
    }

    /// Sets an observer that is notified of each component that is compiled, at the start and at
    /// swaps.
    pub fn on_compiling(mut self, observer: CompileObserver) -> Self {
        self.on_compiling = Some(observer);
        self
    }
}
