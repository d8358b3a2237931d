//! Streams that the codec cuts into packets itself.

use std::sync::Arc;

use super::{Harness, Run, Stop};
use crate::check::case::Ask;
use crate::check::observed::{Fault, What};
use crate::check::wire::Wire;
use wireplug_core::codec::driver::{Cut, StreamRules};
use wireplug_core::codec::{Next, Peer, batch_bytes};

/// The number of pieces in which the bytes of a step come if the stream is divided. A short step
/// comes byte by byte.
const PIECES: usize = 64;

/// The bytes of a stream that the codec has not cut yet.
pub(super) struct Stream {
    rules: StreamRules,
    /// Whether the bytes of a step come in small pieces.
    is_divided: bool,
    /// Whether each step is a message that holds whole packets.
    whole_messages: bool,
    /// The bytes that the codec gets in the next call.
    rest: Vec<u8>,
    /// The bytes behind them.
    unread: Vec<u8>,
    /// The largest number of bytes that come at once.
    piece: usize,
    /// From how many bytes of the rest on the codec is called.
    need: usize,
    /// Whether the client has sent bytes that are no packet, so that the runtime ends the
    /// connection.
    pub(super) is_broken: bool,
}

impl Stream {
    /// Creates the stream of a session, or `None` if the runtime cuts the packets of the session.
    pub(super) fn new(run: &Run<'_>, wire: &Wire, peer: &Peer) -> Option<Self> {
        let whole_messages = wire.framer()?;
        let may_start_tls = peer.attributes.iter().any(|(name, _)| name == "starttls");
        Some(Self {
            rules: StreamRules { payload: wire.payload(), max_packet: run.max_packet, may_start_tls },
            is_divided: run.divides && !whole_messages,
            whole_messages,
            rest: Vec::new(),
            unread: Vec::new(),
            piece: usize::MAX,
            need: 1,
            is_broken: false,
        })
    }

    /// Lets the codec look at the rest again, because another session continues.
    pub(super) fn look_again(&mut self) {
        self.need = 1;
    }

    fn push(&mut self, bytes: &[u8]) {
        self.unread.extend_from_slice(bytes);
        if self.is_divided {
            self.piece = self.unread.len().div_ceil(PIECES);
        }
    }

    /// Returns the bytes of the next call, or `None` if the codec waits for more than have come.
    fn next_bytes(&mut self) -> Option<Arc<Vec<u8>>> {
        while self.rest.len() < self.need {
            // What the codec needs is never more than a batch.
            let room = batch_bytes(self.rules.max_packet).saturating_sub(self.rest.len());
            let piece = self.piece.min(room).min(self.unread.len());
            if piece == 0 {
                return None;
            }
            self.rest.extend(self.unread.drain(..piece));
        }
        Some(Arc::new(std::mem::take(&mut self.rest)))
    }

    /// Goes on behind the packets that were cut from these bytes.
    fn advance(&mut self, bytes: &[u8], cut: &Cut) {
        self.rest = bytes[cut.consumed..].to_vec();
        match cut.next {
            Ok(Next::Need(bytes)) => self.need = bytes as usize,
            Ok(Next::Full) => self.need = 1,
            // The rest is TLS.
            Ok(Next::StartTls) => (self.rest, self.unread, self.need) = (Vec::new(), Vec::new(), 1),
            Err(_) => self.is_broken = true,
        }
    }
}

impl Harness<'_> {
    /// Passes bytes of the client to the codec. Bytes behind a hello wait until it is answered.
    pub(super) fn receive(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let hello_is_open = self.driver.hello_is_open();
        let Some(stream) = self.stream.as_mut() else { return Ok(()) };
        // The next message comes only after all packets of the one before it.
        let is_held_back = stream.whole_messages && hello_is_open;
        if bytes.is_empty() || is_held_back || !self.driver.is_working() || self.driver.tls_begins() {
            return Ok(());
        }
        stream.push(bytes);
        self.observe(Ask::Stream(bytes.to_vec()), Self::pass_stream)
    }

    /// Passes the bytes that have come to the codec, until a hello waits for its answer.
    pub(super) fn pass_stream(&mut self) -> Result<(), Stop> {
        while self.can_pass()
            && let Some(stream) = &mut self.stream
            && let Some(bytes) = stream.next_bytes()
        {
            let (rules, before) = (stream.rules, self.observed.len());
            let mut cut = None;
            let called = self.events(|driver, now, take| {
                cut = Some(driver.decode_stream(&bytes, rules, now, take)?);
                Ok(())
            });
            self.note_cuts(&bytes, cut.as_ref().map_or(0, |cut| cut.packets), before);
            called?;
            if let (Some(stream), Some(cut)) = (&mut self.stream, &cut) {
                stream.advance(&bytes, cut);
            }
            if matches!(&cut, Some(Cut { next: Ok(Next::StartTls), .. })) {
                self.note(None, What::StartTls);
            }
        }
        if self.can_pass()
            && let Some(stream) = self.stream.as_mut().filter(|stream| stream.whole_messages)
        {
            // A message must not end inside a packet.
            stream.is_broken |= !stream.rest.is_empty();
        }
        Ok(())
    }

    fn can_pass(&self) -> bool {
        let is_broken = self.stream.as_ref().is_none_or(|stream| stream.is_broken);
        let driver = &self.driver;
        driver.is_working() && !driver.hello_is_open() && !driver.tls_begins() && !is_broken
    }

    /// Puts each of the packets that were cut from these bytes before its events, which are those
    /// from the index `before` on. The number of a packet in its call depends on how the stream was
    /// divided, so it is not kept.
    fn note_cuts(&mut self, bytes: &[u8], packets: usize, before: usize) {
        let ends = self.driver.ends()[..packets].to_vec();
        let mut events = self.observed.split_off(before).into_iter().peekable();
        let mut start = 0;
        for (index, end) in ends.into_iter().enumerate() {
            self.note(None, What::Cut(bytes[start..end as usize].to_vec()));
            start = end as usize;
            while let Some(event) = events.next_if(|event| event.of == Some(index)) {
                self.note(None, event.what);
            }
        }
        // Events about the rest, or those before a fault.
        events.for_each(|event| self.note(None, event.what));
    }
}
