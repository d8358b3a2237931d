//! Passes requests and hellos to one service, within its limits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use hyper::Uri;
use hyper::header::HeaderMap;
use tokio::sync::Semaphore;
use tokio::time::timeout_at;
use tracing::{info, warn};

use super::client::{self, HttpClient};
use super::events::Events;
use super::exchange::exchange;
use super::failure::{Cause, Failure};
use super::headers::{self, Headers};
use super::path;
use super::targets::{Attempt, Targets};
use crate::app::{Request, Response};
use crate::config::{HttpConfig, ServiceConfig};
use crate::server::service_events::EventPost;
use crate::server::service_hello::HelloAnswer;
use crate::server::services::ServiceLink;
#[cfg(feature = "metrics")]
use crate::server::services::ServiceStatus;
use wireplug_base::units::duration_text;

/// What a client sends to a service.
#[derive(Clone, Copy)]
enum Kind {
    Request,
    Hello,
}

/// A service over HTTP.
pub(super) struct HttpService {
    name: String,
    /// How long a client waits for the answer.
    pub(super) timeout: Duration,
    /// The session's setting that selects the URL.
    sticky: Option<String>,
    config: HttpConfig,
    client: HttpClient,
    pub(super) headers: Headers,
    pub(super) targets: Targets,
    /// A permit for each request that may be in flight.
    permits: Semaphore,
    pub(super) events: Events,
}

impl HttpService {
    /// Creates a service whose requests come from the server `node`. Nothing connects yet.
    ///
    /// # Errors
    /// Returns an error if a URL is invalid, or if the root certificates cannot be read.
    pub(super) fn new(name: &str, config: &ServiceConfig, node: &str) -> anyhow::Result<Self> {
        let urls = config.url.as_ref().map_or(&[][..], |urls| urls.all());
        ensure!(!urls.is_empty(), "its list of URLs is empty");
        for url in urls {
            check(url).with_context(|| format!("{url:?} is not the URL of a service"))?;
        }
        let http = &config.http;
        Ok(Self {
            name: name.to_owned(),
            timeout: config.timeout,
            sticky: config.sticky.clone(),
            client: client::new(http, urls.iter().any(|url| url.starts_with("https://")))?,
            headers: Headers::new(node, &http.content_type, &http.attributes)?,
            targets: Targets::new(urls, http),
            permits: Semaphore::new(http.max_in_flight as usize),
            events: Events::new(!config.events.is_empty()),
            config: http.clone(),
        })
    }

    async fn ask(&self, request: &Request, kind: Kind) -> Result<hyper::Response<Bytes>, Failure> {
        let path = match kind {
            Kind::Hello => Some(path::HELLO.to_owned()),
            Kind::Request => path::of_route(&request.route),
        };
        let path = path.ok_or_else(|| Failure::new(Cause::Route, "the route cannot be a path"))?;
        let _permit = self.permits.try_acquire().map_err(|_| {
            let why =
                format!("{} requests are in flight already, `http.max-in-flight`", self.config.max_in_flight);
            Failure::new(Cause::Busy, why)
        })?;
        let selected = self.sticky.as_ref().and_then(|setting| request.session.setting(setting));
        let deadline = tokio::time::Instant::now() + self.timeout;
        let (mut tried, mut last) = (Vec::new(), None);
        loop {
            let attempt = match &selected {
                None => self.targets.least_busy(&tried, Instant::now()),
                Some(value) if tried.is_empty() => self.targets.selected(value, Instant::now()),
                // Another instance does not have the state of this session.
                Some(_) => None,
            };
            let Some(attempt) = attempt else {
                let left_out =
                    || Failure::new(Cause::LeftOut, "its URL has failed, and is left out for a while");
                return Err(last.unwrap_or_else(left_out));
            };
            if let Some(failure) = last.take() {
                Failure::log_retry(&failure, &self.name, &request.route);
            }
            tried.push(attempt.number);
            match self.attempt(attempt, &path, request, kind, deadline).await {
                Err(failure) if failure.cause == Cause::Unreachable => last = Some(failure),
                result => return result,
            }
        }
    }

