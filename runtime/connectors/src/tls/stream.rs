//! An encrypted stream.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::{client, server};

use crate::ByteStream;

/// The server's end of TLS over a stream.
///
/// The end of the underlying stream counts as the client's normal end, whether or not TLS announced
/// it. Many clients just drop their connection, and the framing detects an incomplete packet.
pub(crate) struct Encrypted<S>(pub(super) server::TlsStream<S>);

impl<S: ByteStream> AsyncRead for Encrypted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf).map(|read| match read {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
            read => read,
        })
    }
}

impl<S: ByteStream> AsyncWrite for Encrypted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl<S: ByteStream> ByteStream for Encrypted<S> {
    fn prepare_handover(&mut self) -> Result<(), &'static str> {
        Err("it is encrypted, and the keys of TLS cannot leave the process")
    }
}

impl<S: ByteStream> ByteStream for client::TlsStream<S> {}
