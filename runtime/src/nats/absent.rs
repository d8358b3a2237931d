//! In a build without the feature `nats`: nobody can ask for it, so that none of this ever exists.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::app::{Request, Response};
use crate::config::{NatsConfig, ServiceConfig};
use crate::server::{NatsStatus, NodeStatus};
use crate::session::{Elsewhere, Sessions};
use wireplug_connectors::certificates::Certificates;

#[derive(Clone, Copy)]
enum Never {}

#[derive(Clone)]
pub(crate) struct Nats(Never);

pub(crate) struct Starting(Never);

#[derive(Clone)]
pub(crate) struct Service(Never);

fn absent() -> anyhow::Error {
    anyhow::anyhow!("this build knows no NATS: build it with the feature `nats`")
}

pub(crate) fn check(_: &NatsConfig) -> anyhow::Result<()> {
    Err(absent())
}

impl Nats {
    pub(crate) async fn connect(_: &NatsConfig, _: Certificates) -> anyhow::Result<Starting> {
        Err(absent())
    }

    pub(crate) fn node(&self) -> &str {
        match self.0 {}
    }

    pub(crate) fn status(&self) -> NatsStatus {
        match self.0 {}
    }

    pub(crate) async fn others(&self) -> Vec<NodeStatus> {
        match self.0 {}
    }
}

impl Starting {
    pub(crate) fn nats(&self) -> &Nats {
        match self.0 {}
    }

    pub(crate) fn elsewhere(&self) -> Arc<dyn Elsewhere> {
        match self.0 {}
    }

    pub(crate) fn service(&self, _: &ServiceConfig) -> Service {
        match self.0 {}
    }

    pub(crate) async fn run(
        self,
        _: Sessions,
        _: bool,
        _: impl Fn() -> NodeStatus + Send + 'static,
        _: CancellationToken,
    ) {
        match self.0 {}
    }
}

impl Service {
    pub(crate) async fn call(self, _: Request) -> Response {
        match self.0 {}
    }
}

pub(crate) fn is_token(_: &str) -> bool {
    true
}