    /// Sends a request to one URL.
    async fn attempt(
        &self,
        attempt: Attempt<'_>,
        path: &str,
        request: &Request,
        kind: Kind,
        deadline: tokio::time::Instant,
    ) -> Result<hyper::Response<Bytes>, Failure> {
        let trace = request.trace.http(&request.route, attempt.url());
        let mut headers = match kind {
            Kind::Request => self.headers.of_request(request),
            Kind::Hello => self.headers.of_session(&request.session),
        };
        trace.inject(|name, value| headers::put(&mut headers, name, value));
        let result = self.send(attempt, path, headers, request.body.clone(), deadline).await;
        trace.end(result.as_ref().map_or_else(Failure::status, |response| response.status().as_u16()));
        result
    }

    /// Sends a body to one URL, and notes whether the URL works.
    pub(super) async fn send(
        &self,
        attempt: Attempt<'_>,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
        deadline: tokio::time::Instant,
    ) -> Result<hyper::Response<Bytes>, Failure> {
        let url = attempt.url().to_owned();
        let result = match format!("{url}{path}").parse() {
            Ok(uri) => {
                let exchange = exchange(&self.client, uri, headers, body, self.config.max_response);
                timeout_at(deadline, exchange).await.unwrap_or_else(|_| {
                    let why = format!("no response in {}", duration_text(self.timeout));
                    Err(Failure::new(Cause::Late, why))
                })
            }
            Err(_) => Err(Failure::new(Cause::Broken, "the URL is too long with the path of the route")),
        };
        if result.as_ref().is_err_and(Failure::is_of_url) {
            if attempt.failed() {
                let HttpConfig { circuit_failures, circuit_time, .. } = self.config;
                let time = duration_text(circuit_time);
                warn!(
                    service = self.name,
                    url,
                    circuit_failures,
                    "a service has failed at this URL: no requests go there for {time}"
                );
            }
        } else if attempt.succeeded() {
            info!(service = self.name, url, "a service answers again at this URL");
        }
        result.map_err(|failure| Failure { url: Some(url), ..failure })
    }
}

impl ServiceLink for HttpService {
    fn call(self: Arc<Self>, request: Request) -> BoxFuture<'static, Response> {
        async move {
            self.ask(&request, Kind::Request).await.map(response).unwrap_or_else(|failure| {
                failure.log(&self.name, &request.route);
                Response::status(failure.status())
            })
        }
        .boxed()
    }

    fn hello(self: Arc<Self>, request: Request) -> BoxFuture<'static, HelloAnswer> {
        async move {
            match self.ask(&request, Kind::Hello).await {
                Ok(answer) => {
                    HelloAnswer { bind: headers::bind(answer.headers()), response: response(answer) }
                }
                Err(failure) => {
                    failure.log(&self.name, &request.route);
                    HelloAnswer::status(failure.status())
                }
            }
        }
        .boxed()
    }

    fn events(self: Arc<Self>) -> Option<Arc<dyn EventPost>> {
        self.events.are_wanted().then_some(self as Arc<dyn EventPost>)
    }

    #[cfg(feature = "metrics")]
    fn status(&self) -> Option<ServiceStatus> {
        let in_flight = self.config.max_in_flight as usize - self.permits.available_permits();
        Some(ServiceStatus { in_flight, urls: self.targets.status() })
    }
}

/// Returns what the client gets of a service's response.
fn response(answer: hyper::Response<Bytes>) -> Response {
    Response { status: answer.status().as_u16(), body: answer.into_body() }
}

/// Checks a URL.
fn check(url: &str) -> anyhow::Result<()> {
    let parsed: Uri = url.parse()?;
    ensure!(matches!(parsed.scheme_str(), Some("http" | "https")), "it begins with http:// or https://");
    ensure!(
        parsed.authority().is_some_and(|authority| !authority.as_str().contains('@')),
        "it names no user"
    );
    ensure!(parsed.query().is_none() && !url.contains('#'), "it ends with its path");
    Ok(())
}
