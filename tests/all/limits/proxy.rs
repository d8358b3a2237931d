//! Load balancers that send the client's address in the PROXY protocol.

use std::time::Duration;

use tokio::time::sleep;
use tokio_tungstenite::tungstenite::Message;
use wireplug::config::{AccessConfig, ClientLimits};
use wireplug::{App, Session};
use wireplug_tests::app;
use wireplug_tests::raw::{Raw, RawWebSocket, hello, request, response};
use wireplug_tests::server::Setup;

use super::{LimitedServer, access, closed, ordinary};

/// The address of the trusted load balancer.
const PROXY: &str = "127.0.0.9";

/// The route that answers with the client's address.
const WHO: &str = "a.b.who";

fn app() -> App {
    app::demo()
        .route(WHO, |session: Session| async move { bytes::Bytes::from(session.client().address.clone()) })
}

fn setup(config: AccessConfig) -> Setup {
    access(AccessConfig { proxies: vec![format!("{PROXY}/32").parse().expect("a network")], ..config })
}

async fn limited(config: AccessConfig) -> LimitedServer {
    LimitedServer::open(app(), setup(config)).await
}

fn version_1(source: &str) -> Vec<u8> {
    let family = if source.contains(':') { "TCP6" } else { "TCP4" };
    let target = if source.contains(':') { "2001:db8::99" } else { "192.0.2.99" };
    format!("PROXY {family} {source} {target} 40000 3010\r\n").into_bytes()
}

fn version_2(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    header.extend([0x20 | command, family]);
    header.extend((addresses.len() as u16).to_be_bytes());
    header.extend(addresses);
    header
}

/// Encodes two addresses and two ports.
fn ipv4(source: [u8; 4]) -> Vec<u8> {
    [&source[..], &[192, 0, 2, 99], &40000_u16.to_be_bytes(), &3010_u16.to_be_bytes()].concat()
}

fn ipv6(last: u8) -> Vec<u8> {
    let mut address = [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];
    let mut addresses = address.to_vec();
    address[15] = 99;
    addresses.extend(address);
    addresses.extend(40001_u16.to_be_bytes());
    addresses.extend(3010_u16.to_be_bytes());
    addresses
}

/// Returns headers with the addresses that they contain; `None` means the load balancer's own
/// address.
fn headers() -> Vec<(Vec<u8>, Option<&'static str>)> {
    let extension = [0x04, 0, 5, 1, 2, 3, 4, 5];
    vec![
        (version_1("203.0.113.7"), Some("203.0.113.7:40000")),
        (version_1("2001:db8::7"), Some("[2001:db8::7]:40000")),
        (b"PROXY UNKNOWN\r\n".to_vec(), None),
        (b"PROXY UNKNOWN ffff:f::1 ffff:f::2 65535 65535\r\n".to_vec(), None),
        (version_2(1, 0x11, &ipv4([203, 0, 113, 8])), Some("203.0.113.8:40000")),
        (version_2(1, 0x11, &[&ipv4([203, 0, 113, 9])[..], &extension].concat()), Some("203.0.113.9:40000")),
        (version_2(1, 0x21, &ipv6(8)), Some("[2001:db8::8]:40001")),
        (version_2(0, 0x00, &[]), None),
        (version_2(0, 0x11, &ipv4([203, 0, 113, 10])), None),
        // Headers of the load balancer itself, in which family and addresses have no meaning.
        (version_2(0, 0x11, &[]), None),
        (version_2(0, 0xff, &[]), None),
        (version_2(0, 0xff, &[1, 2, 3]), None),
        (version_2(0, 0x21, &[0; 5000]), None),
        // Extensions, up to the largest length.
        (
            version_2(1, 0x11, &[&ipv4([203, 0, 113, 11])[..], &[0; 6000]].concat()),
            Some("203.0.113.11:40000"),
        ),
        (version_2(1, 0x21, &[&ipv6(9)[..], &[0; 65_499]].concat()), Some("[2001:db8::9]:40001")),
        (version_2(1, 0x00, &[7; 300]), None),
        (version_2(1, 0x31, &[0; 216]), None),
        (version_2(1, 0x00, &[]), None),
    ]
}

