//! Either end of a connection. Messages pass through the queues in slots, and records over the
//! socket report the slots that were sent and taken.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::net::UnixStream;
use tokio::runtime::Handle;
use tokio::time::sleep;

use super::place::{Place, Queues, SLOT, WINDOW};
use crate::{CloseCode, MessageSocket, RateMeter, Traffic};

/// How many bytes may wait here for room in the queue before [`MessageSocket::poll_ready`] waits
/// too.
const HIGH_WATER: usize = 64 << 10;

/// How many taken slots make a record of their own due. Fewer are reported with the next slots that
/// are sent, so that a request and its response cost one record each.
const REPORT_TAKEN: u8 = WINDOW / 2;

/// The first byte of a message's last slot, and of the others.
const LAST: u8 = 1;
const MORE: u8 = 0;

const GOODBYE: [u8; 2] = [0, 0];

/// How long to wait after a connection has ended before the memory of dead processes is freed. When
/// a process dies, the kernel closes its socket before it releases everything else.
const DYING: Duration = Duration::from_millis(250);

pub(super) struct ShmSocket {
    control: UnixStream,
    /// `None` only once the socket is dropped.
    queues: Option<Queues>,
    place: Arc<Place>,
    max_message: usize,
    traffic: Traffic,
    /// Counts messages, slots that a client did not fill, and their bytes.
    meter: RateMeter,

    // === out ===
    /// Messages that wait for room. A part of the first one may have been sent.
    waiting: VecDeque<Bytes>,
    waiting_bytes: usize,
    /// The number of slots that may be put into the queue.
    room: u8,
    /// Slots in the queue that no record has reported.
    unreported: u8,
    /// The record that is being written, and how many of its bytes have been written.
    record: Option<([u8; 2], usize)>,
    sent_goodbye: bool,

    // === in ===
    /// The number of slots that can be taken.
    ready: u8,
    /// Slots that were taken and that no record has reported.
    taken: u8,
    /// The bytes of a message whose last slot has not been taken.
    partial: Vec<u8>,
    /// The first byte of a record whose second byte has not arrived.
    half: Option<u8>,
    /// Whether the other end has said goodbye. Then no more slots follow.
    goodbye: bool,
    /// Whether the other end has closed its socket.
    gone: bool,
}

impl ShmSocket {
    pub(super) fn new(
        control: UnixStream,
        queues: Queues,
        place: Arc<Place>,
        max_message: usize,
        meter: RateMeter,
    ) -> Self {
        Self {
            control,
            queues: Some(queues),
            place,
            max_message,
            traffic: Traffic::default(),
            meter,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            room: WINDOW,
            unreported: 0,
            record: None,
            sent_goodbye: false,
            ready: 0,
            taken: 0,
            partial: Vec::new(),
            half: None,
            goodbye: false,
            gone: false,
        }
    }

    fn queues(&self) -> &Queues {
        self.queues.as_ref().expect("it is not dropped")
    }

    // === in ===

    /// Takes a slot that is ready. Returns the message if that was its last slot.
    fn take(&mut self) -> io::Result<Option<Bytes>> {
        let sample = self.queues().take().map_err(io::Error::other)?;
        let sample = sample.ok_or_else(|| invalid("a message was announced that is not there"))?;
        // The other end can change these bytes at any time, so they are copied once and inspected
        // only afterwards.
        let (kind, part) = match sample.payload() {
            [kind, part @ ..] if part.len() < SLOT => (*kind, part),
            _ => return Err(invalid("a slot that is empty or too long")),
        };
        let length = self.partial.len() + part.len();
        if length > self.max_message {
            return Err(invalid("a message that is too long"));
        }
        let message = match kind {
            LAST if self.partial.is_empty() => Some(Bytes::copy_from_slice(part)),
            LAST | MORE => {
                self.partial.extend_from_slice(part);
                (kind == LAST).then(|| std::mem::take(&mut self.partial).into())
            }
            _ => return Err(invalid("a slot that is neither a message's last nor another")),
        };
        self.traffic.read += part.len() as u64;
        // A long message needs many slots. If a client does not fill its slots, each of them counts
        // like a message.
        let counts = kind == LAST || part.len() < SLOT - 1;
        self.meter.take(counts.into(), part.len() as u64);
        self.ready -= 1;
        self.taken += 1;
        Ok(message)
    }

