//! The socket between the two processes of an upgrade: frames of bytes, with file descriptors.
//!
//! A frame is its length in four bytes (little-endian), the number of its descriptors in one byte,
//! and its bytes. The descriptors come with the first of these five bytes.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, Shutdown, recvmsg, sendmsg,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::Interest;
use tokio::net::UnixStream;
use tracing::warn;

/// The most descriptors of a frame. The kernel allows 253.
pub(super) const MAX_DESCRIPTORS: usize = 250;

const HEAD: usize = 5;

/// The socket. Several tasks may receive and send, but only one of each at a time.
#[derive(Debug)]
pub(super) struct Link(UnixStream);

impl Link {
    /// Creates the link over one end of a pair of sockets.
    ///
    /// # Errors
    /// Returns an error if the descriptor is no Unix socket.
    pub(super) fn new(socket: OwnedFd) -> io::Result<Self> {
        let socket = std::os::unix::net::UnixStream::from(socket);
        socket.set_nonblocking(true)?;
        Ok(Self(UnixStream::from_std(socket)?))
    }

    /// Sends a message.
    ///
    /// # Errors
    /// Returns an error if the other process is gone, or the message has more than 4 GiB or
    /// [`MAX_DESCRIPTORS`].
    pub(super) async fn send<T: Serialize>(&self, message: &T, descriptors: &[OwnedFd]) -> io::Result<()> {
        let mut frame = postcard::to_extend(message, vec![0; HEAD]).map_err(io::Error::other)?;
        let too_large = |_| io::Error::new(io::ErrorKind::InvalidInput, "a frame is too large");
        let length = u32::try_from(frame.len() - HEAD).map_err(too_large)?;
        frame[..4].copy_from_slice(&length.to_le_bytes());
        frame[4] = u8::try_from(descriptors.len()).map_err(too_large)?;
        let borrowed: Vec<BorrowedFd<'_>> = descriptors.iter().map(OwnedFd::as_fd).collect();
        let mut sent = 0;
        while sent < frame.len() {
            // Descriptors go with the first byte, which is sent once.
            let with = if sent == 0 { &borrowed[..] } else { &[] };
            sent += self
                .0
                .async_io(Interest::WRITABLE, || send_some(self.0.as_fd(), &frame[sent..], with))
                .await?;
        }
        Ok(())
    }

    /// Receives the next message, or `None` if the other process is gone. Descriptors are missing
    /// if this process cannot have so many.
    ///
    /// # Errors
    /// Returns an error if what comes is no message.
    pub(super) async fn receive<T: DeserializeOwned>(&self) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
        let mut head = [0; HEAD];
        let mut descriptors = Vec::new();
        if !self.fill(&mut head, &mut descriptors).await? {
            return Ok(None);
        }
        let [length @ .., count] = head;
        let mut bytes = vec![0; u32::from_le_bytes(length) as usize];
        if !self.fill(&mut bytes, &mut descriptors).await? {
            return Ok(None);
        }
        if descriptors.len() < usize::from(count) {
            warn!(came = descriptors.len(), sent = count, "this process has too few file descriptors");
        }
        let invalid = |error: postcard::Error| io::Error::new(io::ErrorKind::InvalidData, error.to_string());
        let message = postcard::from_bytes(&bytes).map_err(invalid)?;
        Ok(Some((message, descriptors)))
    }

    /// Ends the link in both directions.
    pub(super) fn shut(&self) {
        // The other process may have ended it.
        let _ = rustix::net::shutdown(self.0.as_fd(), Shutdown::Both);
    }

    /// Fills a buffer, and adds the descriptors that come with it. Returns false if the other
    /// process is gone.
    async fn fill(&self, buffer: &mut [u8], descriptors: &mut Vec<OwnedFd>) -> io::Result<bool> {
        let mut filled = 0;
        while filled < buffer.len() {
            let some = self.0.async_io(Interest::READABLE, || {
                receive_some(self.0.as_fd(), &mut buffer[filled..], descriptors)
            });
            match some.await {
                Ok(0) => return Ok(false),
                Ok(some) => filled += some,
                // A process that is killed resets its socket if it left something unread.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

fn send_some(socket: BorrowedFd<'_>, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a frame has too many descriptors"));
    }
    Ok(sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)?)
}

fn receive_some(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    descriptors: &mut Vec<OwnedFd>,
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(socket, &mut [IoSliceMut::new(buffer)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    Ok(received.bytes)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    fn pair() -> (Link, Link) {
        let (one, other) = std::os::unix::net::UnixStream::pair().expect("a pair");
        (Link::new(one.into()).expect("a socket"), Link::new(other.into()).expect("a socket"))
    }

    #[tokio::test]
    async fn frames_come_in_order_with_their_descriptors() {
        let (one, other) = pair();
        let large: Vec<u8> = (0..1_000_000).map(|n: u32| n as u8).collect();
        let (mut reader, writer) = std::io::pipe().expect("a pipe");
        let sending = async {
            one.send(&"first", &[]).await.expect("it goes");
            one.send(&large, &[writer.into()]).await.expect("it goes");
            one.send(&"last", &[]).await.expect("it goes");
            drop(one);
        };
        let receiving = async {
            let first: (String, _) = other.receive().await.expect("whole").expect("one");
            assert_eq!((first.0.as_str(), first.1.len()), ("first", 0));
            let (came, mut descriptors): (Vec<u8>, _) = other.receive().await.expect("whole").expect("one");
            assert!(came == large);
            let mut end = std::fs::File::from(descriptors.pop().expect("one"));
            end.write_all(b"through it").expect("it is the pipe");
            let last: (String, _) = other.receive().await.expect("whole").expect("one");
            assert_eq!(last.0, "last");
            assert!(other.receive::<String>().await.expect("an end").is_none());
        };
        tokio::join!(sending, receiving);
        let mut text = String::new();
        reader.read_to_string(&mut text).expect("the writer is closed");
        assert_eq!(text, "through it");
    }

    #[tokio::test]
    async fn what_is_no_message_is_an_error() {
        let (one, other) = pair();
        one.send(&255_u8, &[]).await.expect("it goes");
        let error = other.receive::<String>().await.expect_err("no text");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
