//! A connector of one's own, in full: a message transport over TCP, each message a netstring
//! (`5:hello,`).
//!
//! `cargo run --release --example connector` serves it at `netstring://127.0.0.1:4001`, a URL that
//! a configuration could have as well; `docs/connectors.md` goes through it.

// The other example: it speaks its lines, unless a listener is given another codec.
#[allow(dead_code, reason = "its main function is not called here")]
#[path = "codec.rs"]
pub mod codec;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use wireplug::connector::Connector;
use wireplug::{App, CodecSource, Listener, Server};
use wireplug_connectors::{
    BoxError, CloseCode, Incoming, ListenOptions, ListenUrl, MessageSocket, Opened, Socket, SocketKinds,
    Traffic,
};

/// Listens at `netstring://HOST:PORT`.
pub struct Netstrings {
    address: String,
    options: Options,
    listener: Option<TcpListener>,
    max_message: usize,
}

/// What a listener's table `options` may have.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Options {
    /// Small packets may wait in the kernel for others to come (Nagle's algorithm).
    delay: bool,
}

impl Netstrings {
    /// Touches nothing yet.
    pub fn new(address: impl Into<String>, options: Options) -> Self {
        Self { address: address.into(), options, listener: None, max_message: 0 }
    }
}

/// What `netstring://` stands for, once it is registered.
pub fn factory() -> impl Fn(&ListenUrl, serde_json::Value) -> Result<Netstrings, BoxError> {
    |url, options| {
        let options = serde_json::from_value(options).map_err(|error| format!("its options: {error}"))?;
        Ok(Netstrings::new(url.host_port()?.to_string(), options))
    }
}

impl Connector for Netstrings {
    fn url(&self) -> String {
        format!("netstring://{}", self.address)
    }

    fn kinds(&self) -> SocketKinds {
        SocketKinds { stream: false, messages: true }
    }

    fn default_codec(&self) -> Option<&str> {
        Some("lines")
    }

    fn start<'a>(&'a mut self, options: &'a ListenOptions) -> BoxFuture<'a, Result<(), BoxError>> {
        async {
            let listener = TcpListener::bind(&self.address).await?;
            // Port 0 has become a real one.
            self.address = listener.local_addr()?.to_string();
            self.listener = Some(listener);
            self.max_message = options.max_message;
            Ok(())
        }
        .boxed()
    }

    fn accept(&mut self) -> BoxFuture<'_, io::Result<Incoming>> {
        async {
            let listener = self.listener.as_ref().ok_or(io::ErrorKind::NotConnected)?;
            let (stream, address) = listener.accept().await?;
            let (delay, max_message) = (self.options.delay, self.max_message);
            // What takes a round trip belongs in here: it runs in the connection's own task.
            let open = async move {
                stream.set_nodelay(!delay)?;
                let socket = Socket::Messages(Box::new(NetstringSocket::new(stream, max_message)));
                Ok(Opened {
                    transport: "netstring",
                    client: None,
                    attributes: Vec::new(),
                    meter: None,
                    starttls: None,
                    socket,
                })
            };
            let address = address.to_string();
            Ok(Incoming { address, behind_proxy: false, open: open.boxed(), turn_away: None })
        }
        .boxed()
    }

    fn stop(&mut self) {
        self.listener = None;
    }
}

/// One client. Whole messages come out of it and go into it, whatever TCP does to their bytes.
struct NetstringSocket {
    stream: TcpStream,
    max_message: usize,
    /// What was read and is no whole message yet.
    input: Vec<u8>,
    /// What is to be written.
    output: Vec<u8>,
    traffic: Traffic,
}

/// A message is not taken while so many bytes wait to be written.
const HIGH_WATER: usize = 64 << 10;

impl NetstringSocket {
    fn new(stream: TcpStream, max_message: usize) -> Self {
        Self { stream, max_message, input: Vec::new(), output: Vec::new(), traffic: Traffic::default() }
    }

    /// Takes the message in front of the input, if it is whole.
    fn cut(&mut self) -> io::Result<Option<Bytes>> {
        let digits = self.input.iter().take_while(|byte| byte.is_ascii_digit()).count();
        match self.input.get(digits) {
            _ if digits > 9 => return Err(invalid("a length of more than 9 digits")),
            None => return Ok(None),
            Some(b':') if digits > 0 => {}
            Some(_) => return Err(invalid("a netstring is LENGTH:MESSAGE,")),
        }
        let length = std::str::from_utf8(&self.input[..digits]).expect("digits");
        let length: usize = length.parse().map_err(|_| invalid("a length that is none"))?;
        if length > self.max_message {
            return Err(invalid("a message that is too long"));
        }
        let (start, end) = (digits + 1, digits + 1 + length);
        match self.input.get(end) {
            None => Ok(None),
            Some(b',') => {
                let message = Bytes::copy_from_slice(&self.input[start..end]);
                self.input.drain(..=end);
                Ok(Some(message))
            }
            Some(_) => Err(invalid("a message without its comma")),
        }
    }
}

/// What the client did wrong; any other error is the socket's.
fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

impl MessageSocket for NetstringSocket {
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        loop {
            if let Some(message) = self.cut()? {
                return Poll::Ready(Ok(Some(message)));
            }
            let mut bytes = [0; 4096];
            let mut buffer = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
            match buffer.filled() {
                [] if self.input.is_empty() => return Poll::Ready(Ok(None)),
                [] => return Poll::Ready(Err(invalid("the connection ended in a message"))),
                read => {
                    self.traffic.read += read.len() as u64;
                    self.input.extend_from_slice(read);
                }
            }
        }
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.output.len() < HIGH_WATER { Poll::Ready(Ok(())) } else { self.poll_flush(cx) }
    }

    fn send(&mut self, message: Bytes, _text: bool) -> io::Result<()> {
        self.output.extend_from_slice(format!("{}:", message.len()).as_bytes());
        self.output.extend_from_slice(&message);
        self.output.push(b',');
        Ok(())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.output.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.output))?;
            self.output.drain(..written);
            self.traffic.written += written as u64;
        }
        Poll::Ready(Ok(()))
    }

    fn traffic(&self) -> Traffic {
        Traffic { partial: !self.input.is_empty(), ..self.traffic }
    }

    fn poll_close(&mut self, _: CloseCode, _: &str, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Netstrings have no goodbye that could say why; the codec's farewell has gone out already.
        ready!(self.poll_flush(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let app = App::new().route("echo", |body: Bytes| async move { body });
    let server = Server::new(app)
        .register_connector("netstring", factory())
        .default_codec("lines", CodecSource::native(Arc::new(codec::Lines::default())))
        .listener(Listener::at("netstring://127.0.0.1:4001"))
        .start()
        .await?;
    println!("try: printf '12:1 echo hello,' | nc -N 127.0.0.1 4001");
    tokio::signal::ctrl_c().await?;
    println!("{}", server.shutdown().await);
    Ok(())
}
