//! The services that answer requests. Each is reached over NATS or over HTTP, and the application's
//! routes do not know which.
//!
//! A reload replaces the table while requests are under way. A service whose configuration stays
//! the same keeps its connections and its counts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;

use super::StartError;
use super::cluster::Member;
#[cfg(feature = "metrics")]
use super::service_events::FeedStatus;
use super::service_events::{EventPost, FeedSettings, Feeds};
use super::service_hello::HelloAnswer;
use crate::app::{Handler as _, Parts, Request, Response, server_type};
use crate::config::ServiceConfig;
use crate::session::SessionObserver;

/// What passes requests to one service.
pub(crate) trait ServiceLink: Send + Sync {
    /// Passes a request to the service. Returns the service's answer, or a status that says why
    /// there is none. The answer to a notification is dropped.
    fn call(self: Arc<Self>, request: Request) -> BoxFuture<'static, Response>;

    /// Passes the hello of a client to the service, with its body as that of `request`. Returns the
    /// service's answer, or a status that says why there is none.
    fn hello(self: Arc<Self>, request: Request) -> BoxFuture<'static, HelloAnswer>;

    /// Returns what sends the events of sessions to the service, if the service asks for events.
    fn events(self: Arc<Self>) -> Option<Arc<dyn EventPost>> {
        None
    }

    /// Returns the state of the service for the metrics, if the link knows it.
    #[cfg(feature = "metrics")]
    fn status(&self) -> Option<ServiceStatus> {
        None
    }
}

/// The state of a service, for the metrics.
#[cfg(feature = "metrics")]
#[derive(Debug)]
#[cfg_attr(not(feature = "http"), allow(dead_code, reason = "only services over HTTP have one"))]
pub(crate) struct ServiceStatus {
    /// How many requests are in flight.
    pub(crate) in_flight: usize,
    /// Each URL, with whether requests go there.
    pub(crate) urls: Vec<(String, bool)>,
}

/// The services that there are now. Requests look here without a lock.
pub(super) struct Services {
    /// This server among the other ones, if it uses NATS.
    member: Option<Arc<dyn Member>>,
    /// The name of this server in requests over HTTP.
    #[cfg_attr(
        not(any(feature = "control", feature = "http")),
        allow(dead_code, reason = "NATS has it itself")
    )]
    node: Arc<str>,
    /// Whether the application itself answers hellos, so that no service can.
    app_answers_hellos: bool,
    table: ArcSwap<ServiceTable>,
    feeds: Arc<Feeds>,
}

/// Services by name.
#[derive(Default)]
pub(super) struct ServiceTable {
    all: BTreeMap<String, Arc<Service>>,
    /// The service that answers hellos.
    hello: Option<Arc<Service>>,
}

struct Service {
    name: String,
    config: ServiceConfig,
    /// The routes whose requests need not be in order.
    concurrent: BTreeSet<String>,
    link: Arc<dyn ServiceLink>,
}

impl Services {
    /// Creates the table of the services that are configured at the start.
    ///
    /// # Errors
    /// Returns an error if a service cannot be reached as it is configured.
    pub(super) fn new(
        member: Option<Arc<dyn Member>>,
        configs: &BTreeMap<String, ServiceConfig>,
        app: &Parts,
    ) -> Result<Arc<Self>, StartError> {
        let node = member.as_ref().map_or_else(|| node_name(None), |member| member.name().to_owned());
        let node: Arc<str> = node.into();
        let services = Self {
            member,
            node: Arc::clone(&node),
            app_answers_hellos: app.answers_hellos(),
            table: ArcSwap::default(),
            feeds: Arc::new(Feeds::new(node)),
        };
        services.set(services.prepare(configs)?);
        Ok(Arc::new(services))
    }

    /// Lets the services answer the routes that begin with their names, except for routes that have
    /// a handler in the application, and hellos, unless the application answers them.
    pub(super) fn answer(self: &Arc<Self>, app: &mut Parts) {
        let [asked, known, ordered] = std::array::from_fn(|_| Arc::clone(self));
        let handler = move |request: Request| {
            let services = Arc::clone(&asked);
            async move {
                // A reload may have taken the service away since the request was looked up.
                match services.get(server_type(&request.route)) {
                    Some(service) => Arc::clone(&service.link).call(request).await,
                    None => Response::status(404),
                }
            }
        };
        let handler = handler.concurrent_if(move |route| {
            ordered.get(server_type(route)).is_some_and(|service| service.concurrent.contains(route))
        });
        app.remote(move |name| known.get(name).is_some(), handler);
        if self.app_answers_hellos {
            return;
        }
        let [asked, known] = std::array::from_fn(|_| Arc::clone(self));
        let handler = move |request: Request| {
            let service = asked.table.load().hello.clone();
            async move {
                // A reload may have taken the service away since the hello was looked up.
                let Some(service) = service else { return Response::status(200) };
                let session = request.session.clone();
                Arc::clone(&service.link).hello(request).await.apply(&service.name, &session)
            }
        };
        app.remote_hello(move || known.table.load().hello.is_some(), handler);
    }

    /// Makes the table for other configurations. Nothing changes until it is set.
    ///
    /// # Errors
    /// Returns an error if a service cannot be reached as it is configured.
    pub(super) fn prepare(
        &self,
        configs: &BTreeMap<String, ServiceConfig>,
    ) -> Result<ServiceTable, StartError> {
        let current = self.table.load();
        let hello = hello_service(configs, self.app_answers_hellos)?;
        let service = |(name, config): (&String, &ServiceConfig)| {
            let same = current.all.get(name).filter(|service| service.config == *config);
            let service = match same {
                Some(service) => Arc::clone(service),
                None => Arc::new(self.service(name, config)?),
            };
            Ok((name.clone(), service))
        };
        let all = configs.iter().map(service).collect::<Result<BTreeMap<_, _>, StartError>>()?;
        let hello = hello.map(|name| Arc::clone(&all[name]));
        Ok(ServiceTable { all, hello })
    }

