//! Two connectors of this process, on duplicates of one socket, stand for those of two processes.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use super::opening::{CHALLENGE, OPEN};
use super::*;
use crate::{Lost, MessageSocket, Socket};

type ServerSocket = Box<dyn MessageSocket>;

async fn started(options: UdpOptions) -> Udp {
    let mut udp = udp(options);
    udp.start(&ListenOptions::default()).await.expect("there is a free port");
    udp
}

fn udp(options: UdpOptions) -> Udp {
    let address = HostPort { host: "127.0.0.1".to_owned(), port: 0 };
    Udp::new(address, options).expect("the bounds are kept")
}

/// Starts a connector on the socket of another one.
async fn started_on(first: &Udp, options: UdpOptions) -> Udp {
    let mut second = udp(options);
    second.inherit(first.sockets().expect("descriptors are left")).expect("it is a socket of UDP");
    second.start(&ListenOptions::default()).await.expect("it does not bind");
    assert_eq!(second.url(), first.url());
    second
}

fn limited() -> UdpOptions {
    let max_unverified = 1.try_into().expect("it is not zero");
    UdpOptions { address_check: AddressCheck::Limit, max_unverified, ..UdpOptions::default() }
}

/// A client that sends to a connector.
struct Client(UdpSocket);

impl Client {
    async fn new(server: &Udp) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("there is a free port");
        let address: SocketAddr = server.url()["udp://".len()..].parse().expect("an address");
        socket.connect(address).await.expect("it is local");
        Self(socket)
    }

    async fn send(&self, datagram: &[u8]) {
        self.0.send(datagram).await.expect("it is local");
    }

    async fn receive(&self) -> Vec<u8> {
        let mut buffer = [0; 2000];
        let length = within(self.0.recv(&mut buffer)).await.expect("it is local");
        buffer[..length].to_vec()
    }

    /// Asks for a session. Returns the answer to the challenge.
    async fn ask(&self) -> Vec<u8> {
        self.send(&[0; CHALLENGE]).await;
        let mut answer = self.receive().await;
        answer[OPEN.len() - 1] = 2;
        answer
    }

    async fn open(&self, server: &mut Udp) -> ServerSocket {
        let answer = self.ask().await;
        self.send(&answer).await;
        let socket = accept(server).await;
        assert_eq!(self.receive().await, OPEN);
        socket
    }
}

async fn accept(server: &mut Udp) -> ServerSocket {
    let incoming = within(server.accept()).await.expect("a client");
    socket(incoming.open.await.expect("it opens"))
}

fn socket(opened: Opened) -> ServerSocket {
    let Socket::Messages(socket) = opened.socket else { panic!("datagrams are messages") };
    socket
}

async fn received(socket: &mut ServerSocket) -> Bytes {
    within(poll_fn(|cx| socket.poll_receive(cx))).await.expect("it lives").expect("it is open")
}

/// Waits for something that comes at once. A datagram that is lost comes never.
async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(30), future).await.expect("it comes")
}

async fn nothing_comes(socket: &mut ServerSocket) -> bool {
    poll_fn(|cx| Poll::Ready(socket.poll_receive(cx).is_pending())).await
}

async fn send(socket: &mut ServerSocket, datagram: &'static [u8]) {
    socket.send(Bytes::from_static(datagram), false).expect("it lives");
    poll_fn(|cx| socket.poll_flush(cx)).await.expect("it lives");
}

fn hand_over(socket: &mut ServerSocket) -> HandedSocket {
    socket.prepare_handover().expect("UDP can be handed over");
    assert!(socket.may_be_handed_over());
    let handed = socket.hand_over().expect("it is prepared");
    assert!(handed.descriptor.is_none(), "the clients share one");
    handed
}

/// What came before, during and after the change is received once, and in order; a client that was
/// in the middle of its opening gets its session.
#[tokio::test]
async fn sessions_and_openings_go_to_another_process() {
    let mut first = started(UdpOptions::default()).await;
    let (ann, bob) = (Client::new(&first).await, Client::new(&first).await);
    let (mut ann_first, mut bob_first) = (ann.open(&mut first).await, bob.open(&mut first).await);
    let (waits, late) = (Client::new(&first).await, Client::new(&first).await);
    let (waits_answer, late_answer) = (waits.ask().await, late.ask().await);

    ann.send(b"one").await;
    ann.send(b"two").await;
    waits.send(&waits_answer).await;
    // The socket is read in order, so the connector has read all of the above by now.
    bob.send(b"read").await;
    assert_eq!(received(&mut bob_first).await, "read");
    assert_eq!(received(&mut ann_first).await, "one");

    let mut second = started_on(&first, UdpOptions::default()).await;
    let state = first.pause().expect("the clients share a socket");
    ann.send(b"three").await;
    late.send(&late_answer).await;
    let mut ann_second = socket(second.adopt(hand_over(&mut ann_first)).expect("its client"));
    let mut bob_second = socket(second.adopt(hand_over(&mut bob_first)).expect("its client"));
    assert_eq!(ann_second.traffic(), ann_first.traffic());
    drop((ann_first, bob_first));
    first.leave();
    assert_eq!(received(&mut ann_second).await, "two");
    assert!(nothing_comes(&mut ann_second).await, "nobody reads the socket");

    second.resume(Some(&state));
    assert_eq!(received(&mut ann_second).await, "three");
    send(&mut ann_second, b"heard").await;
    assert_eq!(ann.receive().await, b"heard");
    for client in [&waits, &late] {
        let mut session = accept(&mut second).await;
        assert_eq!(client.receive().await, OPEN);
        client.send(b"hello").await;
        assert_eq!(received(&mut session).await, "hello");
    }
    bob.send(b"four").await;
    assert_eq!(received(&mut bob_second).await, "four");
}

