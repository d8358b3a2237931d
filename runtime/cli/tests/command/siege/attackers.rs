//! Clients that misbehave. Each attack uses one connection, and is repeated when the server has
//! ended the connection.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use futures_util::SinkExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::Message;
use wireplug_pomelo::client::Client;
use wireplug_tests::app::ECHO;

use super::link::{Link, stream};
use super::server::{Place, Places};

/// The pause between two connections of an attacker.
const PAUSE: Duration = Duration::from_millis(20);

/// The pause between two bytes of an attacker that sends slowly.
const DRIP: Duration = Duration::from_millis(200);

/// How long an attacker that has vanished keeps its connection.
const VANISHED: Duration = Duration::from_secs(12);

/// The number of writes in one flood, after which the attack starts again. Over a transport that
/// delays the client, a flood without this limit would not end.
const FLOOD: usize = 20_000;

type Attack = fn(Place) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

macro_rules! attack {
    ($attack:ident) => {
        (stringify!($attack), (|place| Box::pin($attack(place))) as Attack)
    };
}

/// The attacks on every transport whose connections are streams.
const ON_STREAMS: &[(&str, Attack)] = &[attack!(silent), attack!(dripping), attack!(garbage)];

/// The attacks on every transport.
const ON_ALL: &[(&str, Attack)] = &[attack!(flooding), attack!(unread), attack!(vanished)];

/// The attacks on WebSocket.
const ON_WEBSOCKETS: &[(&str, Attack)] = &[attack!(dripping_head), attack!(pings), attack!(fragments)];

/// The attacks on Socket.IO.
const ON_SOCKETIO: &[(&str, Attack)] = &[attack!(connects), attack!(dripping_head), attack!(polls)];

/// The attacks on UDP.
const ON_UDP: &[(&str, Attack)] = &[attack!(openings)];

/// The running attackers.
pub struct Attackers {
    tasks: JoinSet<()>,
    counts: BTreeMap<String, Arc<AtomicU64>>,
}

/// Starts `of_each` attackers of each kind on each transport.
pub fn begin(places: &Places, of_each: usize) -> Attackers {
    let mut attackers = Attackers { tasks: JoinSet::new(), counts: BTreeMap::new() };
    for (name, place) in places.all() {
        let own: &[&[(&str, Attack)]] = match place {
            Place::Tcp(_) | Place::Unix(_) => &[ON_STREAMS, ON_ALL],
            Place::WebSocket(_) => &[ON_STREAMS, ON_ALL, ON_WEBSOCKETS],
            Place::SocketIo(_) => &[ON_STREAMS, ON_ALL, ON_SOCKETIO],
            Place::Udp(_) => &[ON_ALL, ON_UDP],
        };
        for &(kind, attack) in own.iter().copied().flatten() {
            attackers.begin(format!("{name}, {kind}"), &place, attack, of_each);
        }
    }
    attackers
}

impl Attackers {
    fn begin(&mut self, name: String, place: &Place, attack: Attack, count: usize) {
        let counter = Arc::new(AtomicU64::new(0));
        self.counts.insert(name, Arc::clone(&counter));
        for _ in 0..count {
            let (place, counter) = (place.clone(), Arc::clone(&counter));
            self.tasks.spawn(async move {
                loop {
                    // The result does not matter: the server must end each of these connections.
                    let _ = attack(place.clone()).await;
                    counter.fetch_add(1, Relaxed);
                    sleep(PAUSE).await;
                }
            });
        }
    }

    /// Stops all attackers. Returns the number of connections that each kind made.
    pub fn end(self) -> BTreeMap<String, u64> {
        self.counts.into_iter().map(|(name, count)| (name, count.load(Relaxed))).collect()
    }
}

/// Connects and sends nothing until the server closes.
async fn silent(place: Place) -> io::Result<()> {
    let mut stream = stream(&place).await?;
    while stream.read(&mut [0; 512]).await? > 0 {}
    Ok(())
}

/// Sends a handshake byte by byte.
async fn dripping(place: Place) -> io::Result<()> {
    drip(place, &hello()).await
}

/// Sends the head of a request byte by byte.
async fn dripping_head(place: Place) -> io::Result<()> {
    drip(place, b"GET / HTTP/1.1\r\nHost: here\r\nX-Long: and so on, and so on, and so on, and so on").await
}

