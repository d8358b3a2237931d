//! Streams that the codec cuts itself, and TLS in the middle of them.

use std::sync::Arc;

use super::{Call, CallEnd, CallError, ObservedCall, SessionDriver};
use crate::codec::{CodecError, CodecSession, Event, Instant, Kind, Next, Violation};
use crate::framing::{Payload, SplitError};

/// What the driver accepts in a stream.
#[derive(Clone, Copy, Debug)]
pub struct StreamRules {
    /// Whether packets are text.
    pub payload: Payload,
    /// The largest packet, in bytes.
    pub max_packet: usize,
    /// Whether the connection can switch to TLS.
    pub may_start_tls: bool,
}

/// The packets that a codec has cut from the front of a stream, and decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The number of bytes that the packets take up.
    pub consumed: usize,
    /// The number of packets.
    pub packets: usize,
    /// What becomes of the rest, or the client's error. After an error the session is not called
    /// with further bytes.
    pub next: Result<Next, SplitError>,
}

impl<S: CodecSession> SessionDriver<S> {
    /// Lets the codec cut and decode packets at the front of a stream.
    ///
    /// # Errors
    /// Returns an error if the codec does not cut streams, a hello is open, TLS begins, the session
    /// has ended, or the codec fails.
    pub fn decode_stream(
        &mut self,
        bytes: &Arc<Vec<u8>>,
        rules: StreamRules,
        now: Instant,
        take: impl FnMut(usize, Event<'_>),
    ) -> Result<Cut, CallError> {
        self.allow(Call::DecodeStream)?;
        self.frames.clear();
        self.observe(ObservedCall::Stream(bytes), now);
        let cut = self.cut(bytes, rules, now, take);
        if let (Some(observer), Ok(cut)) = (&mut self.observer, &cut) {
            observer.end(CallEnd::Cut(cut, &self.frames.ends));
            return Ok(cut.clone());
        }
        self.observe_end(cut)
    }

    fn cut(
        &mut self,
        bytes: &Arc<Vec<u8>>,
        rules: StreamRules,
        now: Instant,
        mut take: impl FnMut(usize, Event<'_>),
    ) -> Result<Cut, CallError> {
        let called = self.callee.call().decode_stream(bytes, now, &mut self.frames);
        self.observe_returned();
        let checked = called.and_then(|()| {
            self.frames.check(bytes.len())?;
            Ok(self.check_about_rest()?)
        });
        checked.map_err(|error| self.failed(error))?;

        let (consumed, packets, next) = (self.frames.consumed(), self.frames.ends.len(), self.frames.next);
        let bad = self.frames.first_bad(bytes, rules.payload, rules.max_packet);
        let good = bad.as_ref().map_or(packets, |(index, _)| *index);
        std::mem::swap(&mut self.events, &mut self.frames.events);
        self.apply_events(Ok(()), packets + 1, now, |packet, event| {
            // What the codec makes of a packet that the client may not send does not count.
            if packet < good || (bad.is_none() && packet == packets) {
                take(packet, event);
            }
        })?;
        if let Some((_, error)) = bad {
            return Ok(Cut { consumed, packets: good, next: Err(error) });
        }
        if !self.is_working() {
            return Ok(Cut { consumed, packets, next: Ok(Next::Full) });
        }
        let next = self.check_next(next, packets, bytes.len() - consumed, rules);
        let next = next.map_err(|error| self.failed(error))?;
        Ok(Cut { consumed, packets, next })
    }

    /// Checks the events about the rest: only replies and lines for the log, and the last of them
    /// ends the session. A hello comes from the last packet, and the codec is called again after
    /// its answer.
    fn check_about_rest(&self) -> Result<(), Violation> {
        let packets = self.frames.ends.len() as u32;
        let heads = &self.frames.events.heads;
        let about_rest =
            heads.iter().position(|head| head.packet == packets).map_or(&[][..], |at| &heads[at..]);
        let is_end = |kind| matches!(kind, Kind::Close | Kind::Fatal);
        let ends = about_rest.iter().position(|head| is_end(head.kind));
        let before_end = &about_rest[..ends.unwrap_or(about_rest.len())];
        if before_end.iter().any(|head| !matches!(head.kind, Kind::Reply | Kind::Log))
            || (!about_rest.is_empty() && ends.is_none())
        {
            return Err(Violation::AboutRest);
        }
        match heads.last() {
            Some(head) if head.kind == Kind::Hello => {
                let is_last = head.packet.checked_add(1) == Some(packets) && self.frames.next == Next::Full;
                if is_last { Ok(()) } else { Err(Violation::AfterHello) }
            }
            _ => Ok(()),
        }
    }

    fn check_next(
        &mut self,
        next: Next,
        packets: usize,
        rest: usize,
        rules: StreamRules,
    ) -> Result<Result<Next, SplitError>, CodecError> {
        match next {
            Next::Full if packets == 0 => Err(Violation::NoProgress.into()),
            Next::Full => Ok(Ok(next)),
            Next::Need(bytes) if bytes as usize <= rest => Err(Violation::NoProgress.into()),
            Next::Need(bytes) if bytes as usize > rules.max_packet => {
                Ok(Err(SplitError::TooLong { length: bytes.into(), max: rules.max_packet }))
            }
            Next::Need(_) => Ok(Ok(next)),
            Next::StartTls if !self.abilities.tls_upgrade => {
                Err(Violation::MissingAbility("start-tls").into())
            }
            Next::StartTls if packets == 0 || !rules.may_start_tls => Err(Violation::StartTls.into()),
            Next::StartTls => {
                self.tls_begins = true;
                Ok(Ok(next))
            }
        }
    }

    /// Returns where the packets of the last [`SessionDriver::decode_stream`] end.
    pub fn ends(&self) -> &[u32] {
        &self.frames.ends
    }

    /// Returns whether TLS begins, so that the codec is called for nothing before
    /// [`SessionDriver::secured`].
    pub fn tls_begins(&self) -> bool {
        self.tls_begins
    }

    /// Tells the codec that TLS has begun, with the attributes that TLS added.
    ///
    /// # Errors
    /// Returns an error if TLS was not about to begin, the session has ended, or the codec fails.
    pub fn secured(
        &mut self,
        attributes: &[(String, String)],
        now: Instant,
        take: impl FnMut(usize, Event<'_>),
    ) -> Result<(), CallError> {
        self.allow(Call::Secured)?;
        self.tls_begins = false;
        self.observe(ObservedCall::Secured(attributes), now);
        let called = self.callee.call().secured(attributes, now, &mut self.events);
        self.take_events(called, 1, now, take)
    }
}
