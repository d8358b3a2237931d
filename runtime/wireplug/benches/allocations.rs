//! Measures what a request allocates in the steady state, from the read of its bytes to the write
//! of its answer.
//!
//! Run it with `cargo bench -p wireplug --bench allocations`. The server has one thread, and the
//! allocations of that thread are counted. So the figures are exact, and the same on every machine.
//! They do not include what guests allocate in their own memory. With `--quick`, each row only runs
//! briefly.

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use allocation_counter::{AllocationInfo, measure};
use bytes::Bytes;
use serde_json::json;
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use wireplug::codec::NativePomelo;
use wireplug::{App, CodecSource, Server};

use support::{Clients, ECHO, Transport};

const CONNECTIONS: usize = 4;

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick" || argument == "--test");
    let turn = Duration::from_millis(if quick { 50 } else { 1000 });
    println!("| transport | pipeline | codec | allocations a request | bytes a request |");
    println!("|---|---:|---|---:|---:|");
    for transport in [Transport::Tcp, Transport::WebSocket] {
        for pipeline in [1, 16] {
            let options = json!({ "routes": [ECHO] }).to_string();
            let native = NativePomelo::new(&options).expect("the options are good");
            row(transport, pipeline, "native", CodecSource::native(Arc::new(native)), turn);
            row(transport, pipeline, "wasm", CodecSource::pomelo(json!({})), turn);
        }
    }
}

fn row(transport: Transport, pipeline: usize, name: &str, codec: CodecSource, turn: Duration) {
    let (say, said) = mpsc::channel();
    let (warm, warmed) = oneshot::channel();
    let (begin, begun) = oneshot::channel();
    let (end, ended) = oneshot::channel();
    let server = thread::spawn(move || serve(transport, codec, &say, warmed, begin, ended));
    let address = said.recv().expect("the server starts");
    let mut clients = Clients::connect(CONNECTIONS, pipeline, transport, address, true);
    // The first requests are not counted, because they allocate buffers that stay.
    clients.ask(Instant::now() + turn / 4, || {});
    warm.send(()).expect("the server is at work");
    begun.blocking_recv().expect("the server is at work");
    let requests = clients.ask(Instant::now() + turn, || {}).requests as f64;
    end.send(()).expect("the server is at work");
    let counted = server.join().expect("no panic");
    let (count, bytes) = (counted.count_total as f64 / requests, counted.bytes_total as f64 / requests);
    println!("| {transport:?} | {pipeline} | {name} | {count:.2} | {bytes:.0} |");
}

/// Serves on this thread, and counts the allocations from `warmed` to `ended`.
fn serve(
    transport: Transport,
    codec: CodecSource,
    say: &mpsc::Sender<SocketAddr>,
    warmed: oneshot::Receiver<()>,
    begin: oneshot::Sender<()>,
    ended: oneshot::Receiver<()>,
) -> AllocationInfo {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let url = match transport {
        Transport::Tcp => "tcp://127.0.0.1:0",
        Transport::WebSocket => "ws://127.0.0.1:0",
    };
    let app = App::new().route(ECHO, |body: Bytes| async move { body });
    let server = runtime.block_on(Server::new(app).listen(url, codec).start()).expect("it starts");
    let address = server.urls()[0].split_once("://").expect("a URL").1.parse().expect("a numeric address");
    say.send(address).expect("somebody waits for it");
    runtime.block_on(warmed).expect("somebody says so");
    begin.send(()).expect("somebody waits for it");
    measure(|| runtime.block_on(ended).expect("somebody says so"))
}
