//! Services over HTTP. `docs/http-services.md` is the contract.
//!
//! | file | its job |
//! |---|---|
//! | `service` | passes requests and hellos to one service, within its limits |
//! | `events` | sends the events of sessions to one service |
//! | `exchange` | one request at one URL, and its response |
//! | `failure` | why there is no response |
//! | `client` | the HTTP client: connections, TLS, HTTP/2 |
//! | `targets` | the URLs of a service, and which of them a request goes to |
//! | `circuit` | leaves a URL out for a while after it has failed |
//! | `path` | the path of a route, and of a hello |
//! | `headers` | what a request tells the service, and whom an answer to a hello names |
//!
//! A request is sent once. Only a request of which nothing was sent, because there was no
//! connection, goes to another URL.

mod circuit;
mod client;
mod events;
mod exchange;
mod failure;
mod headers;
mod path;
mod service;
mod targets;

use std::sync::Arc;

pub(crate) use self::client::check_roots;
use self::service::HttpService;
use crate::config::ServiceConfig;
use crate::server::services::ServiceLink;

/// Creates a link to a service over HTTP, without connecting. `node` is the name of this server.
///
/// # Errors
/// Returns an error if a URL is invalid, or if the root certificates cannot be read.
pub(crate) fn link(name: &str, config: &ServiceConfig, node: &str) -> anyhow::Result<Arc<dyn ServiceLink>> {
    Ok(Arc::new(HttpService::new(name, config, node)?))
}
