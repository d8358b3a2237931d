//! Two connectors of this process stand for those of two processes.

mod tls;

use std::fs;
use std::future::poll_fn;
use std::os::fd::AsFd as _;
use std::path::PathBuf;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

use super::*;
#[cfg(feature = "socketio")]
use crate::SocketIoServer;
use crate::config::OverRate;
use crate::{
    BoxError, ByteStream, Connector, HostPort, ListenOptions, Memory, Opened, Pace, PathOptions, Pipe,
    Protocol, RateLimits, Socket, Tcp, Unix,
};

#[test]
fn a_state_is_read_as_it_was_written_and_nothing_else_is_one() {
    let state = (7_u64, vec![1_u8, 2, 3], Some("text".to_owned()));
    let written = to_state(&state).expect("it can be written");
    assert_eq!(from_state::<(u64, Vec<u8>, Option<String>)>(&written).expect("the same"), state);
    let kind = |bytes: &[u8]| {
        let read = from_state::<(u64, Vec<u8>, Option<String>)>(bytes);
        read.expect_err("it is none").kind()
    };
    assert_eq!(kind(&written[..written.len() - 1]), io::ErrorKind::InvalidData);
    assert_eq!(kind(&[&written[..], b"x"].concat()), io::ErrorKind::InvalidData);
}

/// Starts a connector on the sockets of another one.
async fn start_on(connector: &mut impl Connector, sockets: Vec<OwnedFd>, options: &ListenOptions) {
    connector.inherit(sockets).expect("they are its sockets");
    connector.start(options).await.expect("it does not bind");
}

fn tcp(protocol: Protocol, port: u16) -> Tcp {
    Tcp::new(protocol, HostPort { host: "127.0.0.1".to_owned(), port })
}

async fn tcp_started(protocol: Protocol, options: &ListenOptions) -> Tcp {
    let mut connector = tcp(protocol, 0);
    connector.start(options).await.expect("there is a free port");
    connector
}

fn port(connector: &Tcp) -> u16 {
    connector.url().rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port")
}

async fn opened(connector: &mut impl Connector) -> Opened {
    connector.accept().await.expect("a client").open.await.expect("it opens")
}

fn stream(opened: Opened) -> Box<dyn ByteStream> {
    let Socket::Stream(stream) = opened.socket else { panic!("it is a stream") };
    stream
}

fn hand_over(stream: &mut Box<dyn ByteStream>) -> HandedSocket {
    stream.prepare_handover().expect("it can be handed over");
    assert!(stream.may_be_handed_over());
    stream.hand_over().expect("it is prepared")
}

/// Checks that both ends hear each other.
async fn talk(
    mut client: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    server: &mut Box<dyn ByteStream>,
) {
    let mut heard = [0; 5];
    client.write_all(b"hello").await.expect("it lives");
    server.read_exact(&mut heard).await.expect("it lives");
    assert_eq!(&heard, b"hello");
    server.write_all(b"world").await.expect("it lives");
    client.read_exact(&mut heard).await.expect("it lives");
    assert_eq!(&heard, b"world");
}

#[tokio::test]
async fn tcp_clients_and_the_address_go_to_another_process() {
    let options = ListenOptions::default();
    let mut first = tcp_started(Protocol::Stream, &options).await;
    let address = ("127.0.0.1", port(&first));
    let mut client = TcpStream::connect(address).await.expect("it listens");
    let mut served = stream(opened(&mut first).await);
    talk(&mut client, &mut served).await;

    let sockets = first.sockets().expect("descriptors are left");
    let mut second = tcp(Protocol::Stream, address.1);
    assert!(sockets.len() == 1 && second.is_for(sockets[0].as_fd()));
    start_on(&mut second, sockets, &options).await;
    assert_eq!(second.url(), first.url());
    // A client that comes before the first process leaves is still accepted.
    let mut waits = TcpStream::connect(address).await.expect("it listens");
    first.leave();
    assert!(first.sockets().expect("nothing to duplicate").is_empty());

    // Bytes that came meanwhile are read by the process that has the client then.
    client.write_all(b"early").await.expect("it lives");
    let mut moved = stream(second.adopt(hand_over(&mut served)).expect("it is its client"));
    drop(served);
    let mut heard = [0; 5];
    moved.read_exact(&mut heard).await.expect("it lives");
    assert_eq!(&heard, b"early");
    talk(&mut client, &mut moved).await;
    let mut accepted = stream(opened(&mut second).await);
    talk(&mut waits, &mut accepted).await;

    second.stop();
    TcpStream::connect(address).await.expect_err("nobody listens");
    talk(&mut client, &mut moved).await;
}

