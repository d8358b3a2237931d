//! The session's state machine: packets in, actions and packets out.
//!
//! The machine takes bytes and a time. It never touches a socket, a timer or a task. The
//! [driver](wireplug_core::codec::driver) decides which calls of a codec are allowed, and what the
//! codec's answers mean. The machine makes batches, frames packets and keeps the order:
//! - A packet takes its place in the output when the codec makes it, and is never dropped or moved
//!   after that.
//! - Messages wait unencoded in the outbox, in the order of the calls; a reply of the codec
//!   overtakes them.
//! - The machine encodes no message of the outbox before the session is established.
//! - The machine ignores every event after the first close.
//!
//! The machine must not know the application, its handle of the session, or the connection's task.
//!
//! | file | its job |
//! |---|---|
//! | `undecoded` | cuts input into packets, which wait there for the codec |
//! | `stream` | the part of a stream that the codec has not cut into packets yet |
//! | `incoming` | hands packets, answers to hellos and the time to the codec |
//! | `effects` | applies events to the session, and queues the actions that they ask for |
//! | `outgoing` | has the codec encode the messages that wait in the outbox |
//! | `handover` | moves the session to another codec or sandbox |
//! | `sleep` | lets the session sleep without a sandbox, and wakes it |
//! | `moving` | what another process needs to go on with the session |
//! | `watching` | the observer of a session that is traced |

mod effects;
mod handover;
mod incoming;
mod moving;
mod outgoing;
mod sleep;
mod stream;
mod undecoded;
mod watching;

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use self::effects::Effects;
pub(crate) use self::moving::{Resumed, SavedMachine};
use self::stream::Stream;
use self::undecoded::Undecoded;
use super::{CloseReason, Outbox, Output, Tally};
use crate::codec::shadow::ShadowedSession;
use crate::codec::{Codec, CodecError, CodecSession as _, CpuTime, Instant, Messages, Reason, Violation};
use crate::session_trace::Watch;
use wireplug_base::reused::Reused;
use wireplug_core::codec::batch_bytes;
use wireplug_core::codec::driver::{CallError, NotAllowed, SessionDriver, StreamRules};
use wireplug_core::framing::{Joiner, Layout, Packets, Payload, Splitter};

/// An action that the connection carries out for the session.
#[derive(Debug)]
pub(crate) enum Action {
    /// Ask the application about the client's hello, then call [`Machine::answer`].
    Hello(Bytes),
    /// The session is in its working state.
    Established,
    /// Let TLS begin on the client's stream, then call [`Machine::secured`].
    StartTls,
    /// Hand a message to the application.
    Message { id: Option<u64>, route: Arc<str>, body: Bytes },
}

/// The framing of a session's packets, and the output.
pub(crate) struct Wire {
    pub(crate) layout: Layout,
    pub(crate) payload: Payload,
    /// The largest packet that the listener allows, in bytes. The codec may allow less.
    pub(crate) max_packet: usize,
    /// Whether the connection can switch to TLS.
    pub(crate) may_start_tls: bool,
    pub(crate) output: Output,
}

/// The input from the client that is not decoded yet.
enum Input {
    /// Packets that the runtime has cut.
    Packets(Undecoded),
    /// A stream that the codec cuts.
    Stream(Stream),
}

/// The state machine of one session.
pub(crate) struct Machine {
    driver: SessionDriver<ShadowedSession>,
    input: Input,
    effects: Effects,
    /// The largest packet, in bytes.
    max_packet: usize,
    /// The largest packet that the listener allows, in bytes.
    listener_max_packet: usize,
    /// The most packets or messages of one call of the codec.
    batch: usize,
    /// The messages of one call.
    messages: Reused<Arc<Messages>>,
}

impl Machine {
    /// Creates the machine of a session that the codec has opened at `now`. The timer calls the
    /// codec at most once in `min_timer` milliseconds. `watch` watches it from the beginning.
    pub(crate) fn new(
        codec: &dyn Codec,
        codec_session: ShadowedSession,
        wire: Wire,
        outbox: Outbox,
        min_timer: u64,
        now: Instant,
        watch: Option<Box<Watch>>,
    ) -> Self {
        let driver = SessionDriver::new(codec, codec_session, min_timer);
        let mut machine = Self::with_driver(codec, driver, wire, outbox);
        machine.set_watch(watch);
        if machine.driver.is_established() {
            machine.effects.establish();
        }
        // A server may speak first.
        let opened = machine.driver.open(now, |_, event| machine.effects.take(event));
        machine.settle(opened);
        machine
    }

