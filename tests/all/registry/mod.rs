//! Codecs from a registry, which fails on command: what runs goes on, whatever the registry does.
//! `docs/registries.md` says what must happen.

mod cache;
mod changed;
mod failing;
mod refused;

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use serde_json::json;
use wireplug::config::RegistryConfig;
use wireplug::slot::{RemoteStatus, Slot, SlotStatus};
use wireplug::trust::Trust;
use wireplug::{CodecSource, Listener, RunningServer, Server};
use wireplug_tests::folder::Folder;
use wireplug_tests::hostile::Guest;
use wireplug_tests::raw::Raw;
use wireplug_tests::registry::Registry;
use wireplug_tests::{PATIENCE, app, log, server, versions, within};

/// Servers whose codec is in a registry. They share a cache.
struct Rig {
    registry: Registry,
    cache: Folder,
    config: RegistryConfig,
    trust: Option<Trust>,
}

impl Rig {
    fn new() -> Self {
        let cache = Folder::new("registry-cache");
        std::fs::set_permissions(cache.root(), std::fs::Permissions::from_mode(0o700)).expect("it is ours");
        let config = RegistryConfig {
            poll: Duration::from_millis(50),
            timeout: PATIENCE,
            ..RegistryConfig::default()
        };
        Self { registry: Registry::start(), cache, config, trust: None }
    }

    /// Returns the codec at a reference.
    fn source(&self, reference: &str) -> CodecSource {
        let registry = wireplug::registry::Registry::new(reference, self.config.clone());
        CodecSource::registry(registry.expect("it is a reference"), json!({}))
    }

    /// Returns the codec with the tag that most tests use.
    fn chat(&self) -> CodecSource {
        self.source(&self.registry.reference("1"))
    }

    /// Starts a server.
    async fn try_start(&self, codec: CodecSource) -> anyhow::Result<RunningServer> {
        log::init();
        let mut setup = server::setup();
        setup.compile.cache = Some(self.cache.root().to_owned());
        let codec = codec.limits(setup.codec).faults(setup.faults);
        let mut server = Server::new(app::with_guests()).config(setup.server).compile(setup.compile);
        if let Some(trust) = &self.trust {
            server = server.trust(trust.clone());
        }
        let mut listener = Listener::new(setup.url, codec);
        listener.limits = setup.client;
        Ok(server.listener(listener).start().await?)
    }

    async fn start(&self) -> RunningServer {
        self.try_start(self.chat()).await.expect("it starts")
    }

    /// Returns the error of a server that does not start.
    async fn refused(&self, codec: CodecSource) -> String {
        format!("{:#}", self.try_start(codec).await.err().expect("it is refused"))
    }
}

/// Returns a version of a guest that echoes lines.
fn version(number: u64) -> Vec<u8> {
    versions::version(&Guest::new("lines").build(), number).to_vec()
}

pub(crate) fn slot(server: &RunningServer) -> Slot {
    server.slots().swap_remove(0)
}

pub(crate) fn remote(status: &SlotStatus) -> &RemoteStatus {
    status.remote.as_ref().expect("the codec is in the network")
}

/// Waits until the status of the codec satisfies `reached`.
pub(crate) async fn until(
    server: &RunningServer,
    what: &str,
    reached: impl Fn(&SlotStatus) -> bool,
) -> SlotStatus {
    let slot = slot(server);
    let wait = async {
        loop {
            let status = slot.status();
            if reached(&status) {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within(what, wait).await
}

/// Waits until a generation with this number is current, and returns the digest of its component.
pub(crate) async fn swapped(server: &RunningServer, to: u64) -> Option<wireplug::codec::Digest> {
    let status = until(server, "the swap", |status| status.current == to).await;
    let current = status.generations.iter().find(|generation| generation.number == to);
    current.expect("it is held").sha256
}

/// Connects a client, and sends a line that comes back.
pub(crate) async fn echo(server: &RunningServer) {
    let mut client = Raw::connect(&server.urls()[0].replace("hybrid", "tcp")).await;
    client.send(b"hello\n").await;
    assert_eq!(client.line().await, "hello");
}
