//! Tests one guest: honest neighbours use the same codec and another codec, while a client makes
//! the guest misbehave.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinHandle;
use wireplug::CodecSource;
use wireplug_tests::app::{self, ECHO};
use wireplug_tests::client::Client;
use wireplug_tests::hostile::Guest;
use wireplug_tests::raw::Raw;
use wireplug_tests::server::{self, Setup, TestServer};
use wireplug_tests::{log, within};
use wireplug_wasm::{WasmCodec, WasmEngine, WasmLoader};

/// The time within which a connection must have ended. A call has 10 ms of CPU time, but the
/// machine may be busy.
const SOON: Duration = Duration::from_secs(10);

/// The requests of each neighbour that must be answered before the guest misbehaves, and again
/// after that.
const SOME: u64 = 20;

/// A server with a guest on its first listener and Pomelo on its second.
pub struct Trial {
    pub server: TestServer,
    pub codec: Arc<WasmCodec>,
    neighbours: Vec<Neighbour>,
}

/// An honest client that sends numbered requests one after the other and checks each answer.
struct Neighbour {
    answered: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Trial {
    /// Starts a trial in which two neighbours use the guest's codec and two use Pomelo.
    pub async fn begin(guest: &Guest) -> Self {
        let mut trial = Self::alone(guest).await;
        for _ in 0..2 {
            trial.neighbours.push(Neighbour::of_guest(&trial.server.tcp()));
        }
        trial.neighbours_go_on().await;
        trial
    }

    /// Starts a trial of a guest that no client can use. The neighbours use Pomelo.
    pub async fn alone(guest: &Guest) -> Self {
        Self::with(guest, server::setup(), 16).await
    }

    /// Starts a trial of any component.
    pub async fn of(wasm: &[u8]) -> Self {
        Self::of_with(wasm, server::setup(), 16).await
    }

    /// Starts a trial with this setup, and with room for this many sandboxes of the guest.
    pub async fn with(guest: &Guest, setup: Setup, sandboxes: u32) -> Self {
        Self::of_with(&guest.build(), setup, sandboxes).await
    }

    async fn of_with(wasm: &[u8], setup: Setup, sandboxes: u32) -> Self {
        let engine = WasmEngine::new(sandboxes, setup.codec.memory).expect("room for few sandboxes");
        let loader = WasmLoader::new(&engine, setup.codec).allow_unused_wasi(true);
        let codec = loader.load(wasm, "{}".into());
        let codec = Arc::new(codec.expect("the guest behaves while it is loaded"));
        let sources = [CodecSource::native(codec.clone()), CodecSource::pomelo(json!({}))];
        let server = server::serve(app::with_guests(), setup, sources).await;
        let neighbours =
            [server.tcp_of(1), server.tcp_of(1).replacen("tcp", "ws", 1)].map(Neighbour::of_pomelo).into();
        let trial = Self { server, codec, neighbours };
        trial.neighbours_go_on().await;
        trial
    }

    /// Sends bytes as a client, and waits until its connection has ended for this cause. Returns
    /// the log line that says so.
    pub async fn ends(&self, said: &[u8], cause: &str) -> String {
        let (memory, before) = (self.codec.memory(), self.server.stats());
        let mut client = Raw::connect(&self.server.tcp()).await;
        let begun = Instant::now();
        client.send(said).await;
        assert_eq!(client.rest().await, b"", "the guest answered");
        assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
        let line = self.closing_line(client.address()).await;
        assert!(line.contains(&format!("cause=\"{cause}\"")), "{line}");

        self.neighbours_go_on().await;
        let count = before.closes.get(cause).copied().unwrap_or(0) + 1;
        let after = self.server.until_closed(cause, count).await;
        assert_eq!(after.connections_open, before.connections_open);
        assert_eq!(after.closes.values().sum::<u64>(), before.closes.values().sum::<u64>() + 1);
        assert_eq!(self.codec.memory(), memory, "the sandbox's memory is charged no longer");
        line
    }

    /// Returns the log line that says how a connection ended. The line names codec and connection.
    pub async fn closing_line(&self, peer: SocketAddr) -> String {
        let line = log::closing_line(peer).await;
        let codec = &wireplug_core::codec::Codec::description(&*self.codec).name;
        assert!(line.contains(&format!("codec=\"{codec}\"")), "{line}");
        let id = line.split_once("connection{id=").and_then(|(_, rest)| rest.split_once(' '));
        assert!(id.is_some_and(|(id, _)| id.parse::<u64>().is_ok()), "{line}");
        line
    }

    /// Waits until each neighbour has received some more correct answers.
    pub async fn neighbours_go_on(&self) {
        for neighbour in &self.neighbours {
            let wanted = neighbour.answered.load(Ordering::Relaxed) + SOME;
            let going_on = async {
                while neighbour.answered.load(Ordering::Relaxed) < wanted {
                    assert!(!neighbour.task.is_finished(), "a neighbour got no answer, or a wrong one");
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            within("answers for a neighbour", going_on).await;
        }
    }

    /// Stops everything, and checks that no neighbour has missed an answer.
    pub async fn end(self) {
        self.neighbours_go_on().await;
        for neighbour in self.neighbours {
            neighbour.stop.store(true, Ordering::Relaxed);
            within("a neighbour's last answer", neighbour.task).await.expect("all its answers were right");
        }
        self.server.until("all gone", |stats| stats.connections_open == 0).await;
        assert_eq!(self.codec.memory(), 0);
        assert_eq!(self.server.stats().drops, [].into());
        // A test with many trials needs the address space of the sandboxes for the next one.
        self.server.shutdown().await;
    }
}

impl Neighbour {
    fn of_guest(url: &str) -> Self {
        let url = url.to_owned();
        Self::new(move |stop, answered| async move {
            let mut client = Raw::connect(&url).await;
            for n in 0.. {
                client.send(format!("{n}\n").as_bytes()).await;
                assert_eq!(client.line().await, n.to_string());
                answered.fetch_add(1, Ordering::Relaxed);
                if stop.load(Ordering::Relaxed) {
                    return;
                }
            }
        })
    }

    fn of_pomelo(url: String) -> Self {
        Self::new(move |stop, answered| async move {
            let mut client = Client::connect(&url).await;
            for n in 0.. {
                assert_eq!(client.call(ECHO, &json!({ "n": n })).await, json!({ "n": n }));
                answered.fetch_add(1, Ordering::Relaxed);
                if stop.load(Ordering::Relaxed) {
                    return;
                }
            }
        })
    }

    fn new<F>(run: impl FnOnce(Arc<AtomicBool>, Arc<AtomicU64>) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (stop, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let task = tokio::spawn(run(Arc::clone(&stop), Arc::clone(&answered)));
        Self { answered, stop, task }
    }
}
