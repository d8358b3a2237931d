//! iceoryx2: a process's share in a place where memory is, and the two queues of a connection.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, anyhow, ensure};
use iceoryx2::config::Config;
use iceoryx2::node::{Node, NodeBuilder};
use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::port::update_connections::UpdateConnections as _;
use iceoryx2::prelude::{
    AllocationStrategy, BackpressureStrategy, FileName, Path as IpcPath, SemanticString as _, ServiceName,
    SignalHandlingMode, ipc_threadsafe,
};
use iceoryx2::sample::Sample;
use iceoryx2::service::port_factory::publish_subscribe::PortFactory;

type Service = ipc_threadsafe::Service;

/// Samples that are on their way in one direction. With [`SLOT`] 256 KiB, as much as a TCP socket
/// holds.
pub(super) const WINDOW: u8 = 32;

/// The longest sample, in bytes. Longer messages are several, so that what a connection takes is
/// known beforehand.
pub(super) const SLOT: usize = 8 << 10;

/// What a connection may come to take of shared memory, in bytes, headers and bookkeeping included.
const CONNECTION: u64 = 2 * (WINDOW as u64 + 8) * (SLOT as u64 + 256);

/// Where the system has shared memory.
pub(super) const SHARED_MEMORY: &str = "/dev/shm";

/// A process's share in what lies below a directory.
pub(super) struct Place {
    node: Mutex<Node<Service>>,
    /// How many connections have memory.
    connections: Arc<AtomicU64>,
    /// Dropped after the node, which has files there.
    root: Root,
}

/// The directory; the last that has a share in it removes it.
struct Root(PathBuf);

impl Place {
    /// Leaves the process's signals alone, and what other programs do with iceoryx2.
    pub(super) fn new(root: &Path) -> anyhow::Result<Self> {
        let mut config = Config::default();
        let bytes = root.as_os_str().as_encoded_bytes();
        config.global.set_root_path(&IpcPath::new(bytes).with_context(|| root.display().to_string())?);
        config.global.prefix = FileName::new(b"wireplug_").context("a prefix")?;
        // Each looks at every process that has memory here. It is done where one is known to have
        // died.
        config.global.node.cleanup_dead_nodes_on_creation = false;
        config.global.node.cleanup_dead_nodes_on_destruction = false;
        config.global.service.cleanup_dead_nodes_on_open = false;
        let node = NodeBuilder::new().signal_handling_mode(SignalHandlingMode::Disabled).config(&config);
        let node = node.create().context("no shared memory")?;
        let root = Root(root.to_owned());
        Ok(Self { node: Mutex::new(node), connections: Arc::default(), root })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root.0
    }

    /// Frees what processes have left that are dead. Somebody else's is left to them.
    pub(super) fn clean(&self) {
        self.node().try_cleanup_dead_nodes();
    }

    /// The server's ends of a new connection.
    pub(super) fn create(&self, id: &str) -> anyhow::Result<Queues> {
        let place = self.reserve()?;
        Ok(Queues {
            input: input(self.service(id, "to-server", true)?)?,
            output: output(self.service(id, "to-client", true)?)?,
            _place: place,
        })
    }

    /// The client's ends of one that the server has made.
    pub(super) fn open(&self, id: &str) -> anyhow::Result<Queues> {
        let place = self.reserve()?;
        // Its way in first: the server may write as soon as it sees the other.
        Ok(Queues {
            input: input(self.service(id, "to-client", false)?)?,
            output: output(self.service(id, "to-server", false)?)?,
            _place: place,
        })
    }

    /// Sees that memory is there for one more. Writing where there is none would kill the process
    /// (SIGBUS); so it is asked for as if none of the connections had yet touched theirs.
    fn reserve(&self) -> anyhow::Result<Reserved> {
        let connections = self.connections.fetch_add(1, Ordering::Relaxed) + 1;
        let reserved = Reserved(Arc::clone(&self.connections));
        let there = rustix::fs::statvfs(SHARED_MEMORY).context(SHARED_MEMORY)?;
        let free = there.f_bavail.saturating_mul(there.f_frsize);
        let wanted = connections.saturating_mul(CONNECTION);
        ensure!(free >= wanted, "{SHARED_MEMORY} has {free} bytes free, and {wanted} may be needed");
        Ok(reserved)
    }

    fn service(
        &self,
        id: &str,
        direction: &str,
        create: bool,
    ) -> anyhow::Result<PortFactory<Service, [u8], ()>> {
        let name = ServiceName::new(&format!("{id}/{direction}")).map_err(|error| anyhow!("{error}"))?;
        let builder = self.node().service_builder(&name).publish_subscribe::<[u8]>();
        let builder = builder
            .max_publishers(1)
            .max_subscribers(1)
            .max_nodes(2)
            .history_size(0)
            .subscriber_max_buffer_size(WINDOW.into())
            .subscriber_max_borrowed_samples(1)
            .enable_safe_overflow(false);
        match create {
            true => builder.create().context("no shared memory"),
            false => builder.open().context("the server's shared memory cannot be opened"),
        }
    }

    fn node(&self) -> MutexGuard<'_, Node<Service>> {
        self.node.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        // Those that iceoryx2 makes, and the directory. While anybody is there the first is not
        // empty, and all stay.
        for directory in ["nodes", "services", ""] {
            match std::fs::remove_dir(self.0.join(directory)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => break,
                _ => {}
            }
        }
    }
}

fn input(service: PortFactory<Service, [u8], ()>) -> anyhow::Result<Subscriber<Service, [u8], ()>> {
    service.subscriber_builder().create().context("no shared memory")
}

fn output(service: PortFactory<Service, [u8], ()>) -> anyhow::Result<Publisher<Service, [u8], ()>> {
    let builder = service.publisher_builder().initial_max_slice_len(SLOT);
    let builder = builder
        .allocation_strategy(AllocationStrategy::Static)
        .max_loaned_samples(1)
        // It never waits: whether there is room is known from what the other end has taken.
        .backpressure_strategy(BackpressureStrategy::DiscardData);
    builder.create().context("no shared memory")
}

/// One end's queues of a connection.
pub(super) struct Queues {
    input: Subscriber<Service, [u8], ()>,
    output: Publisher<Service, [u8], ()>,
    _place: Reserved,
}

impl Queues {
    /// Maps what the other end has made, which would else be done with the first message.
    pub(super) fn connect(&mut self) -> anyhow::Result<()> {
        self.output.update_connections().context("the other's shared memory")?;
        self.input.has_samples().context("the other's shared memory")?;
        Ok(())
    }

    /// Puts a sample of two parts, of at most [`SLOT`] bytes, into the queue; there must be room.
    pub(super) fn put(&self, first: u8, rest: &[u8]) -> anyhow::Result<()> {
        let mut sample = self.output.loan_slice(1 + rest.len())?;
        let bytes = sample.payload_mut();
        bytes[0] = first;
        bytes[1..].copy_from_slice(rest);
        let delivered = sample.send()?;
        ensure!(delivered == 1, "the other end has left the shared memory");
        Ok(())
    }

    /// Takes a sample; none where there is none.
    pub(super) fn take(&self) -> anyhow::Result<Option<Sample<Service, [u8], ()>>> {
        Ok(self.input.receive()?)
    }
}

/// Counts a connection while it has memory.
struct Reserved(Arc<AtomicU64>);

impl Drop for Reserved {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
