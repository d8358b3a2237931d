//! A client's socket: a stream of bytes, or a transport of whole messages.

use std::io;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, Empty};
use tokio::net::{TcpStream, UnixStream};

use super::handover::{HandedSocket, NOT_POSSIBLE};

/// A client's socket.
pub enum Socket {
    /// A stream of bytes.
    Stream(Box<dyn ByteStream>),
    /// A message transport.
    Messages(Box<dyn MessageSocket>),
}

/// A stream of bytes in both directions. The end of the stream means that the client has closed the
/// connection. Errors of the stream are errors of the socket.
///
/// The server passes all bytes that it sends together to one
/// [`poll_write`](AsyncWrite::poll_write). If the transport takes only a part, the rest follows in
/// further calls.
///
/// A type that has nothing to say about hand-overs implements the trait with an empty body.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {
    /// Prepares to hand the client to another process. From now on the stream reads no further than
    /// it must to reach a point at which it can be handed over. At that point its reads return
    /// [`Poll::Pending`] without waking a task. Until then it is used as before.
    ///
    /// # Errors
    /// Returns why the stream cannot be handed over at all, in words for the log.
    fn prepare_handover(&mut self) -> Result<(), &'static str> {
        Err(NOT_POSSIBLE)
    }

    /// Returns whether the stream, which is prepared, may be handed over as it is now.
    fn may_be_handed_over(&self) -> bool {
        false
    }

    /// Takes the preparation back. The task must read the stream again, since nothing wakes it.
    fn cancel_handover(&mut self) {}

    /// Returns the client for the other process. Called while
    /// [`may_be_handed_over`](ByteStream::may_be_handed_over) returns true. After the call this
    /// process neither reads nor writes, unless the other one refuses the client.
    ///
    /// # Errors
    /// Returns an error of kind [`io::ErrorKind::Unsupported`] if the stream cannot be handed over,
    /// and the error of the system if the descriptor cannot be duplicated.
    fn hand_over(&self) -> io::Result<HandedSocket> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Implements the hand-over of a socket of the system, which has no state in this process.
macro_rules! system_socket {
    ($type:ty) => {
        impl ByteStream for $type {
            fn prepare_handover(&mut self) -> Result<(), &'static str> {
                Ok(())
            }

            fn may_be_handed_over(&self) -> bool {
                true
            }

            fn hand_over(&self) -> io::Result<HandedSocket> {
                HandedSocket::of(self)
            }
        }
    };
}

system_socket!(TcpStream);
system_socket!(UnixStream);

impl ByteStream for DuplexStream {
    fn prepare_handover(&mut self) -> Result<(), &'static str> {
        Err("its client is in this process")
    }
}

impl ByteStream for Empty {}

impl<S: ByteStream + ?Sized> ByteStream for Box<S> {
    fn prepare_handover(&mut self) -> Result<(), &'static str> {
        (**self).prepare_handover()
    }

    fn may_be_handed_over(&self) -> bool {
        (**self).may_be_handed_over()
    }

    fn cancel_handover(&mut self) {
        (**self).cancel_handover();
    }

    fn hand_over(&self) -> io::Result<HandedSocket> {
        (**self).hand_over()
    }
}

/// A socket that carries whole messages.
///
/// A method returns an error of the kind [`io::ErrorKind::InvalidData`] if the client broke the
/// transport's own protocol. An error of any other kind is an error of the socket.
pub trait MessageSocket: Send {
    /// Returns the next message from the client, always exactly one whole message, or `None` if the
    /// client has closed the connection.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>>;

    /// Returns whether the message received last was text, for a transport that tells text and
    /// binary apart. Called once after each message.
    fn is_text(&self) -> bool {
        false
    }

    /// Waits until [`MessageSocket::send`] may be called once.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Takes a message to send, as text if `text` is true and as binary otherwise. The transport
    /// may gather messages until the call of [`MessageSocket::poll_flush`] that follows.
    fn send(&mut self, message: Bytes, text: bool) -> io::Result<()>;