/// The process that was to take over dies.
#[tokio::test]
async fn a_paused_connector_goes_on_as_if_nothing_had_been() {
    let mut first = started(UdpOptions::default()).await;
    let ann = Client::new(&first).await;
    let mut session = ann.open(&mut first).await;
    let (waits, late) = (Client::new(&first).await, Client::new(&first).await);
    let (waits_answer, late_answer) = (waits.ask().await, late.ask().await);
    ann.send(b"one").await;
    waits.send(&waits_answer).await;
    ann.send(b"two").await;
    assert_eq!(received(&mut session).await, "one");

    let mut second = started_on(&first, UdpOptions::default()).await;
    first.pause().expect("the clients share a socket");
    late.send(&late_answer).await;
    ann.send(b"three").await;
    drop(second.adopt(hand_over(&mut session)).expect("its client"));
    drop(second);
    session.cancel_handover();
    first.resume(None);
    assert_eq!(received(&mut session).await, "two");
    assert_eq!(received(&mut session).await, "three");
    for client in [&waits, &late] {
        accept(&mut first).await;
        assert_eq!(client.receive().await, OPEN);
    }
}

/// The process that handed over dies, or speaks in riddles: the other one goes on without its keys.
#[tokio::test]
async fn without_a_state_clients_ask_again() {
    for state in [None, Some(&b"nonsense"[..])] {
        let mut first = started(UdpOptions::default()).await;
        let client = Client::new(&first).await;
        let answer = client.ask().await;
        let mut second = started_on(&first, UdpOptions::default()).await;
        first.pause().expect("the clients share a socket");
        drop(first);
        second.resume(state);
        client.send(&answer).await;
        client.open(&mut second).await;
    }
}

/// How much an unverified client may be sent, what was lost, and the place of its session move
/// along.
#[tokio::test]
async fn limits_and_counts_move_along() {
    let mut first = started(limited()).await;
    let (ann, bob) = (Client::new(&first).await, Client::new(&first).await);
    ann.send(b"0123456789").await;
    let mut session = accept(&mut first).await;
    assert_eq!(received(&mut session).await, "0123456789");
    send(&mut session, &[1; 20]).await;
    send(&mut session, &[2; 11]).await;

    let mut second = started_on(&first, limited()).await;
    let state = first.pause().expect("the clients share a socket");
    let mut moved = socket(second.adopt(hand_over(&mut session)).expect("its client"));
    let twice = second.adopt(hand_over(&mut session)).err().expect("it has a session");
    assert_eq!(twice.kind(), io::ErrorKind::AlreadyExists);
    drop(session);
    drop(first);
    second.resume(Some(&state));
    assert!(!moved.is_address_verified());
    assert_eq!(moved.take_lost(), Lost { unverified: 1, ..Lost::default() });
    send(&mut moved, &[3; 11]).await;
    send(&mut moved, &[4; 10]).await;
    assert_eq!([ann.receive().await, ann.receive().await], [vec![1; 20], vec![4; 10]]);
    assert_eq!(moved.take_lost(), Lost { unverified: 1, ..Lost::default() });

    bob.send(b"no place is left").await;
    ann.send(b"read").await;
    assert_eq!(received(&mut moved).await, "read");
    assert_eq!(moved.take_lost(), Lost { turned_away: 1, ..Lost::default() });
    moved.verify_address();
    bob.send(b"there is one").await;
    assert_eq!(received(&mut accept(&mut second).await).await, "there is one");

    // Once verified, it stays so, and the new listener need not check addresses at all.
    let mut third = started_on(&second, UdpOptions { address_check: AddressCheck::Off, ..limited() }).await;
    second.pause().expect("the clients share a socket");
    assert!(socket(third.adopt(hand_over(&mut moved)).expect("its client")).is_address_verified());
}
