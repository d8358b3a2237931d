//! The client's end of a connection, which is only read and written when somebody looks at it. No
//! task waits for it, so a client that does nothing costs nothing.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;

use futures_util::FutureExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

/// A stream that never waits.
pub trait Link: Send {
    /// Appends what has arrived to `to`. Returns an error if the server has closed.
    fn read(&mut self, to: &mut Vec<u8>) -> io::Result<()>;

    /// Writes all bytes. What clients write here always fits into the stream's buffer.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;
}

impl Link for DuplexStream {
    fn read(&mut self, to: &mut Vec<u8>) -> io::Result<()> {
        while let Some(read) = self.read_buf(to).now_or_never() {
            if read? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes).now_or_never().unwrap_or(Err(ErrorKind::WouldBlock.into()))
    }
}

impl Link for TcpStream {
    fn read(&mut self, to: &mut Vec<u8>) -> io::Result<()> {
        match self.read_to_end(to) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Err(ErrorKind::UnexpectedEof.into()),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }
}