/// If the other process dies, or refuses the client, this one goes on.
#[tokio::test]
async fn a_client_that_was_not_taken_stays() {
    let options = ListenOptions::default();
    let mut first = tcp_started(Protocol::Stream, &options).await;
    let mut client = TcpStream::connect(("127.0.0.1", port(&first))).await.expect("it listens");
    let mut served = stream(opened(&mut first).await);
    let handed = hand_over(&mut served);
    let mut second = tcp_started(Protocol::WebSocket, &options).await;
    let error = second.adopt(handed).err().expect("it speaks no WebSocket");
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    drop(hand_over(&mut served));
    served.cancel_handover();
    assert!(!served.may_be_handed_over());
    talk(&mut client, &mut served).await;

    let nothing = HandedSocket { descriptor: None, state: Vec::new() };
    assert_eq!(first.adopt(nothing).err().expect("it has no descriptor").kind(), io::ErrorKind::InvalidData);
    let empty = HandedSocket { state: Vec::new(), ..hand_over(&mut served) };
    assert_eq!(first.adopt(empty).err().expect("it has no state").kind(), io::ErrorKind::InvalidData);
}

/// A hybrid listener has read the first bytes to find out what the client speaks. They move, and so
/// does what the client has used up of its rates.
#[tokio::test]
async fn unread_bytes_and_rates_move_along() {
    let rate = RateLimits { packets_per_second: 0, bytes_per_second: 1 << 20, over_rate: OverRate::Close };
    let options = ListenOptions { rate, ..ListenOptions::default() };
    let mut first = tcp_started(Protocol::Hybrid, &options).await;
    let mut client = TcpStream::connect(("127.0.0.1", port(&first))).await.expect("it listens");
    client.write_all(b"GEX and more").await.expect("it lives");
    let Opened { socket, meter, .. } = opened(&mut first).await;
    let Socket::Stream(mut served) = socket else { panic!("it sends no GET") };
    let meter = meter.expect("TCP counts");
    assert_eq!(meter.take(0, 1 << 20), Pace::Within);

    let mut second = tcp(Protocol::Hybrid, port(&first));
    start_on(&mut second, first.sockets().expect("descriptors are left"), &options).await;
    let moved = second.adopt(hand_over(&mut served)).expect("it is its client");
    assert_eq!(moved.transport, "tcp");
    let moved_meter = moved.meter.clone().expect("TCP counts");
    moved_meter.resume(&meter.saved());
    drop(served);
    let mut moved = stream(moved);
    let mut heard = [0; 12];
    moved.read_exact(&mut heard).await.expect("it lives");
    assert_eq!(&heard, b"GEX and more");
    assert_eq!(moved_meter.take(0, 1 << 19), Pace::Over, "it had used a second's worth");
}

/// A client that speaks WebSocket to a hybrid listener goes on with it in the other process.
#[tokio::test]
async fn a_hybrid_listener_knows_what_its_client_speaks() {
    let options = ListenOptions::default();
    let mut first = tcp_started(Protocol::Hybrid, &options).await;
    let client = TcpStream::connect(("127.0.0.1", port(&first))).await.expect("it listens");
    let (client, served) = tokio::join!(client_async("ws://here/path", client), opened(&mut first));
    let (mut client, _) = client.expect("it upgrades");
    let Socket::Messages(mut served) = served.socket else { panic!("WebSocket has messages") };
    served.prepare_handover().expect("it is not encrypted");
    client.send(Message::text("early")).await.expect("it lives");

    let handed = || served.hand_over().expect("it is prepared");
    let mut plain = tcp_started(Protocol::Stream, &options).await;
    let error = plain.adopt(handed()).err().expect("it speaks WebSocket");
    assert_eq!(error.to_string(), "the client speaks WebSocket, and this listener does not");

    let mut second = tcp(Protocol::Hybrid, port(&first));
    start_on(&mut second, first.sockets().expect("descriptors are left"), &options).await;
    let moved = second.adopt(handed()).expect("it is its client");
    drop(served);
    assert_eq!((moved.transport, moved.attributes), ("ws", Vec::new()));
    let Socket::Messages(mut moved) = moved.socket else { panic!("WebSocket has messages") };
    let early = poll_fn(|cx| moved.poll_receive(cx)).await.expect("it lives");
    assert!(moved.is_text() && early.as_deref() == Some(b"early"));
    moved.send("answer".into(), true).expect("it lives");
    poll_fn(|cx| moved.poll_flush(cx)).await.expect("it lives");
    assert_eq!(client.next().await.expect("one").expect("whole"), Message::text("answer"));
}

/// Sessions of Socket.IO stay, but its address goes to the other process.
#[cfg(feature = "socketio")]
#[tokio::test]
async fn the_address_of_socket_io_goes_to_another_process() {
    let options = ListenOptions::default();
    let any = HostPort { host: "127.0.0.1".to_owned(), port: 0 };
    let mut first = SocketIoServer::new(any.clone());
    first.start(&options).await.expect("there is a free port");
    let mut second = SocketIoServer::new(any);
    start_on(&mut second, first.sockets().expect("descriptors are left"), &options).await;
    assert_eq!(second.url(), first.url());
    first.leave();
    let mut client = TcpStream::connect(&second.url()["socketio://".len()..]).await.expect("it listens");
    let request = b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: here\r\n\r\n";
    client.write_all(request).await.expect("it lives");
    // A session begins, so the second one has accepted the connection.
    second.accept().await.expect("a client");
    let mut status = [0; 12];
    client.read_exact(&mut status).await.expect("it lives");
    assert_eq!(&status, b"HTTP/1.1 200");
}

