//! The session's state machine: packets in, actions and packets out.
//!
//! Takes bytes and a time; never touches a socket, a timer or a task. What a codec may be asked,
//! and what its answers mean, is the [driver](wireplug_core::codec::driver)'s part. The machine
//! batches, frames and keeps the order:
//! - A packet takes its place in the output when the codec makes it, and is never dropped or moved
//!   after that.
//! - Messages wait unencoded in the outbox, in the order of the calls; a reply overtakes them.
//! - Before the session is established nothing of the outbox is encoded.
//! - What follows the first close is ignored.
//!
//! Must not know the application, its handle of the session, or the connection's task.
//!
//! | file | its job |
//! |---|---|
//! | `undecoded` | cuts input into packets, which wait there for the codec |
//! | `incoming` | has the codec decode packets, answers to hellos and the time |
//! | `effects` | what events do to the session, and the actions that they ask for |
//! | `outgoing` | has the codec encode what waits in the outbox |
//! | `handover` | the session moves to another codec or sandbox |

mod effects;
mod handover;
mod incoming;
mod outgoing;
mod undecoded;

use std::sync::Arc;

use bytes::Bytes;

use self::effects::Effects;
use self::undecoded::Undecoded;
use super::{CloseReason, Outbox, Output, Tally};
use crate::codec::shadow::ShadowedSession;
use crate::codec::{Codec, CodecError, CodecSession as _, CpuTime, Messages};
use wireplug_core::codec::batch_bytes;
use wireplug_core::codec::driver::{CallError, SessionDriver};
use wireplug_core::framing::{Joiner, Layout, Packets, Splitter};

/// What the connection has to do for the session.
#[derive(Debug)]
pub(crate) enum Action {
    /// Ask the application about the client's hello, then call [`Machine::answer`].
    Hello(Bytes),
    /// The session is in its working state.
    Established,
    /// Hand a message to the application.
    Message { id: Option<u64>, route: Arc<str>, body: Bytes },
}

/// How a session's packets lie on the wire, and what is to be written.
pub(crate) struct Wire {
    splitter: Splitter,
    joiner: Joiner,
    output: Output,
    /// The largest packet, in bytes.
    max_packet: usize,
}

impl Wire {
    /// The wire of packets of at most `max_packet` bytes that lie in the input and output as
    /// `layout` says.
    pub(crate) fn new(layout: Layout, text: bool, max_packet: usize, output: Output) -> Self {
        Self {
            splitter: Splitter::new(layout.clone(), text, max_packet, batch_bytes(max_packet)),
            joiner: Joiner::new(layout, text, max_packet),
            output,
            max_packet,
        }
    }
}

/// One session at work.
pub(crate) struct Machine {
    driver: SessionDriver<ShadowedSession>,
    undecoded: Undecoded,
    effects: Effects,
    outbox: Outbox,
    /// The largest packet, in bytes.
    max_packet: usize,
    /// The packets or messages of one call of the codec, at most.
    batch: usize,
    /// The messages of one call. Filled and cleared again and again.
    messages: Arc<Messages>,
}

impl Machine {
    /// A session whose codec has opened. The codec is called by its timer every `min_timer`
    /// milliseconds at most.
    pub(crate) fn new(
        codec: &dyn Codec,
        codec_session: ShadowedSession,
        wire: Wire,
        outbox: Outbox,
        min_timer: u64,
    ) -> Self {
        let Wire { splitter, joiner, output, max_packet } = wire;
        let mut machine = Self {
            driver: SessionDriver::new(codec, codec_session, min_timer),
            undecoded: Undecoded::new(splitter),
            effects: Effects::new(output, joiner, codec.secrets()),
            outbox,
            max_packet,
            batch: batch_of(codec),
            messages: Arc::default(),
        };
        if machine.driver.is_established() {
            machine.effects.establish();
        }
        // A server may speak first.
        let opened = machine.driver.open(|_, event| machine.effects.take(event));
        machine.settle(opened);
        machine
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

    /// Why the session is over, if it is. Actions that are left came before that.
    pub(crate) fn closed(&self) -> Option<&CloseReason> {
        self.effects.closed.as_ref()
    }

    pub(crate) fn output(&mut self) -> &mut Output {
        &mut self.effects.output
    }

    /// Whether the beginning of a packet waits for the rest.
    pub(crate) fn is_partial(&self) -> bool {
        self.undecoded.is_partial()
    }

    /// Returns what was counted since the last call.
    pub(crate) fn take_tally(&mut self) -> Tally {
        self.effects.tally.overflowed += self.outbox.take_overflowed();
        std::mem::take(&mut self.effects.tally)
    }

    /// How the codec failed, if it did: also where the session was over already.
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

    /// Ends the session if a call has failed. Returns what the call gave.
    fn settle<T>(&mut self, called: Result<T, CallError>) -> Option<T> {
        match called {
            Ok(given) => Some(given),
            Err(CallError::Failed(error)) => {
                self.effects.close(CloseReason::CodecFault(error));
                None
            }
            // The session has ended meanwhile: it has no use for the call any more.
            Err(CallError::NotAllowed(_)) => None,
        }
    }
}

/// Returns how many packets or messages one call of a codec has at most: one if the codec has no
/// call for a batch, so that others have the thread as soon as a call has lasted. A codec without a
/// sandbox is trusted.
fn batch_of(codec: &dyn Codec) -> usize {
    if codec.abilities().batch || codec.cpu_account().is_none() { Packets::MAX } else { 1 }
}

/// Room that an empty batch keeps for the next one, in bytes: enough for most, and little for a
/// connection that is idle.
const KEPT: usize = 8 << 10;
