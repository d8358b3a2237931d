//! A connection over any of the transports, which carries bytes of the codec in both directions.

use std::io;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket, UnixStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::server::Place;

/// The traits of every stream.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A connection.
pub enum Link {
    Stream(Box<dyn Duplex>),
    WebSocket(Box<WebSocketStream<TcpStream>>),
    /// A WebSocket that has joined the namespace of Socket.IO.
    SocketIo(Box<WebSocketStream<TcpStream>>),
    Datagrams(UdpSocket),
}

/// The first bytes of each datagram by which a session over UDP opens (`docs/udp.md`).
const MAGIC: &[u8] = b"\xffWPUDP1";
const CHALLENGE: u8 = 1;
const ANSWER: u8 = 2;
const OPEN: u8 = 3;

/// The time after which a datagram counts as lost.
pub const LOST: Duration = Duration::from_millis(500);

impl Link {
    /// Connects, and completes the opening of the transport.
    pub async fn open(place: &Place) -> io::Result<Self> {
        Ok(match place {
            Place::Tcp(_) | Place::Unix(_) => Self::Stream(stream(place).await?),
            Place::WebSocket(address) => {
                Self::WebSocket(websocket(place, &format!("ws://{address}/")).await?)
            }
            Place::SocketIo(address) => {
                let url = format!("ws://{address}/socket.io/?EIO=4&transport=websocket");
                let mut socket = websocket(place, &url).await?;
                next_text(&mut socket).await?;
                socket.send(Message::text("40")).await.map_err(io::Error::other)?;
                next_text(&mut socket).await?;
                Self::SocketIo(socket)
            }
            Place::Udp(address) => {
                let socket = UdpSocket::bind("127.0.0.1:0").await?;
                socket.connect(address).await?;
                open_session(&socket).await?;
                Self::Datagrams(socket)
            }
        })
    }

    /// Sends whole packets. If a message holds one packet, `packet` must be one packet.
    pub async fn send(&mut self, packet: &[u8]) -> io::Result<()> {
        match self {
            Self::Stream(stream) => stream.write_all(packet).await,
            Self::WebSocket(socket) => {
                socket.send(Message::binary(packet.to_vec())).await.map_err(io::Error::other)
            }
            Self::SocketIo(socket) => {
                let text = format!("42{}", json!(["message", String::from_utf8_lossy(packet)]));
                socket.send(Message::text(text)).await.map_err(io::Error::other)
            }
            Self::Datagrams(socket) => socket.send(packet).await.map(drop),
        }
    }

    /// Returns the next bytes, however many. Returns an error at the end of the connection.
    pub async fn receive(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; 64 << 10];
        let count = match self {
            Self::Stream(stream) => stream.read(&mut bytes).await?,
            Self::Datagrams(socket) => match timeout(LOST, socket.recv(&mut bytes)).await {
                Ok(received) => received?,
                Err(_) => return Err(io::ErrorKind::TimedOut.into()),
            },
            Self::WebSocket(socket) => loop {
                match next(socket).await? {
                    Message::Binary(message) => return Ok(message.to_vec()),
                    Message::Text(message) => return Ok(message.as_bytes().to_vec()),
                    _ => {}
                }
            },
            Self::SocketIo(socket) => loop {
                let text = next_text(socket).await?;
                if text == "2" {
                    socket.send(Message::text("3")).await.map_err(io::Error::other)?;
                } else if let Some(event) = text.strip_prefix("42") {
                    let event: serde_json::Value = serde_json::from_str(event)?;
                    return Ok(event[1].as_str().unwrap_or_default().as_bytes().to_vec());
                }
            },
        };
        bytes.truncate(count);
        if count == 0 && !matches!(self, Self::Datagrams(_)) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(bytes)
    }
}

/// Connects a bare stream to a place whose transport is a stream.
pub async fn stream(place: &Place) -> io::Result<Box<dyn Duplex>> {
    Ok(match place {
        Place::Unix(path) => Box::new(UnixStream::connect(path).await?),
        Place::Tcp(address) | Place::WebSocket(address) | Place::SocketIo(address) => {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Box::new(stream)
        }
        Place::Udp(_) => return Err(io::ErrorKind::Unsupported.into()),
    })
}

async fn websocket(place: &Place, url: &str) -> io::Result<Box<WebSocketStream<TcpStream>>> {
    let (Place::WebSocket(address) | Place::SocketIo(address)) = place else {
        return Err(io::ErrorKind::Unsupported.into());
    };
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (socket, _) = client_async(url, stream).await.map_err(io::Error::other)?;
    Ok(Box::new(socket))
}

async fn next(socket: &mut WebSocketStream<TcpStream>) -> io::Result<Message> {
    match socket.next().await {
        Some(message) => message.map_err(io::Error::other),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

async fn next_text(socket: &mut WebSocketStream<TcpStream>) -> io::Result<String> {
    loop {
        match next(socket).await? {
            Message::Text(text) => return Ok(text.to_string()),
            Message::Close(_) => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ => {}
        }
    }
}

async fn open_session(socket: &UdpSocket) -> io::Result<()> {
    let mut say = vec![0; 24];
    let mut datagram = [0; 64];
    for _ in 0..100 {
        socket.send(&say).await?;
        let Ok(length) = timeout(LOST, socket.recv(&mut datagram)).await else { continue };
        match datagram[..length?].strip_prefix(MAGIC) {
            Some([CHALLENGE, cookie @ ..]) => say = [MAGIC, &[ANSWER], cookie].concat(),
            Some([OPEN]) => return Ok(()),
            _ => {}
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}
