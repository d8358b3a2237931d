//! One client of Socket.IO.

use std::fmt;
use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future;
use serde::de::{Deserialize, Deserializer, Error as _, Visitor};
use socketioxide::extract::{SocketRef, TryData};
use socketioxide::socket::DisconnectReason;
use socketioxide::{SendError, SocketError};
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, sleep};

use super::Alive;
use super::gate::Gate;
use crate::connector::{CloseCode, MessageSocket, Traffic};

/// The event that carries packets, in both directions: that of `socket.send`, which Pomelo's clients use.
const EVENT: &str = "message";

/// How long to wait where the library has no room for a packet. It does not tell when it has.
const AGAIN: Duration = Duration::from_millis(5);

/// How often at least the library hears of a client that lives; it ends the others by itself.
const SIGN_OF_LIFE: Duration = Duration::from_secs(25);

/// What the library says of a client.
enum Heard {
    Message(Bytes),
    End(io::Result<()>),
}

/// A client's socket.
pub(super) struct Peer {
    socket: SocketRef,
    gate: Arc<Gate>,
    heard: mpsc::UnboundedReceiver<Heard>,
    /// What is to be sent next, and whether it is text.
    pending: Option<(Bytes, bool)>,
    again: Option<Pin<Box<Sleep>>>,
    joined: Instant,
    traffic: Traffic,
    /// It was disconnected.
    closed: bool,
    /// The client has gone.
    ended: bool,
    _alive: Arc<Alive>,
}

impl Peer {
    /// Listens to a client that has just joined.
    pub(super) fn new(socket: SocketRef, gate: Arc<Gate>, alive: Arc<Alive>) -> Self {
        // The gate bounds what is in it.
        let (say, heard) = mpsc::unbounded_channel();
        let (told, entry) = (say.clone(), Arc::clone(&gate));
        let over = Arc::new(AtomicBool::new(false));
        socket.on(EVENT, move |TryData(packet): TryData<Packet>| {
            // The handler's body runs in the order of the messages; what it returns does not.
            let heard = match packet {
                _ if over.load(Ordering::Relaxed) => None,
                Ok(Packet(packet)) if entry.enter(packet.len()) => Some(Heard::Message(packet)),
                Ok(_) => Some(Heard::End(Err(invalid("it does not stop where it is not read")))),
                Err(_) => Some(Heard::End(Err(invalid("an event without a packet")))),
            };
            if let Some(heard) = heard {
                // What comes behind an end would only wait.
                over.fetch_or(matches!(heard, Heard::End(_)), Ordering::Relaxed);
                // Nobody hears it where the session has ended.
                let _ = told.send(heard);
            }
            future::ready(())
        });
        socket.on_disconnect(move |reason: DisconnectReason| {
            let _ = say.send(Heard::End(end(reason)));
            future::ready(())
        });
        Self {
            socket,
            gate,
            heard,
            pending: None,
            again: None,
            joined: Instant::now(),
            traffic: Traffic::default(),
            closed: false,
            ended: false,
            _alive: alive,
        }
    }

    /// Hands what is to be sent to the library. Ready when it has it.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some((packet, text)) = &self.pending {
            if let Some(again) = &mut self.again {
                ready!(again.as_mut().poll(cx));
                self.again = None;
            }
            let sent = if *text {
                let text =
                    str::from_utf8(packet).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
                self.socket.emit(EVENT, text)
            } else {
                self.socket.emit(EVENT, packet)
            };
            match sent {
                Ok(()) => {
                    self.traffic.written += packet.len() as u64;
                    self.pending = None;
                }
                Err(SendError::Socket(SocketError::InternalChannelFull)) => {
                    self.again = Some(Box::pin(sleep(AGAIN)));
                }
                Err(SendError::Socket(SocketError::Closed)) => {
                    return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
                }
                Err(error) => return Poll::Ready(Err(io::Error::other(error))),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl MessageSocket for Peer {
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        if self.closed {
            // Until the client leaves, so that it has heard all: its WebSocket connection ends with this. One that
            // polls can still ask for it.
            return self.gate.poll_left(cx).map(|()| Ok(None));
        }
        if self.ended {
            return Poll::Ready(Ok(None));
        }
        match ready!(self.heard.poll_recv(cx)) {
            Some(Heard::Message(message)) => {
                self.gate.leave(message.len());
                self.traffic.read += message.len() as u64;
                Poll::Ready(Ok(Some(message)))
            }
            Some(Heard::End(end)) => {
                self.ended = true;
                Poll::Ready(end.map(|()| None))
            }
            None => Poll::Ready(Ok(None)),
        }
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_send(cx)
    }

    fn send(&mut self, message: Bytes, text: bool) -> io::Result<()> {
        self.pending = Some((message, text));
        Ok(())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_send(cx)
    }

    /// The library asks each client now and then whether it lives, and ends it where it does not answer: who is there
    /// has given a sign of life.
    fn traffic(&self) -> Traffic {
        let signs = self.joined.elapsed().as_secs() / SIGN_OF_LIFE.as_secs();
        Traffic { read: self.traffic.read + signs, ..self.traffic }
    }

    /// Disconnects the client, for which the protocol has no reason.
    fn poll_close(&mut self, _: CloseCode, _: &str, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        // Who has left is told no more.
        self.closed |= self.ended;
        while !self.closed {
            if let Some(again) = &mut self.again {
                ready!(again.as_mut().poll(cx));
                self.again = None;
            }
            match self.socket.clone().disconnect() {
                Err(SocketError::InternalChannelFull) => self.again = Some(Box::pin(sleep(AGAIN))),
                // It is gone already, or is told.
                Ok(()) | Err(_) => self.closed = true,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if !self.closed && !self.ended {
            // Where there is no room for this, the connection's end tells it.
            let _ = self.socket.clone().disconnect();
        }
        self.gate.end();
    }
}

/// How a client's end is seen: as its goodbye, or as something that went wrong.
fn end(reason: DisconnectReason) -> io::Result<()> {
    use DisconnectReason::{
        ClientNSDisconnect, ClosingServer, HeartbeatTimeout, MultipleHttpPollingError, PacketParsingError,
        ServerNSDisconnect, TransportClose, TransportError,
    };
    match reason {
        ClientNSDisconnect | TransportClose | ServerNSDisconnect | ClosingServer => Ok(()),
        TransportError => Err(io::ErrorKind::ConnectionReset.into()),
        HeartbeatTimeout => Err(io::Error::other("the client answers no ping")),
        MultipleHttpPollingError => Err(invalid("two polls at once")),
        PacketParsingError => Err(invalid("a packet that is none of Socket.IO's, or too long")),
    }
}

/// What the client did wrong, and not what the socket did.
fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// What an event carries: a text, or bytes.
struct Packet(Bytes);

impl<'de> Deserialize<'de> for Packet {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct TextOrBytes;

        impl Visitor<'_> for TextOrBytes {
            type Value = Packet;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or bytes")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Packet, E> {
                Ok(Packet(Bytes::copy_from_slice(text.as_bytes())))
            }

            fn visit_string<E: serde::de::Error>(self, text: String) -> Result<Packet, E> {
                Ok(Packet(text.into()))
            }

            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Packet, E> {
                Ok(Packet(Bytes::copy_from_slice(bytes)))
            }

            fn visit_byte_buf<E: serde::de::Error>(self, bytes: Vec<u8>) -> Result<Packet, E> {
                Ok(Packet(bytes.into()))
            }
        }

        from.deserialize_any(TextOrBytes).map_err(D::Error::custom)
    }
}
