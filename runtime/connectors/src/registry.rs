//! The registry that maps the scheme of a URL to a connector.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use anyhow::Context as _;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

#[cfg(all(feature = "shm", target_os = "linux"))]
use super::Shm;
#[cfg(feature = "socketio")]
use super::SocketIoServer;
use super::path::path;
use super::url::is_scheme;
use super::{BoxError, Connector, ListenUrl, Memory, Protocol, Tcp, Udp, UrlError};
use super::{Pipe, Unix};

/// The connectors that URLs can name: those that are built in, and those that were registered.
#[derive(Clone)]
#[must_use]
pub struct Connectors {
    factories: BTreeMap<String, Arc<Factory>>,
}

type Factory = dyn Fn(&ListenUrl, Value) -> Result<Box<dyn Connector>, BoxError> + Send + Sync;

/// The reason why no connector could be created from a URL.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CreateError {
    /// The text is not a URL of a listener.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// No connector is registered for the scheme.
    #[error("{url}: unknown transport {scheme:?}; there is {known}")]
    UnknownScheme {
        /// The URL.
        url: String,
        /// Its scheme.
        scheme: String,
        /// The schemes that are registered, sorted, with commas between them.
        known: String,
    },
    /// The connector refuses the address or the options.
    #[error("{url}")]
    Refused {
        /// The URL.
        url: String,
        /// The connector's error.
        source: BoxError,
    },
}

/// The options type of a connector that has no options.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoOptions {}

impl Default for Connectors {
    /// Returns the built-in connectors.
    fn default() -> Self {
        let tcp = |protocol| {
            move |url: &ListenUrl, given| -> Result<Tcp, BoxError> {
                let NoOptions {} = options(given)?;
                Ok(Tcp::new(protocol, url.host_port()?))
            }
        };
        let tls = move |protocol| move |url: &ListenUrl, given| Ok(tcp(protocol)(url, given)?.encrypted());
        let all = Self { factories: BTreeMap::new() }
            .register("tcp", tcp(Protocol::Stream))
            .register("ws", tcp(Protocol::WebSocket))
            .register("hybrid", tcp(Protocol::Hybrid))
            .register("tls", tls(Protocol::Stream))
            .register("wss", tls(Protocol::WebSocket))
            .register("hybrid+tls", tls(Protocol::Hybrid))
            .register("udp", |url, given| Ok(Udp::new(url.host_port()?, options(given)?)?))
            .register("memory", |url, given| {
                let NoOptions {} = options(given)?;
                Ok(Memory::new(url.address()))
            });
        let all = all
            .register("unix", |url, given| Ok(Unix::new(path(url)?, options(given)?)))
            .register("pipe", |url, given| Ok(Pipe::new(path(url)?, options(given)?)));
        #[cfg(feature = "socketio")]
        let all = all.register("socketio", |url, given| {
            let NoOptions {} = options(given)?;
            Ok(SocketIoServer::new(url.host_port()?))
        });
        #[cfg(all(feature = "shm", target_os = "linux"))]
        let all = all.register("shm", |url, given| {
            let NoOptions {} = options(given)?;
            Ok(Shm::new(url.address())?)
        });
        all
    }
}

impl Connectors {
    /// Creates a registry with the built-in connectors.
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers the factory that creates the connectors for the URLs of a scheme. The factory
    /// receives the URL and the listener's `options`, a JSON object. It must only check them, and
    /// not use any resource of the system; [`Connector::start`] does that. It may return an error
    /// of any type. [`create`](Connectors::create) adds the URL to that error.
    ///
    /// # Panics
    /// Panics if the scheme has a connector already, or if the text is not a scheme. A scheme is a
    /// lower-case letter followed by lower-case letters, digits, `+`, `-` and `.`.
    pub fn register<C: Connector>(
        mut self,
        scheme: &str,
        factory: impl Fn(&ListenUrl, Value) -> Result<C, BoxError> + Send + Sync + 'static,
    ) -> Self {
        assert!(is_scheme(scheme), "{scheme:?} is no scheme of a URL");
        let factory = move |url: &ListenUrl, options| -> Result<Box<dyn Connector>, BoxError> {
            Ok(Box::new(factory(url, options)?))
        };
        let before = self.factories.insert(scheme.to_owned(), Arc::new(factory));
        assert!(before.is_none(), "the scheme {scheme} has a connector already");
        self
    }

    /// Creates the connector that a URL names, with a listener's options. The connector is not
    /// started yet.
    ///
    /// # Errors
    /// Returns an error if the text is not a URL, no connector is registered for its scheme, or the
    /// connector refuses the address or the options.
    pub fn create(
        &self,
        listen: &str,
        options: &Map<String, Value>,
    ) -> Result<Box<dyn Connector>, CreateError> {
        let url = ListenUrl::parse(listen)?;
        let Some(factory) = self.factories.get(url.scheme()) else {
            let schemes: Vec<_> = self.schemes().collect();
            return Err(CreateError::UnknownScheme {
                url: listen.to_owned(),
                scheme: url.scheme().to_owned(),
                known: schemes.join(", "),
            });
        };
        let options = Value::Object(options.clone());
        factory(&url, options).map_err(|source| CreateError::Refused { url: listen.to_owned(), source })
    }

    /// Returns the registered schemes, sorted.
    pub fn schemes(&self) -> impl Iterator<Item = &str> {
        self.factories.keys().map(String::as_str)
    }
}

/// Converts a listener's options to the options type of its connector.
fn options<T: DeserializeOwned>(given: Value) -> Result<T, BoxError> {
    Ok(serde_json::from_value(given).context("its options")?)
}

impl fmt::Debug for Connectors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.schemes()).finish()
    }
}
