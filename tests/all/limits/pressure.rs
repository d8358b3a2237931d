//! Backpressure: a client that sends too many requests, or reads too slowly, is delayed and never
//! closed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio::sync::Semaphore;
use tokio::time::sleep;
use wireplug::app::Handler as _;
use wireplug::config::ClientLimits;
use wireplug_tests::app::{self, ECHO};
use wireplug_tests::raw::{Raw, request, response};
use wireplug_tests::within;

use super::{LimitedServer, limits, ordinary};

const ROUTE: &str = "a.b.c";

/// 20 MB in each direction, with a client that keeps pausing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_thousand_requests_and_a_slow_reader() {
    const COUNT: u64 = 20_000;
    let limited = LimitedServer::open(app::demo(), limits(ordinary())).await;
    let body = |id: u64| format!("{id:0>1024}");
    let (mut read, mut write) = Raw::pomelo(&limited.tcp()).await.into_stream().into_split();
    let sends = async {
        for id in (1..=COUNT).step_by(100) {
            let some: Vec<u8> = (id..id + 100).flat_map(|id| request(id, ECHO, body(id))).collect();
            within("room for requests", write.write_all(&some)).await.expect("the connection lives");
        }
    };
    let reads = async {
        let mut got = Vec::new();
        for id in 1..=COUNT {
            let wanted = response(id, body(id));
            got.resize(wanted.len(), 0);
            within("a response", read.read_exact(&mut got)).await.expect("the connection lives");
            assert_eq!(got, wanted);
            if id % 16 == 0 {
                sleep(Duration::from_millis(1)).await;
            }
        }
    };
    futures_util::join!(sends, reads);
    drop((read, write));
    let stats = limited.end(&[("client-closed", 1)]).await;
    assert_eq!((stats.messages_in, stats.messages_out), (COUNT + 2, COUNT + 2));
    assert_eq!(stats.drops, [].into());
}

/// Counts the handlers that run, and the most that ran at a time.
#[derive(Default)]
struct AtWork {
    now: AtomicUsize,
    most: AtomicUsize,
    begun: AtomicUsize,
}

impl AtWork {
    fn begin(&self) {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
    }

    fn end(&self) {
        self.now.fetch_sub(1, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn never_more_at_work_than_may_be() {
    const MAX: usize = 8;
    let (at_work, permits) = (Arc::new(AtWork::default()), Arc::new(Semaphore::new(0)));
    let (works, opens) = (Arc::clone(&at_work), Arc::clone(&permits));
    let app = app::demo().route(
        ROUTE,
        (move |body: Bytes| {
            let (works, opens) = (Arc::clone(&works), Arc::clone(&opens));
            async move {
                works.begin();
                opens.acquire().await?.forget();
                works.end();
                Ok(body)
            }
        })
        .concurrent(),
    );
    let limited = LimitedServer::open(app, limits(ClientLimits { max_in_flight: MAX, ..ordinary() })).await;
    let mut raw = Raw::pomelo(&limited.tcp()).await;
    let begun = async |count: usize| {
        let wait = async {
            while at_work.begun.load(Ordering::SeqCst) < count {
                sleep(Duration::from_millis(2)).await;
            }
        };
        within("handlers at work", wait).await;
        // Gives further handlers time to begin, if they may.
        sleep(Duration::from_millis(100)).await;
        assert_eq!(at_work.begun.load(Ordering::SeqCst), count);
    };
    // As many requests as may run. Further requests follow in the same bytes and in others.
    let ask =
        |ids: std::ops::Range<u64>| -> Vec<u8> { ids.flat_map(|id| request(id, ROUTE, "[]")).collect() };
    raw.send(&ask(1..9)).await;
    begun(MAX).await;
    raw.send(&ask(9..50)).await;
    raw.send(&ask(50..100)).await;
    begun(MAX).await;
    permits.add_permits(1);
    begun(MAX + 1).await;
    permits.add_permits(98);
    let mut answers = Vec::new();
    for _ in 1..100 {
        answers.push(raw.package().await.1);
    }
    answers.sort();
    let mut wanted: Vec<_> = (1..100).map(|id| response(id, "[]")[4..].to_vec()).collect();
    wanted.sort();
    assert_eq!(answers, wanted);
    assert_eq!((at_work.most.load(Ordering::SeqCst), at_work.now.load(Ordering::SeqCst)), (MAX, 0));
    drop(raw);
    limited.end(&[("client-closed", 1)]).await;
}

/// Many short requests with large answers that the client does not read. Handlers wait until it
/// does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn above_high_water_no_handler_begins() {
    const LARGE: usize = 60_000;
    const COUNT: usize = 3000;
    /// The bytes that the kernel may hold of a connection: 4 MiB to send, and some to be read.
    const KERNEL: usize = 8 << 20;
    const HIGH_WATER: usize = 128 << 10;
    let at_work = Arc::new(AtWork::default());
    let works = Arc::clone(&at_work);
    let app = app::demo().route(ROUTE, move || {
        works.begin();
        async { Bytes::from(vec![b'x'; LARGE]) }
    });
    let limited =
        LimitedServer::open(app, limits(ClientLimits { high_water: HIGH_WATER, ..ordinary() })).await;
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(64 << 10).expect("a size");
    let mut raw = Raw::connect_by(socket, &limited.tcp()).await.shake_hands().await;
    raw.send(&request(1, ROUTE, "").repeat(COUNT)).await;
    // Waits until no more handlers begin.
    let mut begun = 0;
    loop {
        sleep(Duration::from_millis(300)).await;
        let now = at_work.begun.load(Ordering::SeqCst);
        if now > 0 && now == begun {
            break;
        }
        begun = now;
    }
    println!("{begun} began");
    assert!((begun - 1) * LARGE < KERNEL + HIGH_WATER, "{begun} handlers began");
    let wanted = response(1, vec![b'x'; LARGE]);
    for _ in 0..COUNT {
        raw.expect(&wanted).await;
    }
    assert_eq!(at_work.begun.load(Ordering::SeqCst), COUNT);
    drop(raw);
    limited.end(&[("client-closed", 1)]).await;
}
