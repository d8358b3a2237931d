//! The services behind NATS, which a reload replaces while requests are under way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::app::server_type;
use crate::config::ServiceConfig;

/// The services that there are now, by name. Requests look here without a lock.
pub(super) struct Services(ArcSwap<BTreeMap<String, Arc<Service>>>);

/// The settings of one service.
pub(super) struct Service {
    /// How long a client waits for the answer.
    pub(super) timeout: Duration,
    /// The session's setting that names the instance of the service.
    pub(super) sticky: Option<String>,
    /// The routes whose requests need not be in order.
    concurrent: BTreeSet<String>,
}

impl Services {
    pub(super) fn new(services: BTreeMap<String, ServiceConfig>) -> Self {
        Self(ArcSwap::from_pointee(table(services)))
    }

    /// Replaces all services. Requests that are under way keep the settings with which they began.
    pub(super) fn set(&self, services: BTreeMap<String, ServiceConfig>) {
        self.0.store(Arc::new(table(services)));
    }

    /// Returns the service of this name, if there is one.
    pub(super) fn get(&self, name: &str) -> Option<Arc<Service>> {
        self.0.load().get(name).cloned()
    }

    /// Returns whether the requests of a route need not be in order.
    pub(super) fn is_concurrent(&self, route: &str) -> bool {
        self.get(server_type(route)).is_some_and(|service| service.concurrent.contains(route))
    }
}

fn table(services: BTreeMap<String, ServiceConfig>) -> BTreeMap<String, Arc<Service>> {
    let service = |ServiceConfig { timeout, sticky, concurrent_routes }| {
        Arc::new(Service { timeout, sticky, concurrent: concurrent_routes.into_iter().collect() })
    };
    services.into_iter().map(|(name, config)| (name, service(config))).collect()
}