    /// Replaces all services. Requests that are under way keep the services that they began with.
    /// Events that wait go to the service of the same name, or to the one that is gone now.
    pub(super) fn set(&self, table: ServiceTable) {
        let with_events = table.all.values().filter_map(|service| {
            let post = Arc::clone(&service.link).events()?;
            Some((&*service.name, post, FeedSettings::of(&service.config)))
        });
        self.feeds.set(with_events);
        self.table.store(Arc::new(table));
    }

    /// Returns what passes the events of sessions to the services that ask for them.
    pub(super) fn observer(&self) -> Arc<dyn SessionObserver> {
        Arc::clone(&self.feeds) as _
    }

    /// Sends the events that wait, for a limited time. No session must be left.
    pub(super) async fn finish_events(&self) {
        self.feeds.finish().await;
    }

    /// Returns the state of the events for each service.
    #[cfg(feature = "metrics")]
    pub(super) fn feeds(&self) -> Vec<FeedStatus> {
        self.feeds.status()
    }

    /// Returns the state of each service whose link knows it, by name.
    #[cfg(feature = "metrics")]
    pub(super) fn status(&self) -> Vec<(String, ServiceStatus)> {
        let table = self.table.load();
        let status = |(name, service): (&String, &Arc<Service>)| Some((name.clone(), service.link.status()?));
        table.all.iter().filter_map(status).collect()
    }

    /// Returns the name of this server in the addresses of its sessions.
    #[cfg(feature = "control")]
    pub(super) fn node(&self) -> &str {
        &self.node
    }

    fn get(&self, name: &str) -> Option<Arc<Service>> {
        self.table.load().all.get(name).cloned()
    }

    fn service(&self, name: &str, config: &ServiceConfig) -> Result<Service, StartError> {
        let link = self.link(name, config).map_err(|error| failed(name, error))?;
        Ok(Service {
            name: name.to_owned(),
            config: config.clone(),
            concurrent: config.concurrent_routes.iter().cloned().collect(),
            link,
        })
    }

    fn link(&self, name: &str, config: &ServiceConfig) -> anyhow::Result<Arc<dyn ServiceLink>> {
        check_name(name)?;
        if config.url.is_some() {
            #[cfg(feature = "http")]
            return crate::http::link(name, config, &self.node);
            #[cfg(not(feature = "http"))]
            anyhow::bail!("this build knows no services over HTTP: build it with the feature `http`");
        }
        let member = self.member.as_ref();
        Ok(member.context("it has no `url`, and this server does not use NATS")?.service(name, config))
    }
}

/// Checks a service without connecting to it.
///
/// # Errors
/// Returns an error if a start would refuse the service.
pub(super) fn check(name: &str, config: &ServiceConfig) -> Result<(), StartError> {
    let checked = check_name(name);
    #[cfg(feature = "http")]
    let checked = checked.and_then(|()| match config.url {
        Some(_) => crate::http::link(name, config, "").map(drop),
        None => Ok(()),
    });
    #[cfg(not(feature = "http"))]
    let _ = config;
    checked.map_err(|error| failed(name, error))
}

/// Returns the name of the service that answers hellos, if there is one.
///
/// # Errors
/// Returns an error if there are two, or if the application answers hellos itself.
pub(super) fn hello_service(
    configs: &BTreeMap<String, ServiceConfig>,
    app_answers_hellos: bool,
) -> Result<Option<&String>, StartError> {
    let mut with_hello = configs.iter().filter(|(_, config)| config.hello).map(|(name, _)| name);
    let (first, second) = (with_hello.next(), with_hello.next());
    match (first, second) {
        (Some(first), Some(second)) => Err(failed(
            second,
            anyhow!(
                "it has `hello`, and so has the service {first}: only one can answer the hellos of clients"
            ),
        )),
        (Some(first), None) if app_answers_hellos => Err(failed(
            first,
            anyhow!(
                "it has `hello`, and this application answers hellos itself (`App::hello`): leave one out"
            ),
        )),
        _ => Ok(first),
    }
}

/// Returns how many connections to services there may be at a time.
pub(super) fn connections(configs: &BTreeMap<String, ServiceConfig>) -> u64 {
    let over_http = configs.values().filter(|config| config.url.is_some());
    let events = |config: &ServiceConfig| u64::from(!config.events.is_empty());
    over_http.map(|config| u64::from(config.http.max_in_flight) + events(config)).sum()
}

fn check_name(name: &str) -> anyhow::Result<()> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    match !name.is_empty() && name.bytes().all(plain) {
        true => Ok(()),
        false => Err(anyhow!("the name of a service has letters, digits, - and _")),
    }
}

fn failed(name: &str, error: anyhow::Error) -> StartError {
    StartError::Service { name: name.to_owned(), source: error.into() }
}

/// Returns a name for this server. No other server has the same name, and after a restart this
/// server has another one.
pub(crate) fn node_name(configured: Option<&str>) -> String {
    let host = || std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = configured.map_or_else(host, str::to_owned);
    let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let name: String = name.chars().filter(plain).take(64).collect();
    let name = if name.is_empty() { "node" } else { &name };
    // Without random numbers there is no TLS either. The process ID is better than nothing.
    let number = getrandom::u32().unwrap_or_else(|_| std::process::id());
    format!("{name}-{number:08x}")
}