/// The options of the process that takes the client apply, not those that it was accepted with.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_adopted_client_gets_the_present_settings_of_the_kernel() {
    use std::time::Duration;

    let second = Duration::from_secs(1);
    let options = |write_timeout, idle_timeout, send_buffer| ListenOptions {
        write_timeout,
        idle_timeout,
        send_buffer,
        ..ListenOptions::default()
    };
    let before = options(5 * second, Duration::ZERO, 0);
    let mut first = tcp_started(Protocol::Stream, &before).await;
    let _client = TcpStream::connect(("127.0.0.1", port(&first))).await.expect("it listens");
    let mut served = stream(opened(&mut first).await);
    let handed = hand_over(&mut served);
    let same = handed.descriptor.as_ref().expect("TCP has one").try_clone().expect("a duplicate");
    let socket = socket2::SockRef::from(&same);
    assert_eq!(socket.tcp_user_timeout().expect("an option"), Some(15 * second));
    assert!(socket.keepalive().expect("an option"));

    let mut other = tcp(Protocol::Stream, port(&first));
    let after = options(2 * second, 60 * second, 32 << 10);
    start_on(&mut other, first.sockets().expect("descriptors are left"), &after).await;
    other.adopt(handed).expect("it is its client");
    assert_eq!(socket.tcp_user_timeout().expect("an option"), Some(6 * second));
    assert!(!socket.keepalive().expect("an option") && socket.tcp_nodelay().expect("an option"));
    assert!((32 << 10..=64 << 10).contains(&socket.send_buffer_size().expect("an option")));
}

/// A path of the temporary folder, which is removed at the end.
struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("wireplug-handover-{name}-{}", std::process::id()));
        let _ = fs::remove_file(&path);
        Self(path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[tokio::test]
async fn a_socket_file_stays_until_the_last_process_stops() {
    let path = Temporary::new("unix");
    let options = ListenOptions::default();
    let unix = || Unix::new(&path.0, PathOptions::default());
    let mut first = unix();
    first.start(&options).await.expect("it can be bound");
    let mut client = UnixStream::connect(&path.0).await.expect("it listens");
    let mut served = stream(opened(&mut first).await);

    let sockets = first.sockets().expect("descriptors are left");
    let mut second = unix();
    assert!(sockets.len() == 1 && second.is_for(sockets[0].as_fd()));
    assert!(!Unix::new(path.0.with_extension("other"), PathOptions::default()).is_for(sockets[0].as_fd()));
    let link = Temporary::new("link");
    std::os::unix::fs::symlink(&path.0, &link.0).expect("nobody has the name");
    assert!(Unix::new(&link.0, PathOptions::default()).is_for(sockets[0].as_fd()), "it is the same file");
    start_on(&mut second, sockets, &options).await;
    // A process that fails before it accepts leaves the file to the one that goes on.
    drop(second);
    assert!(path.0.exists());
    second = unix();
    start_on(&mut second, first.sockets().expect("descriptors are left"), &options).await;
    first.leave();
    drop(first);
    assert!(path.0.exists());
    let mut moved = stream(second.adopt(hand_over(&mut served)).expect("it is its client"));
    drop(served);
    talk(&mut client, &mut moved).await;
    let mut late = UnixStream::connect(&path.0).await.expect("it listens");
    let mut accepted = stream(opened(&mut second).await);
    talk(&mut late, &mut accepted).await;
    second.stop();
    assert!(!path.0.exists());
}

#[tokio::test]
async fn what_cannot_move_says_why() {
    let options = ListenOptions::default();
    let mut memory = Memory::new("handover");
    memory.start(&options).await.expect("nobody has the name");
    let client = crate::memory::connect("handover").await.expect("it listens");
    let mut served = stream(opened(&mut memory).await);
    assert_eq!(served.prepare_handover(), Err("its client is in this process"));
    assert!(!served.may_be_handed_over());
    assert_eq!(served.hand_over().expect_err("it cannot").kind(), io::ErrorKind::Unsupported);
    drop(client);

    let sockets = |connector: &dyn Connector| connector.sockets().expect("nothing to duplicate").len();
    assert_eq!(sockets(&memory), 0);
    let mut pipe = Pipe::new("/nowhere", PathOptions::default());
    let refused: BoxError = pipe.inherit(Vec::new()).expect_err("it has no sockets");
    assert_eq!(refused.to_string(), "its transport takes no sockets over");
    let handed = HandedSocket { descriptor: None, state: Vec::new() };
    assert_eq!(pipe.adopt(handed).err().expect("it takes none").kind(), io::ErrorKind::Unsupported);
}