    /// Returns the number of the acknowledgement that the client wants for the message received
    /// last, or `None` if it wants none or the transport has no acknowledgements. The client
    /// chooses the number. Called once after each message.
    fn take_ack(&mut self) -> Option<u64> {
        None
    }

    /// Takes the acknowledgement with the number `ack` to send, like [`MessageSocket::send`]. If
    /// the acknowledged message is a request, `message` is the response; otherwise `message` is
    /// `None`. Called at most once for each number.
    fn acknowledge(&mut self, ack: u64, message: Option<Bytes>, text: bool) -> io::Result<()> {
        let _ = ack;
        message.map_or(Ok(()), |message| self.send(message, text))
    }

    /// Waits until all messages that were sent have been written.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Returns how much data has passed over the socket so far.
    fn traffic(&self) -> Traffic;

    /// Returns whether the client receives what is sent to its address. An unverified session ends
    /// after the listener's `handshake-timeout`. The default is true, for transports on which no
    /// client can open a session with a forged address.
    fn is_address_verified(&self) -> bool {
        true
    }

    /// Notes that the codec has found that the client receives what is sent to its address. May be
    /// called several times.
    fn verify_address(&mut self) {}

    /// Returns the messages that were lost since the last call, for a transport that may lose
    /// messages.
    fn take_lost(&mut self) -> Lost {
        Lost::default()
    }

    /// Closes the connection in the transport's way, and sends the code and the reason if the
    /// transport can. The code and the reason of the first call apply.
    fn poll_close(&mut self, code: CloseCode, reason: &str, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Prepares to hand the client to another process. From now on the socket reads no further than
    /// it must to reach a point at which it can be handed over. At that point
    /// [`poll_receive`](MessageSocket::poll_receive) returns [`Poll::Pending`] without waking a
    /// task. Until then the socket is used as before.
    ///
    /// # Errors
    /// Returns why the socket cannot be handed over at all, in words for the log.
    fn prepare_handover(&mut self) -> Result<(), &'static str> {
        Err(NOT_POSSIBLE)
    }

    /// Returns whether the socket, which is prepared, may be handed over as it is now.
    fn may_be_handed_over(&self) -> bool {
        false
    }

    /// Takes the preparation back. The task must read the socket again, since nothing wakes it.
    fn cancel_handover(&mut self) {}

    /// Returns the client for the other process. Called while
    /// [`may_be_handed_over`](MessageSocket::may_be_handed_over) returns true. After the call this
    /// process neither reads nor writes, unless the other one refuses the client. Messages that
    /// were sent and are not flushed go along.
    ///
    /// # Errors
    /// Returns an error of kind [`io::ErrorKind::Unsupported`] if the socket cannot be handed over,
    /// and the error of the system if the descriptor cannot be duplicated.
    fn hand_over(&self) -> io::Result<HandedSocket> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// The data that has passed over a socket so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes from the client.
    pub read: u64,
    /// Bytes to the client, as far as the transport knows that the client takes them. A connection
    /// on which this number grows is not idle.
    pub written: u64,
    /// Whether a message has arrived in part.
    pub partial: bool,
}

/// The messages that a transport has lost, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Messages in either direction that were too long, came faster than they were read, or could
    /// not be sent.
    pub messages: u64,
    /// Messages that were not sent because the client's address is not verified, and the client has
    /// been sent as much as such a client may be sent.
    pub unverified: u64,
    /// Messages from any address without a session that opened none because of a limit.
    pub turned_away: u64,
}

/// The reason why a connection ends, for transports that can send one. The numbers are those of
/// WebSocket (RFC 6455, section 7.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseCode(pub u16);

impl CloseCode {
    /// The connection ends normally.
    pub const NORMAL: Self = Self(1000);
    /// The client broke the protocol.
    pub const PROTOCOL: Self = Self(1002);
    /// The client broke a rule of the server.
    pub const POLICY: Self = Self(1008);
    /// The server failed.
    pub const INTERNAL: Self = Self(1011);
    /// The server stops or restarts. The client may connect again, at best after a random time.
    pub const RESTART: Self = Self(1012);
    /// The server has no room now. The client may try again later.
    pub const TRY_LATER: Self = Self(1013);
}
