//! The configuration of services.

use std::borrow::Cow;
#[cfg(any(feature = "http", feature = "nats"))]
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use wireplug_base::units;

/// A service. It answers all routes that begin with its name and a dot: over HTTP if it has a
/// `url`, and otherwise over NATS.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ServiceConfig {
    /// Where the service answers over HTTP: `docs/http-services.md`. If the service has several
    /// URLs, a request goes to the one with the fewest requests in flight. Without this key, the
    /// service is behind NATS.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ServiceUrls")]
    pub url: Option<ServiceUrls>,
    /// The time that the service has to answer. Then the client gets 504.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::PositiveDuration")]
    pub timeout: Duration,
    /// The setting of a session that selects the instance for its requests: over NATS its name, and
    /// over HTTP any text, which always selects the same URL. If this key is not set, or a session
    /// has no such setting, its requests go to any instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "units::NotEmpty")]
    pub sticky: Option<String>,
    /// Routes whose requests do not wait for earlier requests of the session. Later requests do not
    /// wait for them either.
    pub concurrent_routes: Vec<String>,
    /// Whether the service decides which clients may connect: it answers their hellos, and may bind
    /// the session to a user in the same answer. At most one service can. Without such a service
    /// every client is accepted, and so is a client whose protocol has no hello.
    pub hello: bool,
    /// The events of sessions that are sent to the service, in order and in batches, as POSTs to
    /// `/.wireplug/events` below its URL: `docs/http-services.md`. Only for a service with a `url`.
    /// A service behind NATS subscribes to events instead.
    pub events: Vec<ServiceEvent>,
    /// How a service with a `url` is reached.
    pub http: HttpConfig,
}

impl Default for ServiceConfig {
    fn default() -> Self {
        Self {
            url: None,
            timeout: Duration::from_secs(5),
            sticky: None,
            concurrent_routes: Vec::new(),
            hello: false,
            events: Vec::new(),
            http: HttpConfig::default(),
        }
    }
}

impl ServiceConfig {
    /// Creates the configuration of a service over HTTP, with the defaults.
    pub fn at(url: impl Into<ServiceUrls>) -> Self {
        Self { url: Some(url.into()), ..Self::default() }
    }

    /// Returns the same configuration with its paths, which are relative to `directory`, made
    /// complete.
    #[cfg(any(feature = "http", feature = "nats"))]
    pub(crate) fn within(&self, directory: &Path) -> Self {
        let mut service = self.clone();
        service.http.ca_file = self.http.ca_file.as_ref().map(|path| directory.join(path));
        service
    }
}

/// An event of a session that a service can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceEvent {
    /// The handshake of a session is over.
    Opened,
    /// A session has come from another process of the server, which was upgraded.
    Moved,
    /// A session was bound to a user.
    Bound,
    /// A session is no longer bound to a user.
    Unbound,
    /// A session has ended.
    Closed,
}

/// The URLs of a service: one, or several.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged)]
pub enum ServiceUrls {
    /// The URL of the only instance, or of a load balancer.
    One(String),
    /// The URLs of the instances.
    Many(Vec<String>),
}

impl ServiceUrls {
    /// Returns all URLs.
    pub fn all(&self) -> &[String] {
        match self {
            Self::One(url) => std::slice::from_ref(url),
            Self::Many(urls) => urls,
        }
    }
}

impl From<&str> for ServiceUrls {
    fn from(url: &str) -> Self {
        Self::One(url.to_owned())
    }
}

impl From<Vec<String>> for ServiceUrls {
    fn from(urls: Vec<String>) -> Self {
        Self::Many(urls)
    }
}

impl JsonSchema for ServiceUrls {
    fn schema_name() -> Cow<'static, str> {
        "ServiceUrls".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A URL or a list of URLs: each is `http://HOST:PORT/PATH` or `https://HOST:PORT/PATH`, without \
                            a user and a query, such as \"http://127.0.0.1:8080/chat\".",
            "type": ["string", "array"],
            "pattern": units::SERVICE_URL,
            "items": generator.subschema_for::<units::ServiceUrl>(),
            "minItems": 1,
        })
    }
}