/// Sends a header and checks which address the server sees: `shown`, or else that of the
/// connection.
async fn asks(mut raw: Raw, header: &[u8], pieces: usize, shown: Option<&str>) {
    let own = raw.address().to_string();
    let said = [header, &hello()].concat();
    for piece in said.chunks(pieces) {
        raw.send(piece).await;
        if pieces < said.len() {
            sleep(Duration::from_millis(1)).await;
        }
    }
    let (_, _) = raw.package().await;
    raw.send(&[b"\x02\0\0\0", &request(1, WHO, "")[..]].concat()).await;
    raw.expect(&response(1, shown.unwrap_or(&own))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tells_who_the_client_is() {
    let limited = limited(AccessConfig::default()).await;
    let mut count = 0;
    for (header, shown) in headers() {
        println!("{}", header.escape_ascii());
        // The header is sent in one piece, or byte by byte.
        for pieces in [usize::MAX, 1].into_iter().filter(|&pieces| pieces > 1 || header.len() < 1000) {
            asks(Raw::connect_from(PROXY, &limited.tcp()).await, &header, pieces, shown).await;
            count += 1;
        }
        // The header comes before an upgrade.
        let mut raw = Raw::connect_from(PROXY, &limited.tcp()).await;
        let own = raw.address().to_string();
        raw.send(&header).await;
        let mut socket = RawWebSocket::upgrade(raw, &limited.ws()).await;
        socket.send(Message::binary(hello())).await;
        socket.message().await.expect("an answer to the handshake");
        socket.send(Message::binary([b"\x02\0\0\0", &request(1, WHO, "")[..]].concat())).await;
        assert_eq!(socket.message().await.expect("a response"), response(1, shown.unwrap_or(&own)));
        count += 1;
    }
    limited.end(&[("client-closed", count)]).await;
}

/// Access lists and limits apply to the address in the header. The load balancer's own address is
/// neither refused nor counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_and_places_are_the_client_s() {
    let networks = |list: &[&str]| list.iter().map(|network| network.parse().expect("a network")).collect();
    let limited = limited(AccessConfig {
        allow: networks(&["203.0.113.0/24"]),
        deny: networks(&["203.0.113.66/32", "127.0.0.0/8"]),
        max_per_address: 1,
        ..AccessConfig::default()
    })
    .await;
    let connect = async |header: &[u8]| {
        let mut raw = Raw::connect_from(PROXY, &limited.tcp()).await;
        // The first byte after the header tells which of the port's two protocols follows.
        raw.send(&[header, &hello()[..1]].concat()).await;
        raw
    };
    let welcome = async |header: &[u8]| {
        let mut raw = connect(header).await;
        raw.send(&hello()[1..]).await;
        raw.package().await;
        raw
    };
    let first = welcome(&version_1("203.0.113.1")).await;
    let second = welcome(&version_2(1, 0x11, &ipv4([203, 0, 113, 2]))).await;
    for (header, cause) in [
        (version_1("203.0.113.1"), "address-full"),
        (version_2(1, 0x11, &ipv4([203, 0, 113, 2])), "address-full"),
        (version_1("203.0.113.66"), "denied"),
        (version_1("198.51.100.1"), "denied"),
        (version_2(0, 0, &[]), "denied"),
    ] {
        let mut raw = connect(&header).await;
        assert_eq!(raw.rest().await, b"");
        closed(raw.address(), cause, "").await;
    }
    let peer = first.address();
    drop(first);
    closed(peer, "client-closed", "client=\"203.0.113.1:40000\"").await;
    let again = welcome(&version_1("203.0.113.1")).await;
    drop((second, again));
    limited.end(&[("address-full", 2), ("client-closed", 3), ("denied", 3)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_balancer_must_tell() {
    let limited = limited(AccessConfig::default()).await;
    let wanted = "a load balancer's connection must begin with a PROXY header";
    let mut cases: Vec<(Vec<u8>, &str)> = vec![
        (hello(), wanted),
        (b"GET / HTTP/1.1\r\n".to_vec(), wanted),
        (b"PROXY TCP4 here there 1 2\r\n".to_vec(), wanted),
        (b"PROXY TCP4 203.0.113.1 203.0.113.2 99999 1\r\n".to_vec(), wanted),
        ([b"PROXY TCP4 ", &[b'1'; 200][..]].concat(), wanted),
        (version_2(7, 0x11, &ipv4([1, 2, 3, 4])), wanted),
        (version_2(1, 0x11, &[1, 2, 3]), wanted),
        (version_2(1, 0x41, &[0; 216]), wanted),
        // Refused because of its addresses, before the rest has arrived.
        ([&version_2(1, 0x51, &[])[..14], &[0xff, 0xff], &[0; 4000]].concat(), wanted),
    ];
    let half = [
        version_1("203.0.113.1")[..20].to_vec(),
        version_2(1, 0x11, &ipv4([1, 2, 3, 4]))[..20].to_vec(),
        version_2(1, 0x11, &[&ipv4([1, 2, 3, 4])[..], &[0; 300]].concat())[..200].to_vec(),
        version_2(0, 0x11, &[0; 300])[..200].to_vec(),
    ];
    cases.extend(half.map(|half| (half, "the connection ended in its PROXY header")));
    for (said, reason) in &cases {
        println!("{}", said.escape_ascii());
        let mut raw = Raw::connect_from(PROXY, &limited.tcp()).await;
        raw.send(said).await;
        if reason.contains("ended") {
            raw.finish().await;
        }
        assert_eq!(raw.rest().await, b"");
        closed(raw.address(), "transport", reason).await;
    }
    limited.end(&[("transport", cases.len() as u64)]).await;
}

/// An incomplete header has the deadline of the handshake.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_header_has_its_time() {
    let client = ClientLimits { handshake_timeout: Duration::from_secs(1), ..ordinary() };
    let limited = LimitedServer::open(app(), Setup { client, ..setup(AccessConfig::default()) }).await;
    for said in [&b"PROXY"[..], b"\r\n\r\n\0\r\nQU"] {
        let mut raw = Raw::connect_from(PROXY, &limited.tcp()).await;
        raw.send(said).await;
        assert_eq!(raw.rest().await, b"");
        closed(raw.address(), "handshake-timeout", "").await;
    }
    limited.end(&[("handshake-timeout", 2)]).await;
}

/// From other addresses, a header counts as bytes of the protocol.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_else_can_claim_an_address() {
    let networks = |list: &[&str]| list.iter().map(|network| network.parse().expect("a network")).collect();
    let lists = AccessConfig { deny: networks(&["127.0.0.3/32"]), ..AccessConfig::default() };
    let limited = limited(lists).await;
    let headers = [version_1("203.0.113.7"), version_2(1, 0x11, &ipv4([203, 0, 113, 8]))];
    for (source, cause) in [("127.0.0.8", "framing"), ("127.0.0.1", "framing"), ("127.0.0.3", "denied")] {
        for header in &headers {
            let mut raw = Raw::connect_from(source, &limited.tcp()).await;
            raw.send(&[&header[..], &hello()].concat()).await;
            assert_eq!(raw.rest().await, b"");
            closed(raw.address(), cause, "").await;
        }
    }
    // A client without a header has the address of its connection.
    asks(Raw::connect_from("127.0.0.8", &limited.tcp()).await, b"", usize::MAX, None).await;
    limited.end(&[("client-closed", 1), ("denied", 2), ("framing", 4)]).await;
}

/// A load balancer probes the server, and closes or resets without a byte or after a header of its
/// own. Such a probe is not an error.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probes_are_clients_that_closed() {
    for url in ["tcp://127.0.0.1:0", "ws://127.0.0.1:0", "hybrid://127.0.0.1:0"] {
        let limited = LimitedServer::open(app(), Setup { url, ..setup(AccessConfig::default()) }).await;
        let mut count = 0;
        for source in [PROXY, "127.0.0.8"] {
            let header = if source == PROXY { version_2(0, 0, &[]) } else { Vec::new() };
            for said in [&b""[..], &header] {
                for resets in [false, true] {
                    let mut raw = Raw::connect_from(source, &limited.tcp()).await;
                    raw.send(said).await;
                    let peer = raw.address();
                    if resets {
                        // The socket drops unsent bytes and sends a reset.
                        let socket = raw.into_stream();
                        socket.set_zero_linger().expect("the socket is open");
                        drop(socket);
                    } else {
                        drop(raw);
                    }
                    closed(peer, "client-closed", "").await;
                    count += 1;
                }
            }
        }
        limited.end(&[("client-closed", count)]).await;
    }
}
