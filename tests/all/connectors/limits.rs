//! Deadlines and limits of clients apply to every transport that is a stream, with or without
//! addresses.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use wireplug::config::{AccessConfig, ClientLimits, CodecLimits, OverRate, ServerConfig};
use wireplug::{Listener, RunningServer, Server};
use wireplug_connectors::memory;
use wireplug_tests::folder::Folder;
use wireplug_tests::raw::UPGRADE;
use wireplug_tests::{server, within};

use super::tls::AUTHORITY;
use super::{LineClient, app, app_and_ends, lines};

const SHORT: Duration = Duration::from_millis(300);

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

type Client = LineClient<Box<dyn Stream>>;

/// Returns the transports, each with an address of its own.
fn transports(folder: &Folder) -> [(&'static str, String); 5] {
    let path = |name| folder.path(name).display().to_string();
    [
        ("tcp", "tcp://127.0.0.1:0".to_owned()),
        ("tls", "tls://127.0.0.1:0".to_owned()),
        ("unix", format!("unix://{}", path("socket"))),
        ("memory", format!("memory://{}", path("memory"))),
        ("pipe", format!("pipe://{}", path("pipe"))),
    ]
}

fn listener(folder: &Folder, transport: &str, mut listener: Listener) -> Listener {
    if transport == "tls" {
        listener.tls = Some(AUTHORITY.issue(folder, "server"));
    }
    listener
}

async fn connect(server: &RunningServer) -> Client {
    let url = &server.urls()[0];
    let (scheme, address) = url.split_once("://").expect("a URL");
    let stream: Box<dyn Stream> = match scheme {
        "tcp" => Box::new(TcpStream::connect(address).await.expect("it listens")),
        "tls" => Box::new(AUTHORITY.client(None).connect(address).await.expect("a handshake")),
        "unix" => Box::new(UnixStream::connect(address).await.expect("it listens")),
        "memory" => Box::new(memory::connect(address).await.expect("it listens")),
        "pipe" => {
            use tokio::net::unix::pipe;
            let output =
                pipe::OpenOptions::new().open_receiver(format!("{address}.out")).expect("it is there");
            let input = async {
                loop {
                    // The pipe has no reader until the server waits for a client.
                    match pipe::OpenOptions::new().open_sender(format!("{address}.in")) {
                        Ok(input) => return input,
                        Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                    }
                }
            };
            let input = within("a reader", input).await;
            Box::new(tokio::io::join(output, input))
        }
        _ => unreachable!("{scheme}"),
    };
    LineClient::over(stream)
}

/// Checks that a client that does `act` under these limits ends for this cause, on each transport
/// that is not skipped.
async fn ends(test: &str, skip: &[&str], limits: ClientLimits, act: impl AsyncFn(&mut Client), cause: &str) {
    let folder = Folder::new(&format!("limits-{test}"));
    for (transport, url) in transports(&folder) {
        if skip.contains(&transport) {
            continue;
        }
        let (app, mut reasons) = app_and_ends();
        let codec = lines().limits(CodecLimits { max_packet: 1000, ..CodecLimits::default() });
        let mut listener = listener(&folder, transport, Listener::new(&url, codec));
        listener.limits = limits;
        let server = Server::new(app).config(server::setup().server).listener(listener).start().await;
        let server = server.expect("it starts");
        let mut client = connect(&server).await;
        act(&mut client).await;
        let reason = within(test, reasons.recv()).await.expect("an end");
        assert_eq!(reason.cause(), cause, "{transport}: {reason}");
        drop(client);
        server.shutdown().await;
    }
}

fn ordinary() -> ClientLimits {
    server::setup().client
}

#[tokio::test]
async fn a_silent_client() {
    let limits = ClientLimits { first_byte_timeout: SHORT, ..ordinary() };
    // A client of a pipe exists only from its first byte on.
    ends("silent", &["pipe"], limits, async |_| {}, "first-byte-timeout").await;
}

#[tokio::test]
async fn an_idle_client() {
    let limits = ClientLimits { idle_timeout: SHORT, ..ordinary() };
    let act = async |client: &mut Client| assert_eq!(client.ask("1 echo a").await, "1 200 a");
    ends("idle", &[], limits, act, "idle-timeout").await;
}

#[tokio::test]
async fn a_packet_that_does_not_end() {
    let limits = ClientLimits { packet_timeout: SHORT, ..ordinary() };
    ends("dripped", &[], limits, async |client| client.say("1 ec").await, "packet-timeout").await;
}

#[tokio::test]
async fn a_packet_that_is_too_long() {
    let act = async |client: &mut Client| client.say(&"x".repeat(2000)).await;
    ends("long", &[], ordinary(), act, "framing").await;
}

#[tokio::test]
async fn a_client_over_its_rate() {
    let limits = ClientLimits { packets_per_second: 1, over_rate: OverRate::Close, ..ordinary() };
    let act = async |client: &mut Client| {
        for n in 0..20 {
            // The server closes the connection after some line.
            if client.0.write_all(format!("{n} echo a\n").as_bytes()).await.is_err() {
                return;
            }
            let _ = client.0.flush().await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    ends("rate", &[], limits, act, "over-rate").await;
}

/// Bytes are counted on every transport, and under TLS as they arrive.
#[tokio::test]
async fn a_client_over_its_rate_of_bytes() {
    // A client may send 16 KiB in addition to a second's worth.
    let limits = ClientLimits { bytes_per_second: 1000, over_rate: OverRate::Close, ..ordinary() };
    let act = async |client: &mut Client| {
        let line = format!("1 echo {}\n", "x".repeat(900));
        // The server closes the connection after some line.
        let said = async { while client.0.write_all(line.as_bytes()).await.is_ok() {} };
        let _ = tokio::time::timeout(Duration::from_secs(20), said).await;
    };
    ends("bytes", &[], limits, act, "over-rate").await;
    let skip = ["tcp", "unix", "memory", "pipe"];
    let act = async |client: &mut Client| {
        // A TLS record for each byte. A record adds about twenty bytes.
        for byte in "1 echo a\n".repeat(200).bytes() {
            if client.0.write_all(&[byte]).await.is_err() || client.0.flush().await.is_err() {
                return;
            }
        }
    };
    ends("records", &skip, limits, act, "over-rate").await;
}

/// Frames are counted above TLS, where they are visible.
#[tokio::test]
async fn frames_over_tls_count() {
    let folder = Folder::new("limits-frames");
    let (app, mut reasons) = app_and_ends();
    let mut listener = listener(&folder, "tls", Listener::new("wss://127.0.0.1:0", lines()));
    listener.limits = ClientLimits { packets_per_second: 10, over_rate: OverRate::Close, ..ordinary() };
    let server = Server::new(app).config(server::setup().server).listener(listener).start().await;
    let server = server.expect("it starts");
    let address = server.urls()[0].strip_prefix("wss://").expect("a URL").to_owned();
    let mut stream = AUTHORITY.client(None).connect(&address).await.expect("a handshake");
    stream.write_all(UPGRADE).await.expect("it reads");
    let ping = [0x89, 0x80, 0, 0, 0, 0];
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(within("an answer", stream.read_u8()).await.expect("it answers"));
    }
    stream.write_all(&ping.repeat(100)).await.expect("it reads");
    let reason = within("an end", reasons.recv()).await.expect("an end");
    assert_eq!(reason.cause(), "over-rate", "{reason}");
    server.shutdown().await;
}

#[tokio::test]
async fn a_client_that_does_not_read() {
    let limits = ClientLimits { write_timeout: SHORT, high_water: 1 << 20, ..ordinary() };
    let act = async |client: &mut Client| {
        let line = format!("1 echo {}\n", "x".repeat(900));
        // More than all buffers hold. At some point the server stops reading or closes.
        let said = async { while client.0.write_all(line.as_bytes()).await.is_ok() {} };
        let _ = tokio::time::timeout(Duration::from_secs(20), said).await;
    };
    ends("deaf", &["tcp"], limits, act, "write-timeout").await;
}

/// The lists and the limit for each address apply to IP addresses. On transports without addresses,
/// every client passes them. The limit for all clients still applies.
#[tokio::test]
async fn places_and_lists() {
    let folder = Folder::new("limits-places");
    for (transport, url) in transports(&folder) {
        if transport == "pipe" {
            continue;
        }
        let mut listener = listener(&folder, transport, Listener::new(&url, lines()));
        listener.access = AccessConfig {
            allow: vec!["127.0.0.0/8".parse().expect("a network")],
            max_per_address: 1,
            ..AccessConfig::default()
        };
        let config = ServerConfig { max_connections: 2, ..ServerConfig::default() };
        let server = Server::new(app()).config(config).listener(listener).start().await.expect("it starts");
        let mut first = connect(&server).await;
        assert_eq!(first.ask("1 echo a").await, "1 200 a");
        if transport == "tls" {
            AUTHORITY.client(None).connect(&super::address(&server)).await.expect_err("one from an address");
        } else if transport == "tcp" {
            assert_eq!(connect(&server).await.hear().await, "", "one from an address");
        } else {
            let mut second = connect(&server).await;
            assert_eq!(second.ask("1 echo a").await, "1 200 a");
            let mut third = connect(&server).await;
            assert_eq!(third.hear().await, "", "two in all");
        }
        let cause = if ["tcp", "tls"].contains(&transport) { "address-full" } else { "server-full" };
        assert_eq!(server.stats().closes, [(cause, 1)].into(), "{transport}");
        drop(first);
        server.shutdown().await;
    }
}