/// How a service is reached over HTTP. Only for a service with a `url`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct HttpConfig {
    /// Whether the service speaks HTTP/2 from the first byte, without negotiation. If not, a
    /// service at `https://` speaks HTTP/2 if it offers that in the TLS handshake, and otherwise
    /// HTTP/1.1; a service at `http://` speaks HTTP/1.1.
    pub http2: bool,
    /// A PEM file with the root certificates for `https://`, relative to the configuration file. It
    /// replaces the root certificates of the system. It is read at the start, and at a reload that
    /// changes this service.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PathBuf")]
    pub ca_file: Option<PathBuf>,
    /// The `content-type` of the requests. Most clients send JSON, and many frameworks parse a body
    /// only if its type says so.
    #[schemars(with = "units::MediaType")]
    pub content_type: String,
    /// Attributes of the client that each request has as headers, such as `tls-sni`, or
    /// `header:authorization` if `websocket.headers` of the listener names this header. The header
    /// of an attribute is `Wireplug-Attribute-` and its name, with `-` for all that is neither a
    /// letter nor a digit.
    pub attributes: Vec<String>,
    /// The largest body of a response. If a service sends more, the client gets 502, and the rest
    /// is not read.
    #[serde(with = "units::size")]
    #[schemars(with = "units::PositiveSize")]
    pub max_response: usize,
    /// The largest number of requests in flight. Further requests get 503 at once, so that a
    /// service that hangs holds at most this many bodies and connections. The server keeps file
    /// descriptors for this many connections. At 10 ms a request, 256 requests in flight are 25,600
    /// a second.
    #[schemars(range(min = 1, max = 100_000))]
    pub max_in_flight: u32,
    /// The time to connect to a URL, without the TLS handshake. Then the next URL is tried, within
    /// the service's `timeout`.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::PositiveDuration")]
    pub connect_timeout: Duration,
    /// How long a connection without requests stays open. Set it below the time after which the
    /// service closes such a connection, which is 5 s in several frameworks. Otherwise a request
    /// may meet a connection that is just being closed, and gets 502.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::PositiveDuration")]
    pub keep_alive: Duration,
    /// How many requests in a row must fail at a URL until the server stops sending requests there
    /// for the time of `circuit-time`. A request fails if there is no connection, no response in
    /// time, or nothing that is HTTP. A response with an error status, a redirect, or a response
    /// that is too large is no failure, because clients may be able to cause it. If all URLs are
    /// left out, requests get 503 at once. 0: never.
    #[schemars(range(max = 1_000))]
    pub circuit_failures: u32,
    /// How long a URL is left out. After that, one request tries the URL: if it succeeds, all
    /// others follow, and otherwise the time begins again.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::PositiveDuration")]
    pub circuit_time: Duration,
    /// How many events may wait for the service. Further events are dropped and counted, so that a
    /// service that is away does not fill the memory. An event takes about 300 bytes, without the
    /// `attributes`. So 10,000 events take about 3 MiB, and are those of 100 sessions a second that
    /// open and end within 50 s.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub max_events: u32,
    /// How long events are sent again that the service has not accepted. After that they are
    /// dropped and counted, so that events which the service always refuses do not hold up the
    /// later ones for ever. A restart of a service takes less than a minute.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::PositiveDuration")]
    pub events_retry: Duration,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            http2: false,
            ca_file: None,
            content_type: "application/json".to_owned(),
            attributes: Vec::new(),
            max_response: 1 << 20,
            max_in_flight: 256,
            connect_timeout: Duration::from_secs(2),
            keep_alive: Duration::from_secs(4),
            circuit_failures: 5,
            circuit_time: Duration::from_secs(5),
            max_events: 10_000,
            events_retry: Duration::from_secs(60),
        }
    }
}