    /// Waits until records have arrived or the other end has closed.
    fn poll_records(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut bytes = [0; 64];
        let mut buffer = ReadBuf::new(&mut bytes);
        match ready!(Pin::new(&mut self.control).poll_read(cx, &mut buffer)) {
            // The other end closed before it had read all records.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => self.gone = true,
            Err(error) => return Poll::Ready(Err(error)),
            Ok(()) if buffer.filled().is_empty() => self.gone = true,
            Ok(()) => {
                for &byte in buffer.filled() {
                    match self.half.take() {
                        None => self.half = Some(byte),
                        Some(sent) => self.record(sent, byte)?,
                    }
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    fn record(&mut self, sent: u8, taken: u8) -> io::Result<()> {
        if [sent, taken] == GOODBYE {
            self.goodbye = true;
            return Ok(());
        }
        let there = u16::from(self.ready) + u16::from(self.taken) + u16::from(sent);
        if there > WINDOW.into() || (sent > 0 && self.goodbye) {
            return Err(invalid("more was sent than there is room for"));
        }
        if taken > WINDOW - self.room {
            return Err(invalid("more was taken than was sent"));
        }
        self.ready += sent;
        self.room += taken;
        Ok(())
    }

    // === out ===

    /// Puts waiting messages into the queue, as far as there is room.
    fn put(&mut self) -> io::Result<()> {
        while self.room > 0
            && let Some(message) = self.waiting.front_mut()
        {
            let length = message.len().min(SLOT - 1);
            let kind = if length == message.len() { LAST } else { MORE };
            let queues = self.queues.as_ref().expect("it is not dropped");
            let put = queues.put(kind, &message[..length]);
            put.map_err(|error| io::Error::new(io::ErrorKind::BrokenPipe, error))?;
            message.advance(length);
            if kind == LAST {
                self.waiting.pop_front();
            }
            self.waiting_bytes -= length;
            self.traffic.written += length as u64;
            self.room -= 1;
            self.unreported += 1;
        }
        Ok(())
    }

    /// Waits until records have reported everything that is due. Taken slots get a record of their
    /// own only if the other end needs it: if many were taken, or if the other end waits to close.
    fn poll_report(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let due = self.unreported > 0 || self.taken >= REPORT_TAKEN || (self.goodbye && self.taken > 0);
            if self.record.is_none() && due {
                self.record = Some(([self.unreported, self.taken], 0));
                (self.unreported, self.taken) = (0, 0);
            }
            let Some((record, written)) = &mut self.record else { return Poll::Ready(Ok(())) };
            *written += ready!(Pin::new(&mut self.control).poll_write(cx, &record[*written..]))?;
            if *written == record.len() {
                self.record = None;
            }
        }
    }

    /// Sends the goodbye after all other records.
    fn poll_goodbye(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.sent_goodbye {
            ready!(self.poll_report(cx))?;
            self.record = Some((GOODBYE, 0));
            self.sent_goodbye = true;
        }
        self.poll_report(cx)
    }
}

impl MessageSocket for ShmSocket {
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        loop {
            if self.ready > 0 {
                if let Some(message) = self.take()? {
                    return Poll::Ready(Ok(Some(message)));
                }
                continue;
            }
            // An error means that the other end is gone. That is handled below, after the slots
            // that it has left.
            let _ = self.poll_report(cx);
            match (self.goodbye, self.gone, self.partial.is_empty()) {
                (true, _, true) => return Poll::Ready(Ok(None)),
                (true, _, false) => return Poll::Ready(Err(invalid("the connection ended in a message"))),
                (false, true, _) => {
                    let why = "its process is gone, without a goodbye";
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionReset, why)));
                }
                (false, false, _) => ready!(self.poll_records(cx))?,
            }
        }
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.waiting_bytes < HIGH_WATER { Poll::Ready(Ok(())) } else { self.poll_flush(cx) }
    }

    fn send(&mut self, message: Bytes, _text: bool) -> io::Result<()> {
        self.waiting_bytes += message.len();
        self.waiting.push_back(message);
        Ok(())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            self.put()?;
            ready!(self.poll_report(cx))?;
            if self.waiting.is_empty() {
                return Poll::Ready(Ok(()));
            }
            if self.gone {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            // Records report room.
            ready!(self.poll_records(cx))?;
        }
    }

    fn traffic(&self) -> Traffic {
        Traffic { partial: !self.partial.is_empty(), ..self.traffic }
    }

    fn poll_close(&mut self, _: CloseCode, _: &str, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.sent_goodbye {
            ready!(self.poll_flush(cx))?;
        }
        ready!(self.poll_goodbye(cx))?;
        // Slots in the queue are lost with its memory, so wait until they have been taken. The
        // codec's farewell already says why the connection ends.
        while !self.gone && self.room < WINDOW {
            // The other end may be waiting for its own slots to be taken.
            while self.ready > 0 {
                self.take()?;
            }
            ready!(self.poll_report(cx))?;
            ready!(self.poll_records(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    fn prepare_handover(&mut self) -> Result<(), &'static str> {
        Err("a client of shared memory cannot be handed to another process")
    }
}

impl Drop for ShmSocket {
    fn drop(&mut self) {
        if !self.sent_goodbye && self.record.is_none() {
            // A socket that is dropped in a running process says goodbye; one whose process is
            // killed does not.
            let _ = self.control.try_write(&GOODBYE);
        }
        let (queues, place) = (self.queues.take(), Arc::clone(&self.place));
        // Without a runtime, removing the files delays no task.
        let Ok(runtime) = Handle::try_current() else { return drop(queues) };
        runtime.spawn_blocking(move || {
            drop(queues);
            // Dropped after the queues, because this may be the last share in the place.
            drop(place);
        });
        if self.gone && !self.goodbye {
            let place = Arc::clone(&self.place);
            runtime.spawn(async move {
                sleep(DYING).await;
                Handle::current().spawn_blocking(move || place.clean());
            });
        }
    }
}

fn invalid(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncWriteExt as _;

    use super::super::{own_uid, root};
    use super::*;
    use crate::config::OverRate;
    use crate::{Pace, RateLimits};

    const MAX: usize = 20_000;

    /// Returns a socket, and the queues and the connection of the other end.
    async fn pair() -> (ShmSocket, Queues, UnixStream) {
        let mut id = [0; 16];
        getrandom::fill(&mut id).expect("random numbers");
        let id = format!("test-{}", u128::from_ne_bytes(id));
        // Each pair has a directory of its own, which it removes in the end.
        let root = root(own_uid().expect("a user"), &id).expect("a directory");
        let place = Place::new(&root).expect("memory");
        let mut own = place.create(&id).expect("memory");
        let mut other = place.open(&id).expect("the same memory");
        own.connect().expect("it is there");
        other.connect().expect("it is there");
        let (stream, control) = UnixStream::pair().expect("two ends");
        (ShmSocket::new(stream, own, Arc::new(place), MAX, RateMeter::default()), other, control)
    }

    async fn receive(socket: &mut ShmSocket) -> io::Result<Option<Bytes>> {
        poll_fn(|cx| socket.poll_receive(cx)).await
    }

    async fn refused(socket: &mut ShmSocket) -> String {
        let error = receive(socket).await.expect_err("it breaks the protocol");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        error.to_string()
    }

    #[tokio::test]
    async fn a_message_of_several_slots() {
        let (mut socket, other, mut control) = pair().await;
        other.put(MORE, b"hel").expect("room");
        other.put(LAST, b"lo").expect("room");
        other.put(LAST, b"").expect("room");
        control.write_all(&[3, 0]).await.expect("it reads");
        assert_eq!(receive(&mut socket).await.expect("whole").as_deref(), Some(&b"hello"[..]));
        assert_eq!(receive(&mut socket).await.expect("whole").as_deref(), Some(&b""[..]));
        assert_eq!(socket.traffic(), Traffic { read: 5, written: 0, partial: false });
        control.write_all(&GOODBYE).await.expect("it reads");
        assert_eq!(receive(&mut socket).await.expect("its end"), None);
    }

    #[tokio::test]
    async fn what_breaks_the_protocol() {
        let (mut socket, _other, mut control) = pair().await;
        control.write_all(&[1, 0]).await.expect("it reads");
        assert_eq!(refused(&mut socket).await, "a message was announced that is not there");

        let (mut socket, _other, mut control) = pair().await;
        control.write_all(&[WINDOW + 1, 0]).await.expect("it reads");
        assert_eq!(refused(&mut socket).await, "more was sent than there is room for");

        let (mut socket, _other, mut control) = pair().await;
        control.write_all(&[0, 1]).await.expect("it reads");
        assert_eq!(refused(&mut socket).await, "more was taken than was sent");

        let (mut socket, other, mut control) = pair().await;
        other.put(7, b"?").expect("room");
        control.write_all(&[1, 0]).await.expect("it reads");
        assert_eq!(refused(&mut socket).await, "a slot that is neither a message's last nor another");

        let (mut socket, other, mut control) = pair().await;
        for _ in 0..3 {
            other.put(MORE, &[0; SLOT - 1]).expect("room");
        }
        control.write_all(&[3, 0]).await.expect("it reads");
        assert_eq!(refused(&mut socket).await, "a message that is too long");

        let (mut socket, other, mut control) = pair().await;
        other.put(MORE, b"hel").expect("room");
        control.write_all(&[1, 0, 0, 0]).await.expect("it reads");
        assert_eq!(refused(&mut socket).await, "the connection ended in a message");
    }

    /// Messages count as packets, and so do slots that a client did not fill.
    #[tokio::test]
    async fn pieces_of_messages_are_counted() {
        let limits =
            RateLimits { packets_per_second: 2, over_rate: OverRate::Close, ..RateLimits::default() };
        let (mut socket, other, mut control) = pair().await;
        socket.meter = RateMeter::new(&limits);
        for _ in 0..2 {
            other.put(MORE, &[0; SLOT - 1]).expect("room");
        }
        other.put(LAST, b"hello").expect("room");
        control.write_all(&[3, 0]).await.expect("it reads");
        assert!(receive(&mut socket).await.expect("whole").is_some());
        assert_eq!(socket.meter.pace(), Pace::Within);
        for _ in 0..2 {
            other.put(MORE, b"").expect("room");
        }
        control.write_all(&[2, 0]).await.expect("it reads");
        let over = poll_fn(|cx| {
            assert!(socket.poll_receive(cx).is_pending(), "no message is whole");
            if socket.meter.pace() == Pace::Over { Poll::Ready(()) } else { Poll::Pending }
        });
        tokio::time::timeout(Duration::from_secs(20), over).await.expect("it is over its rate");
    }

    /// The end is reported after what came before it.
    #[tokio::test]
    async fn an_end_without_a_goodbye() {
        let (mut socket, other, mut control) = pair().await;
        other.put(LAST, b"last words").expect("room");
        control.write_all(&[1, 0]).await.expect("it reads");
        drop(control);
        assert_eq!(receive(&mut socket).await.expect("whole").as_deref(), Some(&b"last words"[..]));
        let error = receive(&mut socket).await.expect_err("no goodbye");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    /// Messages that fit are sent, and the others wait until there is room.
    #[tokio::test]
    async fn nothing_is_put_where_there_is_no_room() {
        let (mut socket, other, mut control) = pair().await;
        for _ in 0..WINDOW + 3 {
            socket.send(Bytes::from_static(b"x"), false).expect("it gathers");
        }
        let flushed = poll_fn(|cx| Poll::Ready(socket.poll_flush(cx).is_ready())).await;
        assert!(!flushed && socket.traffic().written == u64::from(WINDOW));
        for _ in 0..3 {
            assert!(other.take().expect("memory").is_some());
        }
        control.write_all(&[0, 3]).await.expect("it reads");
        poll_fn(|cx| socket.poll_flush(cx)).await.expect("there is room");
        assert_eq!(socket.traffic().written, u64::from(WINDOW) + 3);
    }
}
