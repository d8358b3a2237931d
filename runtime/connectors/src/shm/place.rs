//! The part that uses iceoryx2: a process's share in the shared memory below a directory, and the
//! two queues of a connection.

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

/// The largest number of samples in transit in one direction. With [`SLOT`] that is 256 KiB, as
/// much as a TCP socket holds.
pub(super) const WINDOW: u8 = 32;

/// The longest sample, in bytes. Longer messages take several samples, so that the memory of a
/// connection is known beforehand.
pub(super) const SLOT: usize = 8 << 10;

/// The most shared memory that a connection may take, in bytes, including headers and bookkeeping.
const CONNECTION: u64 = 2 * (WINDOW as u64 + 8) * (SLOT as u64 + 256);

/// The directory in which the system has shared memory.
pub(super) const SHARED_MEMORY: &str = "/dev/shm";

/// A process's share in the shared memory below a directory.
pub(super) struct Place {
    node: Mutex<Node<Service>>,
    /// The number of connections that have memory.
    connections: Arc<AtomicU64>,
    /// Dropped after the node, which has files in this directory.
    root: Root,
}

/// The directory. The last process that has a share in it removes it.
struct Root(PathBuf);

impl Place {
    /// Creates a process's share below `root`. Leaves the signals of the process alone, and what
    /// other programs do with iceoryx2.
    pub(super) fn new(root: &Path) -> anyhow::Result<Self> {
        let mut config = Config::default();
        let bytes = root.as_os_str().as_encoded_bytes();
        config.global.set_root_path(&IpcPath::new(bytes).with_context(|| root.display().to_string())?);
        config.global.prefix = FileName::new(b"wireplug_").context("a prefix")?;
        // Each of these cleanups would look at every process that has memory here. The runtime
        // cleans up when it knows that a process has died.
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

    /// Frees the memory that dead processes have left behind, except that of other users.
    pub(super) fn clean(&self) {
        self.node().try_cleanup_dead_nodes();
    }

    /// Creates a connection, and returns the server's ends of its queues.
    pub(super) fn create(&self, id: &str) -> anyhow::Result<Queues> {
        let place = self.reserve()?;
        Ok(Queues {
            input: input(self.service(id, "to-server", true)?)?,
            output: output(self.service(id, "to-client", true)?)?,
            _place: place,
        })
    }

    /// Opens the client's ends of the queues of a connection that the server has created.
    pub(super) fn open(&self, id: &str) -> anyhow::Result<Queues> {
        let place = self.reserve()?;
        // The client opens its input first, because the server may write as soon as it sees the
        // output.
        Ok(Queues {
            input: input(self.service(id, "to-client", false)?)?,
            output: output(self.service(id, "to-server", false)?)?,
            _place: place,
        })
    }

    /// Checks that there is enough memory for one more connection. Writing to missing memory would
    /// kill the process (SIGBUS). So the check assumes that no connection has touched its memory
    /// yet.
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
        // The directories that iceoryx2 makes, and then the root. While another process has a
        // share, the first of them is not empty, and all of them stay.
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
        // The publisher never waits: the samples that the other end has taken show whether there is
        // room.
        .backpressure_strategy(BackpressureStrategy::DiscardData);
    builder.create().context("no shared memory")
}

/// The queues of one end of a connection.
pub(super) struct Queues {
    input: Subscriber<Service, [u8], ()>,
    output: Publisher<Service, [u8], ()>,
    _place: Reserved,
}

impl Queues {
    /// Maps the memory that the other end has created. Otherwise the first message would do so.
    pub(super) fn connect(&mut self) -> anyhow::Result<()> {
        self.output.update_connections().context("the other's shared memory")?;
        self.input.has_samples().context("the other's shared memory")?;
        Ok(())
    }

    /// Puts a sample into the queue. It consists of `first` and `rest`, and has at most [`SLOT`]
    /// bytes. There must be room in the queue.
    pub(super) fn put(&self, first: u8, rest: &[u8]) -> anyhow::Result<()> {
        let mut sample = self.output.loan_slice(1 + rest.len())?;
        let bytes = sample.payload_mut();
        bytes[0] = first;
        bytes[1..].copy_from_slice(rest);
        let delivered = sample.send()?;
        ensure!(delivered == 1, "the other end has left the shared memory");
        Ok(())
    }

    /// Takes a sample from the queue, or returns `None` if there is none.
    pub(super) fn take(&self) -> anyhow::Result<Option<Sample<Service, [u8], ()>>> {
        Ok(self.input.receive()?)
    }
}

/// Counts a connection for as long as it has memory.
struct Reserved(Arc<AtomicU64>);

impl Drop for Reserved {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