async fn drip(place: Place, bytes: &[u8]) -> io::Result<()> {
    let mut stream = stream(&place).await?;
    for byte in bytes {
        stream.write_all(&[*byte]).await?;
        sleep(DRIP).await;
    }
    stream.read(&mut [0; 512]).await.map(drop)
}

/// Sends bytes that are no packet.
async fn garbage(place: Place) -> io::Result<()> {
    let mut stream = stream(&place).await?;
    stream.write_all(&[0xff; 4096]).await?;
    while stream.read(&mut [0; 512]).await? > 0 {}
    Ok(())
}

/// Sends requests without end, and reads no answer.
async fn flooding(place: Place) -> io::Result<()> {
    let (mut link, packet) = at_work(&place).await?;
    for _ in 0..FLOOD {
        link.send(&packet).await?;
    }
    Ok(())
}

/// Sends some requests and leaves their answers unread.
async fn unread(place: Place) -> io::Result<()> {
    let (mut link, packet) = at_work(&place).await?;
    for _ in 0..50 {
        link.send(&packet).await?;
        sleep(DRIP / 10).await;
    }
    sleep(VANISHED).await;
    Ok(())
}

/// Completes the handshake, waits, and drops the connection without a farewell.
async fn vanished(place: Place) -> io::Result<()> {
    let (link, _) = at_work(&place).await?;
    sleep(VANISHED).await;
    drop(link);
    Ok(())
}

/// Sends pings without end.
async fn pings(place: Place) -> io::Result<()> {
    let Link::WebSocket(mut socket) = Link::open(&place).await? else { return Ok(()) };
    for _ in 0..FLOOD {
        socket.send(Message::Ping(vec![7; 125].into())).await.map_err(io::Error::other)?;
    }
    Ok(())
}

/// Sends fragments of a message that never ends, each of them empty.
async fn fragments(place: Place) -> io::Result<()> {
    let Link::WebSocket(socket) = Link::open(&place).await? else { return Ok(()) };
    let mut stream = socket.into_inner();
    stream.write_all(&[0x02, 0x80, 0, 0, 0, 0]).await?;
    let many = [0x00, 0x80, 0, 0, 0, 0].repeat(100);
    for _ in 0..FLOOD {
        stream.write_all(&many).await?;
    }
    Ok(())
}

/// Sends requests to join the namespace without end.
async fn connects(place: Place) -> io::Result<()> {
    let Link::SocketIo(mut socket) = Link::open(&place).await? else { return Ok(()) };
    for _ in 0..FLOOD {
        socket.send(Message::text("40")).await.map_err(io::Error::other)?;
    }
    Ok(())
}

/// Opens sessions by long polling and forgets them.
async fn polls(place: Place) -> io::Result<()> {
    let mut stream = stream(&place).await?;
    stream.write_all(b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: here\r\n\r\n").await?;
    stream.read(&mut [0; 2048]).await.map(drop)
}

/// Requests sessions, and answers no challenge.
async fn openings(place: Place) -> io::Result<()> {
    let Place::Udp(address) = place else { return Ok(()) };
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await?;
    socket.connect(address).await?;
    for _ in 0..100 {
        socket.send(&[0; 24]).await?;
    }
    Ok(())
}

/// Connects and completes the handshake. Returns the connection and a request to send.
async fn at_work(place: &Place) -> io::Result<(Link, Vec<u8>)> {
    let mut link = Link::open(place).await?;
    if let Link::SocketIo(_) = link {
        let head = [0, 0, 0, 1, ECHO.len() as u8];
        return Ok((link, [&head, ECHO.as_bytes(), b"{}"].concat()));
    }
    let (mut client, mut say, mut heard) = (Client::new(), Vec::new(), Vec::new());
    client.connect(None, &mut say);
    link.send(&say).await?;
    say.clear();
    let answer = link.receive().await?;
    client.receive(&answer, &mut say, &mut heard).map_err(io::Error::other)?;
    link.send(&say).await?;
    say.clear();
    client.request(ECHO, &[b'x'; 1024], &mut say).map_err(io::Error::other)?;
    Ok((link, say))
}

/// The first packet of Pomelo's protocol.
fn hello() -> Vec<u8> {
    let mut say = Vec::new();
    Client::new().connect(None, &mut say);
    say
}
