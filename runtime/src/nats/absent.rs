//! In a build without the feature `nats`: nobody can ask for it, so that none of this ever exists.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::app::{Request, Response};
use crate::config::{NatsConfig, ServiceConfig};
use crate::server::{NatsStatus, NodeStatus};
use crate::session::{Elsewhere, Sessions};

#[derive(Clone)]
pub(crate) enum Nats {}

pub(crate) enum Starting {}

#[derive(Clone)]
pub(crate) enum Service {}

impl Nats {
    pub(crate) async fn connect(_: &NatsConfig) -> anyhow::Result<Starting> {
        anyhow::bail!("this build knows no NATS: build it with the feature `nats`")
    }

    pub(crate) fn node(&self) -> &str {
        match *self {}
    }

    pub(crate) fn status(&self) -> NatsStatus {
        match *self {}
    }

    pub(crate) async fn others(&self) -> Vec<NodeStatus> {
        match *self {}
    }
}

impl Starting {
    pub(crate) fn nats(&self) -> &Nats {
        match *self {}
    }

    pub(crate) fn elsewhere(&self) -> Arc<dyn Elsewhere> {
        match *self {}
    }

    pub(crate) fn service(&self, _: &ServiceConfig) -> Service {
        match *self {}
    }

    pub(crate) async fn run(
        self,
        _: Sessions,
        _: bool,
        _: impl Fn() -> NodeStatus + Send + 'static,
        _: CancellationToken,
    ) {
        match self {}
    }
}

impl Service {
    pub(crate) async fn call(self, _: Request) -> Response {
        match self {}
    }
}

pub(crate) fn is_token(_: &str) -> bool {
    true
}