    /// Creates a machine around the driver of a session.
    fn with_driver(
        codec: &dyn Codec,
        driver: SessionDriver<ShadowedSession>,
        wire: Wire,
        outbox: Outbox,
    ) -> Self {
        let Wire { layout, payload, max_packet: listener_max_packet, may_start_tls, output } = wire;
        let max_packet = codec.description().max_packet(listener_max_packet);
        let input = match layout {
            Layout::Framer { whole_messages } => {
                let rules = StreamRules { payload, max_packet, may_start_tls };
                Input::Stream(Stream::new(rules, whole_messages, batch_bytes(max_packet)))
            }
            _ => Input::Packets(Undecoded::new(Splitter::new(
                layout.clone(),
                payload,
                max_packet,
                batch_bytes(max_packet),
            ))),
        };
        let joiner = Joiner::new(layout, payload, max_packet);
        outbox.set_max_sent_requests(codec.description().client_requests);
        Self {
            driver,
            input,
            effects: Effects::new(output, joiner, outbox, codec.secrets()),
            max_packet,
            listener_max_packet,
            batch: batch_of(codec),
            messages: Reused::new(),
        }
    }

    pub(crate) fn next_action(&mut self) -> Option<Action> {
        self.effects.actions.pop_front()
    }

    pub(crate) fn has_actions(&self) -> bool {
        !self.effects.actions.is_empty()
    }

    pub(crate) fn is_established(&self) -> bool {
        self.driver.is_established()
    }

    /// Returns whether a codec of the session has found that the client receives what is sent to
    /// its address. A swap of the codec does not change this.
    pub(crate) fn is_address_verified(&self) -> bool {
        self.effects.address_is_verified
    }

    /// Returns the WebSocket close code and the reason with which the codec has ended the session,
    /// if it chose a code.
    pub(crate) fn codec_close(&self) -> Option<&(u16, Reason)> {
        self.effects.codec_close.as_ref()
    }

    /// Returns the reason for which the session is over, if it is. Actions that are still queued
    /// came before the end.
    pub(crate) fn closed(&self) -> Option<&CloseReason> {
        self.effects.closed.as_ref()
    }

    pub(crate) fn output(&mut self) -> &mut Output {
        &mut self.effects.output
    }

    /// Frees the memory of the queues that are empty.
    pub(crate) fn free(&mut self) {
        let Effects { actions, output, outbox, .. } = &mut self.effects;
        if actions.is_empty() {
            *actions = VecDeque::new();
        }
        output.free();
        outbox.free();
    }

    /// Whether the beginning of a packet waits for the rest.
    pub(crate) fn is_partial(&self) -> bool {
        match &self.input {
            Input::Packets(undecoded) => undecoded.is_partial(),
            Input::Stream(stream) => stream.is_partial(),
        }
    }

    /// Returns what was counted since the last call.
    pub(crate) fn take_tally(&mut self) -> Tally {
        self.effects.tally.overflowed += self.effects.outbox.take_overflowed();
        std::mem::take(&mut self.effects.tally)
    }

    /// Returns the fault of the codec, if it has failed, even if the session was over already.
    pub(crate) fn fault(&self) -> Option<&CodecError> {
        self.driver.fault()
    }

    /// Returns the CPU time that the codec's calls took since the last call. From now on the calls
    /// are measured or estimated.
    pub(crate) fn take_cpu_time(&mut self, measures: bool) -> CpuTime {
        self.driver.session_mut().take_cpu_time(measures)
    }

    /// Ends the session by a fault of the codec.
    pub(crate) fn fail(&mut self, error: CodecError) {
        self.driver.fail(error.clone());
        self.effects.close(CloseReason::CodecFault(error));
    }

    /// Ends the session if the codec has made a complete packet that cannot be sent.
    fn end_if_unsendable(&mut self) {
        if self.effects.unsendable.take().is_some() {
            self.fail(Violation::Unsendable.into());
        }
    }

    /// Ends the session if a call has failed. Returns the result of a call that succeeded.
    fn settle<T>(&mut self, called: Result<T, CallError>) -> Option<T> {
        self.end_if_unsendable();
        match called {
            Ok(given) => Some(given),
            Err(CallError::Failed(error)) => {
                self.effects.close(CloseReason::CodecFault(error));
                None
            }
            Err(CallError::NotAllowed(NotAllowed::Asleep)) => {
                unreachable!("the connection wakes a session before it calls the codec")
            }
            // The session has ended meanwhile, so the call is no longer needed.
            Err(CallError::NotAllowed(_)) => None,
        }
    }
}

/// Returns the most packets or messages of one call of a codec. This is one if the codec has no
/// call for a batch, so that the thread can serve other connections after a long call. A codec
/// without a sandbox is trusted to be fast.
fn batch_of(codec: &dyn Codec) -> usize {
    if codec.abilities().batch || codec.cpu_account().is_none() { Packets::MAX } else { 1 }
}
