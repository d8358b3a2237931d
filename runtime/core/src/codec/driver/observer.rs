//! Observers: they learn of each call of a session, and of the codec's answer.

use std::any::Any;

use super::{CallError, Cut, SessionDriver};
use crate::codec::{Cause, CodecError, Event, Instant, Messages};
use crate::framing::Packets;

/// Learns of each call of a session, and of the codec's answer.
///
/// A driver without an observer pays one branch for each call. The methods are called in the order
/// `begin`, `returned`, any number of `event`, `packet` and `refused`, then `end`.
pub trait Observer: Any + Send {
    /// A call begins. Only the question for the broadcast class has no time.
    fn begin(&mut self, call: ObservedCall<'_>, now: Option<Instant>);

    /// The codec has returned.
    fn returned(&mut self);

    /// The answer has an event, of the packet with this index.
    fn event(&mut self, packet: usize, event: &Event<'_>);

    /// The answer has a packet, which carries the message with this index.
    fn packet(&mut self, message: usize, packet: &[u8]);

    /// The codec refuses the message with this index.
    fn refused(&mut self, message: usize, reason: &[u8]);

    /// The call has ended.
    fn end(&mut self, end: CallEnd<'_>);
}

/// A call of a session, as an observer learns of it.
#[derive(Clone, Copy, Debug)]
pub enum ObservedCall<'a> {
    /// The codec acts first, after the session has opened.
    Open,
    /// Packets are decoded.
    Decode(&'a Packets),
    /// A stream is cut and decoded. The bytes begin at the start of a packet.
    Stream(&'a [u8]),
    /// TLS has begun, with the attributes that it added.
    Secured(&'a [(String, String)]),
    /// The application answers the hello.
    Answer(u16, &'a [u8]),
    /// The runtime gave up on the request to the client with this id.
    Abandoned(u64),
    /// The timer of the codec is due.
    Tick,
    /// Messages are encoded. Says whether a batch may become fewer packets.
    Encode(&'a Messages, bool),
    /// The runtime ends the session.
    Farewell(Cause, &'a str),
    /// The broadcast class is wanted.
    Class,
    /// The session was saved, and restored in another sandbox with this random seed.
    Restored(&'a [u8; 32]),
}

/// How a call ended.
#[derive(Clone, Copy, Debug)]
pub enum CallEnd<'a> {
    /// The whole answer was handed out.
    Done,
    /// Packets were cut from the stream. The numbers say where each of them ends.
    Cut(&'a Cut, &'a [u32]),
    /// The broadcast class.
    Class(Option<u32>),
    /// The codec failed, or its answer breaks the contract.
    Failed(&'a CodecError),
}

impl<S> SessionDriver<S> {
    /// Sets the observer of the calls from now on, or removes it.
    pub fn set_observer(&mut self, observer: Option<Box<dyn Observer>>) {
        self.observer = observer;
    }

    /// Returns whether there is an observer.
    pub fn is_observed(&self) -> bool {
        self.observer.is_some()
    }

    /// Returns the observer.
    pub fn observer_mut(&mut self) -> Option<&mut (dyn Observer + 'static)> {
        self.observer.as_deref_mut()
    }

    /// Reports to the observer that the session continues in another sandbox, which was opened with
    /// this random seed.
    pub fn observe_restored(&mut self, random_seed: &[u8; 32], now: Instant) {
        if let Some(observer) = &mut self.observer {
            observer.begin(ObservedCall::Restored(random_seed), Some(now));
            observer.returned();
            observer.end(CallEnd::Done);
        }
    }

    pub(super) fn observe(&mut self, call: ObservedCall<'_>, now: Instant) {
        if let Some(observer) = &mut self.observer {
            observer.begin(call, Some(now));
        }
    }

    pub(super) fn observe_returned(&mut self) {
        if let Some(observer) = &mut self.observer {
            observer.returned();
        }
    }

    pub(super) fn observe_event(&mut self, packet: usize, event: &Event<'_>) {
        if let Some(observer) = &mut self.observer {
            observer.event(packet, event);
        }
    }

    /// Reports the end of a call, and returns its result.
    pub(super) fn observe_end<T>(&mut self, result: Result<T, CallError>) -> Result<T, CallError> {
        if let Some(observer) = &mut self.observer {
            observer.end(match &result {
                Err(CallError::Failed(error)) => CallEnd::Failed(error),
                _ => CallEnd::Done,
            });
        }
        result
    }
}
