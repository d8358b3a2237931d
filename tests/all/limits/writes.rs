//! The write timeout, and the memory that a client that does not read may use.

use std::time::{Duration, Instant};

use tokio::net::TcpSocket;
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::Message;
use wireplug::config::{ClientLimits, ServerConfig};
use wireplug_tests::app::{self, ECHO};
use wireplug_tests::process::{alone, resident};
use wireplug_tests::raw::{Raw, RawWebSocket, request, response};
use wireplug_tests::server::{self, Setup};

use super::{LimitedServer, closed, ordinary};

const LIMIT: Duration = Duration::from_secs(3);

fn setup() -> Setup {
    Setup {
        server: ServerConfig { drain_timeout: Duration::from_millis(200), ..server::setup().server },
        client: ClientLimits { write_timeout: LIMIT, ..ordinary() },
        ..server::setup()
    }
}

/// Connects a client with small kernel buffers.
async fn small(limited: &LimitedServer) -> Raw {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(32 << 10).expect("a size");
    Raw::connect_by(socket, &limited.tcp()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_never_reads() {
    let limited = LimitedServer::open(app::demo(), setup()).await;
    let since = Instant::now();
    let asked = request(1, ECHO, vec![b'x'; 60_000]);
    let tcp = async {
        let mut raw = small(&limited).await.shake_hands().await;
        let peer = raw.address();
        let sends = async {
            // More than all buffers on the way hold.
            for _ in 0..1000 {
                raw.send(&asked).await;
            }
        };
        futures_util::join!(sends, closed(peer, "write-timeout", "the client does not read"));
    };
    let ws = async {
        let raw = small(&limited).await;
        let mut socket = RawWebSocket::upgrade(raw, &limited.ws()).await;
        let peer = socket.address();
        socket.send(Message::binary(wireplug_tests::raw::hello())).await;
        socket.message().await.expect("an answer to the handshake");
        socket.send(Message::binary(b"\x02\0\0\0".to_vec())).await;
        let sends = async {
            for _ in 0..1000 {
                socket.send(Message::binary(asked.clone())).await;
            }
        };
        futures_util::join!(sends, closed(peer, "write-timeout", "the client does not read"));
    };
    futures_util::join!(tcp, ws);
    assert!(since.elapsed() >= LIMIT, "{:?}", since.elapsed());
    limited.end(&[("write-timeout", 2)]).await;
}

/// The client reads a little from time to time, each time less than the kernel treats as free
/// space.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_reads_slowly() {
    let limited = LimitedServer::open(app::demo(), setup()).await;
    let body = vec![b'x'; 60_000];
    let asked = request(1, ECHO, &body);
    let wanted = response(1, &body);
    let (mut read, mut write) = small(&limited).await.shake_hands().await.into_stream().into_split();
    const COUNT: usize = 300;
    let sends = async {
        use tokio::io::AsyncWriteExt as _;
        for _ in 0..COUNT {
            write.write_all(&asked).await.expect("the connection lives");
        }
    };
    let reads = async {
        use tokio::io::AsyncReadExt as _;
        let mut got = vec![0; wanted.len()];
        let since = Instant::now();
        for n in 0..COUNT {
            wireplug_tests::within("a response", read.read_exact(&mut got))
                .await
                .expect("the connection lives");
            assert!(got == wanted, "response {n}");
            if since.elapsed() < 3 * LIMIT {
                sleep(Duration::from_millis(250)).await;
            }
        }
    };
    futures_util::join!(sends, reads);
    drop((read, write));
    limited.end(&[("client-closed", 1)]).await;
}

#[test]
fn cost_little_memory() {
    alone("limits::writes::in_a_process_of_their_own");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures its process: run by cost_little_memory"]
async fn in_a_process_of_their_own() {
    const CLIENTS: usize = 20;
    /// Ten times the high-water mark, and a read, for each client.
    const GROWTH: usize = CLIENTS * 10 * (256 << 10);
    const LARGE: &str = "a.b.large";
    let app = app::demo().route(LARGE, || async { bytes::Bytes::from(vec![b'x'; 60_000]) });
    let limited = LimitedServer::open(app, Setup { client: ordinary(), ..setup() }).await;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(small(&limited).await.shake_hands().await);
    }
    let before = resident();
    // Short requests with large answers, many in one read: 120 MB for each client.
    let asked = request(1, LARGE, "").repeat(2000);
    for client in &mut clients {
        client.send(&asked).await;
    }
    let mut most = 0;
    for _ in 0..20 {
        sleep(Duration::from_millis(100)).await;
        most = most.max(resident());
    }
    let growth = most.saturating_sub(before);
    println!("grown by {growth}");
    assert!(growth < GROWTH, "{growth}");
    // All requests are answered when the clients read.
    let wanted = response(1, vec![b'x'; 60_000]);
    for _ in 0..2000 {
        clients[0].expect(&wanted).await;
    }
    drop(clients);
    limited.server.until("all gone", |stats| stats.connections_open == 1).await;
}
